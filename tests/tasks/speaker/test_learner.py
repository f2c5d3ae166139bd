"""How speakers learn: their data, what counts in the loss, and that a tiny one learns its tones."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.experiments.test_running import Quiet
from tests.tiny.families import tiny_experiment
from tests.tiny.models import cheap_jit
from tests.tiny.speakers import TONES, tones
from wavejax.data.alignments import read_alignments, write_alignments
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.families import train_and_evaluate
from wavejax.tasks.speaker.data import SpeakerData, mean_pitch, open_spoken
from wavejax.tasks.speaker.learner import speaker_learner, speaking_loss


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_experiment("speaker", tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def data(config: Any) -> SpeakerData:
    return open_spoken(config, None)


def batch_of(data: SpeakerData) -> dict[str, jax.Array]:
    return jax.tree.map(jnp.asarray, dict(next(iter(data.held_out("train", slice(0, 8))))))


def test_a_batch_holds_symbols_durations_and_pitch(data: SpeakerData) -> None:
    batch = batch_of(data)
    assert (batch["durations"].sum(axis=1) == batch["num_frames"]).all()
    for row, count in enumerate(batch["num_labels"]):
        assert (batch["labels"][row, :count] > 0).all()
        assert (batch["durations"][row, :count] == 8).all()
        assert not batch["durations"][row, count:].any()
        assert not batch["pitch"][row, count:].any()
        assert not batch["f0"][row, batch["num_frames"][row] :].any()


def test_pitch_is_that_of_the_tones(config: Any, data: SpeakerData) -> None:
    apart = []
    for position, entry in enumerate(data.corpus.entries):
        tones = np.asarray([TONES[symbol] for symbol in data.alignments[entry.id].symbols])
        found = data.beside(position)["pitch"]
        both = (tones > 0) & (found > 0)
        apart += list(np.abs(np.log2(found[both] / tones[both])))
        assert len(data.track(position)) == entry.num_frames
    assert len(apart) > 50
    assert np.median(apart) < 0.02


def test_mean_pitch_is_that_of_voiced_frames() -> None:
    track = np.asarray([0.0, 100.0, 400.0, 0.0, 0.0, 300.0, 0.0])
    np.testing.assert_allclose(mean_pitch(track, np.asarray([3, 0, 3, 1])), [200.0, 0.0, 0.0, 0.0], rtol=1e-6)


def test_padding_does_not_count(config: Any, data: SpeakerData) -> None:
    loss = cheap_jit(speaking_loss(config, quiet=True))
    params = speaker_learner(config).init(jax.random.key(0)).params
    batch = batch_of(data)
    keys = jax.random.split(jax.random.key(0), 8)
    total, weight, _, parts = loss(params, {}, batch, keys)
    assert float(weight) == float(batch["num_frames"].sum())
    changed = {name: np.array(value) for name, value in batch.items()}
    for row in range(8):
        changed["features"][row, batch["num_frames"][row] :] = -3.0
        changed["labels"][row, batch["num_labels"][row] :] = 5
        changed["pitch"][row, batch["num_labels"][row] :] = 100.0
        changed["f0"][row, batch["num_frames"][row] :] = 100.0
    again = loss(params, {}, jax.tree.map(jnp.asarray, changed), keys)
    np.testing.assert_allclose(again[0], total, rtol=1e-5)
    for name in parts:
        np.testing.assert_allclose(again[3][name], parts[name], rtol=1e-5, err_msg=name)


def test_how_silent_a_silence_is_does_not_count(config: Any, data: SpeakerData) -> None:
    loss, batch = cheap_jit(speaking_loss(config, quiet=True)), batch_of(data)
    params = speaker_learner(config).init(jax.random.key(0)).params
    keys = jax.random.split(jax.random.key(0), 8)
    louder = {**batch, "features": jnp.maximum(batch["features"], config.losses.quietest)}
    assert jnp.any(louder["features"] != batch["features"])
    assert loss(params, {}, batch, keys)[0] == loss(params, {}, louder, keys)[0]


def test_a_speaker_of_another_language_starts_with_symbols_of_its_own(config: Any) -> None:
    learner = speaker_learner(config)
    own, given = (learner.init(jax.random.key(seed)) for seed in (0, 1))
    others = {**given.params, "symbols": {"table": given.params["symbols"]["table"][:-19]}}
    adopted = learner.adopt(own, others, "run/").params
    np.testing.assert_array_equal(adopted["symbols"]["table"], own.params["symbols"]["table"])
    rest = ({name: leaf for name, leaf in each.items() if name != "symbols"} for each in (adopted, given.params))
    jax.tree.map(np.testing.assert_array_equal, *rest)
    same = learner.adopt(own, given.params, "run/").params
    np.testing.assert_array_equal(same["symbols"]["table"], given.params["symbols"]["table"])


@pytest.mark.slow
def test_tones_are_learnt(config: Any, tmp_path: Path, data: SpeakerData) -> None:
    training = dataclasses.replace(config.training, num_steps=60, checkpoint_every=60, ema_decay=0.9)
    config = dataclasses.replace(config, training=training)
    loss = jax.jit(lambda params, batch: speaking_loss(config, quiet=True)(params, {}, batch, keys)[3]["mel"])
    keys = jax.random.split(jax.random.key(0), 8)
    batch = batch_of(data)
    start = float(loss(speaker_learner(config).init(jax.random.key(0)).params, batch))
    state = train_and_evaluate(config, tmp_path / "run", console=Quiet(), devices=jax.devices()[:1])
    assert float(loss(state.ema_params, batch)) < 0.6 * start


def test_a_corpus_without_times_is_refused_with_what_to_do(config: Any, tmp_path: Path) -> None:
    for corpus, where in (("embedded", "the recordings that ship have"), (str(tmp_path), str(tmp_path))):
        wrong = dataclasses.replace(config, data=dataclasses.replace(config.data, corpus=corpus))
        with pytest.raises(ExperimentError, match=rf"{where}.* no alignments\.jsonl.*make_synthetic_speech"):
            open_spoken(wrong, None)


def test_what_is_not_aligned_is_left_out_and_named(
    config: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(tones(tmp_path))
    kept = list(read_alignments(folder / "alignments.jsonl").values())
    write_alignments(folder / "alignments.jsonl", [each for each in kept if each.id != "tone_03"])
    data = open_spoken(config, None, folder=str(folder))
    assert len(data.utterances("train")) == 19
    assert "1 with text that cannot be read (no alignment in alignments.jsonl): tone_03" in caplog.text


def test_other_sizes_than_the_corpus_are_refused(config: Any) -> None:
    model = dataclasses.replace(config.model, num_classes=40)
    with pytest.raises(ValueError, match="num_classes is 40, that of the text spec phonemes-en is 75"):
        dataclasses.replace(config, model=model)
    several = dataclasses.replace(config, model=dataclasses.replace(config.model, num_speakers=2))
    with pytest.raises(ExperimentError, match=r"has 1 speakers, the model tells 2 apart: set model\.num_speakers=1"):
        open_spoken(several, None)
