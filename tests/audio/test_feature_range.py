"""Features of recordings pass; linear mel values, decibels and those of integer samples are refused with the cause."""

import numpy as np
import pytest

from wavejax.audio.feature_range import OutOfRange, check_range, feature_range
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.specs import SPECS, get_spec


def _sounds(rate: int) -> list[np.ndarray]:
    draw, time = np.random.default_rng(0), np.arange(rate // 2) / rate
    loud = [np.sign(np.sin(2 * np.pi * 200 * time)), np.ones(rate // 2), np.sign(draw.normal(size=rate // 2))]
    return [np.zeros(rate // 2), 2 * loud[0], *loud, 1e-4 * draw.normal(size=rate // 2)]


@pytest.mark.parametrize("name", SPECS)
def test_whatever_a_recording_gives_is_within(name: str) -> None:
    spec = get_spec(name)
    low, high = feature_range(spec)
    for sound in _sounds(spec.sample_rate):
        features = log_mel_numpy(sound.astype(np.float32), spec)
        check_range(features, spec)
        if np.abs(sound).max() <= 1:
            assert (features >= low - 1e-4).all()
            assert (features <= high + 1e-4).all()


def test_statistics_of_bands_move_the_range() -> None:
    spec = get_spec("speech-16k").with_statistics(np.linspace(-8, -4, 80), np.linspace(1, 3, 80))
    for sound in _sounds(16_000):
        check_range(log_mel_numpy(sound.astype(np.float32), spec), spec)
    with pytest.raises(OutOfRange, match="features lie between 100 and 100"):
        check_range(np.full((2, 80), 100.0), spec)


@pytest.mark.parametrize("name", ["speech-16k", "r9y9-new", "fatchord"])
def test_what_no_recording_has_is_refused_with_the_likely_cause(name: str) -> None:
    spec = get_spec(name)
    loud = np.sin(np.arange(8000)).astype(np.float32)
    linear = spec.expand(log_mel_numpy(loud, spec))
    with pytest.raises(
        OutOfRange, match=rf"but those of spec '{name}' between .* look like linear mel values, of which"
    ):
        check_range(np.maximum(linear * 1e3, 0), spec)
    with pytest.raises(OutOfRange, match=r"features lie between 1e.04 and 1e.04"):
        check_range(np.full((3, 80), 1e4), spec)
    with pytest.raises(OutOfRange, match=r"they look like decibels, but|integer samples, or of another spec"):
        check_range(20 * np.log10(np.maximum(linear, 1e-5)) - 20, spec)


def test_features_of_integer_samples_are_named() -> None:
    spec = get_spec("speech-16k")
    samples = np.sin(np.arange(8000)).astype(np.float32)
    integers = log_mel_numpy(samples, spec) + np.float32(np.log(32_767))  # as another program makes them
    with pytest.raises(OutOfRange, match=r"look like those of integer samples, or of another spec: .* in \[-1, 1\]"):
        check_range(integers, spec)
