"""Vocos in torch, from wavejax's own parameters: the arithmetic of gemelo-ai/vocos, stated again."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from benchmarks.torch_peers import import_torch
from wavejax.models.vocos import VocosConfig

Leaves = dict[str, Any]


def leaves(params: Mapping[str, Any]) -> Leaves:
    """Tensors by name, "backbone/block_0/expand_kernel", kernels as torch lays them out."""
    torch = import_torch()
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name, array = "/".join(part.key for part in path), np.asarray(leaf, np.float32)
        if name.endswith("depthwise_kernel"):
            array = array.T[:, None]
        elif name.endswith("kernel"):
            array = array.transpose(*reversed(range(array.ndim)))
        found[name] = torch.tensor(np.ascontiguousarray(array))
    return found


def generated(config: VocosConfig, p: Leaves, mel: Any) -> Any:
    """Waveform [B, T] of features [B, C, F]."""
    torch = import_torch()
    F = torch.nn.functional

    def normed(x: Any, name: str) -> Any:
        return F.layer_norm(x, (config.channels,), p[f"{name}_scale"], p[f"{name}_bias"], eps=1e-6)

    x = F.conv1d(mel, p["backbone/embedding_kernel"], p["backbone/embedding_bias"], padding=3).transpose(1, 2)
    x = normed(x, "backbone/input_norm")
    for index in range(config.num_blocks):
        name = f"backbone/block_{index}"
        kernel, bias = p[f"{name}/depthwise_kernel"], p[f"{name}/depthwise_bias"]
        y = F.conv1d(x.transpose(1, 2), kernel, bias, padding=3, groups=config.channels).transpose(1, 2)
        y = normed(y, f"{name}/norm")
        y = F.gelu(F.linear(y, p[f"{name}/expand_kernel"], p[f"{name}/expand_bias"]))
        x = x + p[f"{name}/gamma"] * F.linear(y, p[f"{name}/contract_kernel"], p[f"{name}/contract_bias"])
    x = F.linear(normed(x, "backbone/output_norm"), p["head/kernel"], p["head/bias"]).transpose(1, 2)
    magnitude, phase = x.chunk(2, dim=1)
    spectrum = torch.clip(torch.exp(magnitude), max=1e2) * (torch.cos(phase) + 1j * torch.sin(phase))
    size, window = config.n_fft, torch.hann_window(config.n_fft)
    if config.padding == "centre":
        return torch.istft(spectrum, size, config.hop_length, size, window, center=True)
    return _folded(spectrum, window, config.hop_length)


def _folded(spectrum: Any, window: Any, hop: int) -> Any:
    """The inverse transform of padding ``same``: torch's fold adds up what overlaps."""
    torch = import_torch()
    size, count, cut = len(window), spectrum.shape[-1], (len(window) - hop) // 2
    fold = {"output_size": (1, (count - 1) * hop + size), "kernel_size": (1, size), "stride": (1, hop)}
    frames = torch.fft.irfft(spectrum, size, dim=1, norm="backward") * window[None, :, None]
    squares = window.square().expand(1, count, -1).transpose(1, 2)
    total, weight = (torch.nn.functional.fold(each, **fold)[:, 0, 0, cut:-cut] for each in (frames, squares))
    return total / weight
