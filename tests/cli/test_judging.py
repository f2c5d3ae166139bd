"""`evaluate` and `doctor`."""

import errno
import json

import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.checkpoints import export_params
from wavejax.experiments.metadata import metadata
from wavejax.tasks.families import FAMILIES


def test_evaluate_prints_and_writes_the_same_figures(run, tmp_path, voice, corpus):
    said = run("evaluate", voice, "--corpus", corpus, "--seeds", 0, "--json", tmp_path / "scores.json")
    assert said.code == 0
    report = json.loads((tmp_path / "scores.json").read_text())
    assert set(report["bits_per_sample"]) == {"model", "other_frames", "unigram", "order1", "linear_prediction"}
    assert f"the model {report['bits_per_sample']['model']:.3f}" in " ".join(said.out.split())
    assert set(report["differences"]) == {"other_frames", "unigram", "order1", "linear_prediction"}


def test_evaluate_keeps_an_older_report_when_the_disk_is_full(run, tmp_path, voice, corpus, monkeypatch):
    old = '{"made_by":"wavejax"}'
    (tmp_path / "scores.json").write_text(old)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wavejax.atomic.os.replace", full)
    said = run("evaluate", voice, "--corpus", corpus, "--seeds", 0, "--json", tmp_path / "scores.json")
    assert said.code == 1
    assert "scores.json cannot be written: No space left on device" in said.error
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
    assert (tmp_path / "scores.json").read_text() == old
    assert "bits per sample" in said.out, "what was found is told all the same"


def test_the_doctor_finds_the_installation_sound(run):
    said = run("doctor")
    assert said.code == 0
    assert "ok    generation: a tiny model speaks" in said.out
    assert "wavejax doctor MODEL --audio FILE" in run("doctor", "--audio", "a.wav").error


def test_the_doctor_says_that_a_model_has_learnt_nothing(run, voice, corpus, tmp_path):
    quiet = tiny.write_noise(tmp_path / "quiet.wav", 0.5, level=0.0005)
    said = run("doctor", voice, "--corpus", corpus, "--audio", quiet, "--seconds", "0.2")
    assert said.code == 1
    assert "ok    step = parallel" in said.out
    assert "WRONG teacher-forced: recordings cost" in said.out
    assert "learnt next to nothing" in said.out
    assert "WRONG quiet.wav: very quiet" in said.out
    assert said.out.endswith("something is wrong: see above\n")


def test_parameters_that_are_not_finite_are_named_to_the_doctor(run, tmp_path, corpus):
    config = tiny.config()
    params = {**tiny.params_of(config)}
    params["stack"] = {**params["stack"], "skip_bias": np.full(params["stack"]["skip_bias"].shape, np.nan, np.float32)}
    export_params(tmp_path / "broken", params, metadata(config, {}))
    said = run("doctor", tmp_path / "broken", "--corpus", corpus, "--seconds", "0.2")
    assert said.code == 1
    assert "cannot be used: stack/skip_bias holds 8 of 8 values that are not finite" in said.error


def test_the_options_are_those_of_the_models_family(run, monkeypatch):
    def examined():
        raise AssertionError("help was asked for, no examination")

    monkeypatch.setattr("wavejax.cli.judging.check_installation", examined)
    for command in ("doctor", "evaluate"):
        said = run(command, "--help")
        assert said.code == 0
        explained = [line.partition(": --")[0] for line in said.out.splitlines() if ": --" in line]
        assert ", ".join(explained).split(", ") == list(FAMILIES), "each once, those of one product together"
        said = run(command, "allison", "--help")
        assert said.code == 0
        assert "MODEL" in said.out
        assert ("--audio [PATH" in said.out, "--judges [STR" in said.out) == (
            command == "doctor",
            command == "evaluate",
        )
        said = run(command, "babble", "--help")
        assert "--audio [PATH" not in said.out
        assert "--judges [STR" not in said.out
        wrong = run(command, "babble", "--judges", "none")
        assert wrong.code == 2
        assert "unrecognized options: --judges, none" in wrong.error


def test_a_babblers_bits_are_told(run, tmp_path, corpus):
    babble = tiny.export(tmp_path / "babble", tiny.unconditional())
    said = run("evaluate", babble, "--corpus", corpus, "--json", tmp_path / "scores.json")
    assert said.code == 0
    bits = json.loads((tmp_path / "scores.json").read_text())["bits_per_sample"]
    assert set(bits) == {"model", "unigram", "order1", "linear_prediction"}
    assert f"the model {bits['model']:.3f}" in " ".join(said.out.split())


@pytest.mark.parametrize("command", ["doctor", "evaluate"])
def test_a_corpus_of_other_features_is_refused(run, tmp_path, voice, command):
    source = tiny.write_recordings(tmp_path / "in", 4, rate=22050)
    options = ("--workers", "1", "--layout", "speakers", "--spec", "tacotron2")
    assert run("prepare", source, tmp_path / "c", *options).code == 0
    said = run(command, voice, "--corpus", tmp_path / "c")
    assert said.code == 1
    assert "prepare it again with --spec speech-16k" in said.error
