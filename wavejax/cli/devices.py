"""Sound that is heard while it is made: a player that is installed reads it."""

import contextlib
import importlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from wavejax.cli.inputs import OutputError

_ARGUMENTS: Mapping[str, Callable[[int], list[str]]] = {
    "aplay": lambda rate: ["-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", f"{rate}", "-"],
    "paplay": lambda rate: ["--raw", "--format=s16le", "--channels=1", f"--rate={rate}"],
    "play": lambda rate: ["-q", "-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", f"{rate}", "-"],
    "ffplay": lambda rate: ["-loglevel", "error", "-nodisp", "-autoexit", "-f", "s16le", "-ar", f"{rate}", "-i", "-"],
}
"""Programs that read 16-bit little-endian samples of one channel from standard input: ALSA's, PulseAudio's, SoX's and
FFmpeg's."""


@contextmanager
def player(sample_rate: int) -> Iterator[Callable[[bytes], object]]:
    """A function that plays 16-bit little-endian samples of one channel; at the end all of them have been heard.

    Raises OutputError where nothing can play, or the player stops.
    """
    found = next((name for name in _ARGUMENTS if shutil.which(name)), None)
    if found is not None:
        with tempfile.TemporaryFile() as said:
            yield from _through(found, sample_rate, said)
    elif importlib.util.find_spec("sounddevice") is not None:
        package = importlib.import_module("sounddevice")
        with package.RawOutputStream(samplerate=sample_rate, channels=1, dtype="int16") as stream:
            yield stream.write
    else:
        raise OutputError(
            f"nothing here plays sound: install one of {', '.join(_ARGUMENTS)} (apt install alsa-utils, brew install "
            "sox), or the Python package sounddevice; or write a file with --out"
        )


def _through(name: str, sample_rate: int, said: IO[bytes]) -> Iterator[Callable[[bytes], object]]:
    process = subprocess.Popen(
        [name, *_ARGUMENTS[name](sample_rate)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
    )
    if process.stdin is None:
        raise OutputError(f"{name} has no standard input")
    sink = process.stdin

    def play(samples: bytes) -> None:
        try:
            sink.write(samples)
            sink.flush()
        except BrokenPipeError:
            raise OutputError(_stopped(name, said)) from None

    try:
        yield play
        sink.close()
        if process.wait():
            raise OutputError(_stopped(name, said))
    finally:
        with contextlib.suppress(OSError):  # what nobody hears any more
            sink.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _stopped(name: str, said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read(10_000).decode("utf-8", "replace").split("\n")
    why = next((line.strip() for line in reversed(lines) if line.strip()), "it did not say why")
    return f"{name} stopped playing: {why}; write a file with --out"


__all__ = ["player"]
