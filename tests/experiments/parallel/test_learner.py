"""How a model of whole windows learns: what it is compared with, what an example counts, and its pitch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.experiments import tiny_corpus
from tests.tiny.vocos import JUDGES, tiny_vocos
from wavejax.audio import log_mel_numpy
from wavejax.audio.specs import get_spec
from wavejax.experiments import running
from wavejax.experiments.metadata import ExperimentError, metadata
from wavejax.experiments.parallel.config import LossWeights, ParallelTrainingConfig, WindowConfig
from wavejax.experiments.parallel.data import open_windows
from wavejax.experiments.parallel.learner import (
    Spoken,
    counts,
    louder,
    two_player_loss,
    window_figures,
    window_learner,
)
from wavejax.parallel import get_strategy
from wavejax.tasks.families import get_family

SPEC, ONE = get_spec("speech-16k"), get_strategy("spmd", jax.devices()[:1])


def config_of(**training):
    config = tiny_vocos()
    return dataclasses.replace(
        config,
        losses=LossWeights(),
        data=dataclasses.replace(config.data, num_threads=0),
        training=dataclasses.replace(config.training, batch_size=4, **training),
    )


def batch_of(config, step=0):
    data = open_windows(config, tiny_corpus())
    return jax.tree.map(jnp.asarray, next(iter(data.training(step, slice(0, config.training.batch_size), ONE))))


def made(config, batch, keys=None):
    """What the initial model makes of a batch."""
    params = window_learner(config).init(jax.random.key(0)).params
    return jax.jit(Spoken(config))(params, batch, keys)


def keys_of(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


@pytest.mark.parametrize("gain", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("name", ["speech-16k", "nv-wavenet"])
def test_louder_features_are_those_of_louder_sound(gain: float, name: str) -> None:
    spec = get_spec(name)
    waveform = np.random.default_rng(0).normal(size=8000).astype(np.float32) * 0.05
    frames = log_mel_numpy(waveform, spec)
    if spec.clip is not None:
        pytest.skip("its values are clipped")
    got = louder(jnp.asarray(frames)[None], jnp.full((1,), gain, jnp.float32), spec)[0]
    np.testing.assert_allclose(got, log_mel_numpy(waveform * np.float32(gain), spec), atol=2e-4)


def test_silence_stays_silence() -> None:
    frames = jnp.asarray(log_mel_numpy(np.zeros(4000, np.float32), SPEC))[None]
    np.testing.assert_array_equal(louder(frames, jnp.full((1,), 2.0, jnp.float32), SPEC), frames)


def test_sound_and_features_are_made_louder_together() -> None:
    config = config_of()
    batch = batch_of(config)
    plain, varied = made(config, batch), made(config, batch, keys_of(4))
    np.testing.assert_array_equal(plain["real"], np.where(batch["mask"], batch["waveform"], 0))
    ratio = np.asarray(jnp.sum(varied["real"] ** 2, axis=1) / jnp.sum(plain["real"] ** 2, axis=1))
    decibels = 10 * np.log10(ratio)
    assert np.abs(decibels).max() <= config.data.gain_db + 1e-3
    assert decibels.std() > 0.5
    own = varied["real"] * jnp.asarray(1 / np.sqrt(ratio))[:, None]
    np.testing.assert_allclose(own, plain["real"], atol=1e-5)


def test_an_example_counts_as_much_as_its_recording_fills() -> None:
    config = config_of()
    batch = dict(batch_of(config))
    mask = np.ones(batch["mask"].shape, bool)
    mask[1, mask.shape[1] // 4 :] = False
    mask[2] = False
    batch["mask"] = jnp.asarray(mask)
    np.testing.assert_allclose(counts(batch), [1, 0.25, 0, 1])
    outputs = made(config, batch)
    assert not np.any(outputs["fake"][1, mask.shape[1] // 4 :])
    losses, parts = Spoken(config).losses(outputs, batch)
    assert np.isfinite(losses).all()
    assert set(parts) == {"mel", "stft", "pitch"}


def test_parts_that_weigh_nothing_are_left_out() -> None:
    config = dataclasses.replace(config_of(), losses=LossWeights(stft=0.0, pitch=0.0))
    batch = batch_of(config)
    assert "pitch" not in batch
    losses, parts = Spoken(config).losses(made(config, batch), batch)
    assert set(parts) == {"mel"}
    np.testing.assert_allclose(jnp.sum(losses), 15.0 * parts["mel"], rtol=1e-5)


def test_autocorrelations_count_where_they_have_a_weight() -> None:
    config = dataclasses.replace(config_of(), losses=LossWeights(mel=0.0, stft=0.0, pitch=0.0, autocorrelation=20.0))
    batch = batch_of(config)
    losses, parts = Spoken(config).losses(made(config, batch), batch)
    assert set(parts) == {"mel", "autocorrelation"}
    assert parts["autocorrelation"] > 0
    np.testing.assert_allclose(jnp.sum(losses), 20.0 * parts["autocorrelation"], rtol=1e-5)


def test_pitch_is_that_of_the_crop_at_its_frames() -> None:
    """Of a voice whose pitch is known, and the same on whatever step a training resumes."""
    config = config_of()
    data = open_windows(config, tiny_corpus())
    rows = slice(0, 4)
    batches = data.training(0, rows, ONE)
    first, second = next(batches), next(batches)
    again = next(open_windows(config, tiny_corpus()).training(1, rows, ONE))
    for name in second:
        np.testing.assert_array_equal(second[name], again[name])
    voiced = np.concatenate([first["pitch"], second["pitch"]])
    assert voiced.shape == (8, config.num_frames)
    heard = voiced[voiced > 0]
    assert heard.size > 20
    assert np.abs(heard / 120 - 1).max() < 0.2  # the corpus buzzes at 120 Hz, 10 % up and down
    part = data.training(0, slice(1, 3), ONE)
    np.testing.assert_array_equal(next(part)["pitch"], first["pitch"][1:3])
    held = next(data.held_out("validation", rows))
    assert held["pitch"].shape == (4, config.num_frames)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": WindowConfig(crop_length=2401)}, "data.crop_length 2401 is not a multiple of the hop length 200: us"),
        ({"data": WindowConfig(crop_length=2400, resident=True)}, "data.resident is for models of samples"),
        ({"spec": get_spec("hifi-gan")}, "the model's hop_length is 200, that of the spec hifi-gan is 256"),
        ({"temperature": -1.0}, "temperature must be at least 0"),
        ({"training": ParallelTrainingConfig(judged_frames=13)}, "judged_frames 13 is more than the 12 frames of a"),
        (
            {"training": ParallelTrainingConfig(simultaneous=True, accumulation_steps=2)},
            "simultaneous keeps the discriminators' forward of the whole batch, which accumulation_steps 2 is there",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config_of(), **changes)


def two_players(**training):
    return dataclasses.replace(config_of(**training), discriminators=JUDGES)


def test_two_players_learn_and_only_the_model_is_kept() -> None:
    config = two_players()
    learner = window_learner(config)
    state = learner.init(jax.random.key(0))
    assert set(state.params) == {"generator", "discriminator"}
    alone = jax.eval_shape(window_learner(config_of()).init, jax.random.key(0))
    assert jax.tree.structure(state.ema_params) == jax.tree.structure(alone.params)
    batch = batch_of(config)
    after, metrics = jax.jit(learner.step)(state, batch)
    assert {"mel", "stft", "pitch", "adversarial", "feature_matching", "discriminator_loss"} <= set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())
    assert 0 <= metrics["discriminator_accuracy"] <= 1
    for player in ("generator", "discriminator"):
        before, now = state.params[player], after.params[player]
        assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(now), strict=True)), player
    adopted = learner.adopt(state, jax.tree.map(lambda x: x + 1, state.ema_params), "here")
    np.testing.assert_array_equal(
        jax.tree.leaves(adopted.params["generator"])[0], jax.tree.leaves(state.ema_params)[0] + 1
    )


def test_the_discriminators_hear_the_middle_of_an_example() -> None:
    config = two_players(judged_frames=4)
    batch, hop = batch_of(config), SPEC.hop_length
    learner, loss = window_learner(config), two_player_loss(config, JUDGES, quiet=True)
    params = learner.init(jax.random.key(0)).params

    @jax.jit
    def told(real):
        outputs, _ = loss.forward(params["generator"], {}, {**batch, "waveform": real}, None)
        total, _, parts = loss.generator(params["discriminator"], outputs, batch, None, jnp.float32(0))
        their, _, metrics = loss.discriminator(params["discriminator"], outputs, batch, None)
        return total, parts, their, metrics

    _, parts, their, metrics = told(batch["waveform"])
    np.testing.assert_array_equal((parts["judges_loss"], parts["judges_accuracy"]), (their, metrics["accuracy"]))
    middle = slice(4 * hop, 8 * hop)
    outside = batch["waveform"].at[:, middle].set(0) * 0.5 + jnp.zeros_like(batch["waveform"])
    outside = outside.at[:, middle].set(batch["waveform"][:, middle])
    total, same, _, _ = told(outside)
    np.testing.assert_array_equal(same["feature_matching"], parts["feature_matching"])
    assert same["mel"] != parts["mel"]
    np.testing.assert_allclose(total, 15 * same["mel"] + 2.5 * same["stft"] + same["pitch"], rtol=1e-4)
    other = told(batch["waveform"].at[:, middle].multiply(0.5))[1]
    assert other["feature_matching"] != parts["feature_matching"]


def test_the_adversary_may_come_to_a_model_that_has_learnt_without() -> None:
    """And its discriminators stay what they are when that training goes on."""
    family, alone, judged = get_family("vocos"), config_of(), two_players()
    running._check_adopted(family, judged, alone, "spectral")
    floored = dataclasses.replace(judged, spec=dataclasses.replace(judged.spec, floor=1e-3))
    with pytest.raises(ExperimentError, match=r"spectral was trained with another spec \(floor: "):
        running._check_adopted(family, floored, alone, "spectral")
    labels = {"speakers": ["one"]}
    assert running._check_same_run(family, judged, metadata(judged, labels), "run") == labels
    other = dataclasses.replace(judged, discriminators=dataclasses.replace(JUDGES, periods=None))
    for changed in (other, alone):
        with pytest.raises(ExperimentError, match=r"run belongs to another discriminators .*: use another workdir"):
            running._check_same_run(family, changed, metadata(judged, labels), "run")


@pytest.mark.slow
def test_before_the_adversarial_start_only_the_spectral_losses_count() -> None:
    config = two_players(adversarial_start=5)
    learner, alone = window_learner(config), window_learner(config_of())
    state = learner.init(jax.random.key(0))
    single = alone.init(jax.random.key(0))
    batch = batch_of(config)
    after, metrics = jax.jit(learner.step)(state, batch)
    _, expected = jax.jit(alone.step)(single, batch)
    own = sum(weight * metrics[name] for name, weight in {"mel": 15.0, "stft": 2.5, "pitch": 1.0}.items())
    np.testing.assert_allclose(metrics["loss"], own, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=0.1)  # other keys, other gains and noise
    for a, b in zip(
        jax.tree.leaves(state.params["discriminator"]), jax.tree.leaves(after.params["discriminator"]), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    figures = dict(window_figures(config).rows)
    assert figures["discriminators"].endswith("parameters, in training alone")
    assert "discriminators" not in dict(window_figures(config_of()).rows)
