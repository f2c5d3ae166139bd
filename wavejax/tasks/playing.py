"""An instrument in the hand: notes in, sound out."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.audio.notes import NoteSpec, midi_number
from wavejax.audio.specs import get_spec
from wavejax.data.notes import LEAD
from wavejax.evaluation.spectra import mel_decibels
from wavejax.generation import generate
from wavejax.tasks.vocoder import Vocoder

RELEASE = 0.1
"""Seconds of the fade at a note's end: recordings ring until they are silent, so no damper was ever heard."""
PEAK = 0.9
"""Largest sample of what would otherwise exceed it."""
TAKES = 8
"""Takes of each note, of which one is kept."""
_NEXT_TAKE = 2**16
"""From the stream id of a note's take to that of its next one."""


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
    vocoder: Vocoder,
    notes: Sequence[str | float],
    num_samples: int,
    *,
    seed: int = 0,
    takes: int = TAKES,
    **options: Any,
) -> Float[np.ndarray, "notes time"]:
    """Waveforms float32 [N, num_samples] of single notes as recordings hold them: `LEAD` before the stroke, no fade.

    Two draws of one note differ, as a random stroke gives each partial more or less. So each note is drawn `takes`
    times, and the `most_typical` take is kept. `options` are those of `wavejax.generate`; the temperature is the
    instrument's own unless given. Raises what `note_frames` raises, and PlayingError on fewer than one take.
    """
    if not 1 <= takes <= 2**15:
        raise PlayingError(f"a note is drawn once or more often, and at most {2**15} times, got takes={takes}")
    spec = vocoder.note_spec
    given = {"temperature": vocoder.config.temperature, "stream_ids": np.arange(len(notes)), **options}
    frames = np.concatenate([note_frames(spec, notes, num_samples)] * takes)
    given["stream_ids"] = np.concatenate([np.asarray(given["stream_ids"]) + _NEXT_TAKE * take for take in range(takes)])
    if np.ndim(given["temperature"]):  # of each note
        given["temperature"] = np.concatenate([given["temperature"]] * takes)
    made = np.asarray(
        generate(vocoder.model, vocoder.params, seed=seed, local_conditioning=frames, num_samples=num_samples, **given)
    )
    chosen = []
    for number, note in enumerate(notes):
        rung = np.stack([spec.ring(samples, midi_number(note), onset=LEAD) for samples in made[number :: len(notes)]])
        chosen.append(rung[most_typical(rung, spec.sample_rate)])
    return np.stack(chosen)


def most_typical(waveforms: Float[np.ndarray, "takes time"], sample_rate: int) -> int:
    """Which of several takes of one sound is nearest to their mean log-mel spectrogram, each at its own level."""
    if len(waveforms) < 3:  # of two, both are as near
        return 0
    speech = get_spec("speech-16k")
    spec = dataclasses.replace(speech, sample_rate=sample_rate, f_max=sample_rate / 2)
    level = np.sqrt(np.mean(np.square(waveforms, dtype=np.float64), axis=1, keepdims=True))
    mels = np.stack([mel_decibels(each, spec) for each in (waveforms / np.maximum(level, 1e-9) * 0.1)])
    return int(np.argmin(np.sqrt(np.mean(np.square(mels - mels.mean(axis=0)), axis=2)).mean(axis=1)))


def play(
    vocoder: Vocoder,
    notes: Sequence[str | float],
    *,
    seconds: float = 3.0,
    seed: int = 0,
    takes: int = TAKES,
    **options: Any,
) -> Float[np.ndarray, "notes time"]:
    """Waveforms float32 [N, T] of single notes, rendered as one batch; T is `seconds` from the stroke.

    All of them are made quieter by one factor where one would exceed `PEAK`.

    Args:
        vocoder: an instrument.
        notes: names with their octave (C4, F#3) or MIDI numbers, which may lie between two keys (60.5).
        seconds: length, from the stroke to the end of a fade of `RELEASE`.
        seed: of the noise; with it, a note sounds the same whenever it stands at the same place of `notes`.
        takes: draws of each note, of which the most typical is kept (see `strike`).
        options: of `wavejax.generate`: temperature, progress, dtype, backend, ...

    Raises:
        VocoderError: not an instrument. PlayingError, ValueError: see `note_frames`, or seconds that are not positive.
    """
    spec = vocoder.note_spec
    if not 0.0 < seconds < float("inf"):
        raise PlayingError(f"a note must last longer than 0 seconds, got {seconds}")
    lead, length = round(LEAD * spec.sample_rate), max(round(seconds * spec.sample_rate), 1)
    made = strike(vocoder, notes, lead + length, seed=seed, takes=takes, **options)
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
