"""Beside PyTorch itself, where it is installed (extra `peers`): its files, and its layers' arithmetic."""

import argparse
import dataclasses
import functools
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


def vocos(channels: int, hidden: int, blocks: int) -> Any:
    """The layers of charactr/vocos-mel-24khz under their names, and its constants."""
    norm = functools.partial(torch.nn.LayerNorm, eps=1e-6)
    layers = []
    for _ in range(blocks):
        block = torch.nn.Module()
        block.dwconv = torch.nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        block.norm, block.gamma = norm(channels), torch.nn.Parameter(torch.ones(channels))
        block.pwconv1, block.pwconv2 = torch.nn.Linear(channels, hidden), torch.nn.Linear(hidden, channels)
        layers.append(block)
    model = torch.nn.Module()
    model.backbone, model.head = torch.nn.Module(), torch.nn.Module()
    model.backbone.embed = torch.nn.Conv1d(100, channels, 7, padding=3)
    model.backbone.norm, model.backbone.final_layer_norm = norm(channels), norm(channels)
    model.backbone.convnext = torch.nn.ModuleList(layers)
    model.head.out, model.head.istft = torch.nn.Linear(channels, 1026), torch.nn.Module()
    model.head.istft.register_buffer("window", torch.hann_window(1024))
    return seeded(model)


def run_vocos(model: Any, mel: np.ndarray) -> np.ndarray:
    backbone = model.backbone
    x = backbone.norm(backbone.embed(torch.tensor(mel.T)[None]).transpose(1, 2))
    for block in backbone.convnext:
        y = block.norm(block.dwconv(x.transpose(1, 2)).transpose(1, 2))
        x = x + block.gamma * block.pwconv2(torch.nn.functional.gelu(block.pwconv1(y)))
    magnitude, phase = model.head.out(backbone.final_layer_norm(x)).transpose(1, 2).chunk(2, dim=1)
    spectrum = torch.polar(torch.exp(magnitude).clip(max=1e2), phase)
    waveform = torch.istft(spectrum, 1024, 256, 1024, model.head.istft.window, center=True)
    return waveform.detach().numpy()[0]


def test_vocos_sounds_as_in_pytorch(tmp_path: Path) -> None:
    model = vocos(channels=24, hidden=40, blocks=3)
    path = tmp_path / "pytorch_model.bin"
    torch.save(model.state_dict(), path)
    converted = convert(path)
    mel = np.random.default_rng(0).normal(-4, 2, (8, 100)).astype(np.float32)
    built = converted.model_config.build(precision="highest")
    given = np.asarray(jax.jit(built.apply)({"params": converted.params}, jnp.asarray(mel)[None]))[0]
    wanted = run_vocos(model, mel)
    assert np.std(wanted) > 1e-2
    np.testing.assert_allclose(given, wanted, atol=1e-4 * max(1.0, float(np.max(np.abs(wanted)))))


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
