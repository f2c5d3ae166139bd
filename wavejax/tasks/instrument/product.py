"""A trained instrument: notes in, sound out."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, SupportsIndex

import numpy as np
from jaxtyping import Float

from wavejax.audio.notes import NoteSpec, midi_number
from wavejax.data.notes import LEAD
from wavejax.data.players import PlayedNote
from wavejax.experiments.autoregressive.product import SampleModel
from wavejax.tasks.instrument.config import InstrumentConfig
from wavejax.tasks.instrument.playing import (
    NEXT_TAKE,
    RELEASE,
    TAKES,
    PlayingError,
    batches_of,
    check_length,
    most_typical,
    nearest_key,
    note_frames,
    released,
    ringing_after,
    within_peak,
)
from wavejax.tasks.instrument.voicing import Voicing


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
        voiced: bool = False,
        **options: Any,
    ) -> Float[np.ndarray, "notes time"]:
        """Waveforms float32 [N, num_samples] of notes as recordings hold them: `LEAD` before the stroke, no fade.

        Two draws of one note differ, as a random stroke gives each partial more or less. So each note is drawn `takes`
        times, and the `most_typical` take is kept. `voiced` corrects stroke, tone and level of each key by the
        instrument's `voicing`, if it has one. `options` are those of `wavejax.generate`; the temperature is the
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
            rung = np.stack([self._rung(samples, midi_number(note), voiced) for samples in struck])
            chosen.append(rung[most_typical(rung, spec.sample_rate)])
        return np.stack(chosen)

    def play(
        self,
        notes: Sequence[str | float],
        *,
        seconds: float = 3.0,
        seed: SupportsIndex = 0,
        takes: int = TAKES,
        voiced: bool = False,
        **options: Any,
    ) -> Float[np.ndarray, "notes time"]:
        """Waveforms float32 [N, T] of single notes, rendered as one batch; T is `seconds` from the stroke.

        All of them are made quieter by one factor where one would exceed `PEAK`.

        Args:
            notes: names with their octave (C4, F#3) or MIDI numbers, which may lie between two keys (60.5).
            seconds: length, from the stroke to the end of a fade of `RELEASE`.
            seed: of the noise; with it, a note sounds the same whenever it stands at the same place of `notes`.
            takes: draws of each note, of which the most typical is kept (see `strike`).
            voiced: correct stroke, tone and level of each key by the instrument's `voicing`, if it has one.
            options: of `wavejax.generate`: temperature, progress, dtype, backend, ...

        Raises:
            PlayingError, ValueError: see `note_frames` and `check_length`.
        """
        check_length(len(notes), takes, seconds)
        rate = self.sample_rate
        lead, length = round(LEAD * rate), max(round(seconds * rate), 1)
        made = self.strike(notes, lead + length, seed=seed, takes=takes, voiced=voiced, **options)
        fade = np.minimum(np.arange(length, 0, -1) / (RELEASE * rate), 1.0)
        return within_peak((made[:, lead:] * np.sin(0.5 * np.pi * fade)[None]).astype(np.float32))

    def sounds(self, notes: Sequence[PlayedNote]) -> list[Float[np.ndarray, " _"]]:
        """The waveform of each note, as `Score.waveform` asks for them: voiced, from its stroke to its damped end.

        Each key is drawn once and kept: notes of other lengths and velocities are cut from it, damped (the highest keys
        of a piano have no dampers), and made louder or softer by the square of the velocity; 80 is as recorded. Pitches
        beyond the keyboard sound as many octaves nearer. With one seed, a key sounds the same in every score.
        """
        rate = self.sample_rate
        seconds: dict[int, float] = {}
        for note in notes:
            key = nearest_key(note.pitch)
            seconds[key] = max(seconds.get(key, 0.0), note.seconds + ringing_after(key))
        self._draw(seconds)
        return [released(self._keys[nearest_key(note.pitch)], note, rate) for note in notes]

    def drawn(
        self, notes: Sequence[str | float], num_samples: int, *, takes: int = 1, seed: SupportsIndex = 0
    ) -> Float[np.ndarray, "takes notes time"]:
        """What the model draws of each note, float32 [takes, N, num_samples]: with strings, their excitation.

        `spec.ring`, or `spec.parts` and a voicing, make sound of it. Struck `LEAD` after sample 0. Take t of note n has
        stream id n + `NEXT_TAKE` t. Raises what `note_frames` raises.
        """
        frames = np.concatenate([note_frames(self.spec, notes, num_samples)] * takes)
        ids = np.concatenate([np.arange(len(notes)) + NEXT_TAKE * take for take in range(takes)])
        options = self.with_temperature({})
        made = self.generate(seed=seed, local_conditioning=frames, num_samples=num_samples, stream_ids=ids, **options)
        return np.asarray(made, np.float32).reshape(takes, len(notes), num_samples)

    @functools.cached_property
    def voicing(self) -> Voicing | None:
        """The corrections that lie beside its parameters; None if there are none. Raises ValueError on damaged ones."""
        return None if self.folder is None else Voicing.load(self.folder)

    @functools.cached_property
    def _keys(self) -> dict[int, Float[np.ndarray, " _"]]:
        """What was drawn of each key, from its stroke on."""
        return {}

    def _draw(self, seconds: dict[int, float]) -> None:
        """Draws those keys that are not kept as long as wanted."""
        rate, lead = self.sample_rate, round(LEAD * self.sample_rate)
        missing = {key: wanted for key, wanted in seconds.items() if len(self._keys.get(key, ())) < wanted * rate}
        for keys in batches_of(missing):
            num_samples = math.ceil(max(missing[key] for key in keys) * rate)
            made = self.strike(keys, lead + num_samples, takes=1, voiced=True, stream_ids=keys)
            self._keys.update(zip(keys, made[:, lead:], strict=True))

    def _rung(self, samples: Float[np.ndarray, " time"], midi: float, voiced: bool) -> Float[np.ndarray, " time"]:
        """The waveform of drawn samples, struck `LEAD` after their first one."""
        voicing = self.voicing if voiced else None
        if voicing is None:
            return self.spec.ring(samples, midi, onset=LEAD)
        return voicing.apply(self.spec.parts(samples, midi, onset=LEAD), midi, self.sample_rate)
