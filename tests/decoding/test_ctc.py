"""Greedy reading, alignment and edit distance against trying everything."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.decoding import Spike, align, greedy, greedy_errors, meeting, text_log_probs
from wavejax.evaluation.words import edit_distance


def lattice(rng: np.random.Generator, frames: int, classes: int) -> np.ndarray:
    logits = 2 * rng.normal(size=(frames, classes))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def peaks(*classes: int, count: int = 4) -> np.ndarray:
    """Probability 0.7 for one class of each frame."""
    probabilities = np.full((len(classes), count), 0.3 / (count - 1))
    probabilities[np.arange(len(classes)), classes] = 0.7
    return np.log(probabilities)


def test_greedy_collapses_runs_and_drops_blanks() -> None:
    spikes = greedy(peaks(0, 1, 1, 0, 1, 2, 2, 2, 0))
    assert [(spike.label, spike.first, spike.last) for spike in spikes] == [(1, 1, 3), (1, 4, 5), (2, 5, 8)]
    assert all(spike.log_prob == pytest.approx(np.log(0.7)) for spike in spikes)
    assert greedy(peaks(0, 0)) == greedy(np.zeros((0, 4))) == ()


def best_path(log_probs: np.ndarray, labels: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    frames, classes = log_probs.shape
    best = (-np.inf, ())
    for path in itertools.product(range(classes), repeat=frames):
        if tuple(label for label, _ in itertools.groupby(path) if label) == labels:
            best = max(best, (float(log_probs[np.arange(frames), path].sum()), path))
    return best


def test_an_alignment_is_the_best_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        log_probs = lattice(rng, int(rng.integers(2, 7)), 3)
        labels = rng.integers(1, 3, int(rng.integers(1, 4)))
        score, path = best_path(log_probs, tuple(labels.tolist()))
        if not path:
            with pytest.raises(ValueError, match=r"labels need at least \d+ frames, but there are \d"):
                align(log_probs, labels)
            continue
        found = align(log_probs, labels)
        assert found.log_prob == pytest.approx(score)
        runs = [(label, len(list(run))) for label, run in itertools.groupby(path)]
        ends = np.cumsum([length for _, length in runs])
        expected = [(label, end - length, end) for (label, length), end in zip(runs, ends, strict=True) if label]
        assert [(spike.label, spike.first, spike.last) for spike in found.spikes] == expected


def test_no_labels_are_blanks_alone() -> None:
    log_probs = peaks(0, 1)
    found = align(log_probs, np.zeros(0, np.int32))
    assert found.spikes == ()
    assert found.log_prob == pytest.approx(log_probs[:, 0].sum())


def test_the_compiled_distance_is_that_of_the_greedy_reading() -> None:
    rng = np.random.default_rng(1)
    log_probs = np.stack([lattice(rng, 12, 4) for _ in range(40)]).astype(np.float32)
    frames = rng.integers(0, 13, 40).astype(np.int32)
    labels, lengths = rng.integers(1, 4, (40, 6)).astype(np.int32), rng.integers(0, 7, 40).astype(np.int32)
    found = jax.jit(greedy_errors)(*map(jnp.asarray, (log_probs, frames, labels, lengths)))
    expected = [
        edit_distance(label[:length].tolist(), [spike.label for spike in greedy(each[:count])])
        for each, count, label, length in zip(log_probs, frames, labels, lengths, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)


def test_labels_meet_in_the_middle_of_blanks_unless_there_are_many() -> None:
    spikes = [Spike(1, 2, 3, -0.1), Spike(2, 6, 7, -0.2), Spike(1, 7, 9, -0.3), Spike(3, 20, 21, -0.4)]
    found = meeting(spikes, 5)
    assert [(each.first, each.last) for each in found] == [(2, 5), (5, 7), (7, 9), (20, 21)]
    assert [each.log_prob for each in found] == [-0.1, -0.2, -0.3, -0.4]
    assert meeting(spikes, 0) == tuple(spikes)
    assert meeting([], 5) == ()


def test_the_probability_of_a_text_is_that_of_all_its_paths() -> None:
    rng = np.random.default_rng(5)
    log_probs = np.log(rng.dirichlet(np.ones(3), 5))
    expected: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(3), repeat=5):
        read = tuple(label for label, _ in itertools.groupby(path) if label)
        expected[read] = expected.get(read, 0.0) + float(np.exp(log_probs[np.arange(5), path].sum()))
    texts = [*expected, (1, 1, 1, 1), (1, 2, 1, 2, 1, 2)]
    found = text_log_probs(log_probs, texts)
    np.testing.assert_allclose(np.exp(found[:-2]), list(expected.values()), rtol=1e-9)
    assert (found[-2:] == -np.inf).all()
    assert text_log_probs(log_probs[:0], [(), (1,)]).tolist() == [0.0, -np.inf]
    assert text_log_probs(log_probs, []).tolist() == []
