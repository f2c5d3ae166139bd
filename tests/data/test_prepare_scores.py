"""A folder of MIDI files becomes a corpus of scores; what is damaged is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.data.midi_files import END, meta, midi, note, random_score
from tests.data.recordings import write_tone
from wavejax.data.prepare import PrepareError, prepare
from wavejax.data.prepare_scores import is_score_source, prepare_scores
from wavejax.data.score_corpus import ScoreCorpus
from wavejax.data.scores import Score
from wavejax.data.sources import SourceError


def folder_of_scores(folder: Path, count: int = 12) -> Path:
    for number in range(count):
        random_score(np.random.default_rng(number)).to_midi(folder / f"book {number % 2}" / f"tune{number}.mid")
    return folder


def test_a_folder_becomes_a_corpus_with_a_report(tmp_path: Path) -> None:
    source = folder_of_scores(tmp_path / "in")
    (source / "broken.mid").write_bytes(b"RIFF and then nothing")
    (source / "cut.MIDI").write_bytes(midi(note(60, 96) + END)[:-9])
    (source / "held.kar").write_bytes(midi(meta(3, b"x") + b"\x00\x90\x3c\x40" + b"\x60\xff\x2f\x00"))
    (source / "linked.mid").symlink_to("nowhere.mid")
    report = prepare_scores(source, tmp_path / "out", progress=False, validation=0.2, test=0.2)
    assert dict(report.skipped) == {
        "broken.mid": "it is no MIDI file: it starts with b'RIFF', a MIDI file with b'MThd' (or RIFF with RMID)",
        "cut.MIDI": "track 1 ends in the middle of an event: the file was cut short",
        "linked.mid": "is a link to nowhere.mid: No such file or directory",
    }
    assert ("held", "1 note has no end and lasts until the file's") in report.notes
    corpus = ScoreCorpus.open(tmp_path / "out")
    assert [entry.name for entry in corpus.entries][:2] == ["book 0/tune0", "book 0/tune10"]
    assert len(corpus) == 13
    assert corpus.has("validation")
    assert corpus.has("test")
    assert str(report).startswith("13 pieces, ")
    assert "skipped cut.MIDI: track 1 ends" in str(report)
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["made_by"] == "wavejax"
    assert len(written["skipped"]) == 3
    assert sum(written["pieces"].values()) == 13
    assert not (tmp_path / "out" / "journal").exists()
    again = prepare_scores(source, tmp_path / "out", progress=False, validation=0.2, test=0.2)
    assert [e.split for e in again.corpus.entries] == [e.split for e in corpus.entries]


def test_splits_are_fixed_by_a_table_and_do_not_move_when_pieces_come(tmp_path: Path) -> None:
    source = folder_of_scores(tmp_path / "in", 20)
    (source / "splits.csv").write_text("id|split\nbook 0/tune4|test\nbook 1/tune5.mid|validation\nnone|test\n")
    report = prepare_scores(source, tmp_path / "one", progress=False)
    splits = {entry.name: entry.split for entry in report.corpus.entries}
    assert splits["book 0/tune4"] == "test"
    assert splits["book 1/tune5"] == "validation"
    assert ("none", "is in splits.csv but matches no piece") in report.notes
    random_score(np.random.default_rng(99)).to_midi(source / "another.mid")
    later = prepare_scores(source, tmp_path / "two", progress=False)
    assert {e.name: e.split for e in later.corpus.entries if e.name != "another"} == splits


def test_equal_pieces_share_a_split_in_any_key(tmp_path: Path) -> None:
    source = folder_of_scores(tmp_path / "in", 8)
    for number in range(8):
        copy = source / "copies" / f"copy{number}.mid"
        original = source / f"book {number % 2}" / f"tune{number}.mid"
        if number == 0:
            copy.parent.mkdir()
            shutil.copy(original, copy)
            continue
        score = Score.from_midi(original, 4, pedal=False)
        low, high = score.pitch_range or (60, 60)
        score.transposed(1 if high < 127 and low > 0 else 0).to_midi(copy)
    report = prepare_scores(source, tmp_path / "out", progress=False, validation=0.4, test=0.3)
    splits = {entry.name.rpartition("/")[2]: entry.split for entry in report.corpus.entries}
    assert splits["copy0"] == splits["tune0"]
    assert len(set(splits.values())) == 3
    assert ("book 0/tune0", "has the same notes as copies/copy0") in report.notes


def test_sound_and_scores_in_one_folder(tmp_path: Path) -> None:
    source = folder_of_scores(tmp_path / "in", 3)
    assert is_score_source(source)
    assert not is_score_source(tmp_path / "none")
    write_tone(source / "speech.wav")
    assert not is_score_source(source)
    report = prepare(source, tmp_path / "sound", progress=False, workers=1)
    assert len(report.manifest.utterances) == 1
    [(name, remark)] = [each for each in report.notes if each[0].endswith(".mid")]
    assert name == "book 0/tune0.mid"
    assert remark == (
        "is a MIDI file (one of 3), which a corpus of recordings leaves out; the layout scores reads those"
    )
    assert len(prepare_scores(source, tmp_path / "scores", progress=False).corpus) == 3


def test_what_cannot_be_prepared_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    source = folder_of_scores(tmp_path / "in", 3)
    with pytest.raises(SourceError, match="does not exist; give the folder that holds the MIDI files"):
        prepare_scores(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"holds no MIDI file \(looked for \.mid, "):
        prepare_scores(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "empty" / "junk.mid").write_bytes(b"junk")
    with pytest.raises(PrepareError, match=r"none of the 1 MIDI files in .* can be used:\n  junk.mid: it is no MIDI"):
        prepare_scores(tmp_path / "empty", tmp_path / "out", progress=False)
    with pytest.raises(PrepareError, match="is the source itself"):
        prepare_scores(source, source)
    with pytest.raises(PrepareError, match=r"validation 0\.5 and test 0.5 must be parts"):
        prepare_scores(source, tmp_path / "out", validation=0.5, test=0.5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("kept")
    with pytest.raises(PrepareError, match=r"is not empty and holds no corpus of scores \(diary.txt\)"):
        prepare_scores(source, tmp_path / "mine")
    assert not (tmp_path / "out").exists()
    prepare_scores(source, tmp_path / "done", progress=False)
    with pytest.raises(PrepareError, match="was prepared with 4 steps a quarter note, now 12"):
        prepare_scores(source, tmp_path / "done", steps_per_quarter=12)
    with pytest.raises(PrepareError, match="holds no prepared corpus"):
        prepare(source, tmp_path / "done")
    again = prepare_scores(source, tmp_path / "done", steps_per_quarter=12, overwrite=True, progress=False)
    assert again.corpus.steps_per_quarter == 12
