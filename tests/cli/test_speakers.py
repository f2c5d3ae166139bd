"""`evaluate-speakers`: a model that babbles, a model with features, and refusals."""

import dataclasses
import json

import numpy as np
import pytest

from tests.evaluation.sounds import embed
from tests.tiny import commands as tiny
from wavejax.extras import MissingExtra

NAMES = ("anna", "bert")


@pytest.fixture
def stub(monkeypatch):
    """A recogniser that hears colour, in place of the one that needs torch."""
    monkeypatch.setattr("wavejax.evaluation.judges.open_speaker_embedding", lambda purpose: embed)


@pytest.fixture(scope="module")
def babbler(tmp_path_factory):
    base = tiny.unconditional()
    config = dataclasses.replace(base, model=dataclasses.replace(base.model, num_speakers=2, global_channels=2))
    return tiny.export(tmp_path_factory.mktemp("exports") / "babbler", config, NAMES)


def test_babble_is_made_judged_and_written(run, babbler, corpus, tmp_path, stub):
    options = ("--corpus", corpus, "--output", tmp_path / "out", "--seeds", 2, "--seconds", 1)
    said = run("evaluate-speakers", babbler, *options)
    assert said.code == 0, said.error
    assert "nearest centroid is the intended: babble" in said.out
    assert "minus right, 95 %" in said.out
    assert said.out.endswith(f"the page: {tmp_path / 'out' / 'index.html'}\n")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["bits"]["bits_per_sample"]) == {"right", "wrong", "none"}
    assert np.shape(report["clips"]["babble"]["cosines"]) == (4, 2)
    assert sorted(path.name for path in (tmp_path / "out" / "babble" / "anna").iterdir()) == ["0.wav", "1.wav"]
    assert "babbling: seed 1" in said.error
    again = run("evaluate-speakers", babbler, *options, "--no-bits")
    assert "babbling" not in again.error, "the clips are kept"
    assert "minus right" not in again.out


def test_of_a_model_with_features_the_bits_are_told(run, corpus, tmp_path):
    config = tiny.config(num_speakers=2, global_channels=2)
    model = tiny.export(tmp_path / "model", config, NAMES)
    said = run("evaluate-speakers", model, "--corpus", corpus, "--output", tmp_path / "out")
    assert said.code == 0, said.error
    assert "nearest centroid" not in said.out
    bits = json.loads((tmp_path / "out" / "report.json").read_text())["bits"]
    assert f"{bits['bits_per_sample']['right']:.3f}" in said.out
    assert set(bits["speakers"]) <= set(NAMES)


def test_what_makes_no_sense_is_refused(run, babbler, corpus, voice, tmp_path, monkeypatch):
    said = run("evaluate-speakers", babbler, "--corpus", corpus)
    assert said.code == 2
    assert "say where to with --output FOLDER, or ask for bits alone: --seeds 0" in said.error
    assert (
        "--seeds must be at least 0 and at most 1000, got -1"
        in run("evaluate-speakers", babbler, "--corpus", corpus, "--seeds", -1).error
    )
    assert "knows no speakers by id" in run("evaluate-speakers", voice, "--corpus", corpus).error

    def absent(purpose):
        raise MissingExtra(f"{purpose} needs the package resemblyzer", name="resemblyzer")

    monkeypatch.setattr("wavejax.evaluation.judges.open_speaker_embedding", absent)
    said = run("evaluate-speakers", babbler, "--corpus", corpus, "--output", tmp_path / "out")
    assert said.code == 1
    assert said.error == "error: judging babble needs the package resemblyzer\n", "before anything is made"
    assert not (tmp_path / "out").exists()
