"""No name makes a terminal do anything, and a suggested command means what it says."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from wavejax.cli.main import COMMANDS
from wavejax.terminal import guarded, printable, quoted, unguarded

HOSTILE = "a\x1b]0;title\x07\x1b[2J\r\x9b31m\u202egnp.exe\u2028\ud800é"


def test_what_a_terminal_obeys_is_written_out() -> None:
    assert printable(HOSTILE) == r"a\x1b]0;title\x07\x1b[2J\r\x9b31m\u202egnp.exe\u2028\ud800é"
    for said in ("plain", "two\nlines\tand a tab", "Zoë 日本語 عربى 👩‍👩‍👧"):
        assert printable(said) == said


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="asks bash")
@pytest.mark.parametrize(
    "name",
    ["plain", "with space", "it's", "$(reboot)", "; reboot", "a\nb", "tab\t", "\x1b]0;x\x07", "\\n'", "é", "\udcff"],
)
def test_a_shell_reads_a_quoted_name_as_it_was(name: str) -> None:
    said = subprocess.run(
        ["/bin/bash", "-c", b"printf %s " + os.fsencode(quoted(name))], capture_output=True, check=True
    )
    assert said.stdout == os.fsencode(name)
    assert printable(quoted(name)) == quoted(name) or name == "\udcff", "it can be shown, and copied"


def test_all_that_is_printed_inside_is_shown_and_what_rich_draws_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with guarded():
        print("name", "\x1b[2J")
        print("\x07", file=sys.stderr)
        sys.stdout.writelines(["\x9b"])
        Console(stderr=True, force_terminal=True, color_system="standard").print("[red]bar[/red]")
        with unguarded():
            print("\x1b[1mhelp\x1b[0m")
        assert sys.stdout.encoding == before[0].encoding
    assert (sys.stdout, sys.stderr) == before
    said = capsys.readouterr()
    assert said.out == "name \\x1b[2J\n\\x9b\x1b[1mhelp\x1b[0m\n"
    assert said.err == "\\x07\n\x1b[31mbar\x1b[0m\n"


def test_what_an_encoding_cannot_say_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="latin-1", write_through=True))
    with guarded():
        print("Zoë 日")
    assert raw.getvalue() == "Zoë \\u65e5\n".encode("latin-1")


def test_no_command_is_suggested_with_a_bare_name() -> None:
    """Every `wavejax COMMAND {name}` in the sources has its name quoted."""
    root = Path(__file__).resolve().parents[1] / "wavejax"
    quoting = r"\{(?!quoted\()(?!' '\.join\(map\(quoted)([^}]*)\}"
    bare = re.compile(f"wavejax (?:{'|'.join(COMMANDS)}) (?:[A-Z]+ )*{quoting}")
    ours = {"command", "name", "preset"}
    found = [
        f"{path.relative_to(root)}: {match[0]}"
        for path in root.rglob("*.py")
        for match in bare.finditer(path.read_text(encoding="utf-8"))
        if match[1] not in ours
    ]
    assert found == []
    assert bare.search("wavejax vocode {where} SPEECH.wav"), "the check can fail"
