"""Baselines against counts by hand, known entropies, and sums over all classes."""

import numpy as np
import pytest

from wavejax.audio.companding import SampleCoding
from wavejax.data import embedded_corpus
from wavejax.evaluation.baselines import (
    LARGEST_TABLE,
    CodeLengths,
    _laplace_mass,
    linear_prediction_bits,
    order1_bits,
    unigram_bits,
)

MU_LAW = SampleCoding(num_classes=256)


def harmonic_codes(seed: int, length: int = 1601) -> np.ndarray:
    """Classes of a decaying chord with a little noise: predictable from its past."""
    generator = np.random.default_rng(seed)
    time = np.arange(length)
    wave = sum(np.sin(frequency * time + phase) for frequency, phase in generator.uniform(0.05, 0.6, (3, 2)))
    return np.asarray(MU_LAW.encode((0.2 * wave + 0.002 * generator.normal(size=length)).astype(np.float32)))


def test_unigram_is_the_counts_plus_a_half() -> None:
    train = [np.array([0, 0, 1]), np.array([0])]
    lengths = unigram_bits(train, [np.array([0, 1]), np.array([2])], 3)
    np.testing.assert_allclose(lengths.bits, [-np.log2(3.5 * 1.5 / 5.5**2) / 2, -np.log2(0.5 / 5.5)])
    np.testing.assert_array_equal(lengths.num_samples, [2, 1])
    assert lengths.mean == pytest.approx(-np.log2(3.5 * 1.5 * 0.5 / 5.5**3) / 3)


def test_order1_is_witten_and_bell_by_hand() -> None:
    # After silence (1): 0 twice. After 0: 0 once, 2 once. After 2: never anything.
    train = [np.array([0, 0]), np.array([0, 2])]
    unigram = np.array([3.5, 0.5, 1.5]) / 5.5
    after_silence = (np.array([2, 0, 0]) + unigram) / 3
    after_zero = (np.array([1, 0, 1]) + 2 * unigram) / 4
    lengths = order1_bits(train, [np.array([0, 2, 1]), np.array([1])], 3)
    # A class never seen before anything leaves the unigram alone: its one successor weight meets no counts.
    expected = [-np.log2(after_silence[0] * after_zero[2] * unigram[1]) / 3, -np.log2(after_silence[1])]
    np.testing.assert_allclose(lengths.bits, expected)
    other = order1_bits(train, [np.array([2])], 3, silence=0)
    # With class 0 as silence its row also counts both beginnings.
    np.testing.assert_allclose(other.bits, -np.log2((np.array([3, 0, 1]) + 2 * unigram)[2] / 6))


@pytest.mark.parametrize("fit", [unigram_bits, order1_bits])
def test_every_table_row_is_a_distribution(fit) -> None:
    train = [np.random.default_rng(0).integers(0, 7, 50)]
    for before in range(8):
        sums = [2.0 ** -(2 * fit(train, [np.array([before, now])], 8).bits[0]) for now in range(8)]
        first = 2.0 ** -fit(train, [np.array([before])], 8).bits[0]
        assert np.sum(sums) / first == pytest.approx(1.0)


def test_order1_approaches_the_entropy_of_a_markov_chain() -> None:
    generator = np.random.default_rng(1)
    transition = generator.dirichlet(np.full(6, 0.3), 6)
    edges = np.cumsum(transition, axis=1)

    def chain(length: int) -> np.ndarray:
        state, states = 3, []
        for uniform in generator.uniform(size=length):
            state = min(int(np.searchsorted(edges[state], uniform)), 5)
            states.append(state)
        return np.array(states)

    test = chain(4000)
    before = np.concatenate([[3], test[:-1]])
    true_bits = -np.log2(transition[before, test]).mean()
    fitted = order1_bits([chain(20000)], [test], 6)
    assert true_bits - 0.01 < fitted.mean < true_bits + 0.01
    assert unigram_bits([chain(20000)], [test], 6).mean > fitted.mean + 0.2


def test_linear_prediction_is_a_distribution_over_the_classes() -> None:
    coding = SampleCoding(num_classes=64, pre_emphasis=0.85)
    edges = coding.edges.astype(np.float64)
    generator = np.random.default_rng(2)
    for scale in (1e-9, 1e-4, 0.02, 0.5, 30.0):
        for mean in (0.0, -1.0, 1.5, *generator.uniform(-1, 1, 3)):
            mass = _laplace_mass(np.arange(64), edges, np.full(64, mean), np.full(64, scale))
            assert (mass >= 0).all()
            assert mass.sum() == pytest.approx(1.0, abs=1e-12)


def test_laplace_mass_keeps_its_digits_in_the_tails() -> None:
    edges = np.array([-0.4, -0.3, 0.0, 0.3, 0.4])
    scale = 0.3 / 600
    mass = _laplace_mass(np.arange(6), edges, np.zeros(6), np.full(6, scale))
    np.testing.assert_allclose(mass, mass[::-1], rtol=1e-12)
    assert mass[4] == pytest.approx(0.5 * np.exp(-600.0), rel=1e-9)


def test_linear_prediction_equals_a_slow_reference() -> None:
    codes = harmonic_codes(3, 450)
    order, frame_length, window_length, share = 4, 100, 160, 1e-3
    levels, edges = MU_LAW.levels.astype(np.float64), MU_LAW.edges.astype(np.float64)
    signal = levels[codes]

    def cdf(x: float) -> float:
        return 0.5 * np.exp(x) if x < 0 else 1.0 - 0.5 * np.exp(-x)

    bits = 0.0
    for start in range(0, len(codes), frame_length):
        window = [
            signal[t] * np.hanning(window_length)[i] if 0 <= t < len(signal) else 0.0
            for i, t in enumerate(range(start - 30, start + 130))
        ]
        lag = [np.dot(window[: window_length - k], window[k:]) for k in range(order + 1)]
        lag[0] = lag[0] * (1 + 1e-5) + 1e-12
        matrix = np.array([[lag[abs(i - j)] for j in range(order)] for i in range(order)])
        predictor = np.linalg.solve(matrix, np.array(lag[1:]))
        frame = range(start, min(start + frame_length, len(codes)))
        predicted = [sum(predictor[k] * signal[t - 1 - k] for k in range(order) if t - 1 - k >= 0) for t in frame]
        scale = np.mean([abs(signal[t] - p) for t, p in zip(frame, predicted, strict=True)])
        for t, mean in zip(frame, predicted, strict=True):
            low = 0.0 if codes[t] == 0 else cdf((edges[codes[t] - 1] - mean) / scale)
            high = 1.0 if codes[t] == 255 else cdf((edges[codes[t]] - mean) / scale)
            bits -= np.log2((1 - share) * (high - low) + share / 256)
    lengths = linear_prediction_bits(
        [codes], MU_LAW, order=order, frame_length=frame_length, window_length=window_length, uniform_share=share
    )
    assert lengths.bits[0] == pytest.approx(bits / len(codes), rel=1e-9)


def test_linear_prediction_beats_order1_on_harmonic_sound_and_order1_beats_unigram() -> None:
    train, test = [harmonic_codes(seed) for seed in range(4, 10)], [harmonic_codes(10), harmonic_codes(11, 997)]
    unigram, order1 = unigram_bits(train, test, 256), order1_bits(train, test, 256)
    linear = linear_prediction_bits(test, MU_LAW)
    assert linear.mean < order1.mean - 0.5 < unigram.mean - 1.0
    np.testing.assert_array_equal(linear.num_samples, [1601, 997])


def test_silence_and_single_samples_have_finite_bits() -> None:
    silence = np.full(401, MU_LAW.silence)
    lengths = linear_prediction_bits([silence, np.array([255]), np.tile([0, 255], 300)], MU_LAW)
    assert np.isfinite(lengths.bits).all()
    assert lengths.bits[0] < 1e-3
    assert lengths.bits.max() < np.log2(256 / 1e-4) + 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: unigram_bits([], [np.array([0])], 2), "train_codes holds no utterance"),
        (lambda: unigram_bits([np.array([0])], [np.array([0, 2])], 2), r"test_codes\[0\] holds classes 0 to 2"),
        (lambda: order1_bits([np.array([], np.int32)], [np.array([0])], 2), r"train_codes\[0\] is empty"),
        (lambda: order1_bits([np.array([0])], [np.array([0])], 2, silence=2), r"silence\[0\] holds classes 2 to 2"),
        (lambda: order1_bits([np.array([0])], [np.array([0])], LARGEST_TABLE + 1), "use a coding with fewer classes"),
        (lambda: linear_prediction_bits([np.array([0])], MU_LAW, order=0), "expected 1 <= order < window_length"),
        (lambda: linear_prediction_bits([np.array([0])], SampleCoding(kind="continuous")), "has no classes"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_mean_is_weighted_by_samples() -> None:
    lengths = CodeLengths(bits=np.array([1.0, 4.0]), num_samples=np.array([3, 1]))
    assert lengths.mean == pytest.approx(1.75)


def test_baselines_on_the_recordings_that_ship() -> None:
    coding = SampleCoding(kind="mu_law", num_classes=256, pre_emphasis=0.85)

    def encode(waveform: np.ndarray) -> np.ndarray:
        # What coding.encode gives, in numpy: no compilation for each of 61 lengths.
        emphasised = waveform - np.float32(0.85) * np.concatenate([np.zeros(1, np.float32), waveform[:-1]])
        return np.searchsorted(coding.edges, emphasised, side="right")

    corpus = embedded_corpus()
    train, test = ([encode(each.waveform) for each in corpus.utterances(split)] for split in ("train", "test"))
    np.testing.assert_array_equal(test[0], coding.encode(next(corpus.utterances("test")).waveform))
    figures = [unigram_bits(train, test, 256), order1_bits(train, test, 256), linear_prediction_bits(test, coding)]
    np.testing.assert_allclose([each.mean for each in figures], [7.225, 5.938, 4.486], atol=2e-3)
