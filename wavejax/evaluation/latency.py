"""How soon a stream prints a word after it was said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class PrintedWord(NamedTuple):
    """A word of a stream, in seconds of sound."""

    text: str
    shown: float
    """All its letters were printed; more might have come."""
    final: float | None
    """It was known to be complete; None: not before the stream ended."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds from the last sound of a word to when it is printed; medians, and what 95 % stay within.

    Sound that has to come first counts, computing does not. A figure is below 0 where a word was printed early.
    """

    shown: tuple[float, float]
    """Until all its letters are printed."""
    final: tuple[float, float] | None
    """Until it is final; None where no word became final before its stream ended."""
    words: int
    never_final: int
    """Words that became final only as the stream ended; they do not count in `final`."""
    source: str
    """Where the ends of words come from."""

    def __str__(self) -> str:
        def both(figures: tuple[float, float]) -> str:
            return f"median {figures[0]:.0f} ms, 95 % within {figures[1]:.0f} ms"

        final = "never" if self.final is None else both(self.final)
        end = f", {self.never_final} of them final only at the end" if self.never_final else ""
        return f"word shown: {both(self.shown)}; final: {final} ({self.words} words{end}; ends of words: {self.source})"

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "shown_ms": self.shown,
            "final_ms": self.final,
            "words": self.words,
            "never_final": self.never_final,
            "source": self.source,
        }


def latency(words: Sequence[tuple[PrintedWord, float]], source: str) -> Latency | None:
    """Of words and the times at which they end, in seconds; None of no words."""
    if not words:
        return None
    final = [word.final - end for word, end in words if word.final is not None]
    return Latency(
        shown=_figures([word.shown - end for word, end in words]),
        final=_figures(final) if final else None,
        words=len(words),
        never_final=len(words) - len(final),
        source=source,
    )


def _figures(seconds: Sequence[float]) -> tuple[float, float]:
    middle, most = np.percentile(1000 * np.asarray(seconds), [50, 95])
    return float(middle), float(most)


__all__ = ["Latency", "PrintedWord", "latency"]
