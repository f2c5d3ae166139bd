"""scripts/fetch_corpora, on a small imitation of the packages it unpacks."""

import gzip
import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.data.sources import list_source

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fetch_corpora"
TRANSCRIPTS = """; A comment: with a colon
hello: Hello.
at: at [@]
digits/1: one
beep: [this is a simple beep tone]
intro: Speak after the tone. (simple tone sound plays)
pipe: a | b
note: [whispered]
silence/1: (1 second of silence)
empty: Nothing.
"""


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        yield from _loaded()


def _loaded():
    loader = importlib.machinery.SourceFileLoader("fetch_corpora", str(SCRIPT))
    spec = importlib.util.spec_from_loader("fetch_corpora", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fetch_corpora"] = module  # dataclasses look their module up
    loader.exec_module(module)
    yield module
    del sys.modules["fetch_corpora"]


@pytest.fixture
def unpacked(tmp_path, script, monkeypatch):
    """A folder as `dpkg-deb -x` leaves it, and a decoder that needs no G.722."""
    root = tmp_path / "root"
    base = root / "usr/share/doc/asterisk-core-sounds-fr"
    for folder in (base, base.with_name(f"{base.name}-g722")):
        folder.mkdir(parents=True)
        (folder / "copyright").write_text("Copyright: June Wallack\nLicense: CC-BY-SA-3.0\n")
    (base / "core-sounds-fr.txt.gz").write_bytes(gzip.compress(TRANSCRIPTS.encode("utf-8-sig")))
    sounds = root / "usr/share/asterisk/sounds/fr_CA_f_June"
    for name in ("hello", "at", "digits/1", "beep", "intro", "pipe", "note", "silence/1", "unwritten", "empty"):
        (sounds / name).parent.mkdir(parents=True, exist_ok=True)
        (sounds / f"{name}.g722").write_bytes(b"" if name == "empty" else b"\x80" * 100)
    monkeypatch.setattr(script, "_unpack", lambda packages, scratch, folder: root)
    monkeypatch.setattr(script, "decode", lambda path: np.arange(path.stat().st_size * 2, dtype=np.int16))
    return root


def test_a_fetched_corpus_is_an_ljspeech_folder_without_the_traps(script, unpacked, tmp_path, capsys):
    folder = script.fetch("june-fr", tmp_path / "out")
    listing = list_source(folder)
    assert listing.layout == "ljspeech"
    assert listing.skipped == ()
    assert {r.id: r.transcript for r in listing.recordings} == {
        "hello": "Hello.",
        "at": "at",
        "digits_1": "one",
        "pipe": "a b",
        "unwritten": "",
    }
    samples, rate = soundfile.read(folder / "wavs" / "hello.flac", dtype="int16")
    assert rate == 16_000
    np.testing.assert_array_equal(samples, np.arange(200))
    credit = (folder / "CREDITS.md").read_text()
    assert "Recorded by June Wallack" in credit
    for line in (
        "- beep: not speech",
        "- intro: not speech",
        "- note: the transcript is only a note",
        "- empty: empty",
    ):
        assert line in credit
    assert "- silence_1: silence" in credit
    assert "CC-BY-SA-3.0" in (folder / "LICENCE").read_text()
    assert "5 recordings" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["june-fr"], "no half-written folder"


def test_spoken_names_of_stamps_lose_the_article_that_nobody_says(script, tmp_path, monkeypatch):
    root = tmp_path / "root"
    animals, notice = root / "usr/share/tuxpaint/stamps/animals", root / "usr/share/doc/tuxpaint-stamps-default"
    animals.mkdir(parents=True)
    notice.mkdir(parents=True)
    (notice / "copyright").write_text("License: GPL-2")
    tone = 0.3 * np.sin(np.arange(44_100) / 20)
    for name, rate in (("frog", 44_100), ("owl", 44_100), ("rat", 8_000), ("wallaby", 44_100)):
        soundfile.write(animals / f"{name}_desc.ogg", tone, rate)
        soundfile.write(animals / f"{name}_desc_fr.ogg", tone, rate)
    for name, text in (("frog", "A frog."), ("owl", "An owl."), ("rat", "A rat.")):
        (animals / f"{name}.txt").write_text(f"{text}\nfr.utf8=Une bete.\n")
    monkeypatch.setattr(script, "_unpack", lambda packages, scratch, folder: root)
    folder = script.fetch("tuxpaint-en", tmp_path / "out")
    assert {each.id: each.transcript for each in list_source(folder).recordings} == {"frog": "frog.", "owl": "owl."}
    samples, rate = soundfile.read(folder / "wavs/frog.flac")
    assert (len(samples), rate) == (16_000, 16_000)
    credit = (folder / "CREDITS.md").read_text()
    assert "GPL-2.0-or-later" in credit
    assert "- rat: recorded at 8000 Hz" in credit
    assert "- wallaby: no text" in credit
    assert (folder / "LICENCE").read_text() == "License: GPL-2"
    monkeypatch.setattr(script, "fetch", lambda name, out, packages, **how: fetched.append(name))
    fetched = []
    monkeypatch.setattr(sys, "argv", ["fetch_corpora", "DATA"])
    assert script.main() == 0
    assert fetched == [name for name in script.CORPORA if name not in ("tuxpaint-en", "allison-extra-en")]


EXTRA = """; A comment: with a colon
hello-again: Hello again.
digit: to be or not to be that is the question
oops: Oops (laughs)
garage: the garage
one: One.
one-of-two: It is one.
poem: "Once there was an elephant,
Who tried to use the telephant."
said: If you know your party's extension, please dial it now, or hold.
weasels: weasels have eaten our phone system
touchtone3: Buy a phone.
not-there: A file that is missing.
long-1: This is the first of the long sentences, and it is long.
"""


@pytest.fixture
def extra(script, tmp_path, monkeypatch):
    """(DATA with allison-en in it, a folder with Asterisk's archive of extra sounds)."""
    core = tmp_path / "DATA/allison-en"
    (core / "wavs").mkdir(parents=True)
    texts = {
        "dir-intro": "To be dialed: if you know your party's extension, say it.",
        "tt": "Weasels have eaten our phone system.",
    }
    rows = [f"{name}|{text}\n" for name, text in texts.items()]
    (core / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    (core / "splits.csv").write_text("dir-intro|test\ntt|validation\n", encoding="utf-8")
    for name in texts:
        soundfile.write(core / "wavs" / f"{name}.flac", np.zeros(160), 16_000)
    sounds = tmp_path / "sounds"
    long = [f"long-{number}: sentence {number} of all long ones has this many words\n" for number in range(2, 15)]
    (sounds / "ha").mkdir(parents=True)
    (sounds / "extra-sounds-en.txt").write_text(EXTRA + "".join(long), encoding="utf-8")
    (sounds / "LICENSE-asterisk-extra-en-1.5.2").write_text("Copyright (C) 2003-2012 Allison Smith\n")
    names = [
        "hello-again",
        "digit",
        "oops",
        "ha/garage",
        "one",
        "ha/one",
        "one-of-two",
        "poem",
        "said",
        "weasels",
        "touchtone3",
    ]
    for name in [*names, "unlisted", *(f"long-{number}" for number in range(1, 15))]:
        (sounds / f"{name}.g722").write_bytes(b"\x80" * 100)
    with tarfile.open(tmp_path / "asterisk-extra-sounds-en-g722-1.5.2.tar.gz", "w:gz") as archive:
        for path in sorted(sounds.rglob("*")):
            archive.add(path, path.relative_to(sounds), recursive=False)
    monkeypatch.setattr(script, "decode", lambda path: np.arange(path.stat().st_size * 2, dtype=np.int16))
    return tmp_path / "DATA", tmp_path


def test_more_of_a_speaker_says_nothing_that_the_other_corpus_holds_out(script, extra, capsys):
    data, archives = extra
    folder = script.fetch("allison-extra-en", data, archives)
    listing = list_source(folder)
    found = {each.id: each.transcript for each in listing.recordings}
    assert {"hello-again", "digit", "ha_garage", "one", "one-of-two", "long-1"} <= set(found)
    assert len(found) == 6 + 14
    assert found["ha_garage"] == "the garage", "the list names no folders"
    dropped = (folder / "CREDITS.md").read_text().split("Dropped:")[1]
    assert sorted(line[2:] for line in dropped.splitlines() if line.startswith("- ")) == [
        "oops: not speech, or a tone in it",
        "poem: a text of several lines",
        "said: says what allison-en holds out",
        "weasels: says what allison-en holds out",
    ]
    splits = {each.id: each.split for each in listing.recordings}
    assert [id for id, split in splits.items() if split == "validation"] == ["touchtone3"]
    assert "test" not in splits.values()
    assert "Allison Smith" in (folder / "LICENCE").read_text()
    assert "the archive asterisk-extra-sounds-en-g722" in (folder / "CREDITS.md").read_text()
    capsys.readouterr()


def test_more_of_a_speaker_needs_the_archive_and_the_other_corpus(script, extra, tmp_path):
    data, archives = extra
    with pytest.raises(script.FetchError, match="no folder is given that holds asterisk-extra-sounds-en-g722"):
        script.fetch("allison-extra-en", data)
    with pytest.raises(script.FetchError, match=r"DATA holds no asterisk-extra-sounds-en-g722-\*.tar.gz; download it"):
        script.fetch("allison-extra-en", data, data)
    with pytest.raises(script.FetchError, match=r"fetch allison-en into .*elsewhere first"):
        script.fetch("allison-extra-en", tmp_path / "elsewhere", archives)


def test_a_corpus_that_is_there_is_left_alone(script, unpacked, tmp_path, capsys):
    (tmp_path / "out" / "june-fr").mkdir(parents=True)
    script.fetch("june-fr", tmp_path / "out")
    assert "exists, skipped" in capsys.readouterr().out
    assert list((tmp_path / "out" / "june-fr").iterdir()) == []


def test_the_embedded_held_out_utterances_stay_held_out(script, tmp_path):
    script._hold_out_as_embedded(tmp_path)
    rows = dict(line.split("|") for line in (tmp_path / "splits.csv").read_text().splitlines())
    assert list(rows.values()).count("test") == 8
    assert list(rows.values()).count("validation") == 4
    assert rows["tt-weasels"] == "test"


def test_without_apt_it_says_what_to_download(script, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(script.FetchError, match=r"dpkg-deb is not on this machine.*https://packages.debian.org"):
        script.fetch("festvox-ru", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/dpkg-deb" if name == "dpkg-deb" else None)
    with pytest.raises(script.FetchError, match=r"apt-get is not on this machine. Download festvox-ru .*--packages"):
        script.fetch("festvox-ru", tmp_path)
    with pytest.raises(script.FetchError, match=r"holds no festvox-ru_\*.deb; download it from"):
        script.fetch("festvox-ru", tmp_path, tmp_path)
    assert list(tmp_path.iterdir()) == []


def labelled(text):
    """The alignment of phones that last a tenth of a second, "_" for a pause."""
    phones = [
        Interval(" " if name == "_" else name, place / 10, (place + 1) / 10) for place, name in enumerate(text.split())
    ]
    return AlignedUtterance(id="ru", phones=tuple(phones))


def written(aligned):
    return " ".join("_" if phone.text == " " else phone.text for phone in aligned.phones)


def test_words_and_punctuation_stand_among_the_phones_as_they_are_read(script):
    text = "Она завела, прядь вол+ос."
    read = script.read_russian(text)
    assert written_of(read) == "a n aa _ z ay vv i l aa , p rr aa tt _ v a l oo s ."
    found = script.as_read(labelled("a n aa z ay vv i l aa _ p rr ae tt v a l oo s"), read)
    assert written(found) == "_ a n aa _ z ay vv i l aa , p rr ae tt _ v a l oo s .", "what was said, not what is read"
    assert [word.text for word in found.words] == ["она", "завела", "прядь", "волос"]
    assert [(word.start, round(word.end, 3)) for word in found.words][:2] == [(0.0, 0.3), (0.3, 0.9)]
    [comma] = [phone for phone in found.phones if phone.text == ","]
    assert (comma.start, comma.end) == pytest.approx((0.9, 1.0)), "the pause is the comma's"


def test_what_is_said_but_not_read_belongs_to_the_word_before_and_another_text_is_refused(script):
    read = script.read_russian("Она завела прядь.")
    found = script.as_read(labelled("a n aa ch _ z ay vv i aa p rr aa tt"), read)
    assert written(found) == "_ a n aa ch _ z ay vv i aa _ p rr aa tt ."
    assert script.as_read(labelled("s p a k oo j n y m"), read) is None


def written_of(reading):
    return " ".join("_" if symbol == " " else symbol for sentence in reading.sentences for symbol in sentence.symbols)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alison-en", "OUT"], "unknown corpus 'alison-en'. Corpora: allison-en,"),
        (["allison-en"], "'allison-en' is a corpus, not a folder to write to"),
        ([], "name the folder to write to, for example: scripts/fetch_corpora allison-en DATA"),
    ],
)
def test_wrong_arguments(arguments, message):
    ran = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)
    assert ran.returncode == 2
    assert message in ran.stderr
