"""Conversion of features: exact where it says so, refused with both specs printed where it is not."""

import dataclasses

import numpy as np
import pytest

from wavejax.audio.conversion import SpecMismatch, convert_features, orient_features
from wavejax.audio.features import FeatureSpec, get_spec, log_mel_numpy


def recording(num_samples: int = 12345) -> np.ndarray:
    """A decaying noise over silence, so that floors and clips come into play."""
    generator = np.random.default_rng(0)
    decay = np.exp(-np.arange(num_samples) / 1000.0)
    return (0.5 * decay * generator.standard_normal(num_samples)).clip(-1, 1).astype(np.float32)


TACOTRON2 = get_spec("tacotron2")
STATISTICS = np.linspace(-4, -2, 80), np.linspace(0.5, 2, 80)
EXACT = {
    "log base 10": dataclasses.replace(TACOTRON2, name="t", log_base="10"),
    "decibels": dataclasses.replace(TACOTRON2, name="t", log_base="db20", scale=0.01, offset=1.0),
    "scaled": dataclasses.replace(TACOTRON2, name="t", scale=0.25, offset=2.0),
    "z-scores": TACOTRON2.with_statistics(*STATISTICS),
    "higher floor": dataclasses.replace(TACOTRON2, name="t", floor=1e-3),
    "everything": dataclasses.replace(TACOTRON2, name="t", floor=3e-3, log_base="10").with_statistics(*STATISTICS),
    "written-out upper frequency": dataclasses.replace(TACOTRON2, name="t", f_max=8000.0),
}


@pytest.mark.parametrize("target", EXACT.values(), ids=EXACT)
def test_exact_conversions_equal_the_features_of_the_audio(target: FeatureSpec) -> None:
    x = recording()
    source = log_mel_numpy(x, TACOTRON2)
    assert np.any(source == np.float32(np.log(1e-5)))  # the floor is reached
    np.testing.assert_allclose(convert_features(source, TACOTRON2, target), log_mel_numpy(x, target), atol=1e-5)


def test_conversion_and_back_where_no_floor_rises() -> None:
    features = np.stack([log_mel_numpy(recording(), TACOTRON2)] * 2)
    for name in ("log base 10", "decibels", "scaled", "z-scores"):
        there = convert_features(features, TACOTRON2, EXACT[name])
        np.testing.assert_allclose(convert_features(there, EXACT[name], TACOTRON2), features, atol=1e-5)
        assert there.dtype == np.float32


def test_named_specs_that_convert_exactly() -> None:
    """ParallelWaveGAN's log10 features become natural logarithms with a higher floor."""
    source = get_spec("parallel-wavegan")
    target = dataclasses.replace(source, name="natural", log_base="e", floor=1e-5)
    x = recording()
    converted = convert_features(log_mel_numpy(x, source), source, target)
    np.testing.assert_allclose(converted, log_mel_numpy(x, target), atol=1e-5)


def test_the_same_clip_in_other_units_is_exact() -> None:
    fatchord = get_spec("fatchord")
    symmetric = dataclasses.replace(fatchord, name="symmetric", scale=0.08, offset=4.0, clip=(-4.0, 4.0))
    x = recording()
    converted = convert_features(log_mel_numpy(x, fatchord), fatchord, symmetric)
    np.testing.assert_allclose(converted, log_mel_numpy(x, symmetric), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"floor": 1e-7}, r"the target's floor \(1e-07\) is below the source's \(1e-05\)"),
        ({"clip": (-11.0, 1.0)}, r"clipping differs \(None against \(-11.0, 1.0\), in units of each\)"),
        ({"padding": "same"}, "padding differ"),
        ({"pad_mode": "zero"}, "pad_mode differ"),
        ({"win_length": 800}, "win_length differ"),
        ({"power": 2}, "power differ"),
        ({"mel_norm": "none"}, "mel_norm differ"),
        ({"magnitude_epsilon": 1e-9}, "magnitude_epsilon differ"),
        ({"n_fft": 2048, "window": "sqrt_hann"}, "n_fft, window differ"),
        ({"pre_emphasis": 0.97}, "pre_emphasis differ"),
        ({"high_pass": 70.0}, "high_pass differ"),
    ],
)
def test_inexact_conversions_are_refused_with_both_specs(change: dict, reason: str) -> None:
    target = dataclasses.replace(TACOTRON2, name="target", **change)
    features = log_mel_numpy(recording(), TACOTRON2)
    with pytest.raises(SpecMismatch, match=reason) as caught:
        convert_features(features, TACOTRON2, target)
    message = str(caught.value)
    assert "Features of 'tacotron2' do not convert exactly to 'target'" in message
    assert "pass allow_lossy=True to accept an approximation" in message
    lines = {line[2:].split()[0]: line for line in message.splitlines()[2:]}
    assert set(lines) == {field.name for field in dataclasses.fields(FeatureSpec)}
    for field, value in change.items():
        assert lines[field].startswith("*")
        assert lines[field].endswith(str(value))
    assert lines["sample_rate"].startswith(" ")
    assert caught.value.source == TACOTRON2
    assert caught.value.target == target
    assert np.all(np.isfinite(convert_features(features, TACOTRON2, target, allow_lossy=True)))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sample_rate": 24000}, "sample_rate"),
        ({"hop_length": 128}, "hop_length"),
        ({"n_mels": 100}, "n_mels"),
        ({"f_min": 40.0}, "f_min"),
        ({"f_max": None}, "f_max"),
        ({"mel_scale": "htk"}, "mel_scale"),
    ],
)
def test_other_bands_or_rates_are_never_converted(change: dict, field: str) -> None:
    target = dataclasses.replace(TACOTRON2, name="target", **change)
    features = log_mel_numpy(recording(), TACOTRON2)
    for allow_lossy in (False, True):
        with pytest.raises(
            SpecMismatch, match=f"cannot become features of 'target': {field} differ, which no conversion"
        ):
            convert_features(features, TACOTRON2, target, allow_lossy)


@pytest.mark.parametrize(
    "change",
    [
        {"padding": "same", "magnitude_epsilon": 1e-9},
        {"win_length": 800},
        {"window": "sqrt_hann"},
        {"n_fft": 2048},
        {"mel_norm": "none"},
        {"power": 2, "floor": 1e-9},
        {"padding": "full", "pad_mode": "zero"},
    ],
)
def test_lossy_conversions_are_close_on_steady_noise(change: dict) -> None:
    """Levels and frames are put right: on noise the mean log difference stays below a tenth of a neper."""
    target = dataclasses.replace(TACOTRON2, name="target", **change)
    x = 0.1 * np.random.default_rng(3).standard_normal(22050 * 4)
    source, expected = log_mel_numpy(x, TACOTRON2), log_mel_numpy(x, target)
    converted = convert_features(source, TACOTRON2, target, allow_lossy=True)
    assert abs(len(converted) - len(expected)) <= 1
    middle = slice(8, min(len(expected), len(converted)) - 8)
    # The square of a mean of magnitudes is less than the mean of squares, by 4 / pi at most.
    bound = 0.3 if change.get("power") else 0.1
    assert abs(np.mean(converted[middle] - expected[middle])) < bound


def test_lossy_padding_moves_frames_to_the_targets_centres() -> None:
    """A swell whose log level rises linearly: half a hop of shift is seen, and undone."""
    time = np.arange(22050 * 2)
    x = np.random.default_rng(4).standard_normal(len(time)) * np.exp((time - len(time)) / 4000.0)
    target = get_spec("hifi-gan")
    source, expected = log_mel_numpy(x, TACOTRON2), log_mel_numpy(x, target)
    converted = convert_features(source, TACOTRON2, target, allow_lossy=True)
    assert converted.shape == expected.shape
    half_a_hop = 128 / 4000.0
    unshifted = np.mean(source[8:-9] - expected[8:-8])
    assert unshifted == pytest.approx(-half_a_hop, rel=0.3)
    # Averaging two frames before the logarithm also smooths it; compare with a mean of the same smoothness.
    smoothed = np.log((np.exp(expected[7:-9]) + 2 * np.exp(expected[8:-8]) + np.exp(expected[9:-7])) / 4)
    assert abs(np.mean(converted[8:-8] - smoothed)) < half_a_hop / 3


def test_features_of_another_shape_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"features have shape \(80, 12\); spec 'tacotron2' has \[..., frames >= 1, 80\]"
    ):
        convert_features(np.zeros((80, 12)), TACOTRON2, TACOTRON2)
    with pytest.raises(ValueError, match=r"features have shape \(0, 80\)"):
        convert_features(np.zeros((0, 80)), TACOTRON2, TACOTRON2)


def test_either_orientation_is_understood() -> None:
    features = np.random.default_rng(0).standard_normal((31, 80))
    for given in (features, features.T, features[None], features.T[None]):
        oriented = orient_features(given, TACOTRON2)
        np.testing.assert_array_equal(oriented, features.astype(np.float32))
        assert oriented.dtype == np.float32
        assert oriented.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((80, 80)), r"shape \(80, 80\): both axes have 80 entries, so frames and bands cannot be told apart"),
        (np.zeros((100, 31)), r"shape \(100, 31\); spec 'tacotron2' has 80 mel bands on one axis"),
        (np.zeros(80), r"shape \(80,\); expected \[frames, 80\] or \[80, frames\]"),
        (np.zeros((2, 31, 80)), r"shape \(2, 31, 80\); expected"),
        (np.zeros((0, 80)), r"shape \(0, 80\): no frames"),
        (np.zeros((31, 80), np.int16), "dtype int16; expected floating point"),
    ],
)
def test_what_cannot_be_oriented_is_refused(features: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        orient_features(features, TACOTRON2)


def test_features_that_are_not_finite_are_refused() -> None:
    features = np.zeros((31, 80), np.float32)
    features[7, 3] = np.nan
    features[9, 0] = np.inf
    with pytest.raises(ValueError, match="features hold 2 values that are not finite, the first in frame 7"):
        orient_features(features.T, TACOTRON2)
