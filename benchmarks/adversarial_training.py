"""Samples per second of one update of HiFi-GAN V2 against all its discriminators, beside the same step in torch.

Both sides begin with the same weights and see the same batch: crops of 8,192 samples, least squares, feature matching,
45 times the mel loss, AdamW for both players. wavejax generates each crop with the frames around it (`synthesize`). The
peer does the same in the case "same windows", which the check compares: both losses and the norm of the generator's
gradient in the first update. In the case "as published" it sees the 32 frames of the crop alone. wavejax's step
includes gradient norm, guard and moving average. For the figures of one core pin the process to one (`taskset -c 0`).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import torch_hifi_gan
from benchmarks.environment import count_cores
from benchmarks.harness import Case, Keep, WrongResult, forget, measure, result
from benchmarks.torch_peers import import_torch
from wavejax.audio import log_mel_numpy
from wavejax.nn.discriminators import DiscriminatorsConfig, PeriodsConfig, ScaleLayer, ScalesConfig
from wavejax.parallel.compiling import run_once_options
from wavejax.tasks.families import get_preset
from wavejax.tasks.vocoder.hifi_gan import HiFiGANVocoderConfig

TOLERANCE = 1e-3
"""Relative difference of the losses and of the gradient's norm that rounding explains."""
_SMALL = DiscriminatorsConfig(
    periods=PeriodsConfig(periods=(2, 3), channels=(4, 8)),
    scales=ScalesConfig(
        num_scales=2,
        layers=(ScaleLayer(channels=8, kernel_size=15), ScaleLayer(channels=8, kernel_size=41, stride=2, groups=4)),
    ),
)


def run(
    *,
    peers: Sequence[str] = (),
    quick: bool = False,
    batches: Sequence[int] = (2,),
    repeats: int = 5,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure one update with each batch size; with any of `peers` torch takes turns."""
    config = get_preset("hifi-gan-v2")[1]
    if quick:
        model = dataclasses.replace(config.model, initial_channels=32)
        config = dataclasses.replace(config, model=model, discriminators=_SMALL)
        batches, repeats = (1,), 2
    rows: list[dict[str, Any]] = []
    for size in batches:
        ours, *theirs = measure(cases(config, size, peers=bool(peers)), repeats=repeats)
        if theirs:
            ours["details"]["times_fastest_torch"] = ours["median"] / max(each["median"] for each in theirs)
        rows += [ours, *theirs]
        keep(result("adversarial", rows))
    return result("adversarial", rows)


def cases(config: HiFiGANVocoderConfig, size: int, *, peers: bool) -> list[Case]:
    """wavejax's update of `size` crops, and torch's two."""
    family = get_preset("hifi-gan-v2")[0]
    learner, batch = family.learner(config), make_batch(config, size)
    state = jax.jit(learner.init, compiler_options=run_once_options())(jax.random.key(0))
    work, labels = size * config.data.crop_length, {"batch": size}
    params = jax.tree.map(np.asarray, state.params)
    step = jax.jit(learner.step, donate_argnums=0).lower(state, batch).compile()
    held, said = [state], list[torch_hifi_gan.Losses]()

    def update() -> None:
        held[0], metrics = step(held[0], batch)
        numbers = (metrics[name] for name in ("loss", "discriminator_loss", "gradient_norm"))
        said.append(torch_hifi_gan.Losses(*map(float, numbers)))

    def finite() -> dict[str, Any]:
        if not np.isfinite(said[0]).all():
            raise WrongResult(f"wavejax's first update said {said[0]}")
        return said[0]._asdict()

    made = [Case(labels={**labels, "case": "wavejax"}, run=update, work=work, check=finite)]
    if not peers:
        return made
    torch = import_torch()
    torch.set_num_threads(count_cores())
    before, count = config.model.lookback, config.num_frames
    mel, real = torch.tensor(batch["local_conditioning"].swapaxes(1, 2).copy()), torch.tensor(batch["waveform"])
    for name, frames, first in (
        ("torch, same windows", mel, before),
        ("torch, as published", mel[:, :, before : before + count].contiguous(), 0),
    ):
        made.append(_torch_case({**labels, "case": name}, config, params, (frames, real, first), said, work))
    return made


def _torch_case(
    labels: dict[str, Any],
    config: HiFiGANVocoderConfig,
    params: Any,
    given: tuple[Any, Any, int],
    expected: list[torch_hifi_gan.Losses],
    work: int,
) -> Case:
    game, said = torch_hifi_gan.Game(config, params), list[torch_hifi_gan.Losses]()

    def check() -> dict[str, Any]:
        apart = {
            name: abs(ours - theirs) / abs(theirs)
            for name, ours, theirs in zip(said[0]._fields, expected[0], said[0], strict=True)
        }
        # Zeros beyond a crop's ends are not what wavejax's windows see there: then only the players' order is the same.
        if given[2] and not max(apart.values()) < TOLERANCE:
            raise WrongResult(f"{labels['case']}: {said[0]}, but wavejax's first update said {expected[0]}")
        return {f"{name}_apart": value for name, value in apart.items()}

    return Case(labels=labels, run=lambda: said.append(game.play(*given)), work=work, check=check)


def make_batch(config: HiFiGANVocoderConfig, size: int) -> dict[str, np.ndarray]:
    """Crops of harmonic sound with noise, and the features of each with the frames around it."""
    rng, spec, model = np.random.default_rng(0), config.spec, config.model
    before, after = model.lookback * spec.hop_length, model.lookahead * spec.hop_length
    length = before + config.data.crop_length + after
    time = np.arange(length) / spec.sample_rate
    pitch = rng.uniform(90, 250, (size, 1))
    sound = sum(np.sin(2 * np.pi * k * pitch * time + rng.uniform(0, 6, (size, 1))) / k for k in range(1, 20))
    sound = (0.1 * sound + 0.01 * rng.normal(size=(size, length))).astype(np.float32)
    count = model.lookback + config.num_frames + model.lookahead
    frames = np.stack([log_mel_numpy(row, spec)[:count] for row in sound]).astype(np.float32)
    crop = sound[:, before : before + config.data.crop_length]
    return {
        "waveform": np.ascontiguousarray(crop),
        "local_conditioning": frames,
        "mask": np.ones(crop.shape, bool),
        "speaker": np.zeros(size, np.int32),
    }
