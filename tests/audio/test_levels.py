"""Levels: BS.1770 on the tones of EBU Tech 3341, normalisation, and trimming."""

import numpy as np
import pytest

from wavejax.audio.levels import frame_levels_db, loudness, loudness_normalize, peak_normalize, trim_silence


def tone(level_db: float, seconds: float, sample_rate: int, frequency: float = 1000.0) -> np.ndarray:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * time)


@pytest.mark.parametrize(("sample_rate", "tolerance"), [(48000, 0.005), (44100, 0.005), (22050, 0.03), (16000, 0.05)])
def test_full_scale_997_hz_in_one_channel_is_minus_3_01(sample_rate: int, tolerance: float) -> None:
    # ITU-R BS.1770-4, annex 1: the calibration statement, for 48 kHz. At low rates the shelf's slope is warped.
    assert loudness(tone(0.0, 5.0, sample_rate, 997.0), sample_rate) == pytest.approx(-3.01, abs=tolerance)


def stereo(*parts: tuple[float, float]) -> np.ndarray:
    one = np.concatenate([tone(level, seconds, 48000) for level, seconds in parts])
    return np.stack([one, one], axis=1)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # EBU Tech 3341, table 1, cases 1 to 5: stereo 1 kHz sines, each +-0.1 LU.
        ([(-23.0, 20.0)], -23.0),
        ([(-33.0, 20.0)], -33.0),
        ([(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)], -23.0),
        ([(-72.0, 10.0), (-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0), (-72.0, 10.0)], -23.0),
        ([(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)], -23.0),
    ],
)
def test_ebu_3341_tones(parts: list[tuple[float, float]], expected: float) -> None:
    assert loudness(stereo(*parts), 48000) == pytest.approx(expected, abs=0.1)


def test_surround_channels_weigh_one_and_a_half_decibels() -> None:
    channels = np.zeros((48000, 5))
    channels[:, 0] = tone(-20.0, 1.0, 48000)
    front = loudness(channels, 48000)
    surround = loudness(np.roll(channels, 3, axis=1), 48000)
    assert surround - front == pytest.approx(10 * np.log10(1.41), abs=1e-3)


def test_silence_and_short_recordings() -> None:
    assert loudness(np.zeros(48000), 48000) == float("-inf")
    assert loudness(tone(-80.0, 1.0, 48000), 48000) == float("-inf")
    assert loudness(tone(-20.0, 0.1, 48000), 48000) == pytest.approx(-23.0, abs=0.5)


def test_loudness_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(ValueError, match=r"waveform has shape \(100, 6\); expected \[T\] or \[T, channels\]"):
        loudness(np.zeros((100, 6)), 48000)
    with pytest.raises(ValueError, match="loudness of 0 samples at 48000 Hz"):
        loudness(np.zeros(0), 48000)


def test_loudness_normalisation() -> None:
    x = np.random.default_rng(0).standard_normal(32000).astype(np.float32) * 0.01
    louder = loudness_normalize(x, 16000, target=-23.0)
    assert loudness(louder, 16000) == pytest.approx(-23.0, abs=0.01)
    assert louder.dtype == np.float32
    limited = loudness_normalize(x, 16000, target=0.0, max_peak=0.9)
    assert np.max(np.abs(limited)) == pytest.approx(0.9, rel=1e-6)
    np.testing.assert_array_equal(loudness_normalize(np.zeros(16000, np.float32), 16000), np.zeros(16000))


def test_peak_normalisation() -> None:
    x = np.array([0.1, -0.4, 0.2], np.float32)
    np.testing.assert_allclose(peak_normalize(x, 0.8), [0.2, -0.8, 0.4], rtol=1e-6)
    np.testing.assert_array_equal(peak_normalize(np.zeros(5, np.float32)), np.zeros(5))
    assert peak_normalize(np.zeros(0, np.float32)).shape == (0,)
    with pytest.raises(ValueError, match=r"peak is 1\.5; expected above 0 and at most 1"):
        peak_normalize(x, 1.5)


@pytest.mark.parametrize("num_samples", [1, 99, 100, 1003])
def test_frame_levels_are_the_rms_of_slices(num_samples: int) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, num_samples).astype(np.float32)
    levels = frame_levels_db(x, 400, 100)
    slices = [x[start : start + 400].astype(np.float64) for start in range(0, num_samples, 100)]
    np.testing.assert_allclose(levels, [10 * np.log10(np.mean(part**2)) for part in slices], atol=1e-4)


def test_frame_levels_end_at_minus_120() -> None:
    np.testing.assert_array_equal(frame_levels_db(np.zeros(500, np.float32)), np.full(5, -120.0))
    np.testing.assert_allclose(frame_levels_db(np.ones(500, np.float32)), np.zeros(5), atol=1e-6)
    with pytest.raises(ValueError, match="frame_length is 0 and hop_length 100"):
        frame_levels_db(np.zeros(5, np.float32), 0)


def test_trim_keeps_everything_loud_and_little_else() -> None:
    generator = np.random.default_rng(2)
    x = (1e-5 * generator.standard_normal(16000)).astype(np.float32)
    x[5000:9000] += 0.3 * generator.standard_normal(4000).astype(np.float32)
    kept, start, stop = trim_silence(x, -50.0)
    np.testing.assert_array_equal(kept, x[start:stop])
    assert 5000 - 400 <= start <= 5000
    assert 9000 <= stop <= 9000 + 400
    _, wider_start, wider_stop = trim_silence(x, -50.0, margin=300)
    assert (wider_start, wider_stop) == (start - 300, stop + 300)
    _, all_start, all_stop = trim_silence(x, -50.0, margin=100000)
    assert (all_start, all_stop) == (0, 16000)


def test_trim_of_silence_and_of_nothing() -> None:
    kept, start, stop = trim_silence(np.zeros(1000, np.float32))
    assert (kept.size, start, stop) == (0, 0, 0)
    kept, start, stop = trim_silence(np.zeros(0, np.float32))
    assert (kept.size, start, stop) == (0, 0, 0)
    with pytest.raises(ValueError, match=r"threshold_db is 10\.0; expected a negative number"):
        trim_silence(np.zeros(10, np.float32), 10.0)


@pytest.mark.parametrize("channels", [1, 2])
def test_long_recordings_are_measured_block_by_block(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    """Blocks bound the memory; what they give is what the whole gives, to rounding."""
    generator = np.random.default_rng(0)
    swell = np.abs(np.sin(np.arange(60_001) / 3000.0))[:, None]
    sound = (0.2 * swell * generator.standard_normal((60_001, channels))).astype(np.float32)
    mono = sound[:, 0]

    def measured() -> tuple[float, np.ndarray, np.ndarray, np.ndarray, int]:
        trimmed, start, _ = trim_silence(mono, -20.0)
        levels = frame_levels_db(mono, 400, 130)
        return loudness(sound, 11_025), levels, loudness_normalize(mono, 11_025), peak_normalize(trimmed), start

    whole = measured()
    monkeypatch.setattr("wavejax.audio.levels._BLOCK", 7001)
    for expected, found in zip(whole, measured(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
