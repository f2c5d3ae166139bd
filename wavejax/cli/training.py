"""`wavejax train`."""

import contextlib
import dataclasses
import inspect
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax

from wavejax.checkpoints import working_folder
from wavejax.checkpoints.newest import check_url, newest_step_of
from wavejax.checkpoints.urls import as_url
from wavejax.cli.parsing import Command, UsageError
from wavejax.cli.presets import chosen_preset, parse_with_config, preset_names
from wavejax.experiments.family import Family
from wavejax.experiments.loading import unmistakable
from wavejax.parallel import initialize_processes
from wavejax.ranges import AT_LEAST_NONE, Range
from wavejax.supervision.incidents import Incidents
from wavejax.supervision.life_signs import HEARTBEAT, LIFELINE, life_signs
from wavejax.supervision.supervisor import RestartPolicy, supervise
from wavejax.tasks.families import train_and_evaluate
from wavejax.terminal import quoted
from wavejax.training import Hook, ProfileHook

MINUTES = Range(0, 525600, above=True, why="a year")
EXIT_CODES = {"interrupted": 128 + signal.SIGINT, "terminated": 128 + signal.SIGTERM}
"""Of a training that was stopped from outside and has saved: what a shell reports of a process that a signal ended."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Train a model in a folder, or go on with the one that is there.

    Every part of the preset can be overridden: the names below are those of its configuration. Stopping it (Ctrl-C, or
    worse) loses nothing but the steps since the last checkpoint; the same command goes on. Ctrl-C and SIGTERM save
    first; the exit code is then 130 or 143.
    """

    workdir: Path
    """Holds checkpoints/, metrics.jsonl and TensorBoard's events/. Of a bucket (gs://bucket/run, s3://...) checkpoints
    and metrics go there, by way of a folder below ~/.cache/wavejax (or $WAVEJAX_CACHE), which holds the rest."""
    corpus: str | None = None
    """Short for --data.corpus: a folder made by `wavejax prepare`, or "embedded", the recordings in the package."""
    init_from: str | None = None
    """Start from the parameters of this training folder, export or voice: fine-tuning, new speakers."""
    speakers: bool = False
    """Tell the corpus' speakers apart, where the model can: sets model.num_speakers and what goes with it."""
    overfit_batches: Annotated[int | None, AT_LEAST_NONE] = None
    """Train on this number of batches only, over and over: a check that the model can learn at all."""
    dry_run: bool = False
    """Say what the training would need, and stop."""
    distributed: bool = False
    """Train over several processes: each host runs this command, with a workdir that all of them see. On TPU pods and
    under SLURM, Open MPI and Kubernetes nothing else is needed."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where it has to be said; with --num-processes and --process-id."""
    num_processes: Annotated[int | None, Range(1, 2**16)] = None
    """How many processes train together."""
    process_id: Annotated[int | None, Range(0, 2**16, below=True)] = None
    """Which of them this one is: 0 to N - 1."""
    restarts: Annotated[int, Range(0, 10**6)] = 0
    """Above 0: train in a process of its own, started again from the newest sound checkpoint when it dies or hangs;
    given up after so many restarts in a row without a new checkpoint."""
    hang_minutes: Annotated[float, MINUTES] = 30.0
    """With --restarts: a training that makes no step for so long hangs. Validation has to fit in."""
    compile_minutes: Annotated[float, MINUTES] = 120.0
    """With --restarts: how long it may take to start, or to compile a program."""
    profile_steps: str | None = None
    """FIRST:LAST, for example 100:105: write a trace of these steps into WORKDIR/profile/, for TensorBoard's profiler
    and Perfetto."""


EXAMPLE = (
    "wavejax train {preset} --workdir run/ --corpus corpus/ --training.batch-size 16 --optimizer.learning-rate 3e-4"
)


def run_train(arguments: Sequence[str]) -> int:
    """`wavejax train`."""
    family, given, config = _parse(list(arguments))
    if given.corpus is not None:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, corpus=given.corpus))
    if given.overfit_batches is not None:
        training = dataclasses.replace(config.training, overfit_batches=given.overfit_batches)
        config = dataclasses.replace(config, training=training)
    if given.dry_run:
        return _dry_run(family, _with_speakers(family, config) if given.speakers else config)
    _check_workdir(given.workdir)
    profiling = _profiling(given)
    heartbeat = os.environ.get(HEARTBEAT)
    if given.restarts and heartbeat is None:
        return _supervise(given, arguments)
    with life_signs(heartbeat, os.environ.get(LIFELINE)) as hooks:
        return _train(family, given, config, [*profiling, *hooks])


def _check_workdir(workdir: Path) -> None:
    """Refuses a URL that cannot be one, or whose driver is missing; asks no bucket."""
    try:
        check_url(workdir)
    except ValueError as error:
        raise UsageError(f"--workdir: {error}") from error


def _profiling(given: Train) -> list[Hook]:
    if given.profile_steps is None:
        return []
    first, colon, last = given.profile_steps.partition(":")
    try:
        return [ProfileHook(working_folder(given.workdir) / "profile", int(first), int(last if colon else first))]
    except ValueError as error:
        raise UsageError(f"--profile-steps {given.profile_steps}: give FIRST:LAST, as 100:105 ({error})") from error


def _supervise(given: Train, arguments: Sequence[str]) -> int:
    """Leaves the training to a process of its own; this one touches no device."""
    try:
        policy = RestartPolicy(
            restarts=given.restarts,
            hang_seconds=60 * given.hang_minutes,
            compile_seconds=60 * given.compile_minutes,
        )
    except ValueError as error:
        raise UsageError(f"--restarts, --hang-minutes and --compile-minutes: {error}") from error
    folder = working_folder(given.workdir)
    incidents = None
    if _is_distributed(given):
        name = socket.gethostname() if given.process_id is None else f"{given.process_id} on {socket.gethostname()}"
        incidents = Incidents(folder / "restarts.jsonl", name)
    return supervise(
        [sys.executable, "-m", "wavejax", "train", *arguments],
        newest_step_of(given.workdir),
        policy,
        lambda sentence: print(f"supervisor: {sentence}", file=sys.stderr, flush=True),
        incidents=incidents,
    )


def _is_distributed(given: Train) -> bool:
    return given.distributed or any(
        value is not None for value in (given.coordinator, given.num_processes, given.process_id)
    )


class _Ending(Hook):
    """Keeps how the training ended."""

    reason = ""

    def is_due(self, step: int, num_steps: int) -> bool:
        return False

    def on_end(self, step: int, state: Any, reason: str) -> None:
        self.reason = reason


def _train(family: Family[Any, Any], given: Train, config: Any, hooks: Sequence[Hook]) -> int:
    if _is_distributed(given):
        initialize_processes(given.coordinator, num_processes=given.num_processes, process_id=given.process_id)
    ending, where = _Ending(), str(as_url(given.workdir) or given.workdir)
    config = _with_speakers(family, config) if given.speakers else config
    if not given.speakers and family.with_speakers is not None:
        _note_speakers(family, config)
    state = train_and_evaluate(config, where, init_from=given.init_from, hooks=[ending, *hooks])
    step = int(state.step)
    if step < config.training.num_steps:
        _say(f"stopped at step {step} of {config.training.num_steps}; the same command goes on from there")
    else:
        _say(f"step {step}: done. Use it: {family.usage(config, unmistakable(where))}")
    return EXIT_CODES.get(ending.reason, 0)


def _say(sentence: str, *, aside: bool = False) -> None:
    """Prints on the first process only, to standard error where it is said aside."""
    if jax.process_index() == 0:
        with contextlib.suppress(OSError):  # nobody reads it any more
            print(sentence, file=sys.stderr if aside else sys.stdout, flush=True)


def _parse(arguments: list[str]) -> tuple[Family[Any, Any], Train, Any]:
    presets, explained = ", ".join(preset_names()), inspect.cleandoc(Train.__doc__ or "")
    if not arguments or arguments[0] in ("-h", "--help"):
        example = EXAMPLE.format(preset="speech-16k-small")
        print(
            f"usage: wavejax train PRESET --workdir FOLDER|URL [OPTIONS]\n\n{explained}\n\nPresets: {presets}.\n\n"
            f"Example:\n  {example}\n\n`wavejax train PRESET --help` lists every option with the preset's value."
        )
        if arguments:
            raise SystemExit(0)
        raise UsageError("name a preset first, for example: wavejax train speech-16k-small --workdir run/")
    name = arguments[0]
    if name.startswith("-"):
        raise UsageError(
            f"the preset comes first: wavejax train PRESET {' '.join(map(quoted, arguments))}; presets: {presets}"
        )
    (family, chosen), example = chosen_preset(name), EXAMPLE.format(preset=name)
    given, config = parse_with_config(Train, f"train {name}", chosen, arguments[1:], example=example)
    return family, given, config


def _with_speakers(family: Family[Any, Any], config: Any) -> Any:
    """The configuration for the speakers of its corpus."""
    if family.with_speakers is None:
        raise UsageError(f"--speakers: {config.name} tells no speakers apart; leave it out")
    # A preset may know fewer speakers than the corpus has: it is opened for a model that knows none.
    names = family.open_data(family.with_speakers(config, ()), None).speakers
    _say(f"{len(names)} speakers: {', '.join(names)}")
    return family.with_speakers(config, names)


def _note_speakers(family: Family[Any, Any], config: Any) -> None:
    """Say where a corpus has several speakers that the model hears as one."""
    data = family.open_data(config, None)
    if len(data.speakers) > 1 and not data.labels.get("speakers"):
        _say(
            f"note: the corpus has {len(data.speakers)} speakers, the model does not tell them apart; --speakers makes "
            "it",
            aside=True,
        )


def _dry_run(family: Family[Any, Any], config: Any) -> int:
    from wavejax.experiments.prediction import predict_training

    needs, training = predict_training(family, config), config.training
    figures = needs.figures
    flops = 2e-9 * figures.macs_per_unit * figures.units_per_second
    real_time = f", {flops:.2f} GFLOP/s in real time" if figures.units_per_second else ""
    rows = [
        ("multiplications", f"{figures.macs_per_unit:,} for each {figures.one}{real_time}"),
        *figures.rows,
        (
            "memory",
            f"{needs.state_bytes / 1e6:.0f} MB of state, {needs.temporary_bytes / 1e6:.0f} MB for a step of "
            f"{training.batch_size} x {figures.row_units} {figures.unit}",
        ),
        (
            "speed (predicted)",
            f"{needs.units_per_second:,.0f} {figures.unit}/s, from {needs.gflops:.0f} GFLOP/s measured in products of "
            "this shape",
        ),
        (
            "time (predicted)",
            f"{_duration(needs.seconds)} for {training.num_steps:,} steps; other work on this machine makes it longer",
        ),
    ]
    print(f"{config.name}: {figures.size}, {figures.parameters:,} parameters")
    print("\n".join(f"{label:<20}{text}" for label, text in rows))
    return 0


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


COMMANDS: dict[str, Command] = {"train": run_train}
