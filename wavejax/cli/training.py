"""`wavejax train`."""

import contextlib
import dataclasses
import inspect
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from wavejax.checkpoints import BucketError, working_folder
from wavejax.checkpoints.bucket import Bucket
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.urls import as_url
from wavejax.cli.parsing import Command, UsageError
from wavejax.cli.presets import chosen_preset, how_to_hear, parse_with_config
from wavejax.data import Corpus
from wavejax.parallel import initialize_processes
from wavejax.tasks.incidents import Incidents
from wavejax.tasks.life_signs import HEARTBEAT, LIFELINE, life_signs
from wavejax.tasks.supervision import RestartPolicy, supervise
from wavejax.tasks.training import open_corpus, train_and_evaluate
from wavejax.tasks.vocoder_config import VocoderConfig, preset_names
from wavejax.training import Hook, ProfileHook

SPEAKER_CHANNELS = 16

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
    """Tell the corpus' speakers apart: sets model.num_speakers, and model.global_channels to 16 where it is 0."""
    overfit_batches: int | None = None
    """Train on so many batches only, over and over: a check that the model can learn at all."""
    dry_run: bool = False
    """Say what the training would need, and stop."""
    distributed: bool = False
    """Train over several processes: each host runs this command, with a workdir that all of them see. On TPU pods and
    under SLURM, Open MPI and Kubernetes nothing else is needed."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where it has to be said; with --num-processes and --process-id."""
    num_processes: int | None = None
    """How many processes train together."""
    process_id: int | None = None
    """Which of them this one is: 0 to N - 1."""
    restarts: int = 0
    """Above 0: train in a process of its own, started again from the newest sound checkpoint when it dies or hangs;
    given up after so many restarts in a row without a new checkpoint."""
    hang_minutes: float = 30.0
    """With --restarts: a training that makes no step for so long hangs. Validation has to fit in."""
    compile_minutes: float = 120.0
    """With --restarts: how long it may take to start, or to compile a program."""
    profile_steps: str | None = None
    """FIRST:LAST, for example 100:105: write a trace of these steps into WORKDIR/profile/, for TensorBoard's profiler
    and Perfetto."""


EXAMPLE = (
    "wavejax train {preset} --workdir run/ --corpus corpus/ --training.batch-size 16 --optimizer.learning-rate 3e-4"
)


def run_train(arguments: Sequence[str]) -> int:
    """`wavejax train`."""
    given, config = _parse(list(arguments))
    if given.corpus is not None:
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, corpus=given.corpus))
    if given.overfit_batches is not None:
        training = dataclasses.replace(config.training, overfit_batches=given.overfit_batches)
        config = dataclasses.replace(config, training=training)
    if given.dry_run and not given.speakers:
        return _dry_run(config)
    if given.dry_run:
        return _dry_run(_with_speakers(config, open_corpus(config), given.speakers))
    _check_workdir(given.workdir)
    profiling = _profiling(given)
    heartbeat = os.environ.get(HEARTBEAT)
    if given.restarts and heartbeat is None:
        return _supervise(given, arguments)
    with life_signs(heartbeat, os.environ.get(LIFELINE)) as hooks:
        return _train(given, config, [*profiling, *hooks])


def _check_workdir(workdir: Path) -> None:
    """Refuses a URL that cannot be one, or whose driver is missing; asks no bucket."""
    try:
        if url := as_url(workdir):
            Bucket(url)
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
        _newest_step(given.workdir),
        policy,
        lambda sentence: print(f"supervisor: {sentence}", file=sys.stderr, flush=True),
        incidents=incidents,
    )


def _newest_step(workdir: Path) -> Callable[[], int | None]:
    """Looks for the newest checkpoint, in the bucket too; where that does not answer, what it held before counts."""
    folder, url = working_folder(workdir) / "checkpoints", as_url(workdir)
    remote: list[int] = []

    def look() -> int | None:
        if url is not None:
            with contextlib.suppress(BucketError):
                remote[:] = Bucket(f"{url}/checkpoints").steps()
        return max([*saved_steps(folder), *remote], default=None)

    return look


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


def _train(given: Train, config: VocoderConfig, hooks: Sequence[Hook]) -> int:
    if _is_distributed(given):
        initialize_processes(given.coordinator, num_processes=given.num_processes, process_id=given.process_id)
    corpus, ending = open_corpus(config), _Ending()
    config = _with_speakers(config, corpus, given.speakers)
    state = train_and_evaluate(
        config, as_url(given.workdir) or given.workdir, init_from=given.init_from, corpus=corpus, hooks=[ending, *hooks]
    )
    step = int(state.step)
    if step < config.training.num_steps:
        _say(f"stopped at step {step} of {config.training.num_steps}; the same command goes on from there")
    else:
        _say(f"step {step}: done. Hear it: {how_to_hear(config, as_url(given.workdir) or given.workdir)}")
    return EXIT_CODES.get(ending.reason, 0)


def _say(sentence: str, *, aside: bool = False) -> None:
    """Prints on the first process only, to standard error where it is said aside."""
    if jax.process_index() == 0:
        with contextlib.suppress(OSError):  # nobody reads it any more
            print(sentence, file=sys.stderr if aside else sys.stdout, flush=True)


def _parse(arguments: list[str]) -> tuple[Train, VocoderConfig]:
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
        raise UsageError(f"the preset comes first: wavejax train PRESET {' '.join(arguments)}; presets: {presets}")
    chosen, example = chosen_preset(name), EXAMPLE.format(preset=name)
    return parse_with_config(Train, f"train {name}", chosen, arguments[1:], example=example)


def _with_speakers(config: VocoderConfig, corpus: Corpus, wanted: bool) -> VocoderConfig:
    names, model = corpus.speakers, config.model
    if not wanted:
        if len(names) > 1 and not model.num_speakers:
            _say(
                f"note: the corpus has {len(names)} speakers, the model does not tell them apart; --speakers (or "
                f"--model.num-speakers {len(names)} --model.global-channels {SPEAKER_CHANNELS}) makes it",
                aside=True,
            )
        return config
    channels = model.global_channels or SPEAKER_CHANNELS
    _say(f"{len(names)} speakers: {', '.join(names)}")
    return dataclasses.replace(
        config, model=dataclasses.replace(model, num_speakers=len(names), global_channels=channels)
    )


def _dry_run(config: VocoderConfig) -> int:
    from wavejax.tasks.prediction import predict_training

    needs, training = predict_training(config), config.training
    rate = config.spec.sample_rate
    print(
        f"{config.name}: {config.model.num_layers} layers, {needs.parameters:,} parameters\n"
        f"multiplications per sample  {needs.macs_per_sample:,} ({2e-9 * needs.macs_per_sample * rate:.2f} GFLOP/s for "
        f"real time at {rate} Hz)\n"
        f"receptive field             {needs.receptive_field_ms:.1f} ms ({needs.receptive_field} samples)\n"
        f"memory                      {needs.state_bytes / 1e6:.0f} MB of state, {needs.temporary_bytes / 1e6:.0f} MB "
        f"for a step of {training.batch_size} x {config.data.crop_length} samples\n"
        f"speed (predicted)           {needs.samples_per_second:,.0f} samples/s, from {needs.gflops:.0f} GFLOP/s "
        "measured in products of this shape\n"
        f"time (predicted)            {_duration(needs.seconds)} for {training.num_steps:,} steps; other work on this "
        "machine makes it longer"
    )
    return 0


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


COMMANDS: dict[str, Command] = {"train": run_train}
