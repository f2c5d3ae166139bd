"""Peers of generation with the same weights: see `benchmarks.generation`."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import torch_peers
from benchmarks.cases import MOST_CHECKED, checked_streams, sized_case
from benchmarks.environment import count_cores
from benchmarks.harness import Case
from benchmarks.models import SEED, check_draws, frames_for
from benchmarks.naive_scan import naive_generator
from wavejax.models.wavenet import WaveNet


def peer_cases(
    preset: str, model: WaveNet, params: Any, batch: int, peers: Sequence[str], *, seconds: float
) -> list[Case]:
    """Those of the peers "naive", "compiled" and "vocoder" that can run this model."""
    labels = {"preset": preset, "batch": batch, "dtype": "float32"}
    cases = [_naive_case(labels, model, params, seconds)] if "naive" in peers else []
    if "compiled" in peers and model.config.frame_network is None and model.coding.is_discrete:
        torch = torch_peers.import_torch()
        step = torch_peers.compiled_generation(model, params, batch_size=batch, seed=SEED)
        threads = _fastest_threads(torch, step, 64)
        name = {**labels, "implementation": "torch.compile step"}
        cases.append(
            sized_case(
                name, _threaded(torch, step, threads), model, params, seconds=seconds, at_most=20_000, threads=threads
            )
        )
    expressible = model.config.distribution.output_size == model.coding.num_classes or not model.coding.is_discrete
    if "vocoder" in peers and expressible:
        cases.append(_vocoder_case(labels, model, params, seconds))
    return cases


def _naive_case(labels: dict[str, Any], model: WaveNet, params: Any, seconds: float, longest: int = 40_000) -> Case:
    frames = frames_for(model, labels["batch"], longest)
    naive = naive_generator(model, params, batch_size=labels["batch"], seed=SEED, frames=frames)
    name = {**labels, "implementation": "naive JAX scan"}
    case = sized_case(name, naive, model, params, seconds=seconds, at_most=longest)
    if frames is None:
        return case
    outputs = naive(MOST_CHECKED)

    def check() -> dict[str, Any]:
        heard = checked_streams(labels["batch"])
        return check_draws(model, params, outputs[heard], frames[heard], what=str(name), streams=heard)

    return Case(labels=name, run=case.run, work=case.work, check=check)


def _vocoder_case(labels: dict[str, Any], model: WaveNet, params: Any, seconds: float) -> Case:
    """`wavenet_vocoder`; its check is of its outputs, for its draws come from another generator."""
    torch = torch_peers.import_torch()
    batch, longest = labels["batch"], 4000
    conditioning, channels = None, -1
    frames = frames_for(model, batch, longest)
    if frames is not None:
        conditioning = torch.tensor(upsampled(model, params, frames).swapaxes(1, 2).copy())
        channels = conditioning.shape[1]
    network = torch_peers.make_vocoder(model, params, weight_norm=False, conditioning_channels=channels).eval()
    generate_some = torch_peers.vocoder_generation(network, model.config, batch, conditioning)
    threads = _fastest_threads(torch, generate_some, 16)
    timed = _threaded(torch, generate_some, threads)
    start = time.perf_counter()
    timed(32)
    num_samples = int(np.clip(32 * seconds / (time.perf_counter() - start), 32, longest))
    rng = np.random.default_rng(3)
    values: np.ndarray = rng.uniform(-0.5, 0.5, (1, 200)).astype(np.float32)
    if model.coding.is_discrete:
        values = rng.integers(0, model.coding.num_classes, (1, 200)).astype(np.int32)

    def check() -> dict[str, Any]:
        first = None if conditioning is None else conditioning[:1]
        return torch_peers.check_vocoder(network, model, params, values, None if frames is None else frames[:1], first)

    return Case(
        labels={**labels, "implementation": "wavenet_vocoder 0.1.1"},
        run=lambda: timed(num_samples),
        work=batch * num_samples,
        check=check,
        details={"threads": threads},
    )


def upsampled(model: WaveNet, params: Any, frames: np.ndarray) -> np.ndarray:
    """What the layers' conditioning maps read, at the sample rate from sample 0 on: [B, T, C]."""
    before = np.repeat(frames[:, :1], model.lookback, axis=1)
    after = np.repeat(frames[:, -1:], model.lookahead, axis=1)
    length = frames.shape[1] * (model.hop_length or 0)

    def read(module: WaveNet, frames: jax.Array) -> Any:
        local: Any = module._conditioning(frames, 0, length, None)
        upsampler: Any = module.config.upsampler
        return upsampler.spread(local, 0, length) if upsampler.at_frame_rate else local

    padded = jnp.asarray(np.concatenate([before, frames, after], axis=1))
    return np.asarray(jax.jit(lambda params: model.apply({"params": params}, padded, method=read))(params))


def _threaded(torch: Any, generate_some: Callable[[int], Any], threads: int) -> Callable[[int], Any]:
    def timed(num_samples: int) -> Any:
        torch.set_num_threads(threads)
        return generate_some(num_samples)

    return timed


def _fastest_threads(torch: Any, generate_some: Callable[[int], Any], num_samples: int) -> int:
    """One thread or all, whichever is faster for this peer."""
    counts = sorted({1, count_cores()})
    trials: dict[int, list[float]] = {count: [] for count in counts}
    for turn in range(4):
        for count in counts:
            torch.set_num_threads(count)
            start = time.perf_counter()
            generate_some(num_samples)
            if turn:  # the first may compile
                trials[count].append(time.perf_counter() - start)
    return min(counts, key=lambda count: statistics.median(trials[count]))
