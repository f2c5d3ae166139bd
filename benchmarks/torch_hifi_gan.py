"""HiFi-GAN's training step in torch, from wavejax's own parameters: the arithmetic of jik876/hifi-gan, stated again.

Kernels are leaf tensors in torch's layout, with their lengths beside them, and each forward normalises them
(`torch._weight_norm`), as the modules of the source do.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.torch_peers import import_torch
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.experiments.parallel.config import ParallelConfig
from wavejax.models.hifi_gan import HiFiGANConfig
from wavejax.nn.discriminators import PeriodsConfig, ScalesConfig

POWER_ITERATIONS = 4
"""Of the first scale's spectral norm, as wavejax has it; the source keeps the vector and iterates once a step."""

Leaves = dict[str, Any]


class Losses(NamedTuple):
    """What the players were told in a step, and the norm of the generator's gradient."""

    generator: float
    discriminator: float
    gradient_norm: float


def leaves(params: Mapping[str, Any]) -> Leaves:
    """Tensors by name, "period_2/layer_0_kernel", kernels as torch lays them out; all but power vectors learn."""
    torch = import_torch()
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = "/".join(part.key for part in path)
        array = np.asarray(leaf, np.float32)
        if name.endswith("_kernel"):
            array = array.transpose(2, 1, 0)  # [taps, in, out] or, transposed, [taps, out, in]
        elif name.endswith("_kernel_g"):
            array = array[:, None, None]
        tensor = torch.tensor(np.ascontiguousarray(array))
        found[name] = tensor if name.endswith("_u") else tensor.requires_grad_()
    return found


def _kernel(p: Leaves, name: str) -> Any:
    torch = import_torch()
    if f"{name}_u" in p:
        return _spectrally_normalised(p[f"{name}_kernel"], p[f"{name}_u"])
    if f"{name}_kernel_g" not in p:  # folded
        return p[f"{name}_kernel"]
    return torch._weight_norm(p[f"{name}_kernel"], p[f"{name}_kernel_g"], 0)


def _spectrally_normalised(kernel: Any, u: Any) -> Any:
    flat, fixed = kernel.flatten(1), kernel.detach().flatten(1)
    for _ in range(POWER_ITERATIONS):
        v = fixed.T @ u
        v = v / v.norm().clamp(min=1e-12)
        u = fixed @ v
        u = u / u.norm().clamp(min=1e-12)
    return kernel / (u @ (flat @ v))


def generated(config: HiFiGANConfig, p: Leaves, mel: Any) -> Any:
    """Waveform [B, F * hop] of features [B, C, F]."""
    F = import_torch().nn.functional

    def convolved(x: Any, name: str, size: int, dilation: int = 1) -> Any:
        reach = (size - 1) * dilation // 2
        return F.conv1d(x, _kernel(p, name), p[f"{name}_bias"], padding=reach, dilation=dilation)

    x = convolved(mel, "input", 7)
    for stage, (rate, size) in enumerate(zip(config.rates, config.rate_kernels, strict=True)):
        name = f"stage_{stage}"
        x = F.leaky_relu(x, 0.1)
        x = F.conv_transpose1d(
            x, _kernel(p, f"{name}_up"), p[f"{name}_up_bias"], stride=rate, padding=(size - rate) // 2
        )
        total = None
        for block, (taps, dilations) in enumerate(zip(config.kernels, config.dilations, strict=True)):
            y = x
            for layer, dilation in enumerate(dilations):
                inner = convolved(F.leaky_relu(y, 0.1), f"{name}_block_{block}_dilated_{layer}", taps, dilation)
                if config.block == "pairs":
                    inner = convolved(F.leaky_relu(inner, 0.1), f"{name}_block_{block}_plain_{layer}", taps)
                y = inner + y
            total = y if total is None else total + y
        x = total / len(config.kernels)
    return import_torch().tanh(convolved(F.leaky_relu(x), "output", 7))[:, 0]


def feature_maps(periods: PeriodsConfig, scales: ScalesConfig, p: Leaves, waveform: Any) -> list[list[Any]]:
    """Of each discriminator its layers' outputs, the logits last."""
    F = import_torch().nn.functional
    said = []
    for period in periods.periods:
        x, maps = F.pad(waveform[:, None], (0, -waveform.shape[1] % period), "reflect"), []
        x = x.view(x.shape[0], 1, -1, period)
        for layer in range(len(periods.channels)):
            name = f"period_{period}/layer_{layer}"
            stride = periods.stride if layer < len(periods.channels) - 1 else 1
            reach = (periods.kernel_size // 2, 0)
            x = F.leaky_relu(F.conv2d(x, _kernel(p, name)[..., None], p[f"{name}_bias"], (stride, 1), reach), 0.1)
            maps.append(x)
        name = f"period_{period}/output"
        maps.append(F.conv2d(x, _kernel(p, name)[..., None], p[f"{name}_bias"], 1, (1, 0)))
        said.append(maps)
    pooled = waveform[:, None]
    for scale in range(scales.num_scales):
        x, maps = pooled, []
        for index, layer in enumerate(scales.layers):
            name, reach = f"scale_{scale}/layer_{index}", layer.kernel_size // 2
            x = F.conv1d(x, _kernel(p, name), p[f"{name}_bias"], layer.stride, reach, groups=layer.groups)
            x = F.leaky_relu(x, 0.1)
            maps.append(x)
        name = f"scale_{scale}/output"
        maps.append(F.conv1d(x, _kernel(p, name), p[f"{name}_bias"], padding=1))
        said.append(maps)
        pooled = F.avg_pool1d(pooled, 4, 2, padding=2)
    return said


def log_mel(waveform: Any, spec: FeatureSpec) -> Any:
    """Log-mel features [B, F, n_mels] of waveforms [B, T]."""
    torch = import_torch()
    right = spec.pad_right(waveform.shape[1])
    padded = torch.nn.functional.pad(waveform[:, None], (spec.pad_left, right), "reflect")[:, 0]
    window = torch.tensor(np.asarray(spec.frame_window, np.float32))
    spectrum = torch.stft(padded, spec.n_fft, spec.hop_length, window=window, center=False, return_complex=True)
    magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + spec.magnitude_epsilon)
    mel = magnitude.transpose(1, 2) @ torch.tensor(np.asarray(spec.filterbank, np.float32))
    return torch.log(mel.clamp(min=spec.floor))


class Game:
    """Both players and their optimisers; `play` is one step of the source's training loop."""

    def __init__(self, config: ParallelConfig, params: Mapping[str, Any]) -> None:
        torch = import_torch()
        judges = config.discriminators
        if judges is None or judges.periods is None or judges.scales is None or judges.spectrograms is not None:
            raise ValueError("the source's game has discriminators by periods and by scales, and no others")
        self.config, self.periods, self.scales = config, judges.periods, judges.scales
        self.mine, self.theirs = leaves(params["generator"]), leaves(params["discriminator"])
        self.optimisers = [
            torch.optim.AdamW(
                [leaf for leaf in each.values() if leaf.requires_grad],
                lr=settings.learning_rate,
                betas=settings.betas,
                eps=settings.epsilon,
                weight_decay=settings.weight_decay,
            )
            for each, settings in (
                (self.mine, config.optimizer),
                (self.theirs, config.discriminator_optimizer),
            )
        ]

    def play(self, mel: Any, real: Any, first: int) -> Losses:
        """A step on features [B, C, frames] and recordings [B, T], whose first sample is that of frame `first`."""
        torch = import_torch()
        weights, spec = self.config.losses, self.config.spec
        begin = first * spec.hop_length
        fake = generated(self.config.model, self.mine, mel)[:, begin : begin + real.shape[1]]
        optimiser, their_optimiser = self.optimisers
        their_optimiser.zero_grad(set_to_none=True)
        of_real, of_fake = (
            feature_maps(self.periods, self.scales, self.theirs, sound) for sound in (real, fake.detach())
        )
        discriminator = sum(((1 - maps[-1]) ** 2).mean() for maps in of_real)
        discriminator = discriminator + sum((maps[-1] ** 2).mean() for maps in of_fake)
        discriminator.backward()
        their_optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        generator = weights.mel * (log_mel(fake, spec) - log_mel(real, spec)).abs().mean()
        of_real, of_fake = (feature_maps(self.periods, self.scales, self.theirs, sound) for sound in (real, fake))
        pairs = [pair for ours, theirs in zip(of_fake, of_real, strict=True) for pair in zip(ours, theirs, strict=True)]
        matching = sum((theirs.detach() - ours).abs().mean() for ours, theirs in pairs)
        generator = generator + weights.feature_matching * matching
        generator = generator + weights.adversarial * sum(((1 - maps[-1]) ** 2).mean() for maps in of_fake)
        generator.backward()
        with torch.no_grad():
            norm = sum(leaf.grad.square().sum() for leaf in self.mine.values()).sqrt()
        optimiser.step()
        return Losses(*(float(value.detach()) for value in (generator, discriminator, norm)))
