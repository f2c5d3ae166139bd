"""A synthetic voice: enough of speech (harmonics, a noise burst, pauses) for metrics to bite on."""

import numpy as np

RATE = 16_000


def voice(seed: int = 0, seconds: float = 1.6, f0: float = 180.0) -> np.ndarray:
    """Voiced vowel, pause, hiss, voiced vowel, over faint noise; float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(f0 * (1.0 + 0.05 * np.sin(2 * np.pi * 2.5 * time))) / RATE
    vowel = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 30))
    hiss = rng.normal(0, 1, len(time))
    at = time / seconds
    voiced = np.clip(np.minimum(at - 0.05, 0.4 - at) * 30, 0, 1) + np.clip(np.minimum(at - 0.7, 0.95 - at) * 30, 0, 1)
    unvoiced = np.clip(np.minimum(at - 0.55, 0.7 - at) * 40, 0, 1)
    return (0.1 * voiced * vowel + 0.05 * unvoiced * hiss + 2e-4 * hiss).astype(np.float32)


def later(waveform: np.ndarray, samples: int) -> np.ndarray:
    """The waveform delayed, as long as before."""
    return np.concatenate([np.zeros(samples, np.float32), waveform[: len(waveform) - samples]])


PEAKS = (250.0, 700.0, 2000.0)
"""Of three speakers' buzzes, in Hz."""


def buzz(peak: float, seed: int, seconds: float = 0.5) -> np.ndarray:
    """Harmonics of a wavering pitch, loudest around `peak` Hz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 * (1 + 0.1 * np.sin(9 * time + seed))) / RATE
    weights = [np.exp(-np.square(np.log2(k * 120 / peak))) for k in range(1, 40)]
    sound = sum(w * np.sin(k * phase + rng.uniform(0, 6)) for k, w in enumerate(weights, 1))
    return (0.1 * sound + 1e-3 * rng.normal(size=len(time))).astype(np.float32)


def embed(waveform: np.ndarray) -> np.ndarray:
    """What a stub hears: the levels of sixteen bands, and whether 50 ms repeat themselves after a period."""
    power = np.square(np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))))[:2000]
    bands = np.log10(np.asarray([band.sum() for band in np.array_split(power, 16)]) + 1e-3)
    frames = waveform[: len(waveform) // 800 * 800].reshape(-1, 800)
    spectrum = np.square(np.abs(np.fft.rfft(frames, 1600)))
    echo = np.fft.irfft(spectrum)[:, 100:160].max(axis=1) / np.square(frames).sum(axis=1)
    return np.append(bands, 10.0 * np.median(echo))
