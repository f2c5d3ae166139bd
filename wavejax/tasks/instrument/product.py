"""A trained instrument: notes in, sound out."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, SupportsIndex

import numpy as np
from jaxtyping import Float

from wavejax.audio.notes import NoteSpec, midi_number
from wavejax.data.notes import LEAD
from wavejax.experiments.autoregressive.product import SampleModel
from wavejax.tasks.instrument.config import InstrumentConfig
from wavejax.tasks.instrument.playing import (
    NEXT_TAKE,
    RELEASE,
    TAKES,
    PlayingError,
    check_length,
    most_typical,
    note_frames,
    within_peak,
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Instrument(SampleModel[InstrumentConfig]):
    """A model of an instrument. `instrument.play(["C4", "E4"])` makes the sound of each note."""

    kind: ClassVar[str] = "instrument"

    @property
    def spec(self) -> NoteSpec:
        """The notes it reads."""
        return self.config.spec

    def strike(
        self,
        notes: Sequence[str | float],
        num_samples: int,
        *,
        seed: SupportsIndex = 0,
        takes: int = TAKES,
        **options: Any,
    ) -> Float[np.ndarray, "notes time"]:
        """Waveforms float32 [N, num_samples] of notes as recordings hold them: `LEAD` before the stroke, no fade.

        Two draws of one note differ, as a random stroke gives each partial more or less. So each note is drawn `takes`
        times, and the `most_typical` take is kept. `options` are those of `wavejax.generate`; the temperature is the
        instrument's own unless given. Raises what `note_frames` raises, and PlayingError on fewer than one take.
        """
        if not 1 <= takes <= 2**15:
            raise PlayingError(f"a note is drawn once or more often, and at most {2**15} times, got takes={takes}")
        spec, given = self.spec, self.with_temperature(options)
        frames = np.concatenate([note_frames(spec, notes, num_samples)] * takes)
        ids = np.asarray(given.pop("stream_ids", np.arange(len(notes))))
        given["stream_ids"] = np.concatenate([ids + NEXT_TAKE * take for take in range(takes)])
        if np.ndim(given["temperature"]):  # of each note
            given["temperature"] = np.concatenate([given["temperature"]] * takes)
        made = self.generate(seed=seed, local_conditioning=frames, num_samples=num_samples, **given)
        chosen = []
        for number, note in enumerate(notes):
            struck = made[number :: len(notes)]
            rung = np.stack([spec.ring(samples, midi_number(note), onset=LEAD) for samples in struck])
            chosen.append(rung[most_typical(rung, spec.sample_rate)])
        return np.stack(chosen)

    def play(
        self,
        notes: Sequence[str | float],
        *,
        seconds: float = 3.0,
        seed: SupportsIndex = 0,
        takes: int = TAKES,
        **options: Any,
    ) -> Float[np.ndarray, "notes time"]:
        """Waveforms float32 [N, T] of single notes, rendered as one batch; T is `seconds` from the stroke.

        All of them are made quieter by one factor where one would exceed `PEAK`.

        Args:
            notes: names with their octave (C4, F#3) or MIDI numbers, which may lie between two keys (60.5).
            seconds: length, from the stroke to the end of a fade of `RELEASE`.
            seed: of the noise; with it, a note sounds the same whenever it stands at the same place of `notes`.
            takes: draws of each note, of which the most typical is kept (see `strike`).
            options: of `wavejax.generate`: temperature, progress, dtype, backend, ...

        Raises:
            PlayingError, ValueError: see `note_frames` and `check_length`.
        """
        check_length(len(notes), takes, seconds)
        rate = self.sample_rate
        lead, length = round(LEAD * rate), max(round(seconds * rate), 1)
        made = self.strike(notes, lead + length, seed=seed, takes=takes, **options)
        fade = np.minimum(np.arange(length, 0, -1) / (RELEASE * rate), 1.0)
        return within_peak((made[:, lead:] * np.sin(0.5 * np.pi * fade)[None]).astype(np.float32))
