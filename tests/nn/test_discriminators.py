"""Discriminators: published sizes, plain loops, and what the losses need of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import cheap_jit
from wavejax.losses import discriminator_loss, feature_matching, generator_loss
from wavejax.nn import discriminators as module
from wavejax.nn.discriminators import (
    DISCRIMINATORS,
    DiscriminatorsConfig,
    PeriodsConfig,
    ScaleLayer,
    ScalesConfig,
    SpectrogramsConfig,
)

RNG = np.random.default_rng(0)
TINY = DiscriminatorsConfig(
    periods=PeriodsConfig(periods=(2, 3), channels=(3, 4, 4)),
    scales=ScalesConfig(
        num_scales=2,
        layers=(ScaleLayer(channels=4, kernel_size=5), ScaleLayer(channels=6, kernel_size=7, stride=2, groups=2)),
    ),
    spectrograms=SpectrogramsConfig(resolutions=((32, 8, 32), (16, 4, 12)), channels=3),
)
FEWEST = DiscriminatorsConfig(
    periods=PeriodsConfig(periods=(3,), channels=(3,)),
    scales=ScalesConfig(num_scales=1, layers=(ScaleLayer(channels=4, kernel_size=5, stride=2),)),
    spectrograms=SpectrogramsConfig(resolutions=((16, 4, 12),), channels=3),
)
COMPLEX = DiscriminatorsConfig(
    periods=None,
    scales=None,
    spectrograms=SpectrogramsConfig(
        resolutions=((64, 16, 64),), channels=3, bands=(0.0, 0.3, 1.0), complex_input=True, slope=0.1
    ),
)


def shapes(config: DiscriminatorsConfig, samples: int = 4096) -> dict:
    waveform = jax.ShapeDtypeStruct((1, samples), jnp.float32)
    return jax.eval_shape(lambda x: config.build().init(jax.random.key(0), x), waveform)["params"]


def make(config: DiscriminatorsConfig):
    """Parameters that are all different from zero."""
    return jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(0, 0.5, leaf.shape), leaf.dtype), shapes(config, 128))


def sizes(tree: dict, of_torch: bool) -> int:
    """Values of kernels and biases; with what weight normalisation keeps beside them, as torch counts them."""
    total = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = path[-1].key
        if not name.endswith("_u") and (of_torch or not name.endswith("_g")):
            total += int(np.prod(leaf.shape))
    return total


def test_the_published_discriminators_have_their_size() -> None:
    tree = shapes(DISCRIMINATORS["hifi-gan"])
    periods = {name: part for name, part in tree.items() if name.startswith("period")}
    scales = {name: part for name, part in tree.items() if name.startswith("scale")}
    # Counted by hand from the layers: 5 x 8,218,433 and 3 x 9,870,209, and a length for each normalised channel.
    assert sizes(periods, of_torch=False) == 41_092_165
    assert sizes(periods, of_torch=True) == 41_092_165 + 5 * 2721
    assert sizes(scales, of_torch=False) == 29_610_627
    assert sizes(scales, of_torch=True) == 29_610_627 + 2 * (128 + 128 + 256 + 512 + 3 * 1024 + 1)
    assert sizes(shapes(DiscriminatorsConfig(periods=None, scales=None, spectrograms=SpectrogramsConfig())), False) == (
        280_419
    )
    vocos = {name: part for name, part in shapes(DISCRIMINATORS["vocos"]).items() if name.startswith("spectrogram")}
    assert sizes(vocos, of_torch=False) == 1_411_587
    assert sizes(shapes(DISCRIMINATORS["small"]), of_torch=False) < 3e6


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int, groups: int = 1) -> np.ndarray:
    """[T, C] by a loop over outputs, zeros at the edges."""
    taps, per_group, outputs = kernel.shape
    x = np.pad(x, ((taps // 2, taps // 2), (0, 0)))
    rows = []
    for start in range(0, len(x) - taps + 1, stride):
        row = bias.copy()
        for out in range(outputs):
            group = out // (outputs // groups)
            row[out] += np.sum(x[start : start + taps, group * per_group : (group + 1) * per_group] * kernel[..., out])
        rows.append(row)
    return np.asarray(rows)


def weights(part: dict, name: str, spectral: bool = False) -> tuple[np.ndarray, np.ndarray]:
    kernel = np.asarray(part[f"{name}_kernel"], np.float64)
    if spectral:
        kernel = kernel / np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
    else:
        norm = np.sqrt(np.sum(kernel**2, axis=tuple(range(kernel.ndim - 1))))
        kernel = kernel / norm * np.asarray(part[f"{name}_kernel_g"], np.float64)
    return kernel, np.asarray(part[f"{name}_bias"], np.float64)


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.1 * x)


def test_periods_are_the_plain_loop() -> None:
    params = make(TINY)
    waveform = RNG.normal(size=(2, 65)).astype(np.float32)
    opinions = cheap_jit(TINY.build(precision="highest").apply)({"params": params}, waveform)
    part = params["period_3"]
    padded = np.pad(waveform[1], (0, 1), mode="reflect").astype(np.float64)
    for column in range(3):
        x = padded.reshape(-1, 3)[:, column, None]
        for layer, stride in enumerate((3, 3, 1)):
            x = leaky(convolved(x, *weights(part, f"layer_{layer}"), stride))
            np.testing.assert_allclose(opinions.features[1][layer][1, column], x, atol=1e-4)
        x = convolved(x, *weights(part, "output"), 1)
        np.testing.assert_allclose(opinions.logits[1][1, column], x, atol=1e-4)


def test_scales_are_the_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the power iteration has converged, which four rounds from a random vector leave to training."""
    monkeypatch.setattr(module, "_POWER_ITERATIONS", 50)
    params = make(TINY)
    waveform = RNG.normal(size=(2, 64)).astype(np.float32)
    only = dataclasses.replace(TINY, periods=None, spectrograms=None)
    parts = {name: part for name, part in params.items() if name.startswith("scale")}
    opinions = cheap_jit(only.build(precision="highest").apply)({"params": parts}, waveform)
    pooled = waveform[1].astype(np.float64)
    for scale in range(2):
        part, spectral, x = params[f"scale_{scale}"], scale == 0, pooled[:, None]
        for layer, (stride, groups) in enumerate(((1, 1), (2, 2))):
            x = leaky(convolved(x, *weights(part, f"layer_{layer}", spectral), stride, groups))
            np.testing.assert_allclose(opinions.features[scale][layer][1], x, atol=2e-4)
        x = convolved(x, *weights(part, "output", spectral), 1)
        np.testing.assert_allclose(opinions.logits[scale][1], x, atol=2e-4)
        padded = np.pad(pooled, 2)
        pooled = np.asarray([padded[start : start + 4].mean() for start in range(0, len(padded) - 3, 2)])


def test_spectrograms_have_a_place_per_frame_and_an_eighth_of_the_bins() -> None:
    waveform = jnp.asarray(RNG.normal(size=(2, 128)), jnp.float32)
    opinions = cheap_jit(TINY.build().apply)({"params": make(TINY)}, waveform)
    assert [features[0].shape for features in opinions.features[-2:]] == [(2, 16, 17, 3), (2, 32, 9, 3)]
    assert [logits.shape for logits in opinions.logits[-2:]] == [(2, 16, 3, 1), (2, 32, 2, 1)]
    banded = cheap_jit(COMPLEX.build().apply)({"params": make(COMPLEX)}, waveform)
    assert len(banded.features[0]) == 2 * 5 + 1
    assert [features.shape[2] for features in banded.features[0]] == [9, 5, 3, 2, 2, 24, 12, 6, 3, 3, 5]


@pytest.mark.parametrize("config", [FEWEST, COMPLEX], ids=["all kinds", "complex in bands"])
def test_losses_reach_the_sound_and_every_parameter(config: DiscriminatorsConfig) -> None:
    """Also of silence, whose magnitudes are 0."""
    params, network = make(config), config.build()
    real = jnp.asarray(RNG.normal(size=(2, 128)), jnp.float32)

    def of_generator(fake, params):
        theirs, ours = (network.apply({"params": params}, sound) for sound in (real, fake))
        matching = feature_matching(theirs.features, ours.features)
        return jnp.sum(generator_loss(ours.logits, "hinge") + matching)

    def of_discriminator(params, fake):
        theirs, ours = (network.apply({"params": params}, sound) for sound in (real, fake))
        return jnp.sum(discriminator_loss(theirs.logits, ours.logits))

    to_sound, to_params = cheap_jit(jax.grad(of_generator)), cheap_jit(jax.grad(of_discriminator))
    assert np.isfinite(to_sound(jnp.zeros((2, 128)), params)).all()
    assert np.asarray(to_sound(0.3 * real, params)).any(axis=1).all()
    for path, leaf in jax.tree_util.tree_leaves_with_path(to_params(params, 0.3 * real)):
        assert np.isfinite(leaf).all()
        assert bool(leaf.any()) != path[-1].key.endswith("_u"), path


def test_wrong_sets_are_named() -> None:
    with pytest.raises(ValueError, match="needs one kind at least: periods, scales or spectrograms"):
        DiscriminatorsConfig(periods=None, scales=None)
    with pytest.raises(ValueError, match=r"two or more growing numbers from 0 to 1, got \(0.5, 0.2\)"):
        SpectrogramsConfig(bands=(0.5, 0.2))
