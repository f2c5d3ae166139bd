"""Beside PyTorch itself, where it is installed (extra `peers`): its files, and its layers' arithmetic."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.conversion import convert, read_weights
from wavejax.models.hifi_gan import PRESETS, HiFiGANConfig

torch = pytest.importorskip("torch")


def seeded(modules: Any) -> Any:
    """Parameters that make a sound, not PyTorch's initial ones."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in modules.parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if parameter.shape[1:] == (1, 1):  # the lengths of weight normalisation
                drawn = 1 + 0.2 * drawn
            elif parameter.ndim > 1:
                drawn = drawn * (parameter.shape[0] / parameter.numel()) ** 0.5
            parameter.copy_(drawn if parameter.ndim > 1 else 0.2 * drawn)
    return modules


def hifi_gan(config: HiFiGANConfig, norm: Any) -> Any:
    """The layers of a generator under the names of jik876/hifi-gan."""
    conv = torch.nn.Conv1d
    modules = torch.nn.ModuleDict({"conv_pre": norm(conv(80, config.initial_channels, 7, padding=3))})
    ups, blocks, width = [], [], config.initial_channels
    for rate, taps in zip(config.rates, config.rate_kernels, strict=True):
        ups.append(norm(torch.nn.ConvTranspose1d(width, width // 2, taps, rate, padding=(taps - rate) // 2)))
        width //= 2
        for size, dilations in zip(config.kernels, config.dilations, strict=True):
            block = {}
            for kind in ("convs1", "convs2") if config.block == "pairs" else ("convs",):
                layers = []
                for dilation in (1 for _ in dilations) if kind == "convs2" else dilations:
                    reach = (size - 1) // 2 * dilation
                    layers.append(norm(conv(width, width, size, dilation=dilation, padding=reach)))
                block[kind] = torch.nn.ModuleList(layers)
            blocks.append(torch.nn.ModuleDict(block))
    modules["ups"], modules["resblocks"] = torch.nn.ModuleList(ups), torch.nn.ModuleList(blocks)
    modules["conv_post"] = norm(conv(width, 1, 7, padding=3))
    return seeded(modules)


def run_hifi_gan(modules: Any, config: HiFiGANConfig, mel: np.ndarray) -> np.ndarray:
    leaky = torch.nn.functional.leaky_relu
    x = modules["conv_pre"](torch.tensor(mel.T, dtype=torch.float32)[None])
    for stage, up in enumerate(modules["ups"]):
        x = up(leaky(x, 0.1))
        total = 0.0
        for block in list(modules["resblocks"])[stage * len(config.kernels) :][: len(config.kernels)]:
            y = x
            for layer in range(len(config.dilations[0])):
                if config.block == "pairs":
                    y = y + block["convs2"][layer](leaky(block["convs1"][layer](leaky(y, 0.1)), 0.1))
                else:
                    y = y + block["convs"][layer](leaky(y, 0.1))
            total = total + y
        x = total / len(config.kernels)
    return torch.tanh(modules["conv_post"](leaky(x))).detach().numpy()[0, 0]


def norms() -> dict[str, Any]:
    old = getattr(torch.nn.utils, "weight_norm", None)
    found = {"parametrizations": torch.nn.utils.parametrizations.weight_norm, "folded": lambda layer: layer}
    return found if old is None else {"weight_norm": old, **found}


@pytest.mark.filterwarnings("ignore")  # PyTorch's own, of its older weight_norm
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["hifi-gan-v1", "hifi-gan-v3"])
@pytest.mark.parametrize("form", ["weight_norm", "parametrizations", "folded"])
def test_a_generator_sounds_as_in_pytorch(form: str, name: str, legacy: bool, tmp_path: Path) -> None:
    if form not in norms():
        pytest.skip(f"this PyTorch has no {form}")
    config = dataclasses.replace(PRESETS[name], initial_channels=32)
    modules = hifi_gan(config, norms()[form])
    path = tmp_path / "g_00000001"
    torch.save({"generator": modules.state_dict()}, path, _use_new_zipfile_serialization=not legacy)
    converted = convert(path)
    assert converted.report.format == ("torch (older form)" if legacy else "torch")
    mel = np.random.default_rng(0).normal(-4, 2, (9, 80)).astype(np.float32)
    model = converted.model_config.build(precision="highest")
    given = np.asarray(jax.jit(model.apply)({"params": converted.params}, jnp.asarray(mel)[None]))[0]
    wanted = run_hifi_gan(modules, config, mel)
    assert np.std(wanted) > 1e-3
    np.testing.assert_allclose(given, wanted, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_checkpoint_of_pytorch_is_read(legacy: bool, tmp_path: Path) -> None:
    """Views, types, an optimizer's state and options of a script, as PyTorch writes them."""
    layers = seeded(torch.nn.ModuleDict({"lstm": torch.nn.LSTM(3, 5), "short": torch.nn.Conv1d(2, 3, 3).half()}))
    state = layers.state_dict()
    state |= {"t": torch.arange(12.0).reshape(3, 4).T, "b": torch.tensor([True, False])}
    state["brain"] = torch.randn(4).to(torch.bfloat16)
    optimizer = torch.optim.AdamW(layers["lstm"].parameters(), 1e-3)
    layers["lstm"](torch.ones(2, 1, 3))[0].sum().backward()
    optimizer.step()
    content = {
        "state_dict": state,
        "optimizer": optimizer.state_dict(),
        "hparams": argparse.Namespace(rate=1),
        "best": np.float64(2.5),
        "epoch": 3,
    }
    path = tmp_path / "last.ckpt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    found = read_weights(path)
    assert list(found) == list(state)
    for name, tensor in state.items():
        wanted = tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
        np.testing.assert_array_equal(found[name].astype(wanted.dtype), wanted, err_msg=name)
