"""Rooms and noises around synthetic speech: a recogniser must not learn that speech is always near and clean."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

SPEED_OF_SOUND = 343.0
"""Metres a second."""
_DECAY_SECONDS = (0.15, 0.7)
"""In which a room's echo loses 60 dB."""
_DIRECT_DECIBELS = (-3.0, 12.0)
"""By which what is heard directly exceeds the echo."""
_NOISE_DECIBELS = (5.0, 30.0)
"""By which the speech exceeds a noise."""
_COLOURS = (0.0, 2.0)
"""A noise's power falls as 1 / frequency to the power of this: white, pink (1), brown (2)."""
_CROSSOVER = 2000.0
"""Hz; above, an echo fades in half the time."""
_LOUDEST = 0.99


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where one sentence is said. What is None is not there."""

    decay: float | None = None
    """Seconds in which the echo loses 60 dB."""
    direct: float = 0.0
    """Decibels by which what is heard directly exceeds the echo."""
    noise: float | None = None
    """Decibels by which the speech exceeds the noise."""
    colour: float = 0.0
    seed: int = 0

    def to_json(self) -> dict[str, Any] | None:
        """As the journal has it; None for nothing around the speech."""
        return None if self.decay is None and self.noise is None else asdict(self)

    def heard(self, waveform: Float[np.ndarray, " time"], sample_rate: int) -> Float[np.ndarray, " time"]:
        """What a microphone hears of it, float32 of the same length and loudness; what is said keeps its times.

        Without room and noise the very waveform.
        """
        if self.to_json() is None:
            return waveform
        rng, sound = np.random.default_rng(self.seed), np.asarray(waveform, np.float64)
        if self.decay is not None:
            response = room_response(self.decay, self.direct, sample_rate, rng)
            size = len(sound) + len(response) - 1
            wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)[: len(sound)]
            sound = wet * (_level(sound) / max(_level(wet), 1e-9))
        if self.noise is not None:
            hiss = coloured_noise(len(sound), self.colour, rng)
            sound = sound + hiss * _level(sound) * 10 ** (-self.noise / 20)
        return (sound * min(1.0, _LOUDEST / max(float(np.max(np.abs(sound))), 1e-9))).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Shares of the sentences that are said in a room, and in noise.

    Raises ValueError at construction on a share that is none.
    """

    rooms: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name, share in asdict(self).items():
            if not 0 <= share <= 1:
                raise ValueError(f"--{name} is the share of the sentences, from 0 to 1; got {share}")

    def of(self, name: str) -> Surroundings:
        """What is around a sentence of that name: drawn, and always the same."""
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])
        drawn = np.random.default_rng(seed).uniform(size=6)
        between = [low + (high - low) * u for (low, high), u in zip(_RANGES, drawn[2:], strict=True)]
        in_room, in_noise = drawn[0] < self.rooms, drawn[1] < self.noise
        return Surroundings(
            decay=round(between[0], 4) if in_room else None,
            direct=round(between[1], 2) if in_room else 0.0,
            noise=round(between[2], 2) if in_noise else None,
            colour=round(between[3], 2) if in_noise else 0.0,
            seed=seed if in_room or in_noise else 0,
        )

    @property
    def credit(self) -> list[str]:
        """Lines for CREDITS.md."""
        if not (self.rooms or self.noise):
            return []
        said = f"Changes: {self.rooms:.0%} of the sentences stand in simulated rooms, {self.noise:.0%} in made noise."
        return [said, ""]


_RANGES = (_DECAY_SECONDS, _DIRECT_DECIBELS, _NOISE_DECIBELS, _COLOURS)


def room_response(
    seconds: float, direct_decibels: float, sample_rate: int, rng: np.random.Generator
) -> Float[np.ndarray, " taps"]:
    """An impulse response, float64: 1 at once, six first reflections of a box, then noise that decays (Polack 1988).

    Args:
        seconds: in which the echo loses 60 dB; above 2 kHz half of it.
        direct_decibels: by which the first tap exceeds all others together.
        sample_rate: Hz.
        rng: draws the box, and where in it speaker and microphone are.
    """
    length = max(round(seconds * sample_rate), 8)
    time = np.arange(length) / sample_rate
    noise = np.fft.rfft(rng.normal(size=2 * length))
    low = np.fft.rfftfreq(2 * length, 1 / sample_rate) < _CROSSOVER
    echo = sum(
        np.fft.irfft(noise * part)[:length] * 10 ** (-3 * time / fade)
        for part, fade in ((low, seconds), (~low, seconds / 2))
    )
    box = rng.uniform((3.0, 2.5, 2.3), (8.0, 6.0, 3.5))
    speaker, microphone = rng.uniform(0.2, 0.8, (2, 3)) * box
    straight = float(np.linalg.norm(speaker - microphone))
    first = length
    reflected = np.zeros(length)
    for axis in range(3):
        for wall in (0.0, box[axis]):
            image = speaker.copy()
            image[axis] = 2 * wall - image[axis]
            path = float(np.linalg.norm(image - microphone))
            tap = round((path - straight) / SPEED_OF_SOUND * sample_rate)
            if 0 < tap < length:
                reflected[tap] += straight / path
                first = min(first, tap)
    echo[: min(first, length // 2)] = 0  # nothing comes back before the nearest wall answers
    echo = echo * _level(reflected) / max(_level(echo), 1e-9) + reflected if reflected.any() else echo
    echo[0] = 0
    response = echo * 10 ** (-direct_decibels / 20) / max(float(np.linalg.norm(echo)), 1e-9)
    response[0] = 1.0
    return response


def coloured_noise(length: int, colour: float, rng: np.random.Generator) -> Float[np.ndarray, " time"]:
    """Gaussian noise float64 [length] of level 1, whose power falls as 1 / frequency ** colour."""
    spectrum = np.fft.rfft(rng.normal(size=length))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** (colour / 2)
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, length)
    return noise / max(_level(noise), 1e-12)


def _level(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


__all__ = ["Conditions", "Surroundings", "coloured_noise", "room_response"]
