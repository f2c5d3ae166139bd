"""Strings: the part of a struck note that rings by itself, taken out of a waveform and put back.

A note is what strikes it, the partials that go on ringing, and the body's colour. A cascade of one second-order section
per partial takes the ringing out ("damps"), a short linear predictor the colour, and their inverses put both back; in
between lies an excitation that is nearly white: hammer, noise, and what the partials do that a decaying sinusoid would
not. An autoregressive model of it need not hold hundreds of resonances over thousands of samples, nor a spectrum that
falls by 80 dB to a fraction of a class, and pitch is as exact as the sections are.

The partials of a stiff string, n f0 sqrt((1 + B n^2) / (1 + B)), are those of Fletcher 1964 (JASA 36(1), equation 4);
their decay per second grows with the square of their frequency (Chaigne and Askenfelt 1994, JASA 95(2)). A source and a
filter, as in speech coders, is Atal and Hanauer 1971 (JASA 50(2)).
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_MOST_PARTIALS = 1024
_HIGHEST = 0.475
"""Of the sample rate: partials above are left to the excitation."""
_STILL = -60.0
"""dB below the strongest partial: what is weaker tells nothing about decay."""
COLOURED = 10_000.0
"""Hz up to which `StringSpec.colour` says something; above, its last value holds."""
COLOUR_ORDER = 16
KEYS = (21.0, 108.0)
"""The keyboard, over which `StringSpec.colour` is a polynomial."""


@dataclass(frozen=True, kw_only=True)
class StringSpec:
    """How an instrument's strings ring, key by key, stated completely; it belongs to a `NoteSpec`.

    inharmonicity: (MIDI number, B) of some keys, rising; interpolated in log B, beyond the ends held.
    decay: (MIDI number, 1 / s) of some keys, rising: at which the amplitude of a low partial falls.
    damping: by how much a partial at 1 kHz falls faster than that, 1 / s; at f kHz f^2 times as much.
    bandwidth: of what is taken out around each partial, as a part of the fundamental; at most `widest` Hz.
    colour: dB of the excitation's spectrum: row i belongs to the i-th Chebyshev polynomial of the key over `KEYS`,
        column k to the cosine of k half-periods from 0 to `COLOURED` Hz, except that column 0 is the level that
        becomes 1. Empty: the excitation is left as it is.

    Raises ValueError at construction on keys that do not rise or figures that are not positive.
    """

    inharmonicity: tuple[tuple[float, float], ...]
    decay: tuple[tuple[float, float], ...]
    damping: float
    bandwidth: float = 0.3
    widest: float = 40.0
    colour: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for name in ("inharmonicity", "decay"):
            table = getattr(self, name)
            keys = [key for key, _ in table]
            if not keys or any(later <= earlier for earlier, later in itertools.pairwise(keys)):
                raise ValueError(f"the {name} of strings must list keys in rising order, got {keys}.")
            if min(value for _, value in table) <= 0:
                raise ValueError(f"the {name} of strings must be positive everywhere, got {table}.")
        for name in ("damping", "bandwidth", "widest"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of strings is {getattr(self, name)}; expected a positive number.")
        if len({len(row) for row in self.colour}) > 1 or (self.colour and not self.colour[0]):
            raise ValueError("the rows of colour of strings must have one length, at least 1.")

    def partials(self, midi: float, fundamental: float, highest: float) -> Float[np.ndarray, " partials"]:
        """Hz of the partials of a key up to `highest`; `fundamental` is the first of them."""
        numbers = np.arange(1, _MOST_PARTIALS + 1)
        frequencies = stiff_partials(fundamental, _between(self.inharmonicity, midi), numbers)
        return frequencies[frequencies <= highest]

    def decays(self, midi: float, frequencies: Float[np.ndarray, " partials"]) -> Float[np.ndarray, " partials"]:
        """1 / s at which partials at these Hz of a key fall."""
        return _between(self.decay, midi) + self.damping * np.square(frequencies / 1000.0)

    def filter(self, midi: float, fundamental: float, sample_rate: int, *, speed: float = 1.0) -> "StringFilter":
        """What damps a key and lets it ring.

        Args:
            midi: the key.
            fundamental: Hz of its first partial, as recorded.
            sample_rate: Hz.
            speed: by which the recording was played faster: everything rings so much higher and shorter.
        """
        frequencies = self.partials(midi, fundamental, _HIGHEST * sample_rate / speed)
        decays = self.decays(midi, frequencies)
        width = min(self.bandwidth * fundamental, self.widest)
        radius = np.exp(-speed * decays / sample_rate)
        wider = np.exp(-speed * (decays + np.pi * width) / sample_rate)
        turn = -2.0 * np.cos(2.0 * np.pi * speed * frequencies / sample_rate)
        one = np.ones_like(frequencies)
        sections = np.stack([one, radius * turn, radius**2, one, wider * turn, wider**2], axis=1)
        if not self.colour:
            return StringFilter(sections=sections, predictor=np.ones(1), level=1.0)
        terms = key_polynomials(midi, len(self.colour)) @ np.asarray(self.colour)
        hertz = np.linspace(0.0, sample_rate / 2 / speed, 513)
        predictor = linear_predictor(colour_cosines(hertz, len(terms) - 1) @ terms[1:])
        return StringFilter(sections=sections, predictor=predictor, level=float(10.0 ** (terms[0] / 20.0)))


@dataclass(frozen=True, kw_only=True)
class StringFilter:
    """A filter that takes a key's ringing and colour out of a waveform, and its inverse."""

    sections: Float[np.ndarray, "partials 6"]
    """b0 b1 b2 a0 a1 a2 as scipy has them: zeros where partials ring, poles at the same frequencies, wider."""
    predictor: Float[np.ndarray, " taps"]
    """Taps of a minimum-phase filter whose first is 1."""
    level: float

    def damp(self, waveform: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        """The excitation float32 [T] of a waveform from silence on."""
        from scipy.signal import lfilter

        left = _cascade(self.sections, waveform)
        return np.asarray(lfilter(self.predictor, self.level, left), np.float32)

    def ring(self, excitation: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        """The waveform float32 [T] of an excitation from silence on: the inverse of `damp`."""
        from scipy.signal import lfilter

        coloured = lfilter([self.level], self.predictor, np.asarray(excitation, np.float64))
        return np.asarray(_cascade(self.sections[:, [3, 4, 5, 0, 1, 2]], coloured), np.float32)


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
    """Taps [order + 1] of the filter that makes noise of this spectrum (0 .. half the sample rate) white."""
    from scipy.linalg import solve_toeplitz

    correlation = np.fft.irfft(10.0 ** (decibels / 10.0))[: order + 1]
    return np.concatenate([[1.0], solve_toeplitz(correlation[:-1], -correlation[1:])])


def stiff_partials(fundamental: float, inharmonicity: float, numbers: np.ndarray) -> Float[np.ndarray, " partials"]:
    """Hz of partials of a stiff string whose first lies at `fundamental`."""
    squares = np.square(numbers.astype(np.float64))
    return numbers * fundamental * np.sqrt((1.0 + inharmonicity * squares) / (1.0 + inharmonicity))


def partial_decays(
    waveform: Float[np.ndarray, " time"],
    sample_rate: int,
    frequencies: Float[np.ndarray, " partials"],
    *,
    num_parts: int = 5,
) -> tuple[Float[np.ndarray, " partials"], Float[np.ndarray, " partials"]]:
    """(1 / s at which each partial falls, its level at the beginning) over consecutive parts of a waveform.

    Partials that are weaker than 60 dB below the strongest, or that do not fall, have level 0. A part holds eight
    periods of the first partial and a quarter of a second at least; a shorter waveform is divided into fewer parts, two
    at least.
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
