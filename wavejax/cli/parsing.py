"""Arguments into frozen dataclasses (tyro), and its complaints into one sentence."""

import contextlib
import dataclasses
import inspect
import io
import itertools
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import tyro

from wavejax.ranges import as_option, check_ranges
from wavejax.terminal import unguarded

T = TypeVar("T")

_BOX = re.compile(r"^[\s│]+|[\s│]+$")
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_FLAG = re.compile(r"--[A-Za-z][\w.-]*")
_SETTINGS = (
    tyro.conf.AvoidSubcommands,
    tyro.conf.PositionalMetavarFromFieldName,
)


class UsageError(Exception):
    """The command line is wrong: the message says what and names what would be right."""


def parse(kind: type[T], command: str, arguments: Sequence[str], *, example: str, flag_pairs: bool = False) -> T:
    """An instance of the dataclass `kind` from the arguments of `wavejax command`.

    Args:
        kind: a dataclass; its docstring and its fields' docstrings are the help.
        command: as typed after `wavejax`.
        arguments: what was typed after that.
        example: shown at the end of the help's introduction.
        flag_pairs: every switch also as --no-...: for configurations, where it may be on.

    Raises:
        UsageError: an unknown option, a missing one, a value of the wrong type, or a number out of its range.
        SystemExit: after the help was printed.
    """
    said = io.StringIO()
    description = f"{inspect.cleandoc(kind.__doc__ or '')}\n\nExample:\n{textwrap.indent(example, '  ')}"
    config = (*_SETTINGS, *(() if flag_pairs else (tyro.conf.FlagCreatePairsOff,)))
    try:
        with contextlib.redirect_stderr(said), unguarded():  # whose help has colours
            given = tyro.cli(
                kind,
                prog=f"wavejax {command}",
                description=description,
                args=list(arguments),
                config=config,
            )
        check_ranges(given, as_option)
        return given
    except SystemExit as done:
        if not done.code:
            raise
        raise UsageError(_sentence(said.getvalue(), command, _field_names(kind))) from None
    except ValueError as error:  # a configuration that refuses its values, or a number out of its range
        raise UsageError(str(error)) from error


def _field_names(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def _sentence(box: str, command: str, fields: set[str]) -> str:
    """tyro's box of complaints as one sentence with the nearest names."""
    lines = [_BOX.sub("", _STYLE.sub("", line)) for line in box.strip().splitlines()][1:]  # the first is a title
    rules = [-1, *(i for i, line in enumerate(lines) if not line.strip("-─╰╯")), len(lines)]
    parts = [" ".join(lines[a + 1 : b]).strip() for a, b in itertools.pairwise(rules)]
    parts = [part for part in parts if part]
    complaint = parts[0] if parts else "the arguments make no sense"
    complaint = re.sub(r"Error parsing (?!--)[\w.]+: ", "", complaint)
    complaint = complaint[0].lower() + complaint[1:] if not complaint.startswith("-") else complaint
    complaint = complaint.removesuffix(".")
    if complaint.startswith("missing from"):
        words = complaint.partition(":")[2].replace(",", " ").split()
        named = [
            word for word in words if word.lstrip("-").replace("-", "_").lower() in fields and word != word.lower()
        ]
        named += [word for word in words if _FLAG.fullmatch(word)]
        complaint = f"missing: {', '.join(dict.fromkeys(named))}" if named else complaint
    near: list[str] = []
    for part in parts[1:]:
        if part.startswith("Perhaps you meant"):
            near = list(dict.fromkeys(_FLAG.findall(part)))[:3]
    meant = f"; did you mean {' or '.join(near)}?" if near else "."
    return f"{complaint}{meant} `wavejax {command} --help` lists what there is"


Command = Callable[[Sequence[str]], int]
Commands = Mapping[str, Command]
