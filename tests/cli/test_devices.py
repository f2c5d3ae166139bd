"""Players of sound: which one is chosen, what it is given, and what is said where there is none or it stops."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from wavejax.cli.devices import player
from wavejax.cli.inputs import OutputError


def fake(folder: Path, name: str, script: str) -> None:
    """A program on PATH."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    return folder


def test_a_player_hears_every_sample_at_the_right_rate(programs: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    fake(programs, "ffplay", "sys.exit('not me')")
    fake(programs, "paplay", f"open({str(heard)!r}, 'wb').write(sys.argv[-1].encode() + sys.stdin.buffer.read())")
    with player(16_000) as play:
        play(b"\x01\x02")
        play(b"\x03\x04" * 40_000)
    assert heard.read_bytes() == b"--rate=16000\x01\x02" + b"\x03\x04" * 40_000


def test_where_nothing_plays_it_is_said_what_would(programs: Path) -> None:
    with pytest.raises(OutputError, match=r"install one of aplay, paplay, play, ffplay .*or write a file with --out"):
        player(16_000).__enter__()


def played(samples: bytes, times: int = 1) -> None:
    with player(16_000) as play:
        for _ in range(times):
            play(samples)


def test_a_player_that_stops_says_why(programs: Path) -> None:
    fake(programs, "aplay", "sys.exit('cannot open the device')")
    with pytest.raises(OutputError, match="aplay stopped playing: cannot open the device; write a file with --out"):
        played(bytes(100_000), 100)


def test_a_player_that_fails_at_the_end_says_why(programs: Path) -> None:
    fake(programs, "aplay", "sys.stdin.buffer.read(); sys.exit('it was unplugged')")
    with pytest.raises(OutputError, match="aplay stopped playing: it was unplugged"):
        played(b"\x01\x02")


def test_an_error_while_it_plays_ends_the_player(programs: Path) -> None:
    fake(programs, "aplay", "import time; time.sleep(600)")
    with pytest.raises(ValueError, match="no voice"), player(16_000):
        raise ValueError("no voice")


def test_without_a_program_the_package_plays(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    class Stream:
        def __init__(self, **given: object) -> None:
            assert given == {"samplerate": 16_000, "channels": 1, "dtype": "int16"}

        def __enter__(self) -> "Stream":
            return self

        def __exit__(self, *_: object) -> None:
            written.append(b"end")

        def write(self, samples: bytes) -> None:
            written.append(samples)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace(RawOutputStream=Stream))
    with player(16_000) as play:
        play(b"\x01\x02")
    assert written == [b"\x01\x02", b"end"]
