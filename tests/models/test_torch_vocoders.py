"""HiFi-GAN, Vocos and their discriminators beside the same arithmetic in torch, with random weights (extra `peers`).

The public code's arithmetic (jik876/hifi-gan, gemelo-ai/vocos) is stated again with torch's functions (`benchmarks`
measures it, too), which decide what its padding, its transposed convolution and its inverse transform are.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import torch_hifi_gan, torch_vocos
from tests.tiny.models import cheap_jit
from wavejax.models.hifi_gan import HiFiGANConfig, get_preset
from wavejax.models.vocos import VocosConfig
from wavejax.nn.discriminators import DiscriminatorsConfig, PeriodsConfig, ScaleLayer, ScalesConfig
from wavejax.nn.folding import without_weight_normalization
from wavejax.nn.parallel import initial_parallel_params

torch = pytest.importorskip("torch")

SMALL_V3 = HiFiGANConfig(
    local_channels=80,
    initial_channels=32,
    rates=(8, 8, 4),
    rate_kernels=(16, 16, 8),
    block="single",
    kernels=(3, 5, 7),
    dilations=((1, 2), (2, 6), (3, 12)),
)


def drawn(shapes: Any, scale: float = 1.0) -> Any:
    """Kernels of unit gain, everything else near 0, lengths near 1."""
    rng = np.random.default_rng(0)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name, fan_in = path[-1].key, max(int(np.prod(leaf.shape[:-1])), 1)
        if name.endswith(("_g", "scale", "gamma")):
            return jnp.asarray(rng.uniform(0.5, 1.5, leaf.shape), jnp.float32)
        deviation = 0.1 if len(leaf.shape) == 1 else scale / np.sqrt(fan_in)
        return jnp.asarray(rng.normal(0, deviation, leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def tensor(x: Any) -> Any:
    return torch.tensor(np.asarray(x))


def kernel_1d(params: dict, name: str) -> Any:
    """[taps, in, out] -> torch's [out, in, taps]; of a transposed convolution [taps, out, in] -> [in, out, taps]."""
    direction = tensor(params[f"{name}_kernel"]).permute(2, 1, 0)
    if f"{name}_kernel_g" not in params:
        return direction
    return torch._weight_norm(direction.contiguous(), tensor(params[f"{name}_kernel_g"])[:, None, None], 0)


def hifi_gan(config: HiFiGANConfig, params: dict, mel: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        made = torch_hifi_gan.generated(config, torch_hifi_gan.leaves(params), tensor(mel).transpose(1, 2))
    return made.numpy()


@pytest.mark.parametrize("form", ["weight norm", "folded"])
@pytest.mark.parametrize("config", [get_preset("hifi-gan-v2"), SMALL_V3], ids=["V2", "small V3"])
def test_the_generator_is_torchs(config: HiFiGANConfig, form: str) -> None:
    if form == "folded":
        config = config.folded
    model = config.build(precision="highest")
    params = drawn(jax.eval_shape(lambda: initial_parallel_params(model, jax.random.key(0))), 0.7)
    mel = np.random.default_rng(1).normal(-4, 2, (1, 12, 80)).astype(np.float32)
    expected = hifi_gan(config, params, mel)
    assert 0.01 < expected.std() < 0.95
    np.testing.assert_allclose(cheap_jit(model.apply)({"params": params}, mel), expected, atol=1e-4)
    if form == "weight norm":
        folded = without_weight_normalization(params)
        np.testing.assert_allclose(hifi_gan(config, folded, mel), expected, atol=1e-5)


@pytest.mark.parametrize("padding", ["centre", "same"])
def test_vocos_is_torchs(padding: str) -> None:
    config = VocosConfig(channels=64, hidden_channels=96, num_blocks=3, padding=padding)
    model = config.build(precision="highest")
    params = drawn(jax.eval_shape(lambda: initial_parallel_params(model, jax.random.key(0))))
    mel = np.random.default_rng(1).normal(-2, 2, (2, 20, 100)).astype(np.float32)
    with torch.no_grad():
        expected = torch_vocos.generated(config, torch_vocos.leaves(params), tensor(mel).transpose(1, 2))
    made = cheap_jit(model.apply)({"params": params}, mel)
    assert made.shape == expected.shape
    np.testing.assert_allclose(made, expected.numpy(), atol=1e-4)


def test_discriminators_are_torchs() -> None:
    F = torch.nn.functional
    layers = (ScaleLayer(channels=8, kernel_size=15), ScaleLayer(channels=16, kernel_size=41, stride=4, groups=4))
    config = DiscriminatorsConfig(
        periods=PeriodsConfig(periods=(5,), channels=(4, 8, 8)),
        scales=ScalesConfig(num_scales=2, layers=layers, spectral_first=False),
    )
    model = config.build(precision="highest")
    waveform = jnp.asarray(np.random.default_rng(1).normal(0, 0.3, (2, 1003)), jnp.float32)
    params = drawn(jax.eval_shape(lambda: model.init(jax.random.key(0), waveform))["params"])
    opinions = cheap_jit(model.apply)({"params": params}, waveform)
    with torch.no_grad():
        p = params["period_5"]
        x = F.pad(tensor(waveform)[:, None], (0, 2), "reflect").view(2, 1, 201, 5)
        for layer, stride in enumerate((3, 3, 1)):
            weight, bias = kernel_1d(p, f"layer_{layer}")[..., None], tensor(p[f"layer_{layer}_bias"])
            x = F.leaky_relu(F.conv2d(x, weight, bias, (stride, 1), padding=(2, 0)), 0.1)
        x = F.conv2d(x, kernel_1d(p, "output")[..., None], tensor(p["output_bias"]), 1, padding=(1, 0))
        np.testing.assert_allclose(opinions.logits[0][..., 0], x[:, 0].transpose(1, 2).numpy(), atol=1e-4)
        pooled = tensor(waveform)[:, None]
        for scale in range(2):
            p, x = params[f"scale_{scale}"], pooled
            for index, layer in enumerate(layers):
                weight, bias = kernel_1d(p, f"layer_{index}"), tensor(p[f"layer_{index}_bias"])
                padding = layer.kernel_size // 2
                x = F.leaky_relu(F.conv1d(x, weight, bias, layer.stride, padding, groups=layer.groups), 0.1)
            x = F.conv1d(x, kernel_1d(p, "output"), tensor(p["output_bias"]), padding=1)
            np.testing.assert_allclose(opinions.logits[1 + scale][..., 0], x[:, 0].numpy(), atol=1e-4)
            pooled = F.avg_pool1d(pooled, 4, 2, padding=2)
