"""Strings: filters that remove the ringing of a struck note from a waveform, and that restore it.

A note consists of an excitation, the partials that ring, and the body's timbre ("colour"). A cascade of one
second-order section per partial removes the ringing ("damps"), and a short linear predictor removes the colour; their
inverses restore both. The excitation that remains is nearly white: hammer, noise, and the deviations of the partials
from decaying sinusoids. An autoregressive model of it needs no hundreds of resonances over thousands of samples and no
spectrum that falls by 80 dB to a fraction of a class, and the pitch is as exact as the sections.

The partials of a stiff string, n f0 sqrt((1 + B n^2) / (1 + B)), follow Fletcher 1964 (JASA 36(1), equation 4); their
decay per second grows with the square of their frequency (Chaigne and Askenfelt 1994, JASA 95(2)). The source-filter
split is that of speech coders (Atal and Hanauer 1971, JASA 50(2)).
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_MOST_PARTIALS = 1024
_LEAST_PARTIALS = 16
_BROAD_PARTIALS = 5
_HIGHEST = 0.475
"""Fraction of the sample rate: higher partials are left in the excitation."""
_STILL = -60.0
"""dB relative to the strongest partial: the decay of weaker partials is not measured."""
COLOURED = 10_000.0
"""Hz up to which `StringSpec.colour` is defined; above, its last value holds."""
COLOUR_ORDER = 16
KEYS = (21.0, 108.0)
"""Lowest and highest MIDI number of the keyboard; `StringSpec.colour` and `envelope` are polynomials over it."""
ENVELOPE_TIMES = (-0.02, -0.005, -0.001, 0.001, 0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Seconds after the stroke. Levels between them are interpolated in asinh(t / `INSTANT`), for long times in log t."""
INSTANT = 0.002
"""Seconds after the stroke at which that scale becomes logarithmic."""


@dataclass(frozen=True, kw_only=True)
class StringSpec:
    """A complete description of how an instrument's strings ring, key by key; part of a `NoteSpec`.

    inharmonicity: (MIDI number, B) of some keys in rising order; interpolated in log B, constant beyond the ends.
    decay: (MIDI number, 1 / s) of some keys in rising order: the decay rate of a low partial's amplitude.
    damping: additional decay rate of a partial at 1 kHz, 1 / s; f^2 times as much at f kHz.
    bandwidth: width of the band that is removed around a low partial, as a fraction of the fundamental; at most
        `widest` Hz. Around partial n it is 1 + (n / 5)^2 times narrower, because the power that a synthetic
        excitation makes ring grows with the square of the width and would mask high partials.
    reach: Hz up to which partials ring, but always at least `_LEAST_PARTIALS` of them. Where the recording has no
        partials above the noise, a synthetic excitation would make some ring.
    colour: dB of the excitation's spectrum: row i belongs to the i-th Chebyshev polynomial of the key over `KEYS`,
        column k to the cosine of k + 1 half-periods from 0 to `COLOURED` Hz. Empty: the spectrum is left unchanged.
    envelope: dB of the level that is scaled to 1: rows as above, column k at `ENVELOPE_TIMES`[k] after the stroke.
        Empty: 0.

    Raises ValueError at construction on keys that do not rise or values that are not positive.
    """

    inharmonicity: tuple[tuple[float, float], ...]
    decay: tuple[tuple[float, float], ...]
    damping: float
    bandwidth: float = 1.0
    widest: float = 200.0
    reach: float = 3000.0
    colour: tuple[tuple[float, ...], ...] = ()
    envelope: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for name in ("inharmonicity", "decay"):
            table = getattr(self, name)
            keys = [key for key, _ in table]
            if not keys or any(later <= earlier for earlier, later in itertools.pairwise(keys)):
                raise ValueError(f"the {name} of strings must list keys in rising order, got {keys}.")
            if min(value for _, value in table) <= 0:
                raise ValueError(f"the {name} of strings must be positive everywhere, got {table}.")
        for name in ("damping", "bandwidth", "widest", "reach"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of strings is {getattr(self, name)}; expected a positive number.")
        if len({len(row) for row in self.colour}) > 1:
            raise ValueError("the rows of colour of strings must have one length.")
        if any(len(row) != len(ENVELOPE_TIMES) for row in self.envelope):
            raise ValueError(f"the rows of envelope of strings must have {len(ENVELOPE_TIMES)} values.")

    def partials(self, midi: float, fundamental: float, highest: float) -> Float[np.ndarray, " partials"]:
        """Hz of a key's ringing partials, up to `highest`; `fundamental` is the first of them."""
        numbers = np.arange(1, _MOST_PARTIALS + 1)
        frequencies = stiff_partials(fundamental, _between(self.inharmonicity, midi), numbers)
        rings = (frequencies <= self.reach) | (numbers <= _LEAST_PARTIALS)
        return frequencies[rings & (frequencies <= highest)]

    def decays(self, midi: float, frequencies: Float[np.ndarray, " partials"]) -> Float[np.ndarray, " partials"]:
        """Decay rates, 1 / s, of a key's partials at these frequencies in Hz."""
        return _between(self.decay, midi) + self.damping * np.square(frequencies / 1000.0)

    def filter(self, midi: float, fundamental: float, sample_rate: int, *, speed: float = 1.0) -> "StringFilter":
        """The filter that damps a key and makes it ring again.

        Args:
            midi: the key.
            fundamental: Hz of its first partial, as recorded.
            sample_rate: Hz.
            speed: factor by which the recording was sped up: everything rings higher and shorter by that factor.
        """
        frequencies = self.partials(midi, fundamental, _HIGHEST * sample_rate / speed)
        decays = self.decays(midi, frequencies)
        numbers = np.arange(1, len(frequencies) + 1)
        width = min(self.bandwidth * fundamental, self.widest) / (1.0 + np.square(numbers / _BROAD_PARTIALS))
        radius = np.exp(-speed * decays / sample_rate)
        wider = np.exp(-speed * (decays + np.pi * width) / sample_rate)
        turn = -2.0 * np.cos(2.0 * np.pi * speed * frequencies / sample_rate)
        one = np.ones_like(frequencies)
        sections = np.stack([one, radius * turn, radius**2, one, wider * turn, wider**2], axis=1)
        predictor = np.ones(1)
        if self.colour:
            terms = key_polynomials(midi, len(self.colour)) @ np.asarray(self.colour)
            hertz = np.linspace(0.0, sample_rate / 2 / speed, 513)
            predictor = linear_predictor(colour_cosines(hertz, len(terms)) @ terms)
        levels = np.zeros(len(ENVELOPE_TIMES))
        if self.envelope:
            levels = key_polynomials(midi, len(self.envelope)) @ np.asarray(self.envelope)
        return StringFilter(sections=sections, predictor=predictor, levels=levels, sample_rate=sample_rate / speed)


@dataclass(frozen=True, kw_only=True)
class StringFilter:
    """A filter that removes a key's ringing, colour and level from a waveform, and its inverse."""

    sections: Float[np.ndarray, "partials 6"]
    """b0 b1 b2 a0 a1 a2 in scipy's order: zeros at the ringing partials, wider poles at the same frequencies."""
    predictor: Float[np.ndarray, " taps"]
    """Taps of a minimum-phase filter whose first is 1."""
    levels: Float[np.ndarray, " times"]
    """dB at `ENVELOPE_TIMES`."""
    sample_rate: float
    """Hz, of the recording before it was sped up."""

    def damp(self, waveform: Float[np.ndarray, " time"], onset: float) -> Float[np.ndarray, " time"]:
        """The excitation float32 [T] of a waveform that starts in silence; the stroke is at sample `onset`."""
        return np.asarray(self.whiten(waveform) / self.gains(len(waveform), onset), np.float32)

    def ring(self, excitation: Float[np.ndarray, " time"], onset: float) -> Float[np.ndarray, " time"]:
        """The waveform float32 [T] of an excitation that starts in silence: the inverse of `damp`."""
        return np.asarray(self._rung(excitation, onset)[1], np.float32)

    def parts(self, excitation: Float[np.ndarray, " time"], onset: float) -> Float[np.ndarray, "2 time"]:
        """`ring` as a sum of two waveforms, float64 [2, T]: the coloured stroke, and the tone of the strings."""
        coloured, rung = self._rung(excitation, onset)
        return np.stack([coloured, rung - coloured])

    def _rung(self, excitation: np.ndarray, onset: float) -> tuple[np.ndarray, np.ndarray]:
        """The coloured excitation, and what rings of it."""
        from scipy.signal import lfilter

        coloured = lfilter([1.0], self.predictor, excitation * self.gains(len(excitation), onset))
        return coloured, _cascade(self.sections[:, [3, 4, 5, 0, 1, 2]], coloured)

    def whiten(self, waveform: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        """`damp` without the removal of the level, float64."""
        from scipy.signal import lfilter

        return np.asarray(lfilter(self.predictor, 1.0, _cascade(self.sections, waveform)))

    def gains(self, num_samples: int, onset: float) -> Float[np.ndarray, " time"]:
        """The level of each sample, as a factor."""
        place = envelope_places((np.arange(num_samples) - onset) / self.sample_rate)
        return 10.0 ** (np.interp(place, envelope_places(np.asarray(ENVELOPE_TIMES)), self.levels) / 20.0)


def envelope_places(seconds: Float[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
    """Times since the stroke on the asinh scale in which envelopes are interpolated."""
    return np.arcsinh(seconds / INSTANT)


def key_polynomials(midi: float | np.ndarray, count: int) -> np.ndarray:
    """Chebyshev polynomials of a key over `KEYS`, [..., count]."""
    low, high = KEYS
    place = (2.0 * np.asarray(midi, np.float64) - low - high) / (high - low)
    return np.polynomial.chebyshev.chebvander(place, count - 1).reshape(*place.shape, count)


def colour_cosines(hertz: Float[np.ndarray, " bins"], count: int) -> Float[np.ndarray, "bins count"]:
    """Cosines of 1 .. count half-periods from 0 to `COLOURED` Hz."""
    place = np.minimum(np.asarray(hertz, np.float64) / COLOURED, 1.0)
    return np.cos(np.pi * place[:, None] * np.arange(1, count + 1))


def linear_predictor(decibels: Float[np.ndarray, " bins"], order: int = COLOUR_ORDER) -> Float[np.ndarray, " taps"]:
    """Taps [order + 1] of the filter that whitens noise with this spectrum (0 .. half the sample rate)."""
    from scipy.linalg import solve_toeplitz

    correlation = np.fft.irfft(10.0 ** (decibels / 10.0))[: order + 1]
    return np.concatenate([[1.0], solve_toeplitz(correlation[:-1], -correlation[1:])])


def stiff_partials(fundamental: float, inharmonicity: float, numbers: np.ndarray) -> Float[np.ndarray, " partials"]:
    """Hz of the partials of a stiff string whose first partial is `fundamental`."""
    squares = np.square(numbers.astype(np.float64))
    return numbers * fundamental * np.sqrt((1.0 + inharmonicity * squares) / (1.0 + inharmonicity))


def partial_decays(
    waveform: Float[np.ndarray, " time"],
    sample_rate: int,
    frequencies: Float[np.ndarray, " partials"],
    *,
    num_parts: int = 5,
) -> tuple[Float[np.ndarray, " partials"], Float[np.ndarray, " partials"]]:
    """(decay rate of each partial in 1 / s, its level at the beginning), measured over consecutive parts of a waveform.

    Partials more than 60 dB below the strongest, and those that do not decay, have level 0. A part holds at least eight
    periods of the first partial and at least a quarter of a second; a shorter waveform is divided into fewer parts, but
    at least two.
    """
    length = round(max(0.25, 8.0 / frequencies[0]) * sample_rate)
    count = max(2, min(num_parts, len(waveform) // length))
    length = min(length, len(waveform) // count)
    window = np.hanning(length)
    turns = np.exp(-2j * np.pi * np.outer(np.arange(length) / sample_rate, frequencies))
    parts = np.asarray(waveform[: count * length], np.float64).reshape(count, length)
    levels = np.abs((parts * window) @ turns) * 2.0 / window.sum()
    floor = np.max(levels) * 10.0 ** (_STILL / 20.0)
    times = np.arange(count) * length / sample_rate
    slopes = -np.polyfit(times, np.log(np.maximum(levels, floor / 10.0)), 1)[0]
    return slopes, np.where((levels.min(axis=0) > floor) & (slopes > 0.0), levels[0], 0.0)


def _between(table: tuple[tuple[float, float], ...], midi: float) -> float:
    keys, values = np.asarray(table, np.float64).T
    return float(np.exp(np.interp(midi, keys, np.log(values))))


def _cascade(sections: np.ndarray, signal: np.ndarray) -> np.ndarray:
    from scipy.signal import sosfilt

    signal = np.asarray(signal, np.float64)
    return sosfilt(np.ascontiguousarray(sections), signal) if len(sections) else signal
