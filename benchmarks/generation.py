"""Samples per second of generation, by backend, type of weights and batch, beside peers with the same weights.

Every float32 case draws from the same noise and is held, draw by draw, against the parallel form of its own history;
narrower types within `models.EDGE`. Peers (`--peers`): a naive JAX scan, one compiled torch step with a ring buffer,
and PyPI `wavenet_vocoder` 0.1.1 with its weight norm removed (its best), each torch peer with the faster of one thread
and all. `wavenet_vocoder` gets conditioning already at the sample rate, and in a batch of a class model it draws
nothing (it cannot). A preset's name followed by `-unconditional` is the same network without conditioning, as most
projects time it; the others read 80 mel bands.

On a GPU "float32" multiplies in full float32 and "tensorfloat32" as the matrix units do by default.
"""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import jax
import numpy as np

from benchmarks.cases import sized_case
from benchmarks.environment import count_cores
from benchmarks.harness import Case, Keep, WrongResult, forget, measure, result
from benchmarks.models import SEED, frames_for, macs_computed, macs_read, make_model
from benchmarks.roofline import Roofline, measure_roofline
from wavejax.extras import MissingExtra
from wavejax.generation import generate
from wavejax.generation.backends import BackendName, open_backend
from wavejax.models.wavenet import WaveNet

PRESETS = ("nv-wavenet-20-unconditional", "speech-16k", "r9y9-mol")
BATCHES = (1, 4, 16, 64)
BYTES = {"float32": 4, "tensorfloat32": 4, "bfloat16": 2, "int8": 1}


def available_backends(model: Any, params: Any) -> list[tuple[BackendName, str]]:
    """(backend, type of weights) for everything that `wavejax.generation` offers for this model here."""
    return [(name, dtype) for name, dtype, refusal in _offers(model, params) if refusal is None]


def _offers(model: Any, params: Any) -> list[tuple[BackendName, str, str | None]]:
    """(backend, type of weights, why it cannot be measured here or None)."""
    device, found = jax.default_backend(), []
    for name in get_args(BackendName):
        for dtype in BYTES if name != "auto" else ():
            refusal = None
            try:
                if dtype == "tensorfloat32" and (name, device) != ("scan", "gpu"):
                    raise ValueError("tensorfloat32 is the scan backend's on a GPU")
                if name == "cpu" and device != "cpu":
                    raise ValueError(f"it runs on the host's processor, and JAX computes on the {device} here")
                open_backend(name, model, params, dtype=weights_of(dtype))
            except (ValueError, TypeError, MissingExtra) as error:
                refusal = str(error)
            found.append((name, dtype, refusal))
    return found


def weights_of(dtype: str) -> str | None:
    """The argument `dtype` of `generate` for a type that rows are labelled with."""
    return None if dtype in ("float32", "tensorfloat32") else dtype


def run(
    *,
    peers: Sequence[str] = (),
    quick: bool = False,
    presets: Sequence[str] = PRESETS,
    batches: Sequence[int] = BATCHES,
    backends: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    repeats: int = 5,
    seconds: float = 1.0,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure; a run of each case lasts about `seconds`."""
    if quick:
        batches, repeats, seconds = tuple(batches)[:2], 2, 0.2
    rows, notes = [], []
    for preset in presets:
        model, params = make_model(preset)
        limits, one_core, note = _limits(preset, model)
        notes.append(note)
        offers = _offers(model, params)
        absent = {f"{name} is left out: {why}" for name, dtype, why in offers if why and dtype == "float32"}
        notes += sorted(f"{preset}: backend {each}" for each in absent)
        chosen = [
            (name, dtype)
            for name, dtype, refusal in offers
            if refusal is None and (not backends or name in backends) and (not dtypes or dtype in dtypes)
        ]
        compile_side_by_side([wavejax_run(model, params, batch, *each) for batch in batches for each in chosen])
        for batch in batches:
            cases = generation_cases(preset, model, params, batch, chosen, seconds=seconds)
            if peers:
                from benchmarks.generation_peers import peer_cases

                cases += peer_cases(preset, model, params, batch, peers, seconds=seconds)
            measured = measure(cases, repeats=repeats, wrong=notes)
            rows += [_with_roofline(each, model, limits, one_core) for each in _with_ratios(measured)]
            keep(result("generation", rows, notes))
    return result("generation", rows, notes)


def _limits(preset: str, model: WaveNet) -> tuple[Roofline, Roofline | None, str]:
    """Limits of the machine, those of one core of a CPU, and a sentence about both."""
    weights = macs_read(model.config)
    sizes = sorted({weights * size for size in BYTES.values()}, reverse=True)
    limits, one_core = measure_roofline(sizes)
    alone = "" if one_core is None else f" ({one_core.gflops:.0f} on one core)"
    by_one = (
        "" if one_core is None else f" ({', '.join(f'{one_core.bandwidth[size]:.0f}' for size in sizes)} by one core)"
    )
    return (
        limits,
        one_core,
        f"{preset}: {macs_computed(model.config):,} MAC and {weights:,} weights a sample; matrix peak "
        f"{limits.gflops:.0f} GFLOP/s{alone}, weights of "
        + ", ".join(f"{size / 1e6:.2g} MB read at {limits.bandwidth[size]:.0f} GB/s" for size in sizes)
        + by_one,
    )


def _with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds how many times each peer's samples our rows made, of one preset and batch."""
    for column, name in (("times_vocoder", "wavenet_vocoder"), ("times_compiled", "torch.compile")):
        for peer in (row for row in rows if row["labels"]["implementation"].startswith(name)):
            for row in rows:
                if row["labels"]["implementation"].startswith("wavejax"):
                    row["details"][column] = row["median"] / peer["median"]
    return rows


def _with_roofline(
    row: dict[str, Any], model: WaveNet, limits: Roofline, one_core: Roofline | None = None
) -> dict[str, Any]:
    labels = row["labels"]
    need = {
        "weight_bytes": macs_read(model.config) * BYTES[labels["dtype"]],
        "flops": 2.0 * macs_computed(model.config),
        "batch": labels["batch"],
    }
    bound, binds = limits.bound(**need)
    row["details"] |= {"roofline_share": row["median"] / bound, "bound_by": binds}
    if one_core is not None:
        row["details"]["one_core_share"] = row["median"] / one_core.bound(**need)[0]
    return row


def generation_cases(
    preset: str,
    model: WaveNet,
    params: Any,
    batch: int,
    chosen: Sequence[tuple[str, str]],
    *,
    seconds: float,
    generator: Callable[..., Any] = generate,
) -> list[Case]:
    """One case per (backend, type of weights) of `chosen`."""
    return [
        sized_case(
            {"preset": preset, "batch": batch, "implementation": f"wavejax {backend}", "dtype": dtype},
            wavejax_run(model, params, batch, backend, dtype, generator),
            model,
            params,
            seconds=seconds,
        )
        for backend, dtype in chosen
    ]


def wavejax_run(
    model: WaveNet, params: Any, batch: int, backend: str, dtype: str, generator: Callable[..., Any] = generate
) -> Callable[[int], np.ndarray]:
    """`generate` as a function of the number of samples."""

    def generate_some(num_samples: int) -> np.ndarray:
        with products_of(dtype):
            waveform: np.ndarray = generator(
                model,
                params,
                num_samples=num_samples,
                batch_size=batch,
                seed=SEED,
                local_conditioning=frames_for(model, batch, num_samples),
                dtype=weights_of(dtype),
                backend=backend,
            )
        return waveform

    return generate_some


def products_of(dtype: str) -> contextlib.AbstractContextManager[Any]:
    """On an accelerator, float32 products in full, or by the matrix units' own type; a CPU has no choice."""
    precision = {"float32": "highest", "tensorfloat32": "tensorfloat32"}.get(dtype)
    if precision is None or jax.default_backend() == "cpu":
        return contextlib.nullcontext()
    return jax.default_matmul_precision(precision)


def compile_side_by_side(runs: Sequence[Callable[[int], Any]]) -> None:
    """First calls of all `runs`, as many at once as there are cores: most of their time is spent in compilers."""
    with ThreadPoolExecutor(count_cores()) as pool:
        list(pool.map(lambda run_some: run_some(64), runs))


__all__ = ["WrongResult", "available_backends", "run"]
