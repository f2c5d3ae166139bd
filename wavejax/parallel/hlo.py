"""Reads a compiled program's HLO text: its computations, operations and collectives.

All functions are pure functions of the text of `compiled.as_text()`, whichever compiler wrote it.
"""

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
    "ragged-all-to-all",
)
"""The collectives: operations by which devices exchange arrays."""

_BITS = {"pred": 8, "token": 0, "opaque": 0}
_HEADER = re.compile(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_CALLED = re.compile(
    r"\b(?:calls|to_apply|body|condition|called_computations|branch_computations)=(\{[^}]*\}|%?[\w.\-]+)"
)


class Operation(NamedTuple):
    """One HLO instruction."""

    shape: str
    """Shape of the result as written, e.g. `(f32[8]{0}, f32[])`."""
    name: str
    """Name of the operation, e.g. `fusion`; empty if the line holds no operation."""


class Collective(NamedTuple):
    """One operation by which devices exchange arrays."""

    kind: str
    """One of `KINDS`."""
    payload_bytes: int
    """Bytes of the whole arrays: the summed ones, or those that a device has after a gather or before a scatter."""
    group_size: int
    """Number of devices that take part."""
    times: int | None
    """How often one call of the program runs it: 1 outside loops; None in a loop of unknown length."""

    @property
    def sent_bytes(self) -> float:
        """Bytes that each device sends per run in a ring algorithm (Patarasuk and Yuan 2009)."""
        part = (self.group_size - 1) / self.group_size
        return self.payload_bytes * {"all-reduce": 2 * part, "collective-permute": 1.0}.get(self.kind, part)


def computations(program: str) -> dict[str, list[str]]:
    """The lines of each computation, by name."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in program.splitlines():
        start = _HEADER.match(line)
        if start:
            lines = found[start.group(1)] = []
        elif line.startswith("  "):
            lines.append(line)
    return found


def operation(line: str) -> Operation:
    """The operation of one line; empty strings if there is none."""
    start = re.match(r"\s*(?:ROOT )?%?[\w.\-]+ = ", line)
    if start is None:
        return Operation("", "")
    rest = line[start.end() :]
    end = next(_places(rest, " "), None)  # the shape ends at the first space outside brackets
    return Operation("", "") if end is None else Operation(rest[:end], rest[end + 1 :].partition("(")[0])


def shape_bytes(shape: str) -> int:
    """Bytes of an array, or of all arrays of a tuple, without padding.

    Raises:
      ValueError: an element type of unknown size.
    """
    total = 0
    for dtype, dimensions in re.findall(r"\b([a-z]\w*)\[([\d,<=]*)\]", re.sub(r"/\*.*?\*/|\{[^{}]*\}", "", shape)):
        elements = math.prod(int(size.lstrip("<=")) for size in dimensions.split(",") if size)
        total += -(-elements * _bits(dtype) // 8)
    return total


def collectives(program: str) -> tuple[Collective, ...]:
    """The collectives of a program, in the order of the text.

    A collective that is split into a start and an end is listed once; `times` counts the iterations of its loops.
    """
    parts, times = computations(program), _times(program)
    found = []
    for name, lines in parts.items():
        if name not in times:
            continue  # nothing calls it
        for line in lines:
            each = operation(line)
            kind = each.name.removesuffix("-start")
            if kind in KINDS:
                size = _group_size(line, program)
                found.append(Collective(kind, _payload(each, kind, size), size, times[name]))
    return tuple(found)


def loop_bodies(program: str) -> set[str]:
    """Names of the computations that are loop bodies."""
    return set(re.findall(r"\bbody=%?([\w.\-]+)", program))


def _times(program: str) -> dict[str, int | None]:
    """How often each computation runs in one call of the program."""
    parts = computations(program)
    entry = re.search(r"^ENTRY %?([\w.\-]+) ", program, re.MULTILINE)
    if entry is None:
        raise ValueError("the text holds no ENTRY computation: give the whole of compiled.as_text()")
    times: dict[str, int | None] = defaultdict(int)

    def visit(name: str, count: int | None) -> None:
        before = times[name]
        times[name] = None if before is None or count is None else before + count
        for line in parts.get(name, ()):
            turns = _turns(line, parts)
            for group in _CALLED.findall(line):
                for called in re.findall(r"[\w.\-]+", group):
                    visit(called, None if count is None or turns is None else count * turns)

    visit(entry.group(1), 1)
    return dict(times)


def _turns(line: str, parts: dict[str, list[str]]) -> int | None:
    """How often a line runs the computations it calls: for a loop, its stated length or the one in its condition."""
    if operation(line).name != "while":
        return 1
    stated = re.search(r"\"known_trip_count\":\{\"n\":\"(\d+)\"", line)
    if stated:
        return int(stated.group(1))
    condition = re.search(r"\bcondition=%?([\w.\-]+)", line)
    lines = parts.get(condition.group(1), []) if condition else []
    limits = [int(found.group(1)) for each in lines if (found := re.search(r"\bs32\[\]\S* constant\((\d+)\)", each))]
    counts_up = any(" compare(" in each and "direction=LT" in each for each in lines)
    return limits[0] if len(limits) == 1 and counts_up else None


def _payload(each: Operation, kind: str, group_size: int) -> int:
    shape = each.shape
    if each.name.endswith("-start") and kind in ("all-gather", "collective-permute"):
        shape = _elements(shape)[1]  # (operands, results, ...)
    return shape_bytes(shape) * (group_size if kind == "reduce-scatter" else 1)


def _elements(shape: str) -> list[str]:
    """The elements of a tuple's shape."""
    inner = shape[1:-1]
    commas = [-1, *_places(inner, ","), len(inner)]
    return [inner[a + 1 : b].strip() for a, b in itertools.pairwise(commas)]


def _places(text: str, letter: str) -> Iterator[int]:
    """The places of a letter outside all brackets."""
    depth = 0
    for place, each in enumerate(text):
        depth += (each in "([{") - (each in ")]}")
        if each == letter and depth == 0:
            yield place


def _group_size(line: str, program: str) -> int:
    """Devices of one group: lists `{{0,1},{2,3}}`, iotas `[2,4]<=[8]`, axes of a mesh, or (empty) all devices."""
    listed = re.search(r"replica_groups=\{\{([\d,]+)\}", line)
    if listed:
        return listed.group(1).count(",") + 1
    iota = re.search(r"replica_groups=\[\d+,(\d+)\]<=", line)
    if iota:
        return int(iota.group(1))
    axes = re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", line)
    if axes:
        sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", axes.group(1))}
        return math.prod(sizes[name] for name in re.findall(r"'([^']+)'", axes.group(2)))
    whole = re.search(r"num_partitions=(\d+)", program) or re.search(r"replica_count=(\d+)", program)
    return int(whole.group(1)) if whole else 1


def _bits(dtype: str) -> int:
    if dtype in _BITS:
        return _BITS[dtype]
    width = re.match(r"(?:bf|f|s|u|c)(\d+)", dtype)
    if width is None:
        raise ValueError(f"{dtype!r} is no element type whose size is known")
    return int(width.group(1))
