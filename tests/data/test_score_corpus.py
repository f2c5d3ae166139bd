"""Corpora of scores: kept whole or refused, split by piece; and the reader of the canonical chorales."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.midi_files import random_score
from wavejax.data.jsb_chorales import jsb_chorales
from wavejax.data.manifest import Manifest, ManifestError
from wavejax.data.score_corpus import Piece, ScoreCorpus, is_score_corpus
from wavejax.data.scores import Note, Score, ScoreError, Track
from wavejax.evaluation.music import sounding


def pieces(count: int = 6) -> list[Piece]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        tracks = random_score(rng).tracks
        score = Score(tracks=tracks, tempo=60.5, metre=(3, 4), key="Em", title="Ä", upbeat=2, length=500)
        found.append(Piece(f"piece {number}", ("train", "train", "validation", "test")[number % 4], score))
    return found


def test_a_corpus_is_kept_whole(tmp_path: Path) -> None:
    given = pieces()
    corpus = ScoreCorpus.in_memory(given)
    corpus.save(tmp_path / "corpus")
    again = ScoreCorpus.open(tmp_path / "corpus")
    for each in (corpus, again):
        assert [each.piece(number) for number in range(len(each))] == given
        assert list(each.pieces("train")) == [piece for piece in given if piece.split == "train"]
        assert each.indices("test") == (3,)
        assert each.has("validation")
        assert each.sizes() == "train 4, validation 1, test 1"
        assert each.steps_per_quarter == given[0].score.steps_per_quarter
    assert is_score_corpus(tmp_path / "corpus")
    assert not is_score_corpus(tmp_path)
    with pytest.raises(ValueError, match="unknown split 'valid'"):
        corpus.has("valid")
    with pytest.raises(ValueError, match=r"the split 'test' .* is empty \(train 1, validation 0, test 0\)"):
        ScoreCorpus.in_memory(given[:1]).indices("test")


def test_an_old_file_of_notes_goes_when_a_corpus_is_replaced(tmp_path: Path) -> None:
    ScoreCorpus.in_memory(pieces(3)).save(tmp_path)
    (tmp_path / "notes of mine.bin").write_text("kept")
    ScoreCorpus.in_memory(pieces(4)).save(tmp_path)
    assert len(list(tmp_path.glob("notes-*.bin"))) == 1
    assert (tmp_path / "notes of mine.bin").exists()
    assert len(ScoreCorpus.open(tmp_path)) == 4


def test_voices_of_a_corpus_and_pieces_that_have_none() -> None:
    chord = Track(notes=tuple(Note(0, 4, 60 + n) for n in range(6)))
    thick = Piece("thick", "train", Score(tracks=(chord,)))
    thin = Piece("thin", "train", Score(tracks=(Track(notes=(Note(0, 4, 60),)),)))
    corpus = ScoreCorpus.in_memory([thick, thin])
    [(piece, codes)] = corpus.voices("train", 4)
    assert (piece.name, codes[:, 0].tolist()) == ("thin", [60, -1, -1, -1])
    [(name, reason)] = corpus.unvoiced(4)
    assert name == "thick"
    assert "6 sound at step 0" in reason


def test_every_damaged_byte_of_the_notes_is_found(tmp_path: Path) -> None:
    ScoreCorpus.in_memory(pieces(2)).save(tmp_path)
    [path] = tmp_path.glob("notes-*.bin")
    data = path.read_bytes()
    for place in range(0, len(data), 97):
        path.write_bytes(data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :])
        with pytest.raises(ManifestError, match=r"is damaged: its .* bytes are not those that the manifest describes"):
            ScoreCorpus.open(tmp_path)
    path.unlink()
    with pytest.raises(ManifestError, match=r"notes-.*\.bin cannot be read"):
        ScoreCorpus.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: m.update(kind="sound"), "is no corpus of scores: its manifest.json is of recordings"),
        (lambda m: m.update(format=2), "has format 2, this wavejax reads format 1"),
        (lambda m: m["pieces"][0].update(split="train "), "is damaged .*unknown split"),
        (lambda m: m["pieces"][0].update(tempo="fast"), "is damaged"),
        (lambda m: m["pieces"][0].update(name=m["pieces"][1]["name"]), "two pieces are called 'piece 1'"),
        (lambda m: m["pieces"][0]["tracks"][0].__setitem__(3, -5), "has -5 notes"),
        (lambda m: m["pieces"][0].update(length=2**60), "is longer than"),
        (lambda m: m["pieces"][0].update(metre=[4]), "is damaged"),
        (lambda m: m.update(pieces={}), "expected list"),
        (lambda m: m["notes"].update(file="../other"), "is no plain file name"),
        (lambda m: m["pieces"].pop(), "are not those that the manifest describes"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, change: object, sentence: str) -> None:
    ScoreCorpus.in_memory(pieces(3)).save(tmp_path)
    content = json.loads((tmp_path / "manifest.json").read_text())
    change(content)
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=sentence):
        ScoreCorpus.open(tmp_path)


def test_folders_that_are_something_else(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"it has no manifest.json.*wavejax prepare MIDI_FOLDER"):
        ScoreCorpus.open(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ManifestError, match="is damaged"):
        ScoreCorpus.open(tmp_path)
    ScoreCorpus.in_memory(pieces(1)).save(tmp_path / "scores")
    with pytest.raises(ManifestError, match="is a corpus of scores, not of recordings"):
        Manifest.load(tmp_path / "scores")


def test_pieces_of_one_name_or_of_two_grids_are_no_corpus() -> None:
    one, two = pieces(2)
    with pytest.raises(ScoreError, match="two pieces are called 'piece 0'"):
        ScoreCorpus.in_memory([one, one])
    other = two._replace(score=Score(tracks=(), steps_per_quarter=12))
    with pytest.raises(ScoreError, match=r"the pieces have \[4, 12\] steps a quarter note"):
        ScoreCorpus.in_memory([one, other])


def test_the_canonical_sixteenths_sound_as_their_file_says(tmp_path: Path) -> None:
    steps = [[72, 67, 60, 48], [72, 67, 60, 48], [74, -1, 60, 60], [74, 76, 60, 60]]
    content = {"train": [steps], "valid": [steps[:2]], "test": []}
    (tmp_path / "Jsb16thSeparated.json").write_text(json.dumps(content))
    corpus = jsb_chorales(tmp_path / "Jsb16thSeparated.json")
    [(piece, codes)] = corpus.voices("train")
    assert (piece.name, piece.score.steps_per_quarter) == ("train-000", 4)
    assert codes.tolist() == [[72, 67, 60, 48], [-1, -1, -1, -1], [74, 0, -1, 60], [-1, 76, -1, -1]]
    assert np.array_equal(sounding(codes), np.maximum(steps, 0))
    assert corpus.sizes() == "train 1, validation 1, test 0"


def test_the_canonical_quarters_sound_as_their_file_says(tmp_path: Path) -> None:
    steps = [[48, 60, 64, 72], [48, 60, 67, 72], [], [50, 62, 74], [50, 62, 74]]
    (tmp_path / "quarters.json").write_text(json.dumps({"train": [steps], "valid": [], "test": []}))
    [(piece, codes)] = jsb_chorales(tmp_path / "quarters.json").voices("train")
    assert piece.score.steps_per_quarter == 1
    found = [sorted(set(row) - {0}) for row in sounding(codes).tolist()]
    assert found == steps
    assert codes[1].tolist() == [-1, 67, -1, -1]


@pytest.mark.parametrize("content", [[], {"train": []}, {"train": [[[60.5]]], "valid": [], "test": []}, {"train": 3}])
def test_other_json_is_no_file_of_chorales(tmp_path: Path, content: object) -> None:
    (tmp_path / "other.json").write_text(json.dumps(content))
    with pytest.raises(ManifestError, match="is no file of the canonical chorales"):
        jsb_chorales(tmp_path / "other.json")
