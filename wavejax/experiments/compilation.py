"""A training step compiled for devices that are not here: whether it fits, what they exchange, what they compute."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from wavejax.experiments.config import ExperimentConfig
from wavejax.experiments.family import Family
from wavejax.experiments.running import abstract_step, training_strategy
from wavejax.parallel.flops import count_flops
from wavejax.parallel.hlo import Collective, collectives
from wavejax.parallel.topologies import DoesNotFit, compile_lowered, memory_use

C = TypeVar("C", bound=ExperimentConfig)

_TRIES = 3
"""Compilations by which a predicted largest batch is confirmed, or corrected, before the search gives up."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledStep:
    """What the compiler made of a training step; bytes are those of one device."""

    rows_per_device: int
    num_devices: int
    limit_bytes: int
    peak_bytes: int
    """At most in use at once."""
    state_bytes: int
    """Parameters, moments, averages: the part of the state that this device holds."""
    state_saved_bytes: int
    """What `training.shard_optimizer` leaves to other devices, or would."""
    collectives: tuple[Collective, ...]
    flops: int
    """Of matrix products in one step, all devices together; by our own count."""
    seconds: float
    """Of tracing and compiling."""

    @property
    def fits(self) -> bool:
        """Whether the device's memory holds it."""
        return self.peak_bytes <= self.limit_bytes

    def exchanged(self) -> dict[str, dict[str, float]]:
        """By kind of collective: how many a step, bytes of the whole arrays, bytes that each device sends on a ring.

        One in a loop of unknown length counts as one.
        """
        totals: dict[str, Counter[str]] = {}
        for each in self.collectives:
            times, total = each.times or 1, totals.setdefault(each.kind, Counter())
            total["count"] += times
            total["payload_bytes"] += times * each.payload_bytes
            total["sent_bytes"] += round(times * each.sent_bytes)
        return {kind: dict(total) for kind, total in totals.items()}


def with_rows(config: C, rows: int, num_devices: int) -> C:
    """The configuration with a batch of `rows` on each device."""
    training = dataclasses.replace(config.training, batch_size=rows * num_devices)
    return dataclasses.replace(config, training=training)


def compile_step(
    family: Family[Any, Any], config: Any, devices: Sequence[jax.Device], limit_bytes: int
) -> CompiledStep:
    """Compiles the train step that `train_and_evaluate` would run on these devices, which need not be there.

    Args:
      family: the card of the experiment's family.
      config: the experiment; its batch is that of all devices.
      devices: e.g. `topology.devices()`; what computes here stays usable.
      limit_bytes: of one device's memory.

    Raises:
      DoesNotFit: the compiler itself refuses.
      ValueError: the devices do not divide the batch, or the configuration cannot be compiled for others' devices.
    """
    start = time.perf_counter()
    strategy = training_strategy(config, devices)
    rows = config.training.batch_size // len(devices)
    if config.training.batch_size % len(devices):
        raise ValueError(
            f"training.batch_size {config.training.batch_size}, of the whole job, cannot be split evenly over "
            f"{len(devices)} devices: --training.batch-size {max(rows, 1) * len(devices)}, or --rows-per-device "
            f"{max(rows, 1)}"
        )
    step, state, batch = abstract_step(family, config)
    compiled = compile_lowered(strategy.lower(step, state, batch))
    seconds = time.perf_counter() - start
    whole, held, split = _state_bytes(config, devices, state)
    return CompiledStep(
        rows_per_device=rows,
        num_devices=len(devices),
        limit_bytes=limit_bytes,
        peak_bytes=memory_use(compiled).peak,
        state_bytes=held,
        state_saved_bytes=whole - split,
        collectives=collectives(str(compiled.as_text())),
        flops=count_flops(step, state, batch),
        seconds=seconds,
    )


def largest_rows(
    compile_rows: Callable[[int], CompiledStep], *, unit: int = 1, known: Sequence[CompiledStep] = ()
) -> CompiledStep | None:
    """The step with the most rows on a device that fits: two compilations, a line through them, one that confirms.

    Where the confirming one does not fit (memory is not quite linear in the rows), two more may follow.

    Args:
      compile_rows: compiles for so many rows on each device; may raise DoesNotFit.
      unit: rows come in multiples of it (`accumulation_steps`).
      known: steps of the same configuration that are compiled already and fit.

    Returns:
      None where not even `unit` rows fit.
    """
    steps = {each.rows_per_device: each for each in known if each.fits}

    def attempt(rows: int) -> CompiledStep | None:
        if rows not in steps:
            try:
                step = compile_rows(rows)
            except DoesNotFit:
                return None
            if not step.fits:
                return None
            steps[rows] = step
        return steps[rows]

    smallest = attempt(unit)
    if smallest is None:
        return None
    second = attempt(4 * unit) or attempt(2 * unit)
    if second is None:
        return smallest
    points = sorted(steps.values(), key=lambda each: each.rows_per_device)
    slope, base = np.polyfit([each.rows_per_device for each in points], [each.peak_bytes for each in points], 1)
    # What would fill the memory to the last byte is not tried, so that rounding does not decide whether it is.
    most = (points[-1].limit_bytes - base) / slope - 1e-6 if slope > 0 else points[-1].rows_per_device
    rows = int(most) // unit * unit
    for _ in range(_TRIES):
        rows = max(rows, points[-1].rows_per_device)
        if (confirmed := attempt(rows)) is not None:
            return confirmed
        rows -= max(unit, rows // 20 // unit * unit)
    return points[-1]


def _state_bytes(config: ExperimentConfig, devices: Sequence[jax.Device], state: Any) -> tuple[int, int, int]:
    """Bytes of the state: whole, as one device holds it now, as it would with moments and averages split."""
    split = dataclasses.replace(config, training=dataclasses.replace(config.training, shard_optimizer=True))
    whole = sum(_bytes(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state))
    now, then = (
        sum(
            _bytes(leaf.sharding.shard_shape(leaf.shape), leaf.dtype)
            for leaf in jax.tree.leaves(training_strategy(each, devices).abstract(state))
        )
        for each in (config, split)
    )
    return whole, now, then


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    return int(np.prod(shape)) * dtype.itemsize
