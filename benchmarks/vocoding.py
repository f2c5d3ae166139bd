"""Published parallel vocoders beside the same arithmetic in torch: times real time, from features to a waveform.

HiFi-GAN V1, V2, V3 (weights folded) and Vocos with random weights of the published sizes, in float32. Both sides see
the same frames; the waveforms are compared first. torch's side states the arithmetic of jik876/hifi-gan and
gemelo-ai/vocos again, with kernels in torch's layout. For the figures of one core pin the process to one (`taskset -c
0`).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import torch_hifi_gan, torch_vocos
from benchmarks.environment import count_cores
from benchmarks.harness import Case, Keep, WrongResult, forget, measure, result
from benchmarks.torch_peers import import_torch
from wavejax.models.hifi_gan import HiFiGANConfig
from wavejax.models.vocos import VocosConfig
from wavejax.nn.parallel import initial_parallel_params
from wavejax.parallel.compiling import run_once_options
from wavejax.tasks.families import get_preset

PRESETS = ("hifi-gan-v1", "hifi-gan-v2", "hifi-gan-v3", "vocos-24k")
UNIT = "times real time"
TOLERANCE = 1e-4
"""Of full scale: what rounding explains."""


def run(
    *,
    peers: Sequence[str] = (),
    quick: bool = False,
    presets: Sequence[str] = PRESETS,
    repeats: int = 9,
    seconds: float = 1.0,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure each preset; with any of `peers` torch takes turns."""
    if quick:
        repeats, seconds = 2, 0.1
    rows: list[dict[str, Any]] = []
    for name in presets:
        config = get_preset(name)[1].model
        if quick:
            small = {"initial_channels": 32} if isinstance(config, HiFiGANConfig) else {"channels": 32, "num_blocks": 2}
            config = dataclasses.replace(config, **small)
        rate = get_preset(name)[1].spec.sample_rate
        ours, *theirs = measure(cases(name, config, seconds, rate, peers=bool(peers)), repeats=repeats)
        if theirs:
            ours["details"]["times_torch"] = ours["median"] / theirs[0]["median"]
        rows += [ours, *theirs]
        keep(result("vocoding", rows))
    return result("vocoding", rows)


def cases(name: str, config: HiFiGANConfig | VocosConfig, seconds: float, rate: int, *, peers: bool) -> list[Case]:
    """wavejax's and torch's."""
    if isinstance(config, HiFiGANConfig):
        config = config.folded
    count = max(round(seconds * rate / config.hop_length), 1)
    mel = np.random.default_rng(1).normal(-4, 2, (1, count, config.local_channels)).astype(np.float32)
    model = config.build()
    params = jax.jit(lambda: initial_parallel_params(model, jax.random.key(0)), compiler_options=run_once_options())()
    spoken = jax.jit(lambda params, frames: model.apply({"params": params}, frames))
    held = jnp.asarray(mel)
    expected = np.asarray(spoken(params, held))
    work = expected.shape[1] / rate

    def finite() -> dict[str, Any]:
        if not np.isfinite(expected).all() or expected.std() == 0:
            raise WrongResult(f"{name}: wavejax's waveform is silent or not finite")
        return {"samples": expected.shape[1]}

    def ours() -> Any:
        return jax.block_until_ready(spoken(params, held))

    labels = {"preset": name, "seconds": round(work, 2)}
    made = [Case(labels={**labels, "case": "wavejax"}, run=ours, work=work, check=finite, unit=UNIT)]
    return [*made, _torch_case(labels, config, params, mel, expected, work)] if peers else made


def _torch_case(
    labels: dict[str, Any], config: Any, params: Any, mel: np.ndarray, expected: np.ndarray, work: float
) -> Case:
    torch = import_torch()
    torch.set_num_threads(count_cores())
    source = torch_hifi_gan if isinstance(config, HiFiGANConfig) else torch_vocos
    leaves, frames = source.leaves(params), torch.tensor(mel.swapaxes(1, 2).copy())

    def theirs() -> Any:
        with torch.inference_mode():
            return source.generated(config, leaves, frames)

    def check() -> dict[str, Any]:
        apart = float(np.abs(theirs().numpy() - expected).max() / max(np.abs(expected).max(), 1e-9))
        if not apart < TOLERANCE:
            raise WrongResult(
                f"{labels['preset']}: torch's waveform is {apart:.1e} of the loudest sample from wavejax's"
            )
        return {"apart": apart}

    return Case(labels={**labels, "case": "torch"}, run=theirs, work=work, check=check, unit=UNIT)
