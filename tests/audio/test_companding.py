"""Companding against librosa's and r9y9's formulas, its stated classes, and the way back."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from wavejax.audio.companding import SampleCoding, dequantize, mu_law_decode, mu_law_encode, quantize

CLASSES = (16, 255, 256, 65536)


def waveform(size: int = 20011, seed: int = 0) -> np.ndarray:
    """Samples in [-1, 1] of every magnitude down to 1e-8, with 0 and the ends."""
    generator = np.random.default_rng(seed)
    samples = generator.choice([-1.0, 1.0], size) * 10.0 ** generator.uniform(-8, 0, size)
    return np.concatenate([samples, [0.0, 1.0, -1.0]]).astype(np.float32)


def compress(x: np.ndarray, mu: int) -> np.ndarray:
    x = x.astype(np.float64)
    return np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu)


@pytest.mark.parametrize("num_classes", CLASSES)
def test_wavejax_codes_are_the_stated_formula(num_classes: int) -> None:
    x = waveform()
    half = num_classes / 2
    expected = np.clip(np.round(compress(x, num_classes - 1) * half) + num_classes // 2, 0, num_classes - 1)
    codes = mu_law_encode(x, num_classes)
    assert codes.dtype == jnp.int32
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("num_classes", [16, 256, 65536])
def test_librosa_codes_and_values(num_classes: int) -> None:
    x = waveform()
    expected = librosa.mu_compress(x.astype(np.float64), mu=num_classes - 1, quantize=True)
    codes = mu_law_encode(x, num_classes, "librosa")
    np.testing.assert_array_equal(codes, expected + num_classes // 2)
    values = librosa.mu_expand(expected.astype(np.float64), mu=num_classes - 1, quantize=True)
    np.testing.assert_allclose(mu_law_decode(codes, num_classes, "librosa"), values, rtol=1e-6)


@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize(("convention", "rounding"), [("r9y9", 0.0), ("torchaudio", 0.5)])
def test_r9y9_and_torchaudio_codes_and_values(num_classes: int, convention: str, rounding: float) -> None:
    x = waveform()
    mu = num_classes - 1
    expected = np.floor((compress(x, mu) + 1) / 2 * mu + rounding).astype(np.int32)
    codes = mu_law_encode(x, num_classes, convention)
    np.testing.assert_array_equal(codes, expected)
    y = 2 * expected.astype(np.float64) / mu - 1
    values = np.sign(y) / mu * ((1 + mu) ** np.abs(y) - 1)
    # The middle level of an odd number of classes is 0 up to the rounding of y above.
    np.testing.assert_allclose(mu_law_decode(codes, num_classes, convention), values, rtol=1e-6, atol=1e-15)
    coding = SampleCoding(num_classes=num_classes, convention=convention)
    assert coding.silence == int(mu_law_encode(np.zeros(1, np.float32), num_classes, convention)[0])


@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize("convention", ["wavejax", "r9y9", "torchaudio"])
def test_every_level_encodes_to_its_own_class(num_classes: int, convention: str) -> None:
    codes = np.arange(num_classes, dtype=np.int32)
    levels = mu_law_decode(codes, num_classes, convention)
    assert np.all(np.diff(levels) > 0)
    np.testing.assert_array_equal(mu_law_encode(levels, num_classes, convention), codes)


def test_librosa_levels_encode_to_their_own_class() -> None:
    codes = np.arange(256, dtype=np.int32)
    np.testing.assert_array_equal(mu_law_encode(mu_law_decode(codes, 256, "librosa"), 256, "librosa"), codes)


@pytest.mark.parametrize("num_classes", [16, 256, 65536])
def test_codes_change_exactly_at_the_edges_in_float32(num_classes: int) -> None:
    edges = compress_inverse((np.arange(1, num_classes) - 0.5 - num_classes // 2) / (num_classes / 2), num_classes - 1)
    nearest = edges.astype(np.float32)
    below = np.where(nearest.astype(np.float64) < edges, nearest, np.nextafter(nearest, np.float32(-1)))
    above = np.where(nearest.astype(np.float64) >= edges, nearest, np.nextafter(nearest, np.float32(1)))
    np.testing.assert_array_equal(mu_law_encode(below, num_classes), np.arange(num_classes - 1))
    np.testing.assert_array_equal(mu_law_encode(above, num_classes), np.arange(1, num_classes))


def compress_inverse(y: np.ndarray, mu: int) -> np.ndarray:
    return np.sign(y) * np.expm1(np.abs(y) * np.log1p(mu)) / mu


@pytest.mark.parametrize("num_classes", CLASSES)
def test_mu_law_round_trip_stays_within_half_a_bin(num_classes: int) -> None:
    x = waveform()
    mu = num_classes - 1
    back = np.asarray(mu_law_decode(mu_law_encode(x, num_classes), num_classes), np.float64)
    # The topmost bin reaches one and a half bins above its level, because class N does not exist.
    bins = np.where(compress(x, mu) > 1 - 1.5 / num_classes, 2.0, 1.0) / num_classes
    bound = (1 + mu * np.abs(x.astype(np.float64))) / mu * np.expm1(bins * np.log1p(mu))
    error = np.abs(back - x)
    assert np.all(error <= bound * (1 + 1e-6))
    assert np.max(error / bound) > 0.9


@pytest.mark.parametrize("num_classes", CLASSES)
def test_linear_round_trip_stays_within_half_a_bin(num_classes: int) -> None:
    x = waveform()
    codes = quantize(x, num_classes)
    assert int(jnp.min(codes)) >= 0
    assert int(jnp.max(codes)) == num_classes - 1
    error = np.abs(np.asarray(dequantize(codes, num_classes), np.float64) - x)
    inside = x < 1 - 2 / num_classes
    assert np.max(error[inside]) <= (1 + 1e-3) / num_classes
    assert np.max(error) <= (2 + 1e-3) / num_classes


def test_linear_of_16_bits_is_the_integer_samples() -> None:
    integers = np.array([-32768, -1, 0, 1, 12345, 32767], np.int32)
    codes = quantize(integers.astype(np.float32) / 32768, 65536)
    np.testing.assert_array_equal(codes, integers + 32768)
    np.testing.assert_array_equal(dequantize(codes, 65536), integers.astype(np.float32) / 32768)


@pytest.mark.parametrize("num_classes", [255, 256])
@pytest.mark.parametrize(("kind", "convention"), [("mu_law", "wavejax"), ("linear", "wavejax"), ("mu_law", "r9y9")])
def test_silence_is_the_stated_class(num_classes: int, kind: str, convention: str) -> None:
    coding = SampleCoding(kind=kind, num_classes=num_classes, convention=convention, pre_emphasis=0.85, gain=0.55)
    codes = coding.encode(np.zeros((2, 7), np.float32))
    np.testing.assert_array_equal(codes, np.full((2, 7), coding.silence))
    if convention == "wavejax":
        assert coding.silence == num_classes // 2
        np.testing.assert_array_equal(coding.decode(codes), np.zeros((2, 7)))
        np.testing.assert_array_equal(coding.to_scalar(codes), np.zeros((2, 7)))


def test_zero_classes_of_256() -> None:
    assert SampleCoding().silence == 128
    assert SampleCoding(convention="librosa").silence == 128
    assert SampleCoding(convention="r9y9").silence == 127
    assert SampleCoding(kind="continuous", num_classes=65536).silence == 0.0
    assert float(mu_law_decode(np.int32(128), 256, "librosa")) == 0.0
    # r9y9 has no class for 0: its silence is a constant.
    assert float(mu_law_decode(np.int32(127), 256, "r9y9")) == pytest.approx(-((256 ** (1 / 255)) - 1) / 255, rel=1e-6)


def test_out_of_range_is_clipped() -> None:
    loud = np.array([-3.0, 3.0], np.float32)
    np.testing.assert_array_equal(mu_law_encode(loud), [0, 255])
    np.testing.assert_array_equal(quantize(loud, 16), [0, 15])
    np.testing.assert_array_equal(SampleCoding(kind="continuous").encode(loud), [-1.0, 1.0])
    np.testing.assert_array_equal(mu_law_decode(np.array([-5, 300]), 256), mu_law_decode(np.array([0, 255]), 256))


@pytest.mark.parametrize("kind", ["mu_law", "linear", "continuous"])
def test_coding_is_the_same_under_jit_and_on_jax_input(kind: str) -> None:
    x = waveform(501).reshape(2, 252)
    plain = SampleCoding(kind=kind, num_classes=1024, gain=0.55)
    values = plain.encode(x)
    assert values.dtype == (jnp.int32 if plain.is_discrete else jnp.float32)
    np.testing.assert_array_equal(jax.jit(plain.encode)(jnp.asarray(x)), values)
    # A compiler may fuse the multiply and add of pre-emphasis, which is one rounding: the next bin at most.
    emphasised = SampleCoding(kind=kind, num_classes=1024, pre_emphasis=0.85, gain=0.55)
    values = emphasised.encode(x)
    fused = jax.jit(emphasised.encode)(jnp.asarray(x))
    np.testing.assert_allclose(fused, values, atol=1 if emphasised.is_discrete else 1.2e-7)
    assert not emphasised.is_discrete or np.mean(np.asarray(fused != values)) < 0.01
    np.testing.assert_allclose(jax.jit(emphasised.decode)(values), emphasised.decode(values), atol=1e-6)


def test_scalars_and_levels_agree_with_the_methods() -> None:
    for coding in (SampleCoding(), SampleCoding(kind="linear"), SampleCoding(convention="r9y9", num_classes=64)):
        codes = np.arange(coding.num_classes)
        np.testing.assert_array_equal(coding.to_scalar(codes), coding.scalars)
        np.testing.assert_array_equal(coding.decode_values(codes), coding.levels)
        assert np.max(np.abs(coding.scalars)) <= 1.0
    mu_law = SampleCoding()
    np.testing.assert_allclose(mu_law.scalars, compress(mu_law.levels, 255), atol=1e-6)


@pytest.mark.parametrize("num_classes", [17, 256])
@pytest.mark.parametrize("kind", ["mu_law", "linear"])
def test_edges_separate_the_classes(kind: str, num_classes: int) -> None:
    coding = SampleCoding(kind=kind, num_classes=num_classes)
    edges, x = coding.edges, waveform(5003)
    assert edges.shape == (num_classes - 1,)
    x = x[~np.isin(x, edges)]
    np.testing.assert_array_equal(np.searchsorted(edges, x, side="right"), coding.encode(x))
    assert np.all(coding.levels[:-1] < edges)
    assert np.all(edges <= coding.levels[1:])


def test_a_continuous_coding_has_no_edges() -> None:
    with pytest.raises(ValueError, match="'continuous' coding has no classes"):
        _ = SampleCoding(kind="continuous").edges


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_whole_sequence_decodes_like_single_steps(gain: float) -> None:
    coding = SampleCoding(num_classes=1024, pre_emphasis=0.85, gain=gain)
    x = 0.3 * np.sin(np.arange(3 * 97).reshape(3, 97) * 0.1).astype(np.float32)
    values = coding.encode(x)
    memory = jnp.zeros(3)
    steps = []
    for t in range(values.shape[1]):
        sample, memory = coding.de_emphasize(coding.decode_values(values[:, t]), memory)
        steps.append(sample)
    np.testing.assert_allclose(jnp.stack(steps, axis=1), coding.decode(values), atol=1e-6)


def test_continuous_coding_is_undone_exactly_up_to_rounding() -> None:
    coding = SampleCoding(kind="continuous", num_classes=65536, pre_emphasis=0.85, gain=0.5)
    x = np.random.default_rng(1).uniform(-0.9, 0.9, (2, 997)).astype(np.float32)
    np.testing.assert_allclose(coding.decode(coding.encode(x)), x, atol=5e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_classes": 1}, "num_classes is 1; expected at least 2"),
        ({"pre_emphasis": 1.0}, "pre_emphasis is 1.0; expected 0 <= pre_emphasis < 1"),
        ({"gain": 0.0}, "gain is 0.0; expected a positive number"),
        ({"num_classes": 255, "convention": "librosa"}, "'librosa' needs an even num_classes, got 255"),
        ({"kind": "linear", "convention": "r9y9"}, "convention 'r9y9' is about mu-law classes"),
    ],
)
def test_impossible_codings_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SampleCoding(**fields)
