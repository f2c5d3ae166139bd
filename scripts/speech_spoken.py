"""What an engine of synthetic speech gives, and how it is listed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wavejax.data.alignments import Interval
from wavejax.text.spec import Language

SAMPLE_RATE = 16_000


class SpeechError(RuntimeError):
    """The corpus could not be made; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What an engine made of a sentence."""

    waveform: np.ndarray
    """float32 [T] at 16 kHz."""
    symbols: tuple[str, ...]
    """A space for the silence before the first word, then each word's phonemes and what stands after it."""
    borders: np.ndarray
    """Where each symbol begins, and the end of the last: seconds, [symbols + 1]."""
    words: tuple[Interval, ...] | None = None
    """Words with their times, from an engine whose symbols are not those of the sentence one by one."""


Engine = Callable[[Any], Spoken | None]
"""Says a sentence; None where it would say other phonemes, or other words."""


@dataclass(frozen=True, kw_only=True)
class EngineEntry:
    """An engine, opened when it is used."""

    open: Callable[[], Engine]
    speaker: str
    language: Language = "en"
    credit: str = field(repr=False)


__all__ = ["SAMPLE_RATE", "Engine", "EngineEntry", "SpeechError", "Spoken"]
