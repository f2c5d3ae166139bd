"""`wavejax compile`."""

import dataclasses
import inspect
import json
import os
from collections.abc import Sequence
from typing import Annotated, Any

import jax

from wavejax.cli.parsing import Command, UsageError
from wavejax.cli.presets import chosen_preset, parse_with_config, preset_names
from wavejax.experiments.compilation import CompiledStep, compile_step, largest_rows, with_rows
from wavejax.experiments.family import Family, Figures
from wavejax.parallel.topologies import GIB, SEVERAL_PROCESSES, DoesNotFit, Topology, get_topology
from wavejax.ranges import ROWS

EXAMPLE = "wavejax compile r9y9-mol --topology v5e:16x16 --rows-per-device 8 --training.dtype bfloat16"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compile:
    """Compile a preset's train step for a pod that need not be there, with the vendor's own compiler (extra aot).

    Says whether it fits into the chips' memory, what the devices exchange in each step, and what they compute. A
    configuration that does not fit is refused, with the largest batch that does. Nothing is run: none of this is a
    speed.
    """

    topology: str
    """v5e:16x16, v6e:2x4, v5p:4x4x4, v4:2x2x4 (chips along each side of a TPU slice), h100x8 (GPUs)."""
    rows_per_device: Annotated[int | None, ROWS] = None
    """Sets training.batch-size to so many examples on each device."""
    largest: bool = False
    """Look for the largest batch in any case: three compilations."""
    json: bool = False
    """Print one JSON object."""


class TooLarge(ValueError):
    """A configuration that the devices' memory does not hold."""


def run_compile(arguments: Sequence[str]) -> int:
    """`wavejax compile`."""
    name, rest = _preset_and_rest(list(arguments))
    family, chosen = chosen_preset(name)
    given, config = parse_with_config(Compile, f"compile {name}", chosen, rest, example=EXAMPLE)
    try:
        topology = get_topology(given.topology)
    except ValueError as error:
        raise UsageError(f"--topology: {error}") from error
    # The accelerators' compilers are only asked to compile; what is computed here is computed by the CPU.
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault(SEVERAL_PROCESSES, "1")
    devices, limit = topology.devices(), _limit(topology)
    if given.rows_per_device is not None:
        config = with_rows(config, given.rows_per_device, len(devices))
    figures = family.figures(config)
    step, refusal = _attempt(family, config, devices, limit)
    best = None
    if step is None or not step.fits or given.largest:
        known = [step] if step is not None else []
        unit = config.training.accumulation_steps
        best = largest_rows(
            lambda rows: compile_step(family, with_rows(config, rows, len(devices)), devices, limit),
            unit=unit,
            known=known,
        )
    fits = step is not None and step.fits
    if given.json:
        print(json.dumps(_as_json(config, figures, topology, step, refusal, best, limit)))
    elif step is not None and fits:
        print(_table(config, figures, topology, step))
        if given.largest and best is not None:
            print(f"largest    {_rows(best)} fit: {_gib(best.peak_bytes)} GiB")
    if not fits:
        raise TooLarge(_sentence(config, figures, topology, step, refusal, best, limit))
    return 0


def _limit(topology: Topology) -> int:
    return topology.chip.memory_bytes


def _attempt(
    family: Family[Any, Any], config: Any, devices: Sequence[Any], limit: int
) -> tuple[CompiledStep | None, str]:
    try:
        return compile_step(family, config, devices, limit), ""
    except DoesNotFit as error:
        return None, str(error)


def _preset_and_rest(arguments: list[str]) -> tuple[str, list[str]]:
    """The preset: the first argument, or (the options may come first) the first that is one, or that of --config."""
    presets = preset_names()
    if arguments and arguments[0] in ("-h", "--help"):
        print(
            f"usage: wavejax compile PRESET --topology NAME [OPTIONS]\n\n{inspect.cleandoc(Compile.__doc__ or '')}\n\n"
            f"Presets: {', '.join(presets)}.\n\nExample:\n  {EXAMPLE}\n\n"
            "`wavejax compile PRESET --help` lists every option with the preset's value."
        )
        raise SystemExit(0)
    if "--config" in arguments[:-1]:
        place = arguments.index("--config")
        return arguments[place + 1], arguments[:place] + arguments[place + 2 :]
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    place = next((i for i, argument in enumerate(arguments) if argument in presets), -1)
    if place >= 0:
        return arguments[place], arguments[:place] + arguments[place + 1 :]
    raise UsageError(f"name a preset, for example: {EXAMPLE}; presets: {', '.join(presets)}")


def _table(config: Any, figures: Figures, topology: Topology, step: CompiledStep) -> str:
    chip, training = topology.chip, config.training
    units = figures.units_per_step
    options = [training.dtype, *_switched_on(training), f"accumulation {training.accumulation_steps}"]
    saved = "saved by" if training.shard_optimizer else "less with"
    lines = [
        f"{config.name} on {topology.name}: {step.num_devices} devices, {_rows(step)} of {figures.row_units} "
        f"{figures.unit} ({', '.join(options)}); {units:,} {figures.unit} a step",
        f"memory     {_gib(step.peak_bytes)} GiB at its peak on each device, of {_gib(step.limit_bytes)} "
        f"({chip.memory_note})",
        f"           {_mib(step.state_bytes)} MiB of it state; {_mib(step.state_saved_bytes)} {saved} "
        "--training.shard-optimizer",
    ]
    for kind, total in step.exchanged().items():
        lines.append(
            f"exchanged  {total['count']} {kind} a step, {_mib(total['payload_bytes'])} MiB; on a ring each device "
            f"sends {_mib(total['sent_bytes'])}"
        )
    if not step.collectives:
        lines.append("exchanged  nothing")
    if any(each.times is None for each in step.collectives):
        lines.append("           some of it in a loop whose length the program does not say, counted once")
    lines.append(
        f"computed   {step.flops / 1e9:,.1f} GFLOP a step in matrix products, {step.flops / units / 1e6:.2f} MFLOP for "
        f"each {figures.one} (counted from what is traced); "
        f"{step.flops / step.num_devices / 1e9:,.1f} GFLOP on each device"
    )
    lines.append(f"compiled   in {step.seconds:.0f} s")
    return "\n".join(lines)


def _sentence(
    config: Any,
    figures: Figures,
    topology: Topology,
    step: CompiledStep | None,
    refusal: str,
    best: CompiledStep | None,
    limit: int,
) -> str:
    """Why it does not fit, and what does."""
    training = config.training
    rows = training.batch_size // topology.num_devices
    needs = f"needs {_gib(step.peak_bytes)} GiB" if step is not None else f"does not fit ({refusal.rstrip('.')})"
    said = (
        f"{config.name} with {rows} row(s) of {figures.row_units} {figures.unit} a device {needs}; a program on "
        f"{topology.chip.name} has {_gib(limit)} GiB."
    )
    switches = [f"--training.{name}" for name in _SWITCHES if getattr(training, name, None) is False]
    shorter = "a shorter --data.crop-length" if hasattr(config.data, "crop_length") else "shorter examples"
    otherwise = ", ".join(["--training.dtype bfloat16", *switches, shorter])
    if best is None:
        return f"{said} Not even {config.training.accumulation_steps} row(s) fit: try {otherwise}"
    return (
        f"{said} The largest that fits is {_rows(best)} ({_gib(best.peak_bytes)} GiB): --training.batch-size "
        f"{best.rows_per_device * best.num_devices}; for more try {otherwise}, or more --training.accumulation-steps"
    )


def _as_json(
    config: Any,
    figures: Figures,
    topology: Topology,
    step: CompiledStep | None,
    refusal: str,
    best: CompiledStep | None,
    limit: int,
) -> dict[str, Any]:
    def as_json(each: CompiledStep | None) -> dict[str, Any] | None:
        if each is None:
            return None
        values = dataclasses.asdict(each)
        values["collectives"] = [{**one._asdict(), "sent_bytes": one.sent_bytes} for one in each.collectives]
        return {**values, "exchanged": each.exchanged()}

    training = config.training
    return {
        "preset": config.name,
        "topology": topology.name,
        "chip": topology.chip.name,
        "num_devices": topology.num_devices,
        "row_units": figures.row_units,
        "unit": figures.unit,
        "batch_size": training.batch_size,
        "dtype": training.dtype,
        "switches": _switched_on(training),
        "accumulation_steps": training.accumulation_steps,
        "shard_optimizer": training.shard_optimizer,
        "limit_bytes": limit,
        "fits": step is not None and step.fits,
        "refusal": refusal,
        "step": as_json(step),
        "largest": as_json(best),
    }


_SWITCHES = ("remat",)
"""Switches of a training, where its configuration has them, that save memory."""


def _switched_on(training: Any) -> list[str]:
    return [name for name in _SWITCHES if getattr(training, name, False)]


def _rows(step: CompiledStep) -> str:
    return f"{step.rows_per_device} row{'s' if step.rows_per_device > 1 else ''} a device"


def _gib(value: float) -> str:
    return f"{value / GIB:.2f}"


def _mib(value: float) -> str:
    return f"{value / 2**20:.1f}"


COMMANDS: dict[str, Command] = {"compile": run_compile}
