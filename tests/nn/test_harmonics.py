"""Phases that add up exactly, the harmonics' spectrum as the sound it stands for, and the pitch network."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.tiny.models import cheap_jit
from wavejax.losses.pitch import pitch_loss
from wavejax.nn.harmonics import PitchNetwork, Rotation, as_turns, candidates, harmonic_spectrum, rotate
from wavejax.nn.inverse_stft import InverseSTFT

RNG = np.random.default_rng(0)
SECONDS = 200 / 16000


def test_phases_are_the_sum_of_the_pitch() -> None:
    frequency = RNG.uniform(60, 400, (2, 1000)).astype(np.float32)
    phase, after = rotate(jnp.asarray(frequency), SECONDS)
    steps = 0.5 * (frequency[:, 1:] + frequency[:, :-1]).astype(np.float64) * SECONDS
    expected = np.concatenate([np.zeros((2, 1)), np.cumsum(steps, axis=1)], axis=1)
    difference = np.asarray(as_turns(phase), np.float64) - expected
    assert np.abs(difference - np.round(difference)).max() < 1e-3
    np.testing.assert_array_equal(after.phase, phase[:, -1])
    np.testing.assert_array_equal(after.frequency, frequency[:, -1])


def test_phases_cut_anywhere_are_the_same_to_the_bit() -> None:
    frequency = jnp.asarray(RNG.uniform(60, 400, (2, 50)), jnp.float32)
    whole, _ = rotate(frequency, SECONDS)
    rotating = cheap_jit(rotate, static_argnums=1)
    for cut in (1, 7):
        first, state = rotating(frequency[:, :cut], SECONDS)
        second, _ = rotating(frequency[:, cut:], SECONDS, state)
        np.testing.assert_array_equal(jnp.concatenate([first, second], axis=1), whole)


def test_the_harmonics_spectrum_is_that_of_a_sum_of_cosines() -> None:
    """A steady pitch, its frames transformed back and added up; harmonics up to half the sample rate."""
    n_fft, hop, rate, pitch, frames = 800, 200, 16000, 217.0, 12
    inverse = InverseSTFT(n_fft=n_fft, hop_length=hop, padding="same")
    frequency = jnp.full((1, frames), pitch, jnp.float32)
    phase, _ = rotate(frequency, hop / rate, Rotation(jnp.zeros((1,), jnp.uint32), frequency[:, 0]))
    real, imaginary = cheap_jit(harmonic_spectrum, static_argnums=(2, 3))(frequency, phase, n_fft, rate)
    signs = jnp.asarray(1.0 - 2.0 * (np.arange(n_fft // 2 + 1) % 2), jnp.float32)[None, None]
    made = np.asarray(inverse.overlap_add(inverse.frames(real * signs, imaginary * signs)))[0] * (n_fft / 4)
    # Frame 0's phase, after one step, is that of its middle: sample 100 of its interval.
    time = (np.arange(2 * hop, (frames - 2) * hop) - 100 + hop) / rate
    expected = sum(np.cos(2 * np.pi * k * pitch * time) for k in range(1, int(7900 / pitch) + 1))
    assert np.abs(made - expected).max() < 0.1 * np.abs(expected).max()
    assert np.corrcoef(made, expected)[0, 1] > 0.995


def test_between_harmonics_there_is_nothing() -> None:
    frequency, phase = jnp.full((1, 1), 400.0), jnp.zeros((1, 1), jnp.uint32)
    real, imaginary = harmonic_spectrum(frequency, phase, 800, 16000)
    magnitude = np.hypot(real, imaginary)[0, 0]
    np.testing.assert_allclose(magnitude[20::20], 1, atol=1e-6)
    np.testing.assert_allclose(magnitude[21:400:20], 0.5, atol=1e-6)
    np.testing.assert_allclose(magnitude[30::20], 0, atol=1e-6)
    np.testing.assert_allclose(magnitude[:18], 0, atol=1e-6)


def test_the_pitch_network_reads_its_reach_and_learns() -> None:
    """A few steps of gradient descent on its loss find the pitch of frames whose loudest band tells it."""
    network = PitchNetwork(8, channels=16, num_candidates=24)
    hertz = np.geomspace(80, 600, 8).astype(np.float32)
    bands = RNG.integers(0, 8, (4, 40))
    x = jnp.asarray(np.eye(8)[bands], jnp.float32)
    target = np.where(bands == 3, 0, hertz[bands]).astype(np.float32)[:, 2:-2]
    params = network.init(jax.random.key(0), x)
    known = jnp.asarray(candidates(24))

    def loss(params: dict) -> jax.Array:
        pitch = network.apply(params, x)
        return jnp.mean(pitch_loss(pitch.scores, pitch.voicing, known, jnp.asarray(target)))

    step = cheap_jit(jax.value_and_grad(loss))
    first = float(step(params)[0])
    for _ in range(150):
        _, gradients = step(params)
        params = jax.tree.map(lambda p, g: p - jnp.float32(0.5) * g, params, gradients)
    assert float(step(params)[0]) < 0.4 * first
    pitch = network.apply(params, x)
    assert pitch.frequency.shape == pitch.voicing.shape == (4, 36)
    voiced = target > 0
    assert np.mean((np.asarray(pitch.voicing) > 0) == voiced) > 0.98
    assert np.median(np.abs(1200 * np.log2(np.asarray(pitch.frequency)[voiced] / target[voiced]))) < 60


def test_the_pitch_loss_is_its_formula() -> None:
    known = candidates(5)
    scores, voicing = RNG.normal(size=(2, 3, 5)), RNG.normal(size=(2, 3))
    between = float(np.exp(0.7 * np.log(known[1]) + 0.3 * np.log(known[2])))
    target = np.asarray([[0.0, known[0], between], [1e6, 0.0, known[4]]])
    shares = np.asarray([[1, 0, 0, 0, 0], [0, 0.7, 0.3, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]], np.float64)
    logs = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    voiced = target > 0
    per_frame = np.where(voiced, np.log1p(np.exp(-voicing)), np.log1p(np.exp(voicing)))
    per_frame[voiced] -= np.sum(shares * logs[voiced], axis=-1)
    arrays = (jnp.asarray(value, jnp.float32) for value in (scores, voicing, known, target))
    np.testing.assert_allclose(pitch_loss(*arrays), per_frame.mean(axis=1), rtol=1e-4)


def test_rounding_hardly_moves_a_pitch_that_is_certain() -> None:
    """A vocoder's phase adds up F0 from frame to frame, so that two programs agree as long as their F0 does."""
    network = PitchNetwork(80)
    x = RNG.normal(0, 1, (1, 400, 80)).astype(np.float32)
    params = network.init(jax.random.key(0), jnp.asarray(x[:, :9]))["params"]
    params = {**params, "output_kernel": 20 * params["output_kernel"]}  # as sure of itself as one that is trained
    found = cheap_jit(network.apply)({"params": params}, jnp.asarray(x)).frequency
    wide = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    y = x.astype(np.float64)
    for layer in range(2):
        taps = wide[f"layer_{layer}_kernel"]
        summed = sum(y[:, tap : y.shape[1] - 2 + tap] @ taps[tap] for tap in range(3))
        y = np.maximum(summed + wide[f"layer_{layer}_bias"], 0)
    scores = (y @ wide["output_kernel"] + wide["output_bias"])[..., 1:]
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    logs = np.log(candidates(96).astype(np.float64))
    exact = np.exp((weights @ logs) / weights.sum(-1))
    apart = np.abs(np.asarray(found, np.float64) / exact - 1)
    assert np.ptp(exact) > 100
    certain = weights.max(-1) > 0.99 * weights.sum(-1)  # else rounded scores move it, whatever comes after them
    assert certain.sum() > 50
    assert np.sqrt(np.mean(apart[certain] ** 2)) < 1.2e-7  # twice what one rounding to float32 costs
