"""How everything here is measured: cases take turns, medians with their spread, one check inside each case.

A result is JSON: {"benchmark", "environment", "notes": [str], "rows": [row]}. A row names what was measured in
`labels`, says the `unit`, the `median`, `lowest`, `highest` and all `repeats`, what `check` found, and `details`.
"""

import dataclasses
import errno
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import describe_machine
from wavejax import atomic

ROOT = Path(__file__).resolve().parents[1]


Keep = Callable[[dict[str, Any]], None]
"""Takes a result of which more is to come, so that what was measured survives being stopped."""


def forget(_: dict[str, Any]) -> None:
    """Keeps nothing."""


WRONG = "WRONG, so not timed: "


class WrongResult(RuntimeError):
    """What is under test does not compute what the reference does, so its speed says nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to be timed, in turn with others."""

    labels: Mapping[str, Any]
    run: Callable[[], Any]
    """Does the work and returns only when it is done (`jax.block_until_ready`)."""
    work: float
    """Units of work that one run does, e.g. samples."""
    check: Callable[[], dict[str, Any]]
    """Raises WrongResult, or says what it compared. Runs before anything is timed."""
    unit: str = "samples/s"
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def measure(cases: Sequence[Case], *, repeats: int, wrong: list[str] | None = None) -> list[dict[str, Any]]:
    """Checks every case, then times them in turns, so that a change in the machine's load meets all; one row each.

    A wrong case stops it all, or with a list `wrong` is left out and told there.

    The first run, which may compile, is apart: `details` holds it as `first_run_seconds`. `per_core_second` is the work
    done per second of processor time, all threads added up: on a machine with other work to do, what one core achieves
    while it is ours (threads that wait in a loop count as busy).
    """
    first, checks, sound = [], [], []
    for case in cases:
        start = time.perf_counter()
        case.run()
        seconds = time.perf_counter() - start
        try:
            checks.append(case.check())
        except WrongResult as error:
            if wrong is None:
                raise
            wrong.append(f"{WRONG}{error}")
            continue
        first.append(seconds)
        sound.append(case)
    cases = sound
    speeds: list[list[float]] = [[] for _ in cases]
    busy: list[list[float]] = [[] for _ in cases]
    for _ in range(repeats):
        for case, its_speeds, its_busy in zip(cases, speeds, busy, strict=True):
            start, processor = time.perf_counter(), time.process_time()
            case.run()
            its_speeds.append(case.work / (time.perf_counter() - start))
            its_busy.append(case.work / max(time.process_time() - processor, 1e-9))
    rows = []
    for case, its_speeds, its_busy, check, seconds in zip(cases, speeds, busy, checks, first, strict=True):
        details = {"per_core_second": statistics.median(its_busy), "first_run_seconds": seconds, **case.details}
        rows.append(row(case.labels, case.unit, its_speeds, check=check, **details))
    for each in rows:
        print(*each["labels"].values(), _number(each["median"]), each["unit"], file=sys.stderr, flush=True)
    return rows


def row(
    labels: Mapping[str, Any],
    unit: str,
    values: Sequence[float],
    *,
    check: Mapping[str, Any] | None = None,
    **details: Any,
) -> dict[str, Any]:
    """A row of a result."""
    return {
        "labels": dict(labels),
        "unit": unit,
        **summarise(values),
        "check": None if check is None else dict(check),
        "details": details,
    }


def summarise(values: Sequence[float]) -> dict[str, Any]:
    """Median and spread of repeats, the repeats beside them."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values), "repeats": list(values)}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the worst of latencies."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    return {"p50": at(0.50), "p95": at(0.95), "p99": at(0.99), "worst": ordered[-1]}


def result(benchmark: str, rows: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> dict[str, Any]:
    """What a benchmark returns, and what its JSON holds."""
    return {"benchmark": benchmark, "environment": describe_machine(), "notes": list(notes), "rows": list(rows)}


def table(figures: Mapping[str, Any]) -> str:
    """A result for people: one line per row, the labels first, then median, spread and short details."""
    lines = [", ".join(f"{name} {value}" for name, value in figures["environment"].items())]
    names = list(dict.fromkeys(name for each in figures["rows"] for name in each["labels"]))
    shown = list(
        dict.fromkeys(
            name for each in figures["rows"] for name, value in each["details"].items() if not isinstance(value, list)
        )
    )
    cells = [[*names, "median", "lowest", "highest", "unit", *shown]]
    for each in figures["rows"]:
        spread = [_number(each[name]) for name in ("median", "lowest", "highest")]
        labels = [str(each["labels"].get(name, "")) for name in names]
        cells.append([*labels, *spread, each["unit"], *(_number(each["details"].get(name, "")) for name in shown)])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        texts = [
            text.ljust(width) if i < len(names) else text.rjust(width) for i, (text, width) in _columns(line, widths)
        ]
        lines.append("  ".join(texts).rstrip())
    return "\n".join([*lines, *figures["notes"]])


DETAILS = (
    "times_vocoder",
    "times_compiled",
    "roofline_share",
    "bound_by",
    "times_fastest_torch",
    "xla_temporaries_MiB",
    "times_unfolded",
    "times_consumed",
    "share_of_a_core",
    "output_MiB",
    "real_time_factor",
    "p95",
    "p99",
    "worst",
    "underruns",
    "first_sound_ms",
    "mean",
    "of",
    "threads",
)
"""Details that a Markdown table shows, in this order; the JSON has all."""


def markdown(figures: Mapping[str, Any]) -> list[str]:
    """A result as lines of Markdown: labels, the median with its spread, some details; then the notes."""
    rows = figures["rows"]
    names = list(dict.fromkeys(name for each in rows for name in each["labels"]))
    names = [name for name in names if len({str(each["labels"].get(name, "")) for each in rows}) > 1] or names[:1]
    shown = [name for name in DETAILS if any(name in each["details"] for each in rows)]
    lines = ["| " + " | ".join([*names, "median", "range", "unit", *(name.replace("_", " ") for name in shown)]) + " |"]
    lines.append("|" + "---|" * (len(names) + 3 + len(shown)))
    for each in rows:
        labels = [str(each["labels"].get(name, "")) for name in names]
        spread = f"{_number(each['lowest'])} to {_number(each['highest'])}"
        details = [_number(each["details"].get(name, "")) for name in shown]
        lines.append("| " + " | ".join([*labels, _number(each["median"]), spread, each["unit"], *details]) + " |")
    return [*lines, "", *(f"- {note}" for note in figures["notes"])]


def _columns(line: Sequence[str], widths: Sequence[int]) -> Any:
    return enumerate(zip(line, widths, strict=True))


def _number(value: Any) -> str:
    if isinstance(value, bool | str) or value is None:
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


RESULTS = frozenset({"benchmark", "kernels"})
"""Names of which a result in a file has one."""


def write_json(path: Path, figures: Mapping[str, Any], *, append: bool = False) -> None:
    """Write a list of results: this one, after those already in the file with `append`.

    Numbers keep four digits, which is more than they are worth.
    """
    earlier = read_json(path) if append and path.exists() else []
    atomic.write_json(path, [*earlier, _rounded(figures)], indent=1)


def check_json(path: Path | None) -> None:
    """Whether results can be written to a file, found out before anything is measured.

    Raises:
        OSError: the system refuses, or the file is there and holds no results of benchmarks.
    """
    if path is None:
        return
    atomic.prove(path)
    if path.is_file() and path.stat().st_size and not _holds_results(path):
        raise FileExistsError(errno.EEXIST, "it is there already and holds no benchmark's results", str(path))


def _holds_results(path: Path) -> bool:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(found, list) and all(isinstance(each, dict) and RESULTS & each.keys() for each in found)


def read_json(path: Path) -> list[dict[str, Any]]:
    """The results in a file."""
    results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return results


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def in_fresh_process(call: str, environment: Mapping[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    """What `module:function`(**arguments) returns in a new process of its own; all of it passes as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.process", call, json.dumps(arguments)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{call}({arguments}) failed in its own process:\n{done.stderr[-4000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
