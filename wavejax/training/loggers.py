"""Loggers for metrics, audio and images of a run: the console, JSON lines, TensorBoard."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from wavejax.atomic import write_text
from wavejax.documents import Malformed, open_regular, parse_json
from wavejax.extras import require_extra

_LONGEST_LINE = 1 << 20


class Logger:
    """A destination. The methods here do nothing; a logger overrides those that it supports."""

    def start(self, step: int) -> None:
        """The run (re)starts after `step` updates: records of later steps, from a killed run, are obsolete."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name, e.g. {"loss": 5.1}; a group is written as a prefix: "validation/loss"."""

    def audio(self, step: int, name: str, waveform: np.ndarray, sample_rate: int) -> None:
        """A waveform [T], float in [-1, 1], at `sample_rate` Hz."""

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """An image [height, width, 3] or [height, width], uint8, or float in [0, 1]."""

    def text(self, step: int, name: str, text: str) -> None:
        """Text, such as a recogniser's transcript."""

    def close(self) -> None:
        """Writes what is still buffered, and closes the logger."""


class LoggerGroup(Logger):
    """Passes everything on to several loggers, in order."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self.loggers = tuple(loggers)

    def start(self, step: int) -> None:
        """See `Logger.start`."""
        for logger in self.loggers:
            logger.start(step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Logger.scalars`."""
        for logger in self.loggers:
            logger.scalars(step, values)

    def audio(self, step: int, name: str, waveform: np.ndarray, sample_rate: int) -> None:
        """See `Logger.audio`."""
        for logger in self.loggers:
            logger.audio(step, name, waveform, sample_rate)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """See `Logger.image`."""
        for logger in self.loggers:
            logger.image(step, name, image)

    def text(self, step: int, name: str, text: str) -> None:
        """See `Logger.text`."""
        for logger in self.loggers:
            logger.text(step, name, text)

    def close(self) -> None:
        """Closes all, in reverse order."""
        for logger in reversed(self.loggers):
            logger.close()


class JsonLinesLogger(Logger):
    """One JSON object per record, appended to a file: `{"step": 10, "time": unix seconds, "loss": 5.1, ...}`.

    A restarted run drops the records of the steps that it will repeat, and a line that a kill cut short. Numbers that
    are not finite are written as null, so every line is valid JSON.

    Args:
      path: the file; its folder is created.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def start(self, step: int) -> None:
        """Drops records of later steps."""
        self.refuse_foreign()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return
        with open_regular(self.path) as file:
            lines = file.read().decode("utf-8", errors="replace").splitlines()
        kept = [line for line in lines if _step_of(line) is not None and (_step_of(line) or 0) <= step]
        write_text(self.path, "".join(line + "\n" for line in kept))

    def refuse_foreign(self) -> None:
        """Checks that the file is missing, empty, or a log of this kind, whose invalid lines will be dropped.

        Raises:
          FileExistsError: it is something else.
        """
        try:
            with open_regular(self.path) as file:
                first = file.readline(_LONGEST_LINE).decode("utf-8", errors="replace")
        except FileNotFoundError:
            return
        if first and _step_of(first) is None and not first.startswith('{"step":'):  # a kill may have cut it short
            what = "it is no log of a training of wavejax, and is left as it is"
            raise FileExistsError(errno.EEXIST, what, str(self.path))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Appends one line."""
        numbers = {name: float(value) if np.isfinite(value) else None for name, value in values.items()}
        line = json.dumps({"step": step, "time": round(time.time(), 3), **numbers})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _step_of(line: str) -> int | None:
    try:
        record = parse_json(line)
    except Malformed:
        return None
    step = record.get("step") if isinstance(record, dict) else None
    return step if isinstance(step, int) else None


class TensorBoardLogger(Logger):
    """Event files for TensorBoard, written by tensorboardX (the extra `train`).

    Args:
      folder: where the event files go.
      flush_seconds: how long events may stay in memory.

    Raises:
      MissingExtra: tensorboardX is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, flush_seconds: int = 30) -> None:
        self.folder = Path(folder)
        self.flush_seconds = flush_seconds
        self._module = require_extra("tensorboardX", "train", "logging to TensorBoard")
        self._writer: Any = None

    def start(self, step: int) -> None:
        """Opens a new event file; TensorBoard then discards earlier records from its first step on."""
        self._open(purge_step=step + 1 if step else None)

    def _open(self, purge_step: int | None = None) -> Any:
        if self._writer is None:
            self._writer = self._module.SummaryWriter(
                str(self.folder), flush_secs=self.flush_seconds, purge_step=purge_step
            )
        return self._writer

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Logger.scalars`."""
        for name, value in values.items():
            self._open().add_scalar(name, float(value), global_step=step)

    def audio(self, step: int, name: str, waveform: np.ndarray, sample_rate: int) -> None:
        """See `Logger.audio`; samples outside [-1, 1] are clipped."""
        clipped = np.clip(np.asarray(waveform, np.float32).reshape(-1, 1), -1, 1)
        self._open().add_audio(name, clipped, global_step=step, sample_rate=sample_rate)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """See `Logger.image`."""
        image = np.asarray(image)
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] not in (1, 3, 4)):
            raise ValueError(f"image {name!r} has shape {image.shape}; expected [height, width] or [height, width, 3]")
        if image.dtype != np.uint8:
            image = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
        self._open().add_image(name, image, global_step=step, dataformats="HW" if image.ndim == 2 else "HWC")

    def text(self, step: int, name: str, text: str) -> None:
        """See `Logger.text`."""
        self._open().add_text(name, text, global_step=step)

    def close(self) -> None:
        """Writes and closes the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class ConsoleLogger(Logger):
    """A progress bar with metrics; if the output is not a terminal, one line per record.

    A closed terminal, or a pipe that is no longer read, does not end the training.

    Args:
      num_steps: total updates of the run.
      names: the metrics to show and how, e.g. {"loss": "loss {:.3f}", "samples_per_second": "{:,.0f} samples/s"};
        None shows the loss, the gradient norm and every throughput.
      console: the output; None for standard error.
    """

    def __init__(
        self, num_steps: int, *, names: Mapping[str, str] | None = None, console: Console | None = None
    ) -> None:
        self.num_steps = num_steps
        self.names = names
        self.console = Console(stderr=True) if console is None else console
        self._progress: Progress | None = None

    def start(self, step: int) -> None:
        """Shows the bar."""
        if self.console.is_terminal:
            columns: tuple[ProgressColumn, ...] = (
                TextColumn("training"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[shown]}"),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=self.console)
            self._progress.add_task("training", total=self.num_steps, completed=step, shown="")
            with self._whether_read_or_not():
                self._progress.start()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Advances the bar, or prints a line; evaluations (names with a "/") always get their own line."""
        shown = self._describe(values)
        with self._whether_read_or_not():
            if self._progress is not None and not any("/" in name for name in values):
                task = self._progress.task_ids[0]
                self._progress.update(task, completed=step, shown=shown, refresh=True)
            elif shown:
                self.console.print(f"step {step}/{self.num_steps}  {shown}", highlight=False)

    @contextlib.contextmanager
    def _whether_read_or_not(self) -> Iterator[None]:
        """Continues silently if the terminal or pipe is gone; rich would end the program."""
        try:
            yield
        except (OSError, SystemExit):
            self._progress, self.console = None, Console(quiet=True, stderr=True)

    def _describe(self, values: Mapping[str, float]) -> str:
        if self.names is not None:
            return "  ".join(form.format(values[name]) for name, form in self.names.items() if name in values)
        parts = [f"{name} {values[name]:.4f}" for name in values if name == "loss" or "/" in name]
        if "gradient_norm" in values:
            parts.append(f"gradient {values['gradient_norm']:.3g}")
        rates = [name for name in values if name.endswith("_per_second")]
        parts += [f"{values[name]:,.4g} {name.removesuffix('_per_second')}/s" for name in rates[-1:]]
        return "  ".join(parts)

    def close(self) -> None:
        """Stops the bar; its last line stays on the screen."""
        if self._progress is not None:
            with self._whether_read_or_not():
                self._progress.stop()
            self._progress = None
