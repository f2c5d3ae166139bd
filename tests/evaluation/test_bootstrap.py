"""The interval against theory, its coverage, determinism and bad input."""

import numpy as np
import pytest

from wavejax.evaluation.bootstrap import paired_bootstrap


def test_interval_is_the_normal_one_for_many_utterances() -> None:
    generator = np.random.default_rng(0)
    a = generator.normal(size=400)
    b = a + 0.3 + 0.5 * generator.normal(size=400)
    interval = paired_bootstrap(a, b)
    error = np.std(b - a) / np.sqrt(400)
    assert interval.mean == pytest.approx(np.mean(b - a))
    assert interval.low == pytest.approx(interval.mean - 1.96 * error, abs=0.06 * error)
    assert interval.high == pytest.approx(interval.mean + 1.96 * error, abs=0.06 * error)
    wider = paired_bootstrap(a, b, confidence=0.99)
    assert wider.low < interval.low < interval.high < wider.high


def test_pairing_removes_what_utterances_have_in_common() -> None:
    generator = np.random.default_rng(1)
    difficulty = 10.0 * generator.normal(size=20)
    interval = paired_bootstrap(difficulty, difficulty - 0.1 + 0.01 * generator.normal(size=20))
    assert -0.12 < interval.low < interval.high < -0.08


def test_weights_are_those_of_a_ratio_estimate() -> None:
    a, b = np.zeros(3), np.array([1.0, 2.0, 6.0])
    weights = np.array([1, 1, 2])
    assert paired_bootstrap(a, b, weights).mean == pytest.approx(15 / 4)
    # A weight that dwarfs the others decides every resample that holds its utterance.
    assert paired_bootstrap(a, b, np.array([1.0, 1.0, 1e9])).high == pytest.approx(6.0)
    equal = paired_bootstrap(a, b, np.full(3, 7.0))
    assert equal == pytest.approx(paired_bootstrap(a, b))


def test_coverage_is_near_nominal() -> None:
    generator = np.random.default_rng(2)
    hits = 0
    for seed in range(300):
        difference = generator.exponential(size=40)
        interval = paired_bootstrap(np.zeros(40), difference, num_resamples=500, seed=seed)
        hits += interval.low <= 1.0 <= interval.high
    assert 0.88 < hits / 300 < 0.98


def test_the_seed_decides() -> None:
    a, b = np.random.default_rng(3).normal(size=(2, 9))
    assert paired_bootstrap(a, b, seed=1) == paired_bootstrap(a, b, seed=1)
    assert paired_bootstrap(a, b, seed=1) != paired_bootstrap(a, b, seed=2)
    assert str(paired_bootstrap(a, a)) == "+0.0000 [+0.0000, +0.0000]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(1), np.zeros(1)), "at least two of them, got 1"),
        ((np.zeros(2), np.array([0.0, np.nan])), "utterance 1 has a figure that is not finite"),
        ((np.zeros(2), np.zeros(2), np.array([1.0, 0.0])), "weights must be positive"),
        ((np.zeros(2), np.zeros(2), None, 100, 1.0), "expected confidence in"),
    ],
)
def test_bad_input_is_named(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(*arguments)
