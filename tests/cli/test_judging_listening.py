"""`evaluate` as a listener: copy-synthesis, folders of recordings, lists, and refusals."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.evaluation import sounds
from tests.evaluation.sounds import RATE, later
from wavejax.data import Corpus
from wavejax.evaluation.selection import LISTS, ListeningError, select

METRICS_ONLY = ("--judges", "none", "--anchors", "original", "mu-law-8")


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    folder = tmp_path / "originals"
    folder.mkdir()
    for number in range(3):
        soundfile.write(folder / f"u{number}.wav", sounds.voice(number, 1.2, 150.0 + 20 * number), RATE)
    (folder / "metadata.csv").write_text("u0|one\nu1|two\nu2|three\n")
    return folder


def copied(originals: Path, name: str, change, suffix: str = ".flac") -> Path:
    folder = originals.parent / name
    folder.mkdir()
    for path in originals.glob("*.wav"):
        soundfile.write(folder / (path.stem + suffix), change(soundfile.read(path, dtype="float32")[0]), RATE)
    return folder


def test_a_vocoder_is_judged_on_readings_of_every_seed(run, tmp_path, voice, corpus):
    ids = [entry.id for entry in Corpus.open(corpus).entries if entry.split == "test"]
    (tmp_path / "list.json").write_text(json.dumps({"test": ids[:2]}))
    options = ("--corpus", corpus, "--utterances", tmp_path / "list.json", "--seeds", 2, "--output", tmp_path / "out")
    said = run("evaluate", voice, *options, *METRICS_ONLY)
    assert said.code == 0
    assert "2 of 2" in said.out
    assert "speaking 2 utterances at temperature 1, seed 1" in said.error
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["systems"]) == {"original", "mu-law-8", "ceiling", "voice T=1"}
    assert report["systems"]["voice T=1"]["seeds"] == [0, 1]
    assert report["bits"]["bits_per_sample"]["model"] > 0
    assert "2 utterances of test, list: list" in (tmp_path / "out" / "index.html").read_text()
    assert len(list((tmp_path / "out" / "audio").rglob("*.wav"))) == 2 * (3 + 2)


def test_folders_of_any_vocoder_are_judged(run, originals, tmp_path):
    good = copied(originals, "good", lambda w: w)
    (good / "draws.json").write_text('{"seeds": [5], "drawn": 1}')
    late = copied(originals, "late", lambda w: later(w, 200))
    (late / "draws.json").write_text('{"seeds": [3], "drawn": 8}')
    options = ("--reference", originals, "--candidate", good, late, "--json", tmp_path / "scores.json")
    said = run("evaluate", *options, *METRICS_ONLY)
    assert said.code == 0
    systems = json.loads((tmp_path / "scores.json").read_text())["listening"]["systems"]
    assert systems["good"]["flags"] == []
    assert {"lag", "draws"} <= set(systems["late"]["flags"])
    assert "1 of 8 !" in said.out
    assert np.isclose(systems["late"]["mean"]["lag"]["mean"], 12.5, atol=0.5)


def test_every_recording_has_its_own_sound_in_the_report(run, tmp_path):
    names = ("Are you sure?", "Are you sure!", "cafe\u0301")
    for number, name in enumerate(names):
        for folder in ("ref", "cand"):
            (tmp_path / folder).mkdir(exist_ok=True)
            spelt = unicodedata.normalize("NFC", name) if folder == "cand" else name
            soundfile.write(tmp_path / folder / f"{spelt}.wav", sounds.voice(number, 1.2, 150.0 + 40 * number), RATE)
    (tmp_path / "ref" / "metadata.csv").write_text("Are you sure?.wav|asked\ncafé|un café\ngone|nobody says this\n")
    soundfile.write(tmp_path / "cand" / "extra.wav", sounds.voice(0, 1.2, 150.0), RATE)
    options = ("--reference", tmp_path / "ref", "--candidate", tmp_path / "cand", "--output", tmp_path / "out")
    said = run("evaluate", *options, "--judges", "none", "--anchors", "original")
    assert said.code == 0
    assert f"{tmp_path / 'cand'} has 1 recordings that {tmp_path / 'ref'} has not, first 'extra'" in said.error
    assert "metadata.csv has 1 transcripts of recordings that are not there, first 'gone'" in said.error
    files = sorted((tmp_path / "out" / "audio" / "cand" / "0").iterdir())
    assert len({path.read_bytes() for path in files}) == len(files) == 3
    page = (tmp_path / "out" / "index.html").read_text()
    assert all(page.count(f'src="audio/cand/0/{path.name}"') == 1 for path in files)
    items = json.loads((tmp_path / "out" / "report.json").read_text())["items"]
    assert [item["transcript"] for item in items] == ["", "asked", "un café"]


def test_two_files_of_one_name_are_no_pair(run, originals):
    soundfile.write(originals / "u0.flac", sounds.voice(0, 1.2, 150.0), RATE)
    said = run("evaluate", "--reference", originals, "--candidate", originals, *METRICS_ONLY)
    assert said.code == 1
    assert "u0.flac and " in said.error
    assert "u0.wav have one name: files are paired by name without suffix; keep one of them" in said.error


def test_a_folder_that_lacks_a_reading_is_refused(run, originals):
    part = copied(originals, "part", lambda w: w)
    (part / "u1.flac").unlink()
    said = run("evaluate", "--reference", originals, "--candidate", part)
    assert said.code == 1
    assert "lacks 1 of 3 recordings" in said.error
    assert "'u1'" in said.error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give either a model, or --reference FOLDER and --candidate FOLDER"),
        (("--reference", "x"), "missing: --candidate"),
        (("--candidate", "x"), "missing: --reference"),
        (("x", "--reference", "x", "--candidate", "x"), "give either a model, or --reference FOLDER"),
        (("--seeds", "1", "x"), "the model comes first: wavejax evaluate MODEL --seeds 1 x"),
        (("allison", "--temperature", "-1"), "--temperature must be at least 0"),
        (("allison", "--seeds", "-1"), "--seeds must be at least 0 and at most 1000, got -1"),
        (("allison", "--batch-size", "0"), "--batch-size must be at least 1"),
        (("babble", "--batch-size", "0"), "--batch-size must be at least 1 and at most 1048576, got 0"),
        (("piano", "--corpus", "x", "--seeds", "0"), "--seeds must be at least 1 and at most 1000, got 0"),
        (("piano",), "missing: --corpus"),
    ],
)
def test_what_makes_no_sense_is_refused(run, arguments, sentence):
    said = run("evaluate", *arguments)
    assert said.code == 2
    assert sentence in said.error


def test_unknown_judges_and_anchors_are_named(run, originals):
    same = copied(originals, "same", lambda w: w)
    folders = ("--reference", originals, "--candidate", same)
    assert "no judge 'mushra'; choose from distillmos" in run("evaluate", *folders, "--judges", "mushra").error
    assert "no anchor 'mp3'; choose from original" in run("evaluate", *folders, "--anchors", "mp3").error


def test_what_was_trained_on_is_not_judged(corpus, tmp_path):
    opened = Corpus.open(corpus)
    entries = opened.entries
    trained = next(entry.id for entry in entries if entry.split == "train")
    (tmp_path / "list.json").write_text(json.dumps({"test": [trained]}))
    with pytest.raises(ListeningError, match="prepared with it in train"):
        select(opened, "test", str(tmp_path / "list.json"))
    with pytest.raises(ListeningError, match="does not hold"):
        select(opened, "test", "allison-en")
    with pytest.raises(ListeningError, match="there is no list nobody: give a file, or one of allison-en"):
        select(opened, "test", "nobody")
    with pytest.raises(ListeningError, match="no utterance of test lasts 1 s"):
        select(opened, "test")


def test_shipped_lists_overlap_nothing():
    for path in LISTS.glob("*.json"):
        content = json.loads(path.read_text())
        test, validation = set(content["test"]), set(content["validation"])
        assert len(test) == len(content["test"]) >= 20
        assert len(validation) == len(content["validation"]) >= 12
        assert not test & validation
