"""An instrument in the hand: notes in, sound out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.audio.notes import NoteSpec, midi_number
from wavejax.data.notes import LEAD
from wavejax.generation import generate
from wavejax.tasks.vocoder import Vocoder

RELEASE = 0.1
"""Seconds of the fade at a note's end: recordings ring until they are silent, so no damper was ever heard."""
PEAK = 0.9
"""Largest sample of what would otherwise exceed it."""


class PlayingError(ValueError):
    """Notes that cannot be played."""


def note_frames(
    spec: NoteSpec, notes: Sequence[str | float], num_samples: int
) -> Float[np.ndarray, "notes frames channels"]:
    """Conditioning of a batch of notes, each struck `LEAD` after its first sample.

    Raises ValueError on what is no note, or has no place below half the sample rate.
    """
    if not notes:
        raise PlayingError("no note was given: name some, for example C4 E4 G4")
    return np.stack([spec.frames(midi_number(note), spec.num_frames(num_samples), onset=LEAD) for note in notes])


def strike(
    vocoder: Vocoder, notes: Sequence[str | float], num_samples: int, *, seed: int = 0, **options: Any
) -> Float[np.ndarray, "notes time"]:
    """Waveforms float32 [N, num_samples] of single notes as a recording would hold them: `LEAD` before the stroke, no
    fade. `options` are those of `wavejax.generate`; the temperature is the instrument's own unless given. Raises what
    `note_frames` raises."""
    spec = vocoder.note_spec
    given = {"temperature": vocoder.config.temperature, **options}
    frames = note_frames(spec, notes, num_samples)
    made = np.asarray(
        generate(vocoder.model, vocoder.params, seed=seed, local_conditioning=frames, num_samples=num_samples, **given)
    )
    rung = [spec.ring(samples, midi_number(note), onset=LEAD) for samples, note in zip(made, notes, strict=True)]
    return np.stack(rung)


def play(
    vocoder: Vocoder, notes: Sequence[str | float], *, seconds: float = 3.0, seed: int = 0, **options: Any
) -> Float[np.ndarray, "notes time"]:
    """Waveforms float32 [N, T] of single notes, rendered as one batch; T is `seconds` from the stroke.

    All of them are made quieter by one factor where one would exceed `PEAK`.

    Args:
        vocoder: an instrument.
        notes: names with their octave (C4, F#3) or MIDI numbers, which may lie between two keys (60.5).
        seconds: length, from the stroke to the end of a fade of `RELEASE`.
        seed: of the noise; with it, a note sounds the same whenever it stands at the same place of `notes`.
        options: of `wavejax.generate`: temperature, progress, dtype, backend, ...

    Raises:
        VocoderError: not an instrument. PlayingError, ValueError: see `note_frames`, or seconds that are not positive.
    """
    spec = vocoder.note_spec
    if not 0.0 < seconds < float("inf"):
        raise PlayingError(f"a note must last longer than 0 seconds, got {seconds}")
    lead, length = round(LEAD * spec.sample_rate), max(round(seconds * spec.sample_rate), 1)
    made = strike(vocoder, notes, lead + length, seed=seed, **options)
    fade = np.minimum(np.arange(length, 0, -1) / (RELEASE * spec.sample_rate), 1.0)
    return _within_peak((made[:, lead:] * np.sin(0.5 * np.pi * fade)[None]).astype(np.float32))


def mix(
    waveforms: Float[np.ndarray, "notes time"], sample_rate: int, *, every: float = 0.0
) -> Float[np.ndarray, " total"]:
    """One waveform float32 of notes that are struck `every` seconds one after the other; 0 makes a chord.

    Made quieter as a whole where it would exceed `PEAK`. Raises PlayingError on a negative `every`.
    """
    if not 0.0 <= every < float("inf"):
        raise PlayingError(f"notes follow each other by 0 seconds or more, got {every}")
    step, length = round(every * sample_rate), waveforms.shape[1]
    total = np.zeros(step * (len(waveforms) - 1) + length, np.float32)
    for number, waveform in enumerate(waveforms):
        total[number * step : number * step + length] += waveform
    return _within_peak(total)


def _within_peak(sound: np.ndarray) -> np.ndarray:
    peak = float(np.max(np.abs(sound)))
    return sound * np.float32(PEAK / peak) if peak > PEAK else sound
