"""Notes as conditioning, takes of a note, and notes put together."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from wavejax.audio.notes import NoteSpec, midi_number
from wavejax.audio.specs import get_spec
from wavejax.audio.strings import KEYS
from wavejax.data.notes import LEAD
from wavejax.data.players import PlayedNote
from wavejax.evaluation.spectra import mel_decibels
from wavejax.ranges import Range

RELEASE = 0.1
"""Seconds of the fade at a note's end: recordings ring until they are silent, so no damper was ever heard."""
PEAK = 0.9
"""Largest sample of what would otherwise exceed it."""
TAKES = 8
"""Takes of each note, of which one is kept."""
NEXT_TAKE = 2**16
"""From the stream id of a note's take to that of its next one."""

NOTE_SECONDS = Range(0, 60, above=True, why="by then a string has rung out")
"""Of one note, and from one to the next."""
MOST_TAKES = Range(1, 2**15)
MOST_HOURS = 3
"""Of all takes of all notes together, which are made side by side in memory."""


_UNDAMPED = 90
"""The lowest key of a piano without a damper."""
_DAMPED = (0.5, 0.15)
"""Seconds until a damped string is silent, of the lowest key and of the highest that has a damper."""
_RINGING = 1.0
"""Seconds for which the highest keys are heard on after they were released."""
_USUAL_VELOCITY = 80
_BATCH_SECONDS = 8.0


class PlayingError(ValueError):
    """Notes that cannot be played."""


def check_length(num_notes: int, takes: int, seconds: float) -> None:
    """Raises PlayingError on notes that last longer than one rings, or all takes together longer than `MOST_HOURS`."""
    if seconds not in NOTE_SECONDS:
        raise PlayingError(f"seconds of a note must be {NOTE_SECONDS}, got {seconds}")
    hours = num_notes * takes * seconds / 3600
    if hours > MOST_HOURS:
        raise PlayingError(
            f"{num_notes} notes, {takes} takes of each, {seconds} seconds long, are {hours:.1f} hours of sound at "
            f"once, at most {MOST_HOURS} are made: ask for fewer notes, fewer takes or less time"
        )


def note_frames(
    spec: NoteSpec, notes: Sequence[str | float], num_samples: int
) -> Float[np.ndarray, "notes frames channels"]:
    """Conditioning of a batch of notes, each struck `LEAD` after its first sample.

    Raises ValueError on what is no note, or has no place below half the sample rate.
    """
    if not notes:
        raise PlayingError("no note was given: name some, for example C4 E4 G4")
    return np.stack([spec.frames(midi_number(note), spec.num_frames(num_samples), onset=LEAD) for note in notes])


def most_typical(waveforms: Float[np.ndarray, "takes time"], sample_rate: int) -> int:
    """Which of several takes of one sound is nearest to their mean log-mel spectrogram, each at its own level."""
    if len(waveforms) < 3:  # of two, both are as near
        return 0
    speech = get_spec("speech-16k")
    spec = dataclasses.replace(speech, sample_rate=sample_rate, f_max=sample_rate / 2)
    level = np.sqrt(np.mean(np.square(waveforms, dtype=np.float64), axis=1, keepdims=True))
    mels = np.stack([mel_decibels(each, spec) for each in (waveforms / np.maximum(level, 1e-9) * 0.1)])
    return int(np.argmin(np.sqrt(np.mean(np.square(mels - mels.mean(axis=0)), axis=2)).mean(axis=1)))


def mix(
    waveforms: Float[np.ndarray, "notes time"], sample_rate: int, *, every: float = 0.0
) -> Float[np.ndarray, " total"]:
    """One waveform float32 of notes that are struck `every` seconds one after the other; 0 makes a chord.

    Made quieter as a whole where it would exceed `PEAK`. Raises PlayingError on an `every` outside 0 to 60 seconds.
    """
    if every and every not in NOTE_SECONDS:
        raise PlayingError(
            f"notes follow each other by 0 seconds or more, and at most {NOTE_SECONDS.high}, got {every}"
        )
    step, length = round(every * sample_rate), waveforms.shape[1]
    total = np.zeros(step * (len(waveforms) - 1) + length, np.float32)
    for number, waveform in enumerate(waveforms):
        total[number * step : number * step + length] += waveform
    return within_peak(total)


def nearest_key(pitch: int) -> int:
    """The pitch, or the same so many octaves nearer that it lies on the keyboard."""
    low, high = (round(key) for key in KEYS)
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


def ringing_after(key: int) -> float:
    """Seconds for which a key is heard after it was released."""
    if key >= _UNDAMPED:
        return _RINGING
    return float(np.interp(key, (KEYS[0], _UNDAMPED - 1), _DAMPED))


def batches_of(seconds: Mapping[int, float]) -> list[list[int]]:
    """The keys in batches that are drawn side by side, each as long as its longest key: those of the least work.

    A batch costs as much as `_BATCH_SECONDS` more of one key, because its shape is compiled.
    """
    keys = sorted(seconds, key=lambda key: seconds[key])
    # best[n]: (work, where the last batch begins) of the n shortest keys.
    best = [(0.0, 0)]
    for end in range(1, len(keys) + 1):
        longest = seconds[keys[end - 1]]
        ways = ((best[begin][0] + _BATCH_SECONDS + longest * (end - begin), begin) for begin in range(end))
        best.append(min(ways))
    batches, end = list[list[int]](), len(keys)
    while end:
        begin = best[end][1]
        batches.append(keys[begin:end])
        end = begin
    return batches


def released(waveform: Float[np.ndarray, " _"], note: PlayedNote, sample_rate: int) -> Float[np.ndarray, " _"]:
    """What is heard of a key that rings, from its stroke on, where it is released after the note's time.

    A damper takes 60 dB within `ringing_after` seconds; where there is none, the sound fades in as long a time.
    """
    key = nearest_key(note.pitch)
    held = round(note.seconds * sample_rate)
    count = min(held + round(ringing_after(key) * sample_rate), len(waveform))
    place = np.clip((np.arange(count) - held) / max(count - held, 1), 0.0, 1.0)
    fade = np.cos(0.5 * np.pi * place) * 10.0 ** (-place * (0.0 if key >= _UNDAMPED else 3.0))
    return (waveform[:count] * fade * (note.velocity / _USUAL_VELOCITY) ** 2).astype(np.float32)


def within_peak(sound: np.ndarray) -> np.ndarray:
    """The sound, made quieter where its largest sample exceeds `PEAK`."""
    peak = float(np.max(np.abs(sound)))
    return sound * np.float32(PEAK / peak) if peak > PEAK else sound
