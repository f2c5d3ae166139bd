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
