"""Samples per second of generation, by backend, type of weights and batch, beside peers with the same weights.

Every float32 case draws from the same noise and is held, draw by draw, against the parallel form of its own history;
bfloat16 and int8 within `models.EDGE`. Peers (`--peers`): a naive JAX scan, one compiled torch step with a ring buffer,
and PyPI `wavenet_vocoder` 0.1.1 with its weight norm removed (its best), each torch peer with the faster of one thread
and all. `wavenet_vocoder` gets conditioning already at the sample rate, and in a batch of a class model it draws
nothing (it cannot). `nv-wavenet-20` has no conditioning; the others read 80 mel bands.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import torch_peers
from benchmarks.environment import count_cores
from benchmarks.harness import Case, WrongResult, measure, result
from benchmarks.models import SEED, check_draws, frames_for, macs_read, make_model
from benchmarks.naive_scan import naive_generator
from benchmarks.roofline import Roofline, measure_roofline
from wavejax.extras import MissingExtra
from wavejax.generation import generate
from wavejax.generation.backends import BackendName, open_backend
from wavejax.models.wavenet import WaveNet

PRESETS = ("nv-wavenet-20", "speech-16k", "r9y9-mol")
BATCHES = (1, 4, 16, 64)
DTYPES = ("float32", "bfloat16", "int8")
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
CHECKED = 2048
"""Samples of each stream that the check reads, at most."""


def available_backends(model: Any, params: Any, batch_size: int = 1) -> list[tuple[BackendName, str]]:
    """(backend, dtype) for everything that `wavejax.generation` offers for this model here."""
    found = []
    for name in get_args(BackendName):
        for dtype in DTYPES if name != "auto" else ():
            try:
                open_backend(name, model, params, dtype=None if dtype == "float32" else dtype, batch_size=batch_size)
            except (ValueError, TypeError, MissingExtra):
                continue
            found.append((name, dtype))
    return found


def run(
    *,
    peers: Sequence[str] = (),
    quick: bool = False,
    presets: Sequence[str] = PRESETS,
    batches: Sequence[int] = BATCHES,
    backends: Sequence[str] = (),
    repeats: int = 5,
    seconds: float = 1.0,
) -> dict[str, Any]:
    """Measure; a run of each case lasts about `seconds`."""
    if quick:
        batches, repeats, seconds = tuple(batches)[:2], 2, 0.2
    rows, notes = [], []
    for preset in presets:
        model, params = make_model(preset)
        weights = macs_read(model.config)
        sizes = [weights * size for size in BYTES.values()]
        limits, one_core = measure_roofline(sizes)
        notes.append(
            f"{preset}: {model.config.macs_per_sample:,} MAC and {weights:,} weights a sample; matrix peak "
            f"{limits.gflops:.0f} GFLOP/s ({one_core.gflops:.0f} on one core), weights of "
            + ", ".join(f"{size / 1e6:.2g} MB read at {limits.bandwidth[size]:.0f} GB/s" for size in sizes)
            + f" ({', '.join(f'{one_core.bandwidth[size]:.0f}' for size in sizes)} by one core)"
        )
        for batch in batches:
            cases = generation_cases(preset, model, params, batch, backends, seconds=seconds)
            if peers:
                cases += peer_cases(preset, model, params, batch, peers, seconds=seconds)
            for each in measure(cases, repeats=repeats):
                rows.append(_with_roofline(each, model, limits, one_core))
    return result("generation", rows, notes)


def _with_roofline(row: dict[str, Any], model: WaveNet, limits: Roofline, one_core: Roofline) -> dict[str, Any]:
    labels = row["labels"]
    need = {
        "weight_bytes": macs_read(model.config) * BYTES[labels["dtype"]],
        "flops": 2.0 * model.config.macs_per_sample,
        "batch": labels["batch"],
    }
    bound, binds = limits.bound(**need)
    alone, _ = one_core.bound(**need)
    row["details"] |= {
        "roofline_share": row["median"] / bound,
        "one_core_share": row["median"] / alone,
        "bound_by": binds,
    }
    return row


def generation_cases(
    preset: str,
    model: WaveNet,
    params: Any,
    batch: int,
    backends: Sequence[str] = (),
    *,
    seconds: float,
    generator: Callable[..., Any] = generate,
) -> list[Case]:
    """One case per dtype of each of the `backends` (default all)."""
    return [
        _case(
            {"preset": preset, "batch": batch, "implementation": f"wavejax {backend}", "dtype": dtype},
            _wavejax(model, params, batch, backend, dtype, generator),
            model,
            params,
            seconds=seconds,
        )
        for backend, dtype in available_backends(model, params, batch)
        if not backends or backend in backends
    ]


def _wavejax(
    model: WaveNet, params: Any, batch: int, backend: str, dtype: str, generator: Callable[..., Any]
) -> Callable[[int], np.ndarray]:
    def generate_some(num_samples: int) -> np.ndarray:
        waveform: np.ndarray = generator(
            model,
            params,
            num_samples=num_samples,
            batch_size=batch,
            seed=SEED,
            local_conditioning=frames_for(model, batch, num_samples),
            dtype=None if dtype == "float32" else dtype,
            backend=backend,
        )
        return waveform

    return generate_some


def _case(
    labels: dict[str, Any],
    generate_some: Callable[[int], Any],
    model: WaveNet,
    params: Any,
    *,
    seconds: float,
    at_most: int = 200_000,
    **details: Any,
) -> Case:
    """A case of as many samples as take about `seconds`, in whole blocks; checked on its own samples."""
    batch = labels["batch"]
    generate_some(64)
    trial, speed = 256, 0.0
    while not speed:
        start = time.perf_counter()
        generate_some(trial)
        elapsed = time.perf_counter() - start
        if elapsed > seconds / 4 or trial >= at_most:
            speed = trial / elapsed
        trial *= 4
    num_samples = int(np.clip(round(speed * seconds / 1024) * 1024, 256, at_most))
    outputs: list[np.ndarray] = []

    def run_once() -> None:
        outputs[:] = [generate_some(num_samples)]

    def check() -> dict[str, Any]:
        heard = outputs[0][:, :CHECKED][: max(1, 16_384 // CHECKED)]
        # Streams do not depend on the batch, so the first ones are held against their own frames and noise.
        frames = frames_for(model, batch, num_samples)
        frames = None if frames is None else frames[: len(heard)]
        return check_draws(model, params, heard, frames, dtype=labels["dtype"], what=str(labels))

    return Case(labels=labels, run=run_once, work=batch * num_samples, check=check, details=details)


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
            _case(
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
    case = _case(name, naive, model, params, seconds=seconds, at_most=longest)
    if frames is None:
        return case
    outputs = naive(CHECKED)

    def check() -> dict[str, Any]:
        heard = outputs[: max(1, 16_384 // CHECKED)]
        return check_draws(model, params, heard, frames[: len(heard)], what=str(name))

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


__all__ = ["WrongResult", "available_backends", "run"]
