"""Cepstral coefficients against loops over bins and bands, as TensorFlow's kernels have them."""

import math

import numpy as np
import pytest

from wavejax.audio.cepstra import DEEP_SPEECH, CepstralSpec, cepstra_numpy


def mel(hertz: float) -> float:
    return 1127.0 * math.log1p(hertz / 700.0)


def slow(waveform: np.ndarray, spec: CepstralSpec) -> np.ndarray:
    """Bin by bin: each bin falls between two centres and is shared by their bands."""
    size, bands = spec.n_fft, spec.n_mels
    bins = size // 2 + 1
    width = 0.5 * spec.sample_rate / (bins - 1)
    low, high = mel(spec.f_min), mel(spec.f_max)
    centres = [low + (high - low) / (bands + 1) * (i + 1) for i in range(bands + 1)]
    start, end = int(1.5 + spec.f_min / width), int(spec.f_max / width)
    frames = []
    for first in range(0, len(waveform) - spec.win_length + 1, spec.hop_length):
        window = [0.5 - 0.5 * math.cos(2 * math.pi * i / spec.win_length) for i in range(spec.win_length)]
        spectrum = np.abs(np.fft.rfft(waveform[first : first + spec.win_length] * np.asarray(window), size))
        energy = [0.0] * bands
        for number in range(start, end + 1):
            at, channel = mel(number * width), 0
            while channel < bands and centres[channel] < at:
                channel += 1
            channel -= 1
            left = centres[channel] if channel >= 0 else low
            share = (centres[channel + 1] - at) / (centres[channel + 1] - left)
            if channel >= 0:
                energy[channel] += spectrum[number] * share
            if channel + 1 < bands:
                energy[channel + 1] += spectrum[number] * (1 - share)
        logs = [math.log(max(value, 1e-12)) for value in energy]
        frames.append(
            [
                math.sqrt(2 / bands) * sum(logs[j] * math.cos(i * math.pi / bands * (j + 0.5)) for j in range(bands))
                for i in range(spec.n_cepstra)
            ]
        )
    return np.asarray(frames)


def test_they_are_tensorflows() -> None:
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 1500).astype(np.float32)
    found = cepstra_numpy(waveform, DEEP_SPEECH)
    assert found.shape == (DEEP_SPEECH.num_frames(1500), 26) == (4, 26)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow(waveform, DEEP_SPEECH), atol=1e-4)


def test_silence_and_16_bits() -> None:
    silent = cepstra_numpy(np.zeros(600, np.float32), DEEP_SPEECH)
    np.testing.assert_allclose(silent[:, 0], math.sqrt(2 / 40) * 40 * math.log(1e-12), rtol=1e-6)
    np.testing.assert_allclose(silent[:, 1:], 0, atol=1e-4)
    samples = (np.random.default_rng(1).normal(size=800) * 3000).astype(np.int16)
    np.testing.assert_allclose(
        cepstra_numpy(samples, DEEP_SPEECH), cepstra_numpy(samples / np.float32(32768), DEEP_SPEECH), atol=1e-4
    )


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="a waveform of 100 samples has no frame of spec 'deep-speech'; it needs at"):
        cepstra_numpy(np.zeros(100, np.float32), DEEP_SPEECH)
    with pytest.raises(ValueError, match="n_cepstra 50 of spec 'mine' exceeds its 40 mel bands"):
        CepstralSpec(name="mine", n_cepstra=50)
    with pytest.raises(ValueError, match="expected 0 <= f_min < f_max"):
        CepstralSpec(name="mine", f_max=9000.0)
    with pytest.raises(ValueError, match="hop_length of spec 'mine' is 0"):
        CepstralSpec(name="mine", hop_length=0)
