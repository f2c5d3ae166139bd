"""Notes as conditioning: frames of pitch and time since onset, which an instrument model reads instead of a mel.

No jax here, so worker processes can use it.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.audio.strings import StringFilter, StringSpec
from wavejax.ranges import Range

_STEPS: Mapping[str, int] = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NOTE = re.compile(r"([A-Ga-g])([#b]?)(-?[0-9]{1,4})")

MIDI_NUMBERS = Range(0, 127)
PITCH_PERIODS = (128.0, 64.0, 32.0, 16.0, 8.0, 4.0, 2.0, 1.0)
"""Semitones: the pitch is encoded as sine and cosine with each of these periods."""
DELAYS = tuple(2**power for power in range(11))
"""Samples: frames hold sine and cosine of the fundamental's phase advance over each delay, for the layer of that
dilation."""
MOST_CYCLES = 64.0
"""Delays of far more cycles than this fade out: their phase would separate pitches that training cannot separate."""
DECAYS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Seconds: time constants of the exponentials that encode the time since the onset."""
LARGEST_SHIFT = 4.0
"""Semitones by which a recording may be resampled, at most."""


def midi_number(note: str | float) -> float:
    """MIDI number of a note: "C4" is 60; "F#3", "Bb2", "69" and 69.5 are understood as well.

    Raises ValueError, which shows how notes are written.
    """
    text = str(note).strip()
    match = _NOTE.fullmatch(text)
    try:
        number = _of_name(*match.groups()) if match else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"{note!r} is no note: write a name with its octave (C4, F#3, Bb2) or a MIDI number (60, 69.5)"
        )
    if number not in MIDI_NUMBERS:
        raise ValueError(
            f"there is no note {note}: MIDI numbers are {MIDI_NUMBERS}, C-1 to G9; a piano's keys A0 to C8"
        )
    return number


def _of_name(letter: str, accidental: str, octave: str) -> float:
    return float(12 * (int(octave) + 1) + _STEPS[letter.upper()] + {"#": 1, "b": -1, "": 0}[accidental])


def note_name(midi: float) -> str:
    """The name of the nearest key, in sharps: 60 is "C4"."""
    nearest = round(midi)
    return f"{_NAMES[nearest % 12]}{nearest // 12 - 1}"


@dataclass(frozen=True, kw_only=True)
class NoteSpec:
    """A complete description of an instrument's frames (the counterpart of `FeatureSpec`).

    name: the spec's name; it is ignored when specs are compared.
    sample_rate: Hz. hop_length: samples between frames; frame f is centred on hop_length * f + hop_length // 2.
    tuning: (MIDI number, cents above equal temperament at A4 = 440 Hz) of some keys in rising order, interpolated
        between them and constant beyond them. Pianos are stretched: low keys are tuned lower, high keys higher.
    strings: how the strings ring after a key is struck; the samples are then the excitation (`damp`, `ring`). None: the
        samples are the sound itself.

    Raises ValueError at construction on sizes below 1 or a tuning that does not rise.
    """

    name: str = dataclasses.field(compare=False)
    sample_rate: int
    hop_length: int
    tuning: tuple[tuple[float, float], ...] = ()
    strings: StringSpec | None = None

    def __post_init__(self) -> None:
        for field in ("sample_rate", "hop_length"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} of spec {self.name!r} is {getattr(self, field)}; expected 1 or more.")
        keys = [key for key, _ in self.tuning]
        if any(later <= earlier for earlier, later in itertools.pairwise(keys)):
            raise ValueError(f"the tuning of spec {self.name!r} must list keys in rising order, got {keys}.")

    @property
    def num_channels(self) -> int:
        """Channels of a frame."""
        return 2 * len(PITCH_PERIODS) + 2 * len(DELAYS) + 4 + 1 + 1 + len(DECAYS) + 1

    @property
    def frame_centre(self) -> int:
        """The sample on which frame 0 is centred."""
        return self.hop_length // 2

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform of num_samples samples, including a partial last frame."""
        return -(-num_samples // self.hop_length)

    def cents(self, midi: float) -> float:
        """Cents by which a key of this instrument lies above equal temperament."""
        if not self.tuning:
            return 0.0
        keys, cents = np.asarray(self.tuning, np.float64).T
        return float(np.interp(midi, keys, cents))

    def frequency(self, midi: float, shift: float = 0.0) -> float:
        """Hz of the fundamental of a key, resampled by `shift` semitones."""
        return float(440.0 * 2.0 ** ((midi + self.cents(midi) / 100.0 + shift - 69.0) / 12.0))

    def frames(
        self, midi: float, num_frames: int, *, onset: float, shift: float = 0.0
    ) -> Float[np.ndarray, "frames channels"]:
        """Conditioning float32 [num_frames, num_channels] of one note.

        Args:
            midi: the key that is struck (it may lie between two keys).
            num_frames: how many frames.
            onset: seconds from sample 0 to the onset.
            shift: semitones by which a recording of that key was resampled; 0 for the unshifted instrument.

        Raises:
            ValueError: a fundamental that is too high for the sample rate, or a shift beyond `LARGEST_SHIFT`.
        """
        frequency = self.frequency(midi, shift)
        if not 0.0 < frequency < self.sample_rate / 2 or abs(shift) > LARGEST_SHIFT:
            raise ValueError(
                f"note {midi} resampled by {shift} semitones has a fundamental of {frequency:.1f} Hz; expected less "
                f"than {self.sample_rate / 2} Hz (half the sample rate) and a shift within {LARGEST_SHIFT} semitones"
            )
        constant = np.concatenate([self._pitch(frequency), _key(midi), [shift / LARGEST_SHIFT]])
        centres = np.arange(num_frames) * self.hop_length + self.frame_centre
        moving = _time(centres / self.sample_rate - onset)
        still = np.broadcast_to(constant, (num_frames, len(constant)))
        return np.concatenate([still, moving], axis=1).astype(np.float32)

    def damp(
        self, waveform: Float[np.ndarray, " time"], midi: float, *, onset: float, shift: float = 0.0
    ) -> Float[np.ndarray, " time"]:
        """The excitation float32 [T] of a key's waveform that starts in silence; the same samples without `strings`.

        Arguments as in `frames`; a recording resampled by `shift` rings higher and shorter by that factor.
        """
        strings = self._strings(midi, shift)
        waveform = np.asarray(waveform, np.float32)
        return waveform if strings is None else strings.damp(waveform, onset * self.sample_rate)

    def ring(
        self, samples: Float[np.ndarray, " time"], midi: float, *, onset: float, shift: float = 0.0
    ) -> Float[np.ndarray, " time"]:
        """The waveform float32 [T] of samples that start in silence: the inverse of `damp`."""
        strings = self._strings(midi, shift)
        samples = np.asarray(samples, np.float32)
        return samples if strings is None else strings.ring(samples, onset * self.sample_rate)

    def parts(self, samples: Float[np.ndarray, " time"], midi: float, *, onset: float) -> Float[np.ndarray, "2 time"]:
        """`ring` as a sum [2, T] of stroke and tone (`StringFilter.parts`); without `strings` all of it is tone."""
        strings = self._strings(midi, 0.0)
        samples = np.asarray(samples, np.float32)
        if strings is None:
            return np.stack([np.zeros(len(samples)), samples.astype(np.float64)])
        return strings.parts(samples, onset * self.sample_rate)

    def _strings(self, midi: float, shift: float) -> StringFilter | None:
        if self.strings is None:
            return None
        return self.strings.filter(midi, self.frequency(midi), self.sample_rate, speed=2.0 ** (shift / 12.0))

    def check(self, frames: np.ndarray) -> Float[np.ndarray, "frames channels"]:
        """The frames as float32. Raises ValueError on anything that `frames` cannot have made, for example a mel."""
        if frames.ndim != 2 or frames.shape[1] != self.num_channels or not len(frames):
            raise ValueError(f"the array has shape {frames.shape}, frames of notes [F >= 1, {self.num_channels}]")
        half = len(PITCH_PERIODS)
        off_circle = np.abs(np.square(frames[:, :half]) + np.square(frames[:, half : 2 * half]) - 1.0)
        if not np.isfinite(frames).all() or np.max(off_circle) > 1e-3:
            raise ValueError("the values are not those of a note: its pitch is sines and cosines, and these are not")
        return frames.astype(np.float32)

    def _pitch(self, frequency: float) -> np.ndarray:
        semitones = 69.0 + 12.0 * math.log2(frequency / 440.0)
        slow = 2.0 * np.pi * semitones / np.asarray(PITCH_PERIODS)
        cycles = frequency * np.asarray(DELAYS) / self.sample_rate
        weight = 1.0 / (1.0 + (cycles / MOST_CYCLES) ** 4)
        fast = 2.0 * np.pi * cycles
        return np.concatenate([np.sin(slow), np.cos(slow), weight * np.sin(fast), weight * np.cos(fast)])

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return dataclasses.asdict(self)


def _key(midi: float) -> np.ndarray:
    """The key, encoded too coarsely to give its pitch: its place on the instrument, which determines its timbre."""
    place = (midi - 64.5) / 44.0
    return np.asarray([place, place * place, math.sin(math.pi * place), math.cos(math.pi * place)])


def _time(seconds: np.ndarray) -> np.ndarray:
    """[F, 9]: whether the note sounds, exponentials and the logarithm of the time since its onset."""
    sounds = (seconds >= 0.0).astype(np.float64)
    since = np.maximum(seconds, 0.0)
    decays = [sounds * np.exp(-since / decay) for decay in DECAYS]
    return np.stack([sounds, *decays, np.log1p(since / DECAYS[0]) / 8.0], axis=1)


# Salamander Grand Piano V3 (a Yamaha C5), as downloaded by `scripts/fetch_notes`: the results of `measured_tuning` and
# `measured_strings` on its training notes.
_PIANO = NoteSpec(
    name="piano",
    sample_rate=16000,
    hop_length=160,
    tuning=(
        *((21.0, -24.1), (24.0, -23.5), (27.0, -15.2), (30.0, -10.8), (36.0, -8.8), (42.0, -4.2), (48.0, -4.5)),
        *((51.0, -2.8), (57.0, 0.0), (63.0, -0.5), (69.0, 0.6), (72.0, 3.5), (78.0, 3.8), (81.0, 6.6), (84.0, 7.0)),
        *((90.0, 13.4), (93.0, 16.1), (99.0, 21.6), (102.0, 30.2), (105.0, 40.8), (108.0, 85.1)),
    ),
    strings=StringSpec(
        inharmonicity=(
            *((21.0, 2.88e-4), (24.0, 2.24e-4), (27.0, 1.85e-4), (30.0, 9.52e-5), (36.0, 9.75e-5), (42.0, 7.92e-5)),
            *((48.0, 1.05e-4), (51.0, 1.26e-4), (57.0, 2.15e-4), (63.0, 3.7e-4), (69.0, 6.51e-4), (72.0, 8.1e-4)),
            *((78.0, 1.36e-3), (81.0, 1.8e-3), (84.0, 2.49e-3), (90.0, 4.08e-3), (93.0, 5.32e-3), (99.0, 9.07e-3)),
            *((102.0, 1.18e-2), (105.0, 1.55e-2), (108.0, 2.02e-2)),
        ),
        decay=(
            *((21.0, 0.556), (24.0, 0.611), (27.0, 0.67), (30.0, 0.732), (36.0, 0.869), (42.0, 1.02), (48.0, 1.18)),
            *((51.0, 1.27), (57.0, 1.45), (63.0, 1.64), (69.0, 1.83), (72.0, 1.93), (78.0, 2.12), (81.0, 2.22)),
            *((84.0, 2.31), (90.0, 2.48), (93.0, 2.57), (99.0, 2.72), (102.0, 2.79), (105.0, 2.85), (108.0, 2.91)),
        ),
        damping=0.0381,
        colour=(
            (21.2, 8.9, 3.2, 0.2, -0.1, 0.1, 0.4, 0.4, 0.5, 0.7, 0.9),
            (-10.5, -3.8, 0.0, 1.3, 1.5, 1.4, 1.4, 1.3, 1.1, 0.8, 1.3),
            (5.1, 3.1, 0.6, -0.5, -1.4, -1.5, -0.8, -0.5, -0.6, -0.5, -0.2),
        ),
        envelope=(
            (
                -66.6,
                -52.0,
                -38.2,
                -26.0,
                -23.4,
                -20.0,
                -20.7,
                -24.6,
                -29.8,
                -33.2,
                -37.0,
                -43.3,
                -49.7,
                -54.3,
                -56.0,
                -57.4,
            ),
            (-11.9, -8.6, -0.5, 10.2, 12.3, 19.0, 17.1, 13.7, 10.0, 8.6, 6.2, 1.4, -3.8, -5.6, -5.0, -6.5),
            (4.2, 0.4, -2.9, -6.9, -7.6, -2.5, -0.2, 1.3, 0.2, 0.0, 0.3, 0.1, -0.3, 0.4, 1.0, 1.0),
            (-4.2, 0.3, -1.6, -5.9, -4.5, 1.1, 2.2, 1.8, 2.3, 3.8, 4.9, 5.2, 4.9, 2.6, 0.3, 0.1),
        ),
    ),
)

NOTE_SPECS: Mapping[str, NoteSpec] = {_PIANO.name: _PIANO}
"""Instruments by name."""
