"""Seconds from a typed command to its sound, with nothing compiled before and with what an earlier command has kept:
imports, compiling and the sound itself apart.

Every figure is of a whole process, the interpreter's own start included. `--beside CHECKOUT` runs another checkout of
wavejax in turns with this one. The check: all of one checkout's runs write the same samples, bit for bit.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from benchmarks.harness import ROOT, Keep, WrongResult, forget, result, row

COLD, WARM = "nothing compiled before", "compiled before"
_RATE = 16_000
_SAYER, _TEXT = "heart", "Dr. Smith paid $45.50 on Jan. 5th."
_LIGHT = (("--version",), ("--help",), ("voices",))
_PARTS = ("processor_seconds", "imports", "voice_and_features", "compiling", "first_sample", "sound")


class Run(NamedTuple):
    """One command; seconds."""

    seconds: float
    processor_seconds: float
    compiling: float
    sound: float


def run(
    *,
    voice: str = "allison",
    seconds: float = 3.0,
    repeats: int = 5,
    beside: Path | None = None,
    quick: bool = False,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure `wavejax vocode VOICE` of a recording of that length, and commands that make no sound."""
    repeats = 1 if quick else repeats
    checkouts = {"this": ROOT, **({} if beside is None else {"beside": beside.resolve()})}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording = _recording(folder / "speech.wav", seconds)
        runs: dict[tuple[str, str], list[Run]] = {}
        imports: dict[str, list[float]] = {}
        sounds: dict[str, set[bytes]] = {}
        for turn in range(repeats):
            for checkout, root in checkouts.items():
                imports.setdefault(checkout, []).append(_process(root, ["-c", "import wavejax.cli.speaking"], {})[0])
                kept = folder / checkout / str(turn)  # empty at first
                for state in (COLD, WARM):
                    target = folder / "out"
                    environment = _environment(root, kept)
                    arguments = ["-m", "wavejax", "vocode", voice, str(recording), "--out", str(target), "--overwrite"]
                    runs.setdefault((checkout, state), []).append(_spoken(root, arguments, environment))
                    sounds.setdefault(checkout, set()).add((target / recording.name).read_bytes())
        if wrong := [checkout for checkout, found in sounds.items() if len(found) > 1]:
            raise WrongResult(f"samples differ between cold and warm runs of {', '.join(wrong)}")
        for (checkout, state), made in runs.items():
            labels = {"command": f"vocode {voice}", "checkout": checkout, "state": state}
            check = {"samples": "equal in all runs"}
            rows.append(row(labels, "s", [r.seconds for r in made], check=check, **_parts(made, imports[checkout])))
        keep(result("startup", rows))
        rows += _saying(folder, checkouts, repeats)
        keep(result("startup", rows))
        for arguments in _LIGHT:
            for checkout, root in checkouts.items():
                took = [_process(root, ["-m", "wavejax", *arguments], {}) for _ in range(repeats)]
                labels = {"command": arguments[0], "checkout": checkout, "state": ""}
                busy = float(np.median([processor for _, processor, _, _ in took]))
                rows.append(row(labels, "s", [wall for wall, _, _, _ in took], processor_seconds=busy))
    return result("startup", rows)


def _saying(folder: Path, checkouts: Mapping[str, Path], repeats: int) -> list[dict[str, Any]]:
    """Rows of `wavejax say VOICE TEXT --stream`: until its first sample can be heard."""
    runs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    sounds: dict[str, set[bytes]] = {}
    for turn in range(repeats):
        for checkout, root in checkouts.items():
            for state in (COLD, WARM):
                first, processor, sound = _heard(root, _environment(root, folder / f"say-{checkout}" / str(turn)))
                runs.setdefault((checkout, state), []).append((first, processor))
                sounds.setdefault(checkout, set()).add(sound)
    if wrong := [checkout for checkout, found in sounds.items() if len(found) > 1]:
        raise WrongResult(f"say's samples differ between cold and warm runs of {', '.join(wrong)}")
    return [
        row(
            {"command": f"say {_SAYER}, first sound", "checkout": checkout, "state": state},
            "s",
            [first for first, _ in made],
            check={"samples": "equal in all runs"},
            processor_seconds=float(np.median([processor for _, processor in made])),
        )
        for (checkout, state), made in runs.items()
    ]


def _heard(root: Path, chosen: Mapping[str, str]) -> tuple[float, float, bytes]:
    """Seconds until the first bytes of sound, processor seconds of the whole command, and the sound."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    arguments = [sys.executable, "-m", "wavejax", "say", _SAYER, _TEXT, "--stream"]
    with subprocess.Popen(arguments, cwd=root, env=_inherited(root, chosen), stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise WrongResult("say has no standard output")
        beginning = process.stdout.read(1)
        first = time.perf_counter() - start
        sound = beginning + process.stdout.read()
    if process.returncode or not sound:
        raise WrongResult(f"say of {root} failed with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return first, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, sound


def _inherited(root: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "NUMBA_"))}
    return {**kept, "PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu", **chosen}


def _recording(path: Path, seconds: float) -> Path:
    """The first seconds of the recordings that ship with the package."""
    shipped = sorted((ROOT / "wavejax/data/embedded").glob("*.flac"))
    pieces, length = [], round(seconds * _RATE)
    while sum(map(len, pieces)) < length:
        pieces.append(soundfile.read(shipped[len(pieces) % len(shipped)], dtype="float32")[0])
    soundfile.write(path, np.concatenate(pieces)[:length], _RATE)
    return path


def _environment(root: Path, kept: Path) -> dict[str, str]:
    chosen = {"WAVEJAX_CACHE": str(kept)}
    if not (root / "wavejax/compilation_cache.py").exists():  # what numba keeps beside the source would never be cold
        chosen["NUMBA_CACHE_DIR"] = str(kept)
    return chosen


def _process(root: Path, arguments: list[str], chosen: Mapping[str, str]) -> tuple[float, float, str, str]:
    """Seconds, processor seconds, and what was written to standard output and error."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=_inherited(root, chosen),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise WrongResult(f"{' '.join(arguments)} of {root} failed: {done.stderr[-2000:]}")
    return seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout, done.stderr


def _spoken(root: Path, arguments: list[str], chosen: Mapping[str, str]) -> Run:
    seconds, processor, out, error = _process(root, arguments, chosen)
    compiling, sound = re.search(r"compiled in ([\d.]+) s", error), re.search(r"of sound in ([\d.]+) s", out)
    if compiling is None or sound is None:
        raise WrongResult(f"vocode said nothing of its time: {out}{error}")
    return Run(seconds, processor, float(compiling.group(1)), float(sound.group(1)))


def _parts(runs: list[Run], imports: list[float]) -> dict[str, float]:
    """Medians. `voice_and_features` is the rest: reading the voice and the recording, and the process's end."""
    seconds, processor, compiling, sound = (float(np.median(column)) for column in zip(*runs, strict=True))
    imported = float(np.median(imports))
    values = (processor, imported, seconds - imported - compiling - sound, compiling, seconds - sound, sound)
    return dict(zip(_PARTS, values, strict=True))
