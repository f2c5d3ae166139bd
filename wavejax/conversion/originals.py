"""The sources' own arithmetic, written out in NumPy and float64 on their own tensors: what conversions are held to.

Slow and plain. It shares nothing with the models and the tables: neither layouts nor folding.
"""

import math
from collections.abc import Mapping

import numpy as np

from wavejax.models.hifi_gan import HiFiGANConfig
from wavejax.models.vocos import VocosConfig

Tensors = Mapping[str, np.ndarray]


def hifi_gan(tensors: Tensors, config: HiFiGANConfig, mel: np.ndarray) -> np.ndarray:
    """jik876/hifi-gan models.py, `Generator.forward`: mel [F, C] -> waveform [F * hop]."""
    x = _conv(tensors, "conv_pre", np.asarray(mel, np.float64).T, padding=3)
    for stage, (rate, taps) in enumerate(zip(config.rates, config.rate_kernels, strict=True)):
        x = _transposed_conv(tensors, f"ups.{stage}", _leaky(x, 0.1), rate, padding=(taps - rate) // 2)
        blocks = []
        for block, dilations in enumerate(config.dilations):
            name, y = f"resblocks.{stage * len(config.kernels) + block}", x
            for layer, dilation in enumerate(dilations):
                reach = (config.kernels[block] - 1) // 2
                if config.block == "pairs":
                    z = _conv(tensors, f"{name}.convs1.{layer}", _leaky(y, 0.1), reach * dilation, dilation)
                    y = y + _conv(tensors, f"{name}.convs2.{layer}", _leaky(z, 0.1), reach)
                else:
                    y = y + _conv(tensors, f"{name}.convs.{layer}", _leaky(y, 0.1), reach * dilation, dilation)
            blocks.append(y)
        x = np.mean(blocks, axis=0)
    return np.tanh(_conv(tensors, "conv_post", _leaky(x, 0.01), padding=3))[0]


def vocos(tensors: Tensors, config: VocosConfig, mel: np.ndarray) -> np.ndarray:
    """gemelo-ai/vocos, `VocosBackbone` and `ISTFTHead` with padding "center": mel [F, C] -> [(F - 1) * hop] samples."""
    x = _conv(tensors, "backbone.embed", np.asarray(mel, np.float64).T, padding=3)
    x = _layer_norm(tensors, "backbone.norm", x.T).T
    for block in range(config.num_blocks):
        name = f"backbone.convnext.{block}"
        y = _depthwise_conv(tensors, f"{name}.dwconv", x, padding=3).T
        y = _linear(tensors, f"{name}.pwconv1", _layer_norm(tensors, f"{name}.norm", y))
        y = _linear(tensors, f"{name}.pwconv2", y * 0.5 * (1 + _erf(y / math.sqrt(2))))
        x = x + (tensors[f"{name}.gamma"].astype(np.float64) * y).T
    outputs = _linear(tensors, "head.out", _layer_norm(tensors, "backbone.final_layer_norm", x.T))
    magnitude, phase = np.split(outputs, 2, axis=1)
    spectrum = np.minimum(np.exp(magnitude), 100.0) * np.exp(1j * phase)
    return _inverse_stft(spectrum, config.n_fft, config.hop_length)


def _weight(tensors: Tensors, module: str) -> np.ndarray:
    if f"{module}.weight" in tensors:
        return tensors[f"{module}.weight"].astype(np.float64)
    old = f"{module}.weight_g", f"{module}.weight_v"
    new = f"{module}.parametrizations.weight.original0", f"{module}.parametrizations.weight.original1"
    g, v = (tensors[name].astype(np.float64) for name in (old if old[0] in tensors else new))
    return np.stack([length.item() * row / np.linalg.norm(row) for length, row in zip(g, v, strict=True)])


def _bias(tensors: Tensors, module: str) -> np.ndarray:
    return tensors[f"{module}.bias"].astype(np.float64)


def _conv(tensors: Tensors, module: str, x: np.ndarray, padding: int, dilation: int = 1) -> np.ndarray:
    """[in, T] -> [out, T'], weight [out, in, taps]."""
    weight = _weight(tensors, module)
    padded = np.pad(x, ((0, 0), (padding, padding)))
    length = padded.shape[1] - dilation * (weight.shape[2] - 1)
    taps = range(weight.shape[2])
    y = sum(weight[:, :, tap] @ padded[:, tap * dilation :][:, :length] for tap in taps)
    return y + _bias(tensors, module)[:, None]


def _depthwise_conv(tensors: Tensors, module: str, x: np.ndarray, padding: int) -> np.ndarray:
    """[channels, T] -> [channels, T'], weight [channels, 1, taps]."""
    weight = _weight(tensors, module)
    padded = np.pad(x, ((0, 0), (padding, padding)))
    y = np.stack([np.correlate(row, taps[0], "valid") for row, taps in zip(padded, weight, strict=True)])
    return y + _bias(tensors, module)[:, None]


def _transposed_conv(tensors: Tensors, module: str, x: np.ndarray, rate: int, padding: int) -> np.ndarray:
    """[in, T] -> [out, T * rate + ...], weight [in, out, taps]: every input adds its taps from T * rate on."""
    weight, count = _weight(tensors, module), x.shape[1]
    y = np.zeros((weight.shape[1], (count - 1) * rate + weight.shape[2]))
    for tap in range(weight.shape[2]):
        y[:, tap : tap + (count - 1) * rate + 1 : rate] += weight[:, :, tap].T @ x
    return y[:, padding : y.shape[1] - padding] + _bias(tensors, module)[:, None]


def _linear(tensors: Tensors, module: str, x: np.ndarray) -> np.ndarray:
    return x @ _weight(tensors, module).T + _bias(tensors, module)


def _layer_norm(tensors: Tensors, module: str, x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True) + 1e-6)
    return scaled * _weight(tensors, module) + _bias(tensors, module)


def _leaky(x: np.ndarray, slope: float) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.reshape([math.erf(value) for value in x.ravel()], x.shape)


def _inverse_stft(spectrum: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """`torch.istft` with a periodic Hann window and center=True, spectrum [F, bins]."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    waveform, envelope = (np.zeros((len(spectrum) - 1) * hop + n_fft) for _ in range(2))
    for index, frame in enumerate(spectrum):
        part = slice(index * hop, index * hop + n_fft)
        waveform[part] += np.fft.irfft(frame, n_fft) * window
        envelope[part] += window**2
    inside = slice(n_fft // 2, len(waveform) - n_fft // 2)
    return waveform[inside] / envelope[inside]
