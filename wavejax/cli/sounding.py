"""Sound that is made in blocks, into a file: whole, or after Ctrl-C its first part under another name."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from wavejax import interruption
from wavejax.audio.files import FIRST_PART, is_first_part, write_audio

_LONGEST_NAME = 255  # bytes, of most file systems


def write_blocks(target: Path, blocks: Iterator[np.ndarray], sample_rate: int) -> int:
    """Collects blocks [n] into a file and says how fast they came; returns the exit code.

    On Ctrl-C what was made is kept as <stem>.partial<suffix>, or under the next name that is no other file's. Once the
    file is there, such a part of it goes.

    Raises:
        AudioWriteError: the system refuses.
    """
    start, made = time.perf_counter(), [np.zeros(0, np.float32)]

    def keep(number: int) -> bool:
        _keep_first_part(target, tuple(made), sample_rate)
        return False

    with interruption.reacting(keep):
        try:
            for block in blocks:
                made.append(block)
        except KeyboardInterrupt:  # of a process that is no command
            keep(signal.SIGINT)
            return 128 + signal.SIGINT
        seconds, waveform = time.perf_counter() - start, np.concatenate(made)
        clipped = write_audio(target, waveform, sample_rate)
    for path in _first_parts(target):
        if is_first_part(path):
            path.unlink(missing_ok=True)
    note = f"; {clipped} samples clipped" if clipped else ""
    spoken = len(waveform) / sample_rate
    print(f"{target}: {spoken:.2f} s of sound in {seconds:.2f} s, times_real_time {spoken / seconds:.2f}{note}")
    return 0


def _keep_first_part(target: Path, made: Sequence[np.ndarray], sample_rate: int) -> None:
    waveform = np.concatenate(made)
    if not len(waveform):
        print(f"interrupted before the first block: nothing was written to {target}", file=sys.stderr)
        return
    path = next((path for path in _first_parts(target) if is_first_part(path) or not os.path.lexists(path)), None)
    if path is None:
        print(f"interrupted; {target} was not written, and other files have every name for its part", file=sys.stderr)
        return
    write_audio(path, waveform, sample_rate, comment=FIRST_PART)
    print(
        f"interrupted: the first {len(waveform) / sample_rate:.2f} s are kept in {path}; {target} was not written",
        file=sys.stderr,
    )


def _first_parts(target: Path) -> list[Path]:
    """Names for the first part of a sound."""
    endings = [f".partial{number}{target.suffix}" for number in ("", *(f"-{n}" for n in range(2, 10)))]
    return [target.with_name(f"{_cut(target.stem, _LONGEST_NAME - len(ending))}{ending}") for ending in endings]


def _cut(stem: str, num_bytes: int) -> str:
    encoded = os.fsencode(stem)
    return stem if len(encoded) <= num_bytes else encoded[:num_bytes].decode("utf-8", "ignore")
