"""`train_and_evaluate` end to end on a tiny WaveNet: resume, fine-tuning, speakers, refusals."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.tiny.experiments import tiny_config, tiny_corpus
from wavejax.audio import SpecMismatch, get_spec
from wavejax.checkpoints import CheckpointStore
from wavejax.checkpoints.inspection import inspect_step
from wavejax.experiments import running
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks import families
from wavejax.tasks.families import export, load
from wavejax.training import Logger


class Quiet(Logger):
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.records: list[dict] = []
        self.names: list[str] = []

    def scalars(self, step, values):
        self.records.append({"step": step, **values})

    def audio(self, step, name, waveform, sample_rate):
        self.names.append(f"audio/{name}")
        assert np.isfinite(waveform).all()

    def image(self, step, name, image):
        self.names.append(f"image/{name}")


def train_and_evaluate(*arguments, **options):
    """On one device: compilation for eight is what takes the time."""
    return families.train_and_evaluate(*arguments, devices=jax.devices()[:1], **options)


def leaves(state):
    return {
        jax.tree_util.keystr(path): np.asarray(jax.random.key_data(leaf) if "key" in str(path[0]) else leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }


def assert_equal(a, b):
    a, b = leaves(a), leaves(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    corpus = tiny_corpus(num_speakers=2)
    config = tiny_config(num_speakers=2, num_steps=6)
    devices = jax.devices()[:2]
    whole = families.train_and_evaluate(config, tmp_path / "whole", corpus=corpus, console=Quiet(), devices=devices)
    first = dataclasses.replace(config, training=dataclasses.replace(config.training, num_steps=4))
    families.train_and_evaluate(first, tmp_path / "parts", corpus=corpus, console=Quiet(), devices=devices)
    resumed = families.train_and_evaluate(config, tmp_path / "parts", corpus=corpus, console=Quiet(), devices=devices)
    assert int(resumed.step) == 6
    assert_equal(whole, resumed)
    assert any(
        np.any(a != b) for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(whole.ema_params), strict=True)
    )


def test_some_checkpoints_stay_for_good(tmp_path):
    config = tiny_config(num_steps=5, checkpoint_every=1, keep_last=2, keep_every=2)
    train_and_evaluate(config, tmp_path / "run", corpus=tiny_corpus(), console=Quiet())
    assert sorted(int(path.name) for path in (tmp_path / "run" / "checkpoints").glob("[0-9]*")) == [2, 4, 5]
    with pytest.raises(ValueError, match=r"training\.keep_every must be at least 0, got -1"):
        tiny_config(num_steps=1, keep_every=-1)


def test_the_checkpoint_of_the_lowest_validation_loss_stays(tmp_path, monkeypatch):
    """Losses as a run that soon overfits has them: the second of seven is the lowest."""
    losses = [5.0, 1.0, 4.0, 3.0, 2.0, 2.0, 2.0]
    options = {"checkpoint_every": 1, "validate_every": 1, "keep_last": 2}
    folder = tmp_path / "run" / "checkpoints"
    corpus = tiny_corpus()
    found = iter(losses)
    monkeypatch.setattr(running, "evaluate", lambda *_: {"loss": next(found), "weight": 1.0})
    for last in (3, 7):  # the second run has to learn from the folder what was best
        train_and_evaluate(tiny_config(num_steps=last, **options), tmp_path / "run", corpus=corpus, console=Quiet())
    assert sorted(int(path.name) for path in folder.glob("[0-9]*")) == [2, 6, 7]
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    logged = [record["validation/loss"] for record in records if "validation/loss" in record]
    assert logged == losses
    assert inspect_step(folder, 2, read_leaves=True).metrics == {"validation/loss": 1.0}
    config = tiny_config(num_steps=8, checkpoint_every=1, keep_last=2, keep_best=False)
    train_and_evaluate(config, tmp_path / "run", corpus=corpus, console=Quiet())
    assert sorted(int(path.name) for path in folder.glob("[0-9]*")) == [7, 8]


def test_a_voice_draws_with_the_temperature_it_was_exported_with(tmp_path):
    corpus = tiny_corpus()
    train_and_evaluate(tiny_config(num_steps=1), tmp_path / "run", corpus=corpus, console=Quiet())
    voice = load(export(tmp_path / "run", tmp_path / "voice", temperature=0.25))
    mel = corpus.utterance(0).frames[:3]
    np.testing.assert_array_equal(voice(mel), voice(mel, temperature=0.25))
    np.testing.assert_array_equal(np.concatenate(list(voice.stream(mel))), voice(mel))
    assert not np.array_equal(voice(mel), load(tmp_path / "run")(mel)), "where none was given it is 1"
    with pytest.raises(ValueError, match=r"temperature must be at least 0 .*, got -1"):
        export(tmp_path / "run", tmp_path / "other", temperature=-1.0)


@pytest.mark.slow
def test_killed_at_any_moment_a_run_continues_as_if_nothing_had_happened(tmp_path):
    command = [sys.executable, "-m", "tests.tiny.experiments"]
    root = Path(__file__).parents[2]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, cwd=root)
    metrics = tmp_path / "killed" / "metrics.jsonl"
    for wanted in (3, 8, 9, 17):  # saves are under way after every second step
        process = subprocess.Popen([*command, str(tmp_path / "killed")], cwd=root)
        while process.poll() is None:
            steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()] if metrics.exists() else []
            if steps and steps[-1] >= wanted:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], check=True, cwd=root)
    one, other = load(tmp_path / "whole"), load(tmp_path / "killed")
    assert one.step == other.step == 30
    assert_equal(one.params, other.params)


def test_validation_audio_and_the_overfitted_batch(tmp_path):
    corpus, console = tiny_corpus(), Quiet()
    config = tiny_config(num_steps=30, overfit_batches=1, validate_every=15, exhibit_every=30, tensorboard=True)
    train_and_evaluate(config, tmp_path, corpus=corpus, console=console)
    losses = [record["loss"] for record in console.records if "loss" in record]
    assert losses[-1] < losses[0] - 0.5
    assert sum("validation/loss" in record for record in console.records) == 2
    assert {"audio/free_running", "image/free_running"} <= set(console.names)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 30
    assert {"loss", "learning_rate", "gradient_norm", "samples_per_second"} <= set(lines[-2]) | set(lines[-1])
    assert list((tmp_path / "events").glob("events*"))


def test_export_speaks_like_the_checkpoint(tmp_path):
    corpus = tiny_corpus()
    train_and_evaluate(tiny_config(num_steps=2), tmp_path / "run", corpus=corpus, console=Quiet())
    folder = export(tmp_path / "run", tmp_path / "voice")
    one, other = load(tmp_path / "run"), load(folder)
    assert (one.step, other.step) == (2, None)
    mel = corpus.utterance(0).frames[:4]
    np.testing.assert_array_equal(one(mel, seed=3), other(mel, seed=3))
    np.testing.assert_array_equal(np.concatenate(list(one.stream([mel[:1], mel[1:]], seed=3))), one(mel, seed=3))
    with pytest.raises(ExperimentError, match=r"knows no speakers"):
        one(mel, speaker="anna")
    half = load(export(tmp_path / "run", tmp_path / "half", dtype="bfloat16"))
    size, whole = ((tmp_path / name / "params.npz").stat().st_size for name in ("half", "voice"))
    assert size < 0.8 * whole  # so small a model is mostly headers
    for small, full in zip(jax.tree.leaves(half.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(small, full, rtol=2**-8)


def test_an_export_keeps_the_name_of_its_corpus_and_not_where_it_was(tmp_path):
    config = tiny_config(num_steps=1)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, corpus="anna/corpora/mine"))
    train_and_evaluate(config, tmp_path / "run", corpus=tiny_corpus(), console=Quiet())
    assert load(tmp_path / "run").config.data.corpus == "anna/corpora/mine"
    assert load(export(tmp_path / "run", tmp_path / "voice")).config.data.corpus == "mine"


def test_new_speakers_start_from_a_trained_voice(tmp_path):
    config = tiny_config(num_speakers=2, num_steps=2)
    train_and_evaluate(config, tmp_path / "two", corpus=tiny_corpus(num_speakers=2), console=Quiet())
    three = tiny_config(num_speakers=3, num_steps=1)
    frozen = dataclasses.replace(three, optimizer=dataclasses.replace(three.optimizer, learning_rate=1e-12))
    state = train_and_evaluate(
        frozen, tmp_path / "three", init_from=tmp_path / "two", corpus=tiny_corpus(num_speakers=3), console=Quiet()
    )
    old = load(tmp_path / "two")
    np.testing.assert_allclose(state.params["speaker_embedding"][:2], old.params["speaker_embedding"], atol=1e-6)
    np.testing.assert_allclose(state.params["input_kernel"], old.params["input_kernel"], atol=1e-6)
    assert load(tmp_path / "three").speakers == ("s0", "s1", "s2")
    with pytest.raises(ExperimentError, match=r"unknown speaker 'bob'.*0: s0, 1: s1"):
        old(tiny_corpus().utterance(0).frames[:2], speaker="bob")
    wider = dataclasses.replace(three, model=dataclasses.replace(three.model, residual_channels=9))
    with pytest.raises(ExperimentError, match=r"does not fit the model: .*should be"):
        train_and_evaluate(wider, tmp_path / "wide", init_from=tmp_path / "two", corpus=tiny_corpus(num_speakers=3))


def test_what_does_not_fit_is_refused(tmp_path):
    corpus = tiny_corpus(num_speakers=3)
    with pytest.raises(ExperimentError, match=r"3 speakers but the model only 2.*num_speakers=3"):
        train_and_evaluate(tiny_config(num_speakers=2), tmp_path / "a", corpus=corpus)
    config = tiny_config()
    other = dataclasses.replace(config.spec, floor=1e-4)
    with pytest.raises(SpecMismatch, match="prepare it again"):
        train_and_evaluate(dataclasses.replace(config, spec=other), tmp_path / "b", corpus=corpus)
    long = dataclasses.replace(config, data=dataclasses.replace(config.data, crop_length=200 * 400))
    with pytest.raises(ValueError, match=r"no utterance of the split 'train' is as long as a crop"):
        train_and_evaluate(long, tmp_path / "c", corpus=corpus, console=Quiet())
    with pytest.raises(ValueError, match="not a multiple of the hop length 200: use 400"):
        dataclasses.replace(config, data=dataclasses.replace(config.data, crop_length=450))
    with pytest.raises(ValueError, match="is not the spec's 256"):
        dataclasses.replace(config, spec=get_spec("tacotron2"))
    train_and_evaluate(
        dataclasses.replace(config, training=dataclasses.replace(config.training, num_steps=1)),
        tmp_path / "d",
        corpus=corpus,
        console=Quiet(),
    )
    changed = dataclasses.replace(config, model=dataclasses.replace(config.model, skip_channels=9))
    with pytest.raises(Exception, match=r"skip"):
        train_and_evaluate(changed, tmp_path / "d", corpus=corpus, console=Quiet())


def test_time_limit_saves_what_was_made(tmp_path):
    config = tiny_config(num_steps=100_000, max_minutes=0.05)
    state = train_and_evaluate(config, tmp_path, corpus=tiny_corpus(), console=Quiet())
    with CheckpointStore(tmp_path / "checkpoints", read_only=True) as store:
        assert store.steps()[-1] == int(state.step) < 100_000
