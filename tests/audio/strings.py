"""Struck strings of known pitch, stiffness and decay."""

import numpy as np

RATE = 16_000


def string(
    f0: float,
    *,
    stiffness: float = 0.0,
    decay: float = 1.0,
    seconds: float = 1.5,
    rate: int = RATE,
    seed: int = 0,
    lead: float = 0.0,
) -> np.ndarray:
    """Partials n f0 sqrt(1 + B n^2) that fall by 60 dB in `decay` seconds, over faint noise; float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros(len(time))
    for number in range(1, 17):
        frequency = number * f0 * np.sqrt(1.0 + stiffness * number * number)
        if frequency < 0.45 * rate:
            sound += np.cos(2 * np.pi * frequency * time + rng.uniform(0, 6)) / number
    sound = 0.1 * sound * 10.0 ** (-3.0 * time / decay)
    silence = np.zeros(round(lead * rate))
    sound = np.concatenate([silence, sound])
    return (sound + 1e-5 * rng.normal(size=len(sound))).astype(np.float32)
