"""The lexicon in the package: what it holds, how fast it is there, and the file that it is read from."""

import hashlib
import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from wavejax.text import TextError
from wavejax.text.english.homographs import HOMOGRAPHS
from wavejax.text.lexicon import LEXICON_FILE, Lexicon, english_lexicon, packed, unpacked
from wavejax.text.phonemes import PHONEMES, stress_of

SCRIPT = Path(__file__).parents[2] / "scripts/fetch_lexicon"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = SourceFileLoader("fetch_lexicon", str(SCRIPT))
    spec = importlib.util.spec_from_loader("fetch_lexicon", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_words() -> None:
    lexicon = english_lexicon()
    assert len(lexicon) == 124_920
    assert lexicon.phones("Hello") == ("HH", "AH0", "L", "OW1")
    assert lexicon.phones("don't") == ("D", "OW1", "N", "T")
    assert lexicon.phones("qwghlm") is None
    assert "tomato" in lexicon
    assert "qwghlm" not in lexicon
    assert lexicon.variants("tomato") == (
        ("T", "AH0", "M", "EY1", "T", "OW2"),
        ("T", "AH0", "M", "AA1", "T", "OW2"),
    )
    assert lexicon.variants("qwghlm") == ()


def test_parts_of_speech() -> None:
    lexicon = english_lexicon()
    assert lexicon.phones("record") == lexicon.phones("record", "noun") == ("R", "EH1", "K", "ER0", "D")
    assert lexicon.phones("records", "verb") == ("R", "IH0", "K", "AO1", "R", "D", "Z")
    assert lexicon.phones("uses", "noun") == ("Y", "UW1", "S", "IH0", "Z")
    assert lexicon.phones("table", "verb") == lexicon.phones("table"), "a word of one reading has it for all"


def test_homographs_are_sound() -> None:
    lexicon = english_lexicon()
    for word, readings in HOMOGRAPHS.items():
        for phones in readings.values():
            assert set(phones) <= set(PHONEMES), word
            assert [stress_of(phone) for phone in phones].count(1) == 1, word
            assert word in lexicon or word.removesuffix("s") in lexicon, word


def test_there_and_back() -> None:
    entries = {"b": (("B", "IY1"),), "a": (("AH0",), ("EY1",))}
    content = packed(entries)
    assert packed(dict(reversed(entries.items()))) == content, "the order of entries does not matter"
    lexicon = Lexicon(unpacked(content))
    assert [*lexicon] == ["a", "b"]
    assert lexicon.variants("A") == (("AH0",), ("EY1",))
    for damaged in (content[:-3], b"", packed(entries).replace(b"\xfd", b"x")):
        with pytest.raises(TextError, match=r"lexicon in the package is damaged .* scripts/fetch_lexicon"):
            unpacked(damaged)


def test_the_file_is_small_and_the_same() -> None:
    assert LEXICON_FILE.stat().st_size < 900_000
    content = "\n".join(f"{word} {codes}" for word, codes in unpacked(LEXICON_FILE.read_bytes()).items())
    assert (
        hashlib.sha256(content.encode()).hexdigest()
        == "d63c5dade6bf3e2affee8772c167c155afac91e3966e763bcad44be513a03615"
    )
    assert (LEXICON_FILE.parent / "LICENSE-CMUDICT.txt").read_text().startswith("Copyright (C) 1993-2015 Carnegie")


def test_the_dictionary_is_read(script: ModuleType) -> None:
    source = """export const dictionary = {
  "a": "AH0",
  "a(2)": "EY1",
  "a(3)": "AH0",
  "a.m.": "EY2 EH1 M",
  "d'artagnan": "D AH0 R T AE1 NG Y AH0 N # foreign french"
}"""
    assert script.read_entries(source) == {
        "a": (("AH0",), ("EY1",)),
        "d'artagnan": (("D", "AH0", "R", "T", "AE1", "NG", "Y", "AH0", "N"),),
    }
    with pytest.raises(script.FetchError, match=r"'b' has unknown phonemes \['BB'\]"):
        script.read_entries('  "b": "BB IY1",')


def test_another_archive_is_refused(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "other.tgz").write_bytes(b"nothing")
    with pytest.raises(script.FetchError, match=r"has the SHA-256 .* expected .* download it again"):
        script.source_of(tmp_path / "other.tgz")


def test_it_needs_no_jax_and_is_read_when_it_is_used() -> None:
    code = (
        "import sys, wavejax.text.lexicon as l; assert not l.english_lexicon.cache_info().currsize; "
        "l.english_lexicon(); assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
