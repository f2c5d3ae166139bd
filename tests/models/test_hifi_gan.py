"""HiFi-GAN: the published sizes, plain loops, windows beside whole recordings, the receptive field, folding."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from tests.tiny.models import cheap_jit
from wavejax.audio import get_spec
from wavejax.models.hifi_gan import PRESETS, HiFiGANConfig, get_preset
from wavejax.nn.folding import without_weight_normalization
from wavejax.nn.parallel import initial_parallel_params
from wavejax.types import ParallelModel

SIZES = {"local_channels": 5, "initial_channels": 8}
CONFIGS = {
    "pairs": HiFiGANConfig(**SIZES, rates=(4, 2), rate_kernels=(8, 4), kernels=(3, 5), dilations=((1, 2), (1, 3))),
    "single": HiFiGANConfig(
        **SIZES, rates=(3, 2), rate_kernels=(9, 2), block="single", kernels=(3, 5), dilations=((1,), (2, 6))
    ),
}


@functools.cache
def make(name: str):
    """A tiny generator with parameters that are all different from zero."""
    model = CONFIGS[name].build(precision="highest")
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: initial_parallel_params(model, jax.random.key(0)))

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        mean = 1.0 if path[-1].key.endswith("_g") else 0.0
        return jnp.asarray(rng.normal(mean, 0.3, leaf.shape), leaf.dtype)

    return model, jax.tree_util.tree_map_with_path(draw, shapes)


def frames(count: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).normal(0, 1, (2, count, 5)), jnp.float32)


def parameters(name: str, folded: bool) -> int:
    leaves = golden.tree(name).items()
    return sum(int(np.prod(leaf["shape"])) for path, leaf in leaves if not (folded and path.endswith("_g")))


@pytest.mark.parametrize(
    ("name", "size"), [("hifi-gan-v1", 13_926_017), ("hifi-gan-v2", 925_985), ("hifi-gan-v3", 1_462_273)]
)
def test_the_published_generators_have_their_size(name: str, size: int) -> None:
    assert parameters(name, folded=True) == size
    assert golden.tree(name) == golden.read(name)
    config = get_preset(name)
    assert config.hop_length == 256
    assert get_spec("hifi-gan").frame_centre == config.frame_centre
    # FARGAN's authors publish 38.5 GFLOPS for V1 at 16 kHz.
    assert name != "hifi-gan-v1" or 38.3e9 < 2 * config.macs_per_frame * 16000 / 256 < 38.6e9


@pytest.mark.parametrize("name", CONFIGS)
def test_windows_are_the_whole_recording(name: str) -> None:
    model, params = make(name)
    assert isinstance(model, ParallelModel)
    hop, context = model.hop_length, model.lookback + model.lookahead
    mel = frames(context + 7)
    whole = cheap_jit(model.apply)({"params": params}, mel)
    assert whole.shape == (2, mel.shape[1] * hop)
    for count in (1, 7):
        part = cheap_jit(functools.partial(model.apply, method="synthesize"))(
            {"params": params}, mel[:, : context + count]
        )
        first = model.lookback * hop
        np.testing.assert_allclose(part, whole[:, first : first + count * hop], atol=1e-5)
    assert 0.05 < float(jnp.std(whole)) < 0.95


@pytest.mark.parametrize("name", CONFIGS)
def test_the_receptive_field_is_the_declared_one(name: str) -> None:
    model, params = make(name)
    hop, spare = model.hop_length, 3
    mel = frames(2 * spare + model.lookback + 1 + model.lookahead)

    def middle(mel: jax.Array) -> jax.Array:
        """Samples of one interval by the source's form, which computes everything."""
        first = (spare + model.lookback) * hop
        samples = model.apply({"params": params}, mel)[:, first : first + hop]
        return jnp.sum(samples * jnp.cos(jnp.arange(hop, dtype=jnp.float32))[None])

    seen = np.abs(cheap_jit(jax.grad(middle))(mel)).max(axis=(0, 2))
    inside = seen[spare : len(seen) - spare]
    assert not seen[:spare].any()
    assert not seen[len(seen) - spare :].any()
    assert inside[0] > 0
    assert inside[-1] > 0


def by_hand(config: HiFiGANConfig, params: dict, mel: np.ndarray) -> np.ndarray:
    """One recording [F, C], layer by layer, output by output, in float64."""
    p = {name: np.asarray(leaf, np.float64) for name, leaf in without_weight_normalization(params).items()}

    def leaky(x: np.ndarray, slope: float = 0.1) -> np.ndarray:
        return np.where(x > 0, x, slope * x)

    def convolved(x: np.ndarray, name: str, dilation: int = 1) -> np.ndarray:
        kernel = p[f"{name}_kernel"]
        reach = len(kernel) // 2 * dilation
        padded = np.pad(x, ((reach, reach), (0, 0)))
        rows = [np.einsum("kc,kco->o", padded[t : t + 2 * reach + 1 : dilation], kernel) for t in range(len(x))]
        return np.asarray(rows) + p[f"{name}_bias"]

    def stretched(x: np.ndarray, name: str, rate: int, size: int) -> np.ndarray:
        kernel, padding = p[f"{name}_kernel"], (size - rate) // 2
        full = np.zeros(((len(x) - 1) * rate + size, kernel.shape[1]))
        for i, row in enumerate(x):
            for tap in range(size):
                full[i * rate + tap] += kernel[tap] @ row
        return full[padding : padding + len(x) * rate] + p[f"{name}_bias"]

    x = convolved(mel, "input")
    for stage, (rate, size) in enumerate(zip(config.rates, config.rate_kernels, strict=True)):
        x = stretched(leaky(x), f"stage_{stage}_up", rate, size)
        blocks = []
        for block, dilations in enumerate(config.dilations):
            y = x
            for layer, dilation in enumerate(dilations):
                inner = convolved(leaky(y), f"stage_{stage}_block_{block}_dilated_{layer}", dilation)
                if config.block == "pairs":
                    inner = convolved(leaky(inner), f"stage_{stage}_block_{block}_plain_{layer}")
                y = y + inner
            blocks.append(y)
        x = np.mean(blocks, axis=0)
    return np.tanh(convolved(leaky(x, 0.01), "output"))[:, 0]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_generator_is_the_plain_loop(name: str) -> None:
    model, params = make(name)
    mel = frames(6)
    expected = by_hand(CONFIGS[name], params, np.asarray(mel[1], np.float64))
    np.testing.assert_allclose(cheap_jit(model.apply)({"params": params}, mel)[1], expected, atol=2e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_folded_parameters_are_those_of_the_folded_generator(name: str) -> None:
    model, params = make(name)
    folded = without_weight_normalization(params)
    inference = CONFIGS[name].folded.build(precision="highest")
    shapes = jax.eval_shape(lambda: initial_parallel_params(inference, jax.random.key(0)))
    assert jax.tree.map(jnp.shape, folded) == jax.tree.map(jnp.shape, dict(shapes))
    mel = frames(5)
    made = cheap_jit(inference.apply)({"params": folded}, mel)
    np.testing.assert_allclose(made, cheap_jit(model.apply)({"params": params}, mel), atol=1e-5)
    # A transposed convolution has a length for each input channel.
    assert params["stage_0_up_kernel_g"].shape == (8,)
    assert params["stage_0_up_kernel"].shape[1:] == (4, 8)


def test_parameters_that_do_not_fold_are_named() -> None:
    with pytest.raises(ValueError, match="a/kernel_g is the length of a kernel that is missing: kernel"):
        without_weight_normalization({"a": {"kernel_g": jnp.ones((3,))}})
    with pytest.raises(ValueError, match=r"a/kernel_g has shape \(2,\), but the kernel \(4, 3\)"):
        without_weight_normalization({"a": {"kernel": jnp.ones((4, 3)), "kernel_g": jnp.ones((2,))}})


def test_what_does_not_fit_is_said() -> None:
    model, params = make("pairs")
    with pytest.raises(ValueError, match=r"HiFiGAN needs \d+ frames or more of 5 channels .* got shape \(2, 2, 5\)"):
        model.apply({"params": params}, frames(2), method="synthesize")
    with pytest.raises(ValueError, match="HiFiGAN knows no speakers"):
        model.apply({"params": params}, frames(30), None, None, jnp.zeros((2,), jnp.int32), method="synthesize")
    config = PRESETS["hifi-gan-v1"]
    with pytest.raises(ValueError, match="got rate 8 and kernel 15"):
        dataclasses.replace(config, rate_kernels=(15, 16, 4, 4))
    with pytest.raises(ValueError, match="rates and rate_kernels must be of one length"):
        dataclasses.replace(config, rates=(8, 8, 4))
    with pytest.raises(ValueError, match="kernels must be odd, with a tuple of dilations for each"):
        dataclasses.replace(config, kernels=(3, 7))
    with pytest.raises(ValueError, match="initial_channels are halved 4 times, got 24"):
        dataclasses.replace(config, initial_channels=24)
    with pytest.raises(KeyError, match="no HiFi-GAN preset is called 'x'; there are hifi-gan-v1"):
        get_preset("x")
