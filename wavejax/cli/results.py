"""Where results go: found out before work begins, and refused in one sentence."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wavejax import atomic, locks, ownership
from wavejax.cli.inputs import OutputError

LOCK = ".wavejax.lock"
"""In a folder that one command at a time writes a report into."""


def check_file(path: Path | None, *, num_bytes: int = 0) -> None:
    """Raises OutputError where a file cannot be written; None is none."""
    if path is not None:
        with refusals():
            atomic.prove(path, num_bytes=num_bytes)


def check_folder(path: Path | None, *, num_bytes: int = 0) -> None:
    """Raises OutputError where files cannot be written into a folder; None is none."""
    if path is not None:
        with refusals():
            atomic.prove_folder(path, num_bytes=num_bytes)


def check_json(path: Path | None) -> None:
    """Raises OutputError where a file of JSON cannot be written, or would replace one that is not ours."""
    if path is not None:
        check_file(path)
        with refusals():
            ownership.refuse_foreign(path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a marked file of JSON. Raises OutputError where the system refuses."""
    with refusals():
        atomic.write_json(path, ownership.marked(content), indent=1)


@contextlib.contextmanager
def report_folder(folder: Path | None) -> Iterator[None]:
    """Inside, this process alone writes a report into a folder; None is none.

    Raises:
        OutputError: it cannot be written to, or holds a report that is not ours.
        LockedError: another command is writing one.
    """
    if folder is None:
        yield
        return
    check_folder(folder)
    with refusals():
        ownership.refuse_foreign_report(folder)
    with refusals(only=folder / LOCK), locks.exclusive(folder / LOCK, str(folder), "writing a report into"):
        yield


@contextlib.contextmanager
def refusals(only: Path | None = None) -> Iterator[None]:
    """Turns the system's refusal to write into a sentence; with `only`, that to write this file."""
    try:
        yield
    except OSError as error:
        if error.filename is None or (only is not None and os.fspath(only) != error.filename):
            raise
        raise OutputError(
            f"{error.filename} cannot be written: {error.strerror or error}; choose another place"
        ) from error
