"""`python -m benchmarks.run all`: the tables about speed of docs/results.md, one process each, in a given time.

The most important table comes first. FOLDER gets NAME.json and NAME.log of each table, and after each of them
`results.md`, written anew from all the JSON files that are there: a summary of the targets, then the tables. At the end
`speed.png` is drawn.
"""

import dataclasses
import errno
import importlib.util
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, WRONG, markdown, read_json
from benchmarks.targets import PLAIN, summary
from wavejax import atomic

MINUTES = 32.0
HEAD = "# Speed, measured"
"""For which `Part.seconds` are meant."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One table."""

    name: str
    title: str
    benchmark: str
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Packages without which it cannot run."""
    peers: tuple[str, ...] = ()
    """Of these, those that are installed."""
    seconds: float
    """What it takes on two quiet cores, about."""


PARTS = (
    Part(
        name="generation",
        title="Generation: 20 layers R64 S256, 256 classes, no conditioning",
        benchmark="generation",
        options=("--presets", PLAIN, "--batches", "1", "4", "16", "64", "--seconds", "1.5", "--repeats", "3"),
        peers=("naive", "compiled", "vocoder"),
        seconds=560,
    ),
    Part(
        name="generation-mol",
        title="Generation: r9y9-mol, batch 1",
        benchmark="generation",
        options=("--presets", "r9y9-mol", "--batches", "1", "--seconds", "0.8", "--repeats", "5"),
        peers=("vocoder",),
        seconds=90,
    ),
    Part(
        name="training",
        title="Training: one optimisation step, beside torch",
        benchmark="training",
        options=("--repeats", "5"),
        peers=("vocoder",),
        seconds=280,
    ),
    Part(
        name="generation-voice",
        title="Generation: speech-16k, the shipped voice's size, its conditioning network included",
        benchmark="generation",
        options=("--presets", "speech-16k", "--batches", "1", "16", "--seconds", "0.7", "--repeats", "5"),
        seconds=110,
    ),
    Part(
        name="folding",
        title="Folds of one recording, the shipped voice",
        benchmark="folding",
        seconds=130,
    ),
    Part(
        name="memory",
        title="Growth: by length, by layers",
        benchmark="memory",
        seconds=190,
    ),
    Part(
        name="streaming",
        title="Streaming: time of a block",
        benchmark="streaming",
        options=("--seconds", "3"),
        seconds=110,
    ),
    Part(
        name="compile",
        title="Compilation: what a first call takes more than a second",
        benchmark="compile",
        options=("--repeats", "1"),
        seconds=150,
    ),
    Part(
        name="data",
        title="The training pipeline's batches",
        benchmark="data",
        needs=("grain",),
        options=("--repeats", "3"),
        seconds=60,
    ),
    Part(
        name="dsp",
        title="Signal processing beside librosa",
        benchmark="dsp",
        needs=("librosa",),
        options=("--repeats", "5"),
        seconds=70,
    ),
    Part(
        name="generation-conditioned",
        title="Generation: nv-wavenet-20 with its conditioning at the sample rate",
        benchmark="generation",
        options=("--presets", "nv-wavenet-20", "--batches", "1", "16", "--seconds", "0.7", "--repeats", "3"),
        seconds=120,
    ),
)


def run(
    folder: Path, *, voice: str = "allison", minutes: float = MINUTES, only: Sequence[str] = (), quick: bool = False
) -> dict[str, Any]:
    """Measure; returns {"notes": ...}: a sentence about every table that is not there.

    Raises:
        ValueError: `only` names a table that does not exist.
    """
    unknown = sorted(set(only) - {part.name for part in PARTS})
    if unknown:
        raise ValueError(f"no table is called {', '.join(unknown)}; there are {', '.join(part.name for part in PARTS)}")
    atomic.prove_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "results.md"
    if page.exists() and not page.read_text(encoding="utf-8", errors="replace").startswith(HEAD):
        raise FileExistsError(errno.EEXIST, "it is there already and is no page of benchmarks", str(page))
    end, notes = time.monotonic() + 60 * minutes, []
    for part in PARTS:
        if only and part.name not in only:
            continue
        refusal = _measure(part, folder, voice, end - time.monotonic(), quick)
        if refusal is not None:
            notes.append(refusal)
            print(notes[-1], flush=True)
        _write_page(folder, notes)
    _draw(folder, notes)
    _write_page(folder, notes)
    print(folder / "results.md")
    return {"notes": notes}


def _measure(part: Part, folder: Path, voice: str, left: float, quick: bool) -> str | None:
    """Runs one part; why there is no table, or None."""
    absent = [name for name in part.needs if importlib.util.find_spec(name) is None]
    if absent:
        return f"{part.name} is left out: {', '.join(absent)} is not installed"
    if left < part.seconds / 2:
        return f"{part.name} is left out: {max(left, 0):.0f} s were left, and it takes about {part.seconds:.0f}"
    command = [sys.executable, "-m", "benchmarks.run", part.benchmark, *part.options]
    peers = [name for name in part.peers if name == "naive" or importlib.util.find_spec("torch") is not None]
    command += ["--peers", *peers] if peers else []
    command += ["--voice", voice] if part.benchmark == "folding" else []
    command += ["--quick"] if quick else []
    path, log = folder / f"{part.name}.json", folder / f"{part.name}.log"
    fresh = folder / f"{part.name}.json.new"
    fresh.unlink(missing_ok=True)
    print(f"{time.strftime('%H:%M:%S')} {part.name}, about {part.seconds:.0f} s", flush=True)
    start, busy = time.monotonic(), _processor_seconds()
    code = _finish([*command, "--json", str(fresh.resolve())], log, max(left, part.seconds))
    took = time.monotonic() - start
    print(f"         took {took:.0f} s, of a processor {_processor_seconds() - busy:.0f} s", flush=True)
    has_rows = fresh.exists()
    if has_rows:
        fresh.replace(path)
    if code is None:
        what = "its table ends there" if has_rows else "no table"
        return f"{part.name} was stopped after {took:.0f} s: {what}"
    if has_rows and code == 0:
        return None
    lines = log.read_text(encoding="utf-8").splitlines() or ["it said nothing"]
    return f"{WRONG}{part.name} ended with code {code}: {lines[-1]}"


def _processor_seconds() -> float:
    """Of all children that have ended, and theirs."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _finish(command: Sequence[str], log: Path, seconds: float) -> int | None:
    """Exit code of a command that may take so long; None where it took longer and was stopped, its children too."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        try:
            return process.wait(timeout=seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise


def _results(folder: Path) -> dict[str, dict[str, Any]]:
    return {part.name: read_json(path)[-1] for part in PARTS if (path := folder / f"{part.name}.json").exists()}


def _write_page(folder: Path, notes: Sequence[str]) -> None:
    results = _results(folder)
    lines = [HEAD, "", *summary(list(results.values())), "", *(f"- {note}" for note in notes), ""]
    for part in PARTS:
        if part.name not in results:
            continue
        figures = results[part.name]
        machine = figures["environment"]
        lines += [f"## {part.title}", "", *markdown(figures), ""]
        lines += ["Measured " + ", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    (folder / "results.md").write_text("\n".join(lines), encoding="utf-8")


def _draw(folder: Path, notes: list[str]) -> None:
    generation = _results(folder).get("generation")
    if generation is None:
        return
    if importlib.util.find_spec("matplotlib") is None:
        notes.append("speed.png is left out: matplotlib is not installed")
        return
    from benchmarks.plot import draw

    draw([generation], folder / "speed.png", PLAIN)


__all__ = ["MINUTES", "PARTS", "Part", "run"]
