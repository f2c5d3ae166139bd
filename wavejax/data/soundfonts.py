"""SoundFonts (.sf2, .sf3) as instruments that play scores, by the package tinysoundfont (MIT)."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.data.players import PlayedNote
from wavejax.data.scores import ScoreError
from wavejax.documents import open_regular
from wavejax.extras import MissingExtra

_RELEASE = 2.0
"""Seconds after the release of a key for which it is heard, at most."""
_SILENT = 10.0 ** (-80.0 / 20.0)
_GAIN_DB = -12.0
"""Eight loud notes at once stay below full scale."""


class SoundFont:
    """Plays notes by their program, and drums by their pitch: a `NotePlayer` for `Score.waveform`.

    Programs that the SoundFont does not have are played by its first one. The player is native code: open only files
    that you trust.

    Raises MissingExtra without tinysoundfont, ScoreError on a file that it cannot read.
    """

    plays_drums = True

    def __init__(self, path: str | os.PathLike[str], sample_rate: int = 24_000) -> None:
        try:
            import tinysoundfont
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "SoundFonts need the package tinysoundfont: pip install --no-deps tinysoundfont (what it requires "
                "besides is for a sound card, and needs a compiler)",
                name="tinysoundfont",
            ) from error
        self.sample_rate = sample_rate
        with open_regular(path) as file:
            head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"sfbk":
            raise ScoreError(f"{os.fspath(path)} is no SoundFont, which starts with RIFF and sfbk: got {head!r}")
        self._synth: Any = tinysoundfont.Synth(gain=_GAIN_DB, samplerate=sample_rate)
        try:
            self._font = self._synth.sfload(str(Path(path)))
        except Exception as error:  # the package raises its own, which are no subclasses of one another
            raise ScoreError(f"{os.fspath(path)} is a SoundFont that cannot be read: {error}") from error

    def sounds(self, notes: Sequence[PlayedNote]) -> list[Float[np.ndarray, " _"]]:
        """The waveform of each note, the mean of both channels, until it is silent after its release."""
        return [self._sound(note) for note in notes]

    def _sound(self, note: PlayedNote) -> Float[np.ndarray, " time"]:
        channel = 9 if note.drums else 0
        try:
            self._synth.program_select(channel, self._font, 128 if note.drums else 0, note.program, note.drums)
        except Exception:  # no such program, see the class
            self._synth.program_change(channel, 0, note.drums)
        self._synth.sounds_off()
        self._synth.noteon(channel, note.pitch, note.velocity)
        held = self._generated(round(note.seconds * self.sample_rate))
        self._synth.noteoff(channel, note.pitch)
        after = self._generated(round(_RELEASE * self.sample_rate))
        self._synth.sounds_off()
        loud = np.flatnonzero(np.abs(after) > _SILENT)
        return np.concatenate([held, after[: loud[-1] + 1 if len(loud) else 0]])

    def _generated(self, count: int) -> Float[np.ndarray, " time"]:
        stereo = np.frombuffer(self._synth.generate(count), np.float32).reshape(-1, 2)
        return stereo[:count].mean(axis=1)


__all__ = ["SoundFont"]
