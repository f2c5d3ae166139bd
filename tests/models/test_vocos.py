"""Vocos: the published sizes, windows beside whole recordings, the state beside windows, the receptive field."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from tests.tiny.models import cheap_jit
from wavejax.audio import FeatureSpec, get_spec, log_mel_numpy
from wavejax.generation import generate, stream_keys
from wavejax.generation.noise import split_index
from wavejax.generation.windows import ParallelStreamer, frame_noise, noise_pairs
from wavejax.models.vocos import HarmonicVocosConfig, VocosConfig, mel_to_magnitudes
from wavejax.models.vocos_presets import PRESETS, get_preset
from wavejax.nn.parallel import initial_parallel_params
from wavejax.types import ContinuedModel, ParallelModel

SPEC = FeatureSpec(
    name="tiny", sample_rate=4000, n_fft=64, win_length=48, hop_length=12, padding="same", n_mels=8, f_max=2000.0
)
SIZES = {"channels": 6, "hidden_channels": 10, "num_blocks": 2}
CONFIGS = {
    "centre": VocosConfig(local_channels=8, n_fft=48, hop_length=12, **SIZES),
    "same": VocosConfig(local_channels=8, n_fft=48, hop_length=12, padding="same", **SIZES),
    "harmonic": HarmonicVocosConfig(spec=SPEC, pitch_channels=4, embedding_lookahead=3, **SIZES),
    "harmonic-silent": HarmonicVocosConfig(spec=SPEC, pitch_channels=4, noise=False, **SIZES),
    "harmonic-halves": HarmonicVocosConfig(
        spec=SPEC, pitch_channels=4, subframes=2, pulses_without_voice=False, **SIZES
    ),
    "harmonic-thirds": HarmonicVocosConfig(
        spec=dataclasses.replace(SPEC, padding="centre"), pitch_channels=4, subframes=3, **SIZES
    ),
}
PUBLISHED = "centre", "same"
HARMONIC = "harmonic", "harmonic-silent", "harmonic-halves", "harmonic-thirds"
BATCH = 2


@functools.cache
def make(name: str):
    """A tiny model with parameters that are all different from zero."""
    model = CONFIGS[name].build(precision="highest")
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: initial_parallel_params(model, jax.random.key(0)))
    return model, jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.3, leaf.shape), leaf.dtype), shapes)


def given(model, frames: int, seed: int = 1) -> tuple:
    """Window, noise and temperature for a number of frames."""
    rng = np.random.default_rng(seed)
    window = jnp.asarray(rng.normal(-4, 1.5, (BATCH, frames, 8)), jnp.float32)
    noise = jnp.asarray(rng.uniform(size=(BATCH, frames, model.noise_size)), jnp.float32) if model.noise_size else None
    return window, noise, jnp.asarray(rng.uniform(0.5, 1, (BATCH, frames)), jnp.float32)


@functools.partial(cheap_jit, static_argnums=(0, 1))
def call(name: str, method: str, *arguments):
    model, params = make(name)
    return model.apply({"params": params}, *arguments, method=method)


def test_the_published_network_has_its_size() -> None:
    tree = golden.tree("vocos-24k")
    assert sum(int(np.prod(leaf["shape"])) for leaf in tree.values()) == 13_531_650
    config = get_preset("vocos-24k")
    assert (config.lookback, config.lookahead, config.frame_centre) == (28, 29, 0)
    assert get_spec("vocos-24k").frame_centre == config.frame_centre


def test_ours_is_small() -> None:
    for name, low, high in (("harmonic-vocos-16k", 1.4e6, 2e6), ("harmonic-vocos-16k-small", 0.4e6, 1e6)):
        size = sum(int(np.prod(leaf["shape"])) for leaf in golden.tree(name).values())
        config = PRESETS[name]
        assert low < size < high
        assert 50e6 < config.macs_per_frame * config.spec.frame_rate < 250e6
        assert config.lookahead * config.hop_length == 800  # 50 ms
        assert config.frame_centre == config.spec.frame_centre == 100


def test_a_configuration_of_before_subframes_means_what_it_did() -> None:
    """Voices say nothing of what came after them, and get the default."""
    config = HarmonicVocosConfig()
    assert (config.subframes, config.pulses_without_voice, config.n_fft) == (1, True, 800)
    assert (config.lookback, config.lookahead, config.overlap, config.neighbours) == (42, 4, (2, 2), 0)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_parameter_trees_are_frozen(name: str) -> None:
    assert golden.tree(name) == golden.read(name)


@pytest.mark.parametrize("name", CONFIGS)
def test_models_keep_the_protocol(name: str) -> None:
    model, _ = make(name)
    assert isinstance(model, ParallelModel)
    assert isinstance(model, ContinuedModel) == (name in HARMONIC)


@pytest.mark.parametrize("name", PUBLISHED)
def test_windows_are_the_whole_recording(name: str) -> None:
    model, params = make(name)
    window, _, _ = given(model, model.lookback + 7 + model.lookahead)
    whole = cheap_jit(model.apply)({"params": params}, window)
    assert whole.shape[1] == (window.shape[1] - (name == "centre")) * 12
    part = call(name, "synthesize", window)
    assert part.shape == (BATCH, 7 * 12)
    first = model.lookback * 12
    np.testing.assert_allclose(part, np.clip(whole[:, first : first + 84], -1, 1), atol=1e-5)
    assert 0.01 < float(jnp.std(part)) < 0.9


@pytest.mark.parametrize("name", HARMONIC)
def test_a_carried_state_continues_the_same_sound(name: str) -> None:
    """In windows of another program, whose F0 differs in the last bit: harmonics multiply that."""
    model, _ = make(name)
    context = model.lookback + model.lookahead
    window, noise, temperature = given(model, context + 9)
    whole = call(name, "synthesize", window, noise, temperature)

    def part(first: int, count: int) -> tuple:
        rows = slice(first, first + count)
        return window[:, rows], None if noise is None else noise[:, rows], temperature[:, rows]

    state, pieces, position = call(name, "begin", *part(0, context)), [], context
    for count in (3, 3, 3):
        state, samples = call(name, "advance", state, *part(position, count))
        assert samples.shape == (BATCH, count * 12)
        pieces.append(samples)
        position += count
    assert float(jnp.std(whole)) > 1e-3
    np.testing.assert_allclose(jnp.concatenate(pieces, axis=1), whole, atol=3e-4)


@pytest.mark.parametrize("name", ["centre", "same", "harmonic", "harmonic-halves", "harmonic-thirds"])
def test_the_receptive_field_is_the_declared_one(name: str) -> None:
    """One interval's samples change with the first and the last frame of what is declared, and with none outside."""
    model, _ = make(name)
    spare = 3
    last = spare + model.lookback + model.lookahead
    window, noise, temperature = given(model, last + 1 + spare)

    def middle(window):
        return np.asarray(call(name, "synthesize", window, noise, temperature)[:, spare * 12 : (spare + 1) * 12])

    for frame in range(window.shape[1]):
        change = np.abs(middle(window.at[:, frame].add(1.0)) - middle(window)).max()
        if frame in (spare, last):
            assert change > 0
        elif not spare < frame < last:
            assert change == 0


def test_no_gradient_reaches_the_pitch_network_and_all_else_has_one() -> None:
    model, params = make("harmonic")
    window, noise, temperature = given(model, model.lookback + 3 + model.lookahead)

    def loss(params):
        return jnp.sum(
            jnp.square(model.apply({"params": params}, window, noise, temperature, None, method="synthesize"))
        )

    gradients = cheap_jit(jax.grad(loss))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradients["pitch"]))
    for part in ("backbone", "head"):
        assert all(leaf.any() for leaf in jax.tree.leaves(gradients[part]))


def test_temperature_scales_the_noise() -> None:
    model, _ = make("harmonic")
    window, noise, temperature = given(model, model.lookback + 2 + model.lookahead)
    still = call("harmonic", "synthesize", window, noise, 0 * temperature)
    other = call("harmonic", "synthesize", window, 1 - noise, 0 * temperature)
    np.testing.assert_array_equal(still, other)
    assert float(jnp.abs(call("harmonic", "synthesize", window, noise, temperature) - still).max()) > 1e-3


def test_magnitudes_of_a_mel_have_that_mel() -> None:
    """Of the features' own transform, and of one without the zeros around its window."""
    spec = get_spec("speech-16k")
    rng = np.random.default_rng(0)
    mel = log_mel_numpy(np.cumsum(rng.normal(0, 0.01, 8000)), spec)
    for n_fft in (1024, 800):
        magnitudes = np.asarray(mel_to_magnitudes(jnp.asarray(mel)[None], spec, n_fft))[0]
        assert magnitudes.shape == (40, n_fft // 2 + 1)
        assert (magnitudes >= spec.floor).all()
        bank = FeatureSpec(name="x", sample_rate=16000, n_fft=n_fft, win_length=800, hop_length=200, f_max=8000.0)
        again = np.log(np.maximum(magnitudes @ bank.filterbank * (1024 / n_fft), spec.floor))
        assert np.median(np.abs(again - mel)) < 1e-3
        assert np.abs(again - mel).mean() < 0.05


def test_what_does_not_fit_is_said() -> None:
    model, params = make("harmonic")
    window, noise, temperature = given(model, 5)
    with pytest.raises(ValueError, match=r"needs 23 frames or more of 8 channels .* got shape \(2, 5, 8\)"):
        model.apply({"params": params}, window, noise, temperature, None, method="synthesize")
    with pytest.raises(ValueError, match="HarmonicVocos knows no speakers"):
        model.apply({"params": params}, *given(model, 30), jnp.zeros((2,), jnp.int32), method="synthesize")
    with pytest.raises(ValueError, match=r"n_fft must be a multiple of the hop length.*got n_fft 48 and hop_length 36"):
        VocosConfig(n_fft=48, hop_length=36)
    with pytest.raises(ValueError, match=r"spec 'tiny' has window 'hann', clip \(0, 1\) and pre_emphasis 0.0"):
        HarmonicVocosConfig(spec=dataclasses.replace(SPEC, clip=(0, 1)))
    with pytest.raises(ValueError, match=r"frame 0 of spec .* is centred on sample"):
        HarmonicVocosConfig(
            spec=FeatureSpec(name="x", sample_rate=16000, n_fft=400, win_length=400, hop_length=100, padding="full")
        )
    with pytest.raises(ValueError, match="embedding_lookahead must be 2 to 4 frames"):
        HarmonicVocosConfig(embedding_lookahead=1)
    with pytest.raises(ValueError, match=r"subframes must divide the hop of 12 samples and the window of 48, got 5"):
        HarmonicVocosConfig(spec=SPEC, subframes=5)
    with pytest.raises(ValueError, match="num_blocks must be at least 1, got 0"):
        VocosConfig(num_blocks=0)
    with pytest.raises(KeyError, match="no Vocos preset is called 'x'; there are harmonic-vocos-16k"):
        get_preset("x")


def test_any_cutting_of_the_frames_makes_the_same_samples() -> None:
    """Through the driver, whose windows carry the phase on: to the bit those of a stream, and those of one window."""
    model, params = make("harmonic")
    frames = np.random.default_rng(4).normal(-4, 1.5, (1, 13, 8)).astype(np.float32)
    whole = generate(model, params, local_conditioning=frames, window_frames=4, seed=5)
    streamer, pieces = ParallelStreamer(model, params, window_frames=4, seed=5), []
    for first, last in ((0, 1), (1, 9), (9, 13)):
        pieces.append(streamer.push(frames[:, first:last]))
    pieces.append(streamer.flush())
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    padded = np.pad(frames, ((0, 0), (model.lookback, model.lookahead), (0, 0)), mode="edge")
    noise = frame_noise(
        stream_keys(5, jnp.zeros((1,), jnp.int32)),
        jnp.asarray(split_index(-model.lookback * noise_pairs(model.noise_size))),
        padded.shape[1],
        model.noise_size,
    )
    at_once = call("harmonic", "synthesize", jnp.asarray(padded), noise, jnp.ones(padded.shape[:2]))
    np.testing.assert_allclose(whole, at_once, atol=1e-3)
