"""Cepstral coefficients against loops over bands and coefficients."""

import math

import numpy as np
import pytest

from wavejax.audio.cepstra import DEEP_SPEECH, CepstralSpec, cepstra_numpy


def mel(hertz: float) -> float:
    return 1127.0 * math.log1p(hertz / 700.0)


def slow(waveform: np.ndarray, spec: CepstralSpec) -> np.ndarray:
    """Frame by frame, band by band, coefficient by coefficient."""
    window = np.asarray([0.5 - 0.5 * math.cos(2 * math.pi * n / spec.win_length) for n in range(spec.win_length)])
    width = spec.sample_rate / spec.n_fft
    corners = np.linspace(mel(spec.f_min), mel(spec.f_max), spec.n_mels + 2)
    used = range(math.floor(1.5 + spec.f_min / width), math.floor(spec.f_max / width) + 1)
    frames = []
    for first in range(0, len(waveform) - spec.win_length + 1, spec.hop_length):
        spectrum = np.abs(np.fft.rfft(waveform[first : first + spec.win_length] * window, spec.n_fft))
        logs = []
        for band in range(spec.n_mels):
            triangle = [np.interp(mel(n * width), corners[band : band + 3], [0, 1, 0], 0, 0) for n in used]
            logs.append(math.log(max(sum(spectrum[n] * part for n, part in zip(used, triangle, strict=True)), 1e-12)))
        waves = [
            [math.cos(math.pi * k * (band + 0.5) / spec.n_mels) for band in range(spec.n_mels)]
            for k in range(spec.n_cepstra)
        ]
        frames.append([math.sqrt(2 / spec.n_mels) * float(np.dot(wave, logs)) for wave in waves])
    return np.asarray(frames)


def test_they_are_what_the_loops_give() -> None:
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
