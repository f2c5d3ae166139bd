"""Recordings that are not what a vocoder was made for are found and named."""

import jax
import numpy as np
import pytest
import soundfile

from tests.tiny import commands as tiny
from wavejax.evaluation.findings import nothing_bad
from wavejax.tasks.vocoder import diagnosis
from wavejax.tasks.vocoder.product import SampleVocoder


@pytest.fixture(scope="module")
def vocoder():
    config = tiny.config()
    return SampleVocoder(config=config, params=jax.tree.map(lambda leaf: leaf * 5, tiny.params_of(config)))


def low_passed(noise, cutoff, rate):
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(len(noise), 1 / rate) > cutoff] = 0
    return np.fft.irfft(spectrum, len(noise))


@pytest.mark.parametrize(
    ("make", "rate", "verdict", "words"),
    [
        (lambda noise: 0.05 * noise, 16_000, "good", "1.0 s at 16000 Hz"),
        (lambda noise: 0.05 * noise, 48_000, "note", "48000 Hz, resampled to the model's 16000 Hz"),
        (lambda noise: 0.05 * noise, 8_000, "bad", "nothing above 4000 Hz can come back"),
        (lambda noise: 0.0005 * noise, 16_000, "bad", "very quiet"),
        (lambda noise: np.clip(2 * noise, -1, 1), 16_000, "bad", "at full scale: it is clipped"),
        (lambda noise: 0.05 * low_passed(noise, 3400, 16_000), 16_000, "bad", "nothing above 3500 Hz"),
        (lambda noise: 0 * noise, 16_000, "bad", "digital silence"),
        (lambda noise: 0.05 * noise[:50], 16_000, "bad", "shorter than one frame of speech-16k"),
    ],
)
def test_recordings_are_held_against_what_the_model_reads(tmp_path, vocoder, make, rate, verdict, words):
    noise = np.random.default_rng(0).normal(size=rate)
    soundfile.write(tmp_path / "a.wav", make(noise), rate, subtype="PCM_24")
    findings = diagnosis.check_recording(vocoder, tmp_path / "a.wav")
    assert any(words in finding.words and finding.verdict == verdict for finding in findings)
    assert nothing_bad(findings) == (verdict != "bad")


def test_the_highest_frequency_of_a_chirp_is_found():
    time = np.arange(16_000) / 16_000
    assert diagnosis.highest_frequency(np.sin(2 * np.pi * 2500 * time), 16_000) == pytest.approx(2500, abs=100)
