"""Ranges of numbers: a field states its range beside its type, and one function refuses values outside it.

    seconds: Annotated[float, Range(0, 60, above=True)] = 3.0

An unchecked number may run for years, fill the memory, or fail far away with another library's error message.
"""

import dataclasses
import math
import typing
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Range:
    """The finite numbers from `low` to `high`.

    Args:
      low: the least allowed number; with `above`, numbers must be greater than it.
      high: the greatest allowed number; with `below`, numbers must be less than it.
      why: the reason for the upper end, in a few words.
    """

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False
    why: str = ""

    def __contains__(self, number: float) -> bool:
        """Whether a number lies in the range; NaN and the infinities lie in none."""
        over = number > self.low if self.above else number >= self.low
        under = number < self.high if self.below else number <= self.high
        return over and under and (isinstance(number, int) or math.isfinite(number))

    def __str__(self) -> str:
        """In words, such as "above 0 and at most 60"."""
        low = f"{'above' if self.above else 'at least'} {_written(self.low)}"
        if self.high == math.inf:
            return low
        why = f" ({self.why})" if self.why else ""
        return f"{low} and {'below' if self.below else 'at most'} {_written(self.high)}{why}"


def check_ranges(given: Any, spelt: Callable[[str], str] = str) -> None:
    """Checks the fields of a dataclass instance that state a `Range`: numbers, and tuples of numbers.

    Args:
      given: the instance; None and strings such as "auto" in these fields are accepted.
      spelt: maps a field's name to the name that the user typed.

    Raises:
      ValueError: names the first field that lies outside, and its range.
    """
    hints = typing.get_type_hints(type(given), include_extras=True)
    for field in dataclasses.fields(given):
        ranges = [each for each in getattr(hints[field.name], "__metadata__", ()) if isinstance(each, Range)]
        value = getattr(given, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if ranges and isinstance(number, int | float) and number not in ranges[0]:
                raise ValueError(f"{spelt(field.name)} must be {ranges[0]}, got {number}")


def as_option(field: str) -> str:
    """A field's name as typed on the command line: "keep_last" -> "--keep-last"."""
    return f"--{field.replace('_', '-')}"


def _written(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


COUNT = Range(1)
AT_LEAST_NONE = Range(0)
SHARE = Range(0, 1, below=True)
GV_SCALE = Range(0.5, 2)
TEMPERATURE = Range(0, 10, why="1 draws as the model says, at 10 nothing of it is left")
PROBABILITY_FLOOR = Range(0, 0.5, below=True)
SOUND_SECONDS = Range(0, 43200, above=True, why="12 hours, what a WAV file holds")
EXCERPT_SECONDS = Range(0, 600, above=True)
ROWS = Range(1, 2**20)


__all__ = [
    "AT_LEAST_NONE",
    "COUNT",
    "EXCERPT_SECONDS",
    "GV_SCALE",
    "PROBABILITY_FLOOR",
    "ROWS",
    "SHARE",
    "SOUND_SECONDS",
    "TEMPERATURE",
    "Range",
    "as_option",
    "check_ranges",
]
