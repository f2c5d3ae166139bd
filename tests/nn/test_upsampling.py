"""Upsampling: frames stay where the features put them, and every way of computing it agrees."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import cheap_jit
from wavejax.audio import SPECS, log_mel_numpy
from wavejax.nn import Upsampler, UpsamplerConfig
from wavejax.nn.upsampling import _interpolate, _interpolate_by_products, suggest_scales

KINDS = ("repeat", "linear", "transposed", "stretch", "transposed_2d")
GRIDS = sorted({(spec.hop_length, spec.frame_centre) for spec in SPECS.values()})
SMALL = [(4, 0), (4, 2), (5, 3), (6, 9), (6, -7), (1, 0)]


def configure(kind: str, hop: int, centre: int, **changes: object) -> UpsamplerConfig:
    scales = (suggest_scales(hop) or (1,)) if kind in ("stretch", "transposed_2d") else ()
    size = 3 * hop + 1 if kind == "transposed" else 0
    options = {"scales": scales, "kernel_size": size, **changes}
    return UpsamplerConfig(kind=kind, hop_length=hop, frame_centre=centre, **options)


def upsample(config: UpsamplerConfig, frames: np.ndarray, params: dict | None = None) -> np.ndarray:
    """Samples of the intervals of frames[:, back : F - forward]."""
    count = (frames.shape[1] - config.back - config.forward) * config.hop_length
    if config.at_frame_rate:
        return np.asarray(cheap_jit(lambda frames: config.spread(frames, 0, count))(frames))
    module = Upsampler(config)
    if params is None:
        shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.asarray(frames))["params"])
        params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes)
        params = {name: jnp.zeros_like(leaf) if name.endswith("bias") else leaf for name, leaf in params.items()}
    return np.asarray(cheap_jit(module.apply)({"params": params}, jnp.asarray(frames)))


@pytest.mark.parametrize(("hop", "centre"), GRIDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_sounds_around_its_centre(kind, hop, centre):
    config = configure(kind, hop, centre)
    around = max(config.back, config.forward) + 1
    frames = np.zeros((1, config.back + 2 * around + 1 + config.forward, 1), np.float32)
    frame = around  # counted from the first interval
    frames[0, config.back + frame, 0] = 1.0
    response = upsample(config, frames)[0, :, 0].astype(np.float64)
    assert response.min() >= 0
    assert response.max() > 0
    centre_of_mass = (response * np.arange(len(response))).sum() / response.sum()
    assert abs(centre_of_mass - (hop * frame + centre)) <= 1


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_click_and_its_conditioning_are_one_sample_apart_at_most(name):
    spec = SPECS[name]
    config = configure("linear", spec.hop_length, spec.frame_centre)
    frame, hop = 9, spec.hop_length
    click = hop * frame + spec.frame_centre
    waveform = np.zeros(20 * hop, np.float32)
    waveform[click] = 0.02
    energy = log_mel_numpy(waveform, spec).sum(axis=1, keepdims=True)
    assert int(energy.argmax()) == frame
    padded = np.pad(energy, ((config.back, config.forward), (0, 0)), mode="edge")[None]
    heard = int(upsample(config, padded)[0, :, 0].argmax())
    assert abs(heard - click) <= 1


@pytest.mark.parametrize(("hop", "centre"), SMALL)
@pytest.mark.parametrize("kind", ["repeat", "linear"])
def test_spread_equals_the_interpolation_of_the_decoder_at_every_offset(kind, hop, centre):
    config = configure(kind, hop, centre)
    rng = np.random.default_rng(0)
    intervals = 4
    frames = rng.normal(size=(config.back + intervals + config.forward, 3)).astype(np.float32)
    index, weight = config.interpolation(jnp.arange(intervals * hop, dtype=jnp.int32))
    index, weight = np.asarray(index) + config.back, np.asarray(weight)[:, None]
    assert index.min() >= 0
    following = frames[np.minimum(index + 1, len(frames) - 1)]
    assert (index + 1 < len(frames)).all() or not weight[index + 1 >= len(frames)].any()
    expected = frames[index] + (following - frames[index]) * weight
    lengths = [(first, count) for first in range(hop + 1) for count in (intervals * hop - first, 1 + first % hop)]
    spread = cheap_jit(lambda frames: [config.spread(frames, first, count) for first, count in lengths])
    for (first, count), got in zip(lengths, spread(frames), strict=True):
        np.testing.assert_allclose(got, expected[first : first + count], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("intervals", "skip", "count"), [(3, 0, 12), (3, 3, 7), (48, 1, 190), (49, 2, 190), (130, 3, 501)]
)
def test_interpolation_by_products_is_interpolation(intervals, skip, count):
    rng = np.random.default_rng(0)
    frames = jnp.asarray(rng.normal(size=(2, intervals + 1, 3)), jnp.float32)
    cotangent = jnp.asarray(rng.normal(size=(2, count, 3)), jnp.float32)

    def both(way):
        made, pull = jax.vjp(lambda frames: way(frames, 4, skip, count), frames)
        return made, pull(cotangent)[0]

    plain, products = cheap_jit(lambda: (both(_interpolate), both(_interpolate_by_products)))()
    for got, expected in zip(products, plain, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_linear_weights_are_exact_far_into_a_recording():
    config = configure("linear", 200, 100)
    offset = jnp.asarray([2**30 + 7], jnp.int32)
    index, weight = config.interpolation(offset)
    exact, rest = divmod(2**30 + 7 - 100, 200)
    assert int(index[0]) == exact
    assert float(weight[0]) == np.float32(rest / 200)


@pytest.mark.parametrize("kind", ["transposed", "stretch", "transposed_2d"])
@pytest.mark.parametrize(("hop", "centre"), [(4, 2), (6, 0), (6, 9)])
def test_window_by_window_equals_the_whole_sequence(kind, hop, centre):
    config = configure(kind, hop, centre, weight_normalization=True)
    rng = np.random.default_rng(1)
    num_frames = 5
    width = config.back + 1 + config.forward
    frames = rng.normal(size=(2, num_frames + width - 1, 3)).astype(np.float32)
    module = Upsampler(config)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.asarray(frames))["params"])
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0.3, 0.3, leaf.shape), leaf.dtype), shapes)
    apply = cheap_jit(functools.partial(module.apply, {"params": params}))
    whole = apply(frames)
    assert whole.shape == (2, num_frames * hop, 3)
    assert float(jnp.std(whole)) > 0.001
    pieces = [apply(frames[:, start : start + width]) for start in range(num_frames)]
    np.testing.assert_allclose(jnp.concatenate(pieces, axis=1), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_steady_frames_give_steady_samples(kind):
    config = configure(kind, 6, 3, kernel_size=12 if kind == "transposed" else 0)
    frames = np.ones((1, config.back + 4 + config.forward, 1), np.float32)
    samples = upsample(config, frames)
    assert samples.shape == (1, 24, 1)
    np.testing.assert_allclose(samples, samples[0, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["stretch", "transposed_2d"])
def test_scales_that_do_not_make_the_hop_are_refused_with_a_suggestion(kind):
    with pytest.raises(ValueError, match=r"upsample_scales \(4, 4, 4\) multiply to 64, but hop_length is 200"):
        UpsamplerConfig(kind=kind, hop_length=200, scales=(4, 4, 4))
    with pytest.raises(ValueError, match=r"for example \(2, 4, 5, 5\)"):
        UpsamplerConfig(kind=kind, hop_length=200)


@pytest.mark.parametrize("hop", [1, 2, 200, 240, 256, 275, 300, 441, 551])
def test_suggested_scales_multiply_to_the_hop(hop):
    scales = suggest_scales(hop)
    assert math.prod(scales) == hop
    assert list(scales) == sorted(scales)


def test_impossible_upsamplers_are_refused():
    with pytest.raises(ValueError, match="hop_length must be at least 1 sample, got 0"):
        UpsamplerConfig(hop_length=0)
    with pytest.raises(ValueError, match="kernel_size 199 leaves gaps between frames of 200 samples"):
        UpsamplerConfig(kind="transposed", hop_length=200, kernel_size=199)


def test_too_few_frames_are_refused():
    config = configure("repeat", 4, 2)
    with pytest.raises(ValueError, match="samples reach frames 0 to 2, but only 2 frames were given"):
        config.spread(jnp.zeros((2, 1), jnp.float32), 0, 12)
    config = configure("linear", 4, 2)
    with pytest.raises(ValueError, match="only 4 frames were given"):
        config.spread(jnp.zeros((4, 1), jnp.float32), 0, 12)
