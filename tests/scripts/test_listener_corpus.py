"""Several corpora in one folder: ids, splits, alignments, credits."""

import importlib.machinery
import importlib.util
import inspect
import sys

import numpy as np
import pytest
import soundfile

from tests.scripts.test_demo_folder import SCRIPTS
from wavejax.data import Corpus, prepare
from wavejax.data.alignments import AlignedUtterance, Interval, read_alignments, write_alignments

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("listener_corpus", str(SCRIPTS / "listener_corpus"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("listener_corpus", loader))
    sys.modules["listener_corpus"] = module  # dataclasses look their module up
    loader.exec_module(module)
    yield module
    del sys.modules["listener_corpus"]


def folder(path, count, *, speaker="", aligned=False, seed=0, **files):
    """A corpus of tones, whose transcripts are numbers."""
    rng = np.random.default_rng(seed)
    (path / "wavs" / "a").mkdir(parents=True)
    rows = []
    for number in range(count):
        name = f"{'a/' if number % 2 else ''}{number:03d}"
        soundfile.write(path / "wavs" / f"{name}.flac", 0.1 * rng.normal(size=8000), 16_000)
        text = " ".join(WORDS[int(digit)] for digit in str(100 * seed + number))
        rows.append(f"{name}|{speaker}|{text}" if speaker else f"{name}|{text}|{text}")
    header = ["id|speaker|transcript"] if speaker else []
    (path / "metadata.csv").write_text("\n".join([*header, *rows]) + "\n", encoding="utf-8")
    if aligned:
        write_alignments(
            path / "alignments.jsonl",
            [AlignedUtterance(id=row.split("|")[0], phones=(Interval("AH0", 0.0, 0.2),)) for row in rows],
        )
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return path


def prepared(source, target):
    prepare(source, target, workers=1, progress=False)
    return Corpus.open(target)


def test_recordings_keep_what_they_have_alone(script, tmp_path, capsys, monkeypatch):
    real = folder(tmp_path / "in" / "real", 60, CREDITS_md="# real: somebody\n\nCC-BY.\n", LICENCE="terms\n", seed=1)
    (real / "splits.csv").write_text("000|test\na/001|validation\n", encoding="utf-8")  # the others are drawn
    made = folder(tmp_path / "in" / "made", 12, speaker="robot", aligned=True, seed=2)
    out = tmp_path / "new" / "english"
    monkeypatch.setattr(sys, "argv", ["listener_corpus", str(out), str(real), str(made)])
    assert script.main() == 0
    said = capsys.readouterr().out
    assert "made: 12 recordings (train 10, validation 1, test 1), 1 speaker, 12 aligned" in said
    assert "CREDITS.md is not there: say whose recordings these are" in said
    mixed = {entry.id: entry for entry in prepared(out, tmp_path / "mixed").entries}
    assert len(mixed) == 72
    corpus = Corpus.open(tmp_path / "mixed")
    assert corpus.speakers == ("real", "robot")
    for part in (real, made):
        alone = prepared(part, tmp_path / f"alone-{part.name}")
        assert {entry.split for entry in alone.entries} == {"train", "validation", "test"}
        for position, entry in enumerate(alone.entries):
            other = mixed[f"{part.name}/{entry.id}"]
            assert (other.split, other.transcript) == (entry.split, entry.transcript)
            assert corpus.speakers[other.speaker] == alone.speakers[entry.speaker]
            assert other.num_samples == alone.entries[position].num_samples
    aligned = read_alignments(tmp_path / "mixed" / "alignments.jsonl")
    assert len(aligned) == 12
    assert aligned["made/a/001"].phones == (Interval("AH0", 0.0, 0.2),)
    credit = (out / "CREDITS.md").read_text(encoding="utf-8")
    assert (
        "## real\n\n### real: somebody\n\nCC-BY.\n\nThe file LICENCE of this corpus is here as LICENCE-real." in credit
    )
    assert "## made\n\nNo CREDITS.md came with it." in credit
    assert (out / "LICENCE-real").read_text() == "terms\n"
    assert (out / "wavs/real/000.flac").samefile(real / "wavs/000.flac")


def test_the_held_out_part_is_that_of_prepare(script):
    options = inspect.signature(prepare).parameters
    assert options["validation"].default == options["test"].default == script.HELD_OUT


def test_copies_are_files_of_their_own(script, tmp_path):
    made = folder(tmp_path / "made", 4)
    script.mix(tmp_path / "out", script.opened([made]), copy=True)
    copied, given = tmp_path / "out/wavs/made/000.flac", made / "wavs/000.flac"
    assert not copied.samefile(given)
    assert copied.read_bytes() == given.read_bytes()
    assert not (tmp_path / "out/alignments.jsonl").exists()


def test_long_recordings_are_cut_in_their_pauses(script, tmp_path, capsys, monkeypatch):
    part = folder(tmp_path / "part", 3)
    for name in ("000", "002"):
        soundfile.write(part / "wavs" / f"{name}.flac", np.linspace(-0.5, 0.5, 10 * 16_000), 16_000)
    starts = [0.5, 1.1, 3.0, 4.4, 8.0]  # pauses of 0, 1.3, .8 and 3 s
    words = tuple(
        Interval(text, at, at + 0.6) for text, at in zip(["one", "two", "three", "four", "five"], starts, strict=True)
    )
    write_alignments(part / "alignments.jsonl", [AlignedUtterance(id="000", phones=words, words=words)])
    arguments = ["listener_corpus", str(tmp_path / "out"), str(part), "--longest", "4"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert script.main() == 0
    said = capsys.readouterr().out
    assert "1 of 2 longer than 4 s are in 4 pieces\n1 stay whole: their words are not aligned" in said
    rows = (tmp_path / "out/metadata.csv").read_text().splitlines()[1:]
    texts = ["one two", "three", "four", "five"]
    assert rows[:4] == [f"part/000-{number}|part|{text}" for number, text in enumerate(texts, 1)]
    assert [row.split("|")[0] for row in rows[4:]] == ["part/002", "part/a/001"]
    sounds = [soundfile.read(tmp_path / f"out/wavs/part/000-{number}.flac")[0] for number in (1, 2, 3, 4)]
    assert [len(sound) / 16_000 for sound in sounds] == [2.35, 1.65, 2.5, 3.5]
    assert np.array_equal(np.concatenate(sounds), soundfile.read(part / "wavs/000.flac")[0])
    aligned = read_alignments(tmp_path / "out/alignments.jsonl")
    assert [round(word.start, 6) for word in aligned["part/000-2"].words] == [0.65]


def test_a_piece_does_not_take_the_name_of_another_recording(script, tmp_path):
    part = folder(tmp_path / "part", 1)
    soundfile.write(part / "wavs" / "000-2.flac", np.zeros(8000), 16_000)
    soundfile.write(part / "wavs" / "000.flac", np.zeros(5 * 16_000), 16_000)
    (part / "metadata.csv").write_text("000|one two|one two\n000-2|six|six\n", encoding="utf-8")
    words = (Interval("one", 0.5, 1.0), Interval("two", 3.0, 4.0))
    write_alignments(part / "alignments.jsonl", [AlignedUtterance(id="000", phones=words, words=words)])
    with pytest.raises(script.MixError, match=r"a piece of part/000 would be named 000-2, as another recording is"):
        script.mix(tmp_path / "out", script.opened([part]), longest=4)
    assert not (tmp_path / "out").exists()


def test_a_length_that_is_none_is_refused(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["listener_corpus", str(tmp_path / "out"), str(tmp_path), "--longest", "0"])
    with pytest.raises(SystemExit):
        script.main()
    assert "--longest must be 1 second or more, got 0" in capsys.readouterr().err


def test_sentences_on_both_sides_are_counted(script, tmp_path, capsys):
    parts = []
    for number, split in enumerate(("train", "test")):
        path = folder(tmp_path / f"c{number}", 3, speaker=f"s{number}")
        for each in (path / "wavs").rglob("*.flac"):
            soundfile.write(each, np.full(8000, 0.01 * (number + 1)), 16_000)
        (path / "splits.csv").write_text(f"000|{split}\na/001|train\n002|train\n", encoding="utf-8")
        parts.append(path)
    script.report(script.opened(parts), tmp_path / "out")
    assert "1 sentences are held out in one corpus and trained on in another" in capsys.readouterr().out


def test_repeated_corpora_and_recordings_are_refused(script, tmp_path, capsys, monkeypatch):
    one, same = folder(tmp_path / "one", 4), folder(tmp_path / "same", 4)
    with pytest.raises(script.MixError, match=r"same/000 is the same sound as one/000: leave one of the corpora out"):
        script.opened([one, same])
    other = folder(tmp_path / "deeper" / "one", 4, seed=3)
    with pytest.raises(script.MixError, match=r"have one name, one, which their ids would begin with: rename one"):
        script.opened([one, other])
    (tmp_path / "out").mkdir()
    with pytest.raises(script.MixError, match=r"out is there already: choose another folder, or remove it"):
        script.mix(tmp_path / "out", script.opened([one]))
    monkeypatch.setattr(sys, "argv", ["listener_corpus", str(tmp_path / "new"), str(tmp_path / "nowhere")])
    assert script.main() == 1
    assert "nowhere does not exist" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
