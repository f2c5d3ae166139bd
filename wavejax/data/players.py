"""Instruments that play single notes: what a score is rendered with. A sine stands here; others have a product.

An instrument is anything with a sample rate and a method `sounds` (`NotePlayer`): the sine below, a trained instrument
such as `wavejax.load("piano")`, or a SoundFont (`wavejax.data.soundfonts`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


class PlayedNote(NamedTuple):
    """One note as an instrument plays it."""

    pitch: int
    """MIDI number."""
    seconds: float
    """From the stroke to the release of the key; the sound may last longer."""
    velocity: int
    """How hard it is struck, 1 to 127."""
    program: int = 0
    """General MIDI's instrument; most instruments are one and do not look at it."""
    drums: bool = False
    """Whether the pitch names a drum."""


@runtime_checkable
class NotePlayer(Protocol):
    """An instrument that plays single notes."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    def sounds(self, notes: Sequence[PlayedNote]) -> Sequence[Float[np.ndarray, " _"]]:
        """The waveform, float32 at `sample_rate`, of each of the notes, which are all different."""


@dataclass(frozen=True, kw_only=True)
class Sine:
    """Sines that decay slowly: plain, quick, and exactly in tune."""

    sample_rate: int = 16_000

    def sounds(self, notes: Sequence[PlayedNote]) -> list[Float[np.ndarray, " _"]]:
        """Waveforms of level .2 at velocity 127; attack 5 ms, decay by 1 / e in 1.5 s, release 50 ms."""
        return [self._sound(note) for note in notes]

    def _sound(self, note: PlayedNote) -> Float[np.ndarray, " time"]:
        time = np.arange(round((note.seconds + 0.05) * self.sample_rate)) / self.sample_rate
        hertz = 440.0 * 2.0 ** ((note.pitch - 69) / 12)
        ends = np.minimum(time / 0.005, 1.0) * np.clip((note.seconds + 0.05 - time) / 0.05, 0.0, 1.0)
        level = 0.2 * (note.velocity / 127) * (hertz < 0.5 * self.sample_rate)
        return (level * ends * np.exp(-time / 1.5) * np.sin(2.0 * np.pi * hertz * time)).astype(np.float32)


__all__ = ["NotePlayer", "PlayedNote", "Sine"]
