"""CTC against the sum over all paths, its gradients against differences, priors, two views, cross-entropy."""

import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.tiny.models import cheap_jit
from wavejax.losses.sequence import (
    aligned_cross_entropy,
    attention_cross_entropy,
    consistency,
    ctc_loss,
    frames_needed,
    updated_prior,
)


def collapsed(path: Sequence[int], blank: int = 0) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def all_paths(log_probs: np.ndarray, labels: Sequence[int]) -> float:
    """-log of the total probability of the paths that read the labels: every path is tried."""
    frames, classes = log_probs.shape
    paths = itertools.product(range(classes), repeat=frames)
    logs = [sum(log_probs[t, c] for t, c in enumerate(path)) for path in paths if collapsed(path) == tuple(labels)]
    return -float(np.logaddexp.reduce(logs)) if logs else math.inf


def lattice(rng: np.random.Generator, frames: int, classes: int) -> np.ndarray:
    return np.asarray(jax.nn.log_softmax(jnp.asarray(2 * rng.normal(size=(frames, classes)))), np.float64)


def padded(labels: Sequence[int], width: int) -> np.ndarray:
    return np.asarray([*labels, *[0] * (width - len(labels))], np.int32)


def test_frames_of_known_labels_count_where_their_middle_lies() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 6, 4)).astype(np.float32)
    log_probs = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    labels = np.asarray([[1, 2, 1], [3, 0, 0]], np.int32)
    starts = np.asarray([[0.4, 2.0, 4.6], [1.0, 0, 0]], np.float32)
    ends = np.asarray([[2.0, 3.6, 9.0], [1.2, 0, 0]], np.float32)
    found = np.asarray(cheap_jit(aligned_cross_entropy)(log_probs, labels, starts, ends, np.asarray([3, 1], np.int32)))
    known = [1, 1, 2, 2, None, 1]  # frame 4 lies in a pause; of the other example no frame's middle is in its label
    expected = -sum(log_probs[0, frame, label] for frame, label in enumerate(known) if label is not None)
    np.testing.assert_allclose(found, [expected, 0], rtol=1e-5)


def test_it_is_the_sum_over_all_paths() -> None:
    rng, classes, frames, width = np.random.default_rng(0), 3, 6, 4
    logs, counts, texts, lengths, expected = [], [], [], [], []
    for _ in range(120):
        count, length = int(rng.integers(1, frames + 1)), int(rng.integers(1, width + 1))
        labels, log_probs = rng.integers(1, classes, length), lattice(rng, frames, classes)
        logs.append(log_probs)
        counts.append(count)
        texts.append(padded(labels, width))
        lengths.append(length)
        expected.append(all_paths(log_probs[:count], labels))
    given = (
        np.stack(logs).astype(np.float32),
        np.asarray(counts, np.int32),
        np.stack(texts),
        np.asarray(lengths, np.int32),
    )
    found = ctc_loss(*map(jnp.asarray, given))
    possible = np.isfinite(expected)
    assert 20 < possible.sum() < 110, "both kinds are tried"
    np.testing.assert_array_equal(found.weight, possible)
    np.testing.assert_allclose(np.asarray(found.loss)[possible], np.asarray(expected)[possible], rtol=2e-5)
    np.testing.assert_array_equal(np.asarray(found.loss)[~possible], 0, "what cannot be read counts nothing")


def test_frames_past_the_end_and_labels_past_the_end_change_nothing() -> None:
    rng = np.random.default_rng(1)
    log_probs, labels = lattice(rng, 9, 5)[None].astype(np.float32), np.asarray([[2, 2, 4, 1]], np.int32)
    counts = (jnp.asarray([7], jnp.int32), jnp.asarray([3], jnp.int32))
    short = ctc_loss(jnp.asarray(log_probs[:, :7]), counts[0], jnp.asarray(labels[:, :3]), counts[1]).loss
    long = ctc_loss(jnp.asarray(log_probs), counts[0], jnp.asarray(labels), counts[1]).loss
    np.testing.assert_allclose(short, long, rtol=1e-6)


def test_where_it_is_possible_it_is_what_optax_computes() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(4, 30, 6)).astype(np.float32)
    labels, lengths = rng.integers(1, 6, (4, 8)).astype(np.int32), np.asarray([8, 5, 1, 3], np.int32)
    frames = np.asarray([30, 25, 2, 30], np.int32)
    label_padding = (np.arange(8)[None] >= lengths[:, None]).astype(np.float32)
    frame_padding = (np.arange(30)[None] >= frames[:, None]).astype(np.float32)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = optax.ctc_loss(*map(jnp.asarray, (logits, frame_padding, labels, label_padding)))
    found = ctc_loss(jax.nn.log_softmax(jnp.asarray(logits)), *map(jnp.asarray, (frames, labels, lengths)))
    np.testing.assert_allclose(found.loss, expected, rtol=1e-4)


def test_gradients_are_the_differences() -> None:
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(2, 6, 4)), np.asarray([[1, 1, 3], [2, 3, 0]], np.int32)
    frames, lengths = np.asarray([6, 4], np.int32), np.asarray([3, 2], np.int32)
    prior = np.log(np.asarray([0.7, 0.1, 0.1, 0.1]))
    with jax.enable_x64(True):

        @jax.jit
        def loss(logits: jax.Array) -> jax.Array:
            log_probs = jax.nn.log_softmax(logits)
            given = (jnp.asarray(frames), jnp.asarray(labels), jnp.asarray(lengths))
            return jnp.sum(ctc_loss(log_probs, *given, log_prior=jnp.asarray(prior), prior_strength=0.3).loss)

        found = np.asarray(jax.grad(loss)(jnp.asarray(logits)))
        step = 1e-6
        for place in np.ndindex(*logits.shape):
            moved = [logits.copy(), logits.copy()]
            moved[0][place] += step
            moved[1][place] -= step
            difference = (float(loss(jnp.asarray(moved[0]))) - float(loss(jnp.asarray(moved[1])))) / (2 * step)
            assert found[place] == pytest.approx(difference, abs=1e-7)
    assert not np.any(found[1, 4:]), "no gradient past an utterance's end"


def test_what_cannot_be_read_is_left_out_without_a_gradient() -> None:
    log_probs = jax.nn.log_softmax(jnp.asarray(np.random.default_rng(4).normal(size=(3, 3, 4)), jnp.float32))
    labels = jnp.asarray([[1, 1, 0], [1, 2, 3], [0, 0, 0]], jnp.int32)
    frames, lengths = jnp.asarray([2, 3, 3], jnp.int32), jnp.asarray([2, 3, 0], jnp.int32)
    np.testing.assert_array_equal(frames_needed(labels, lengths), [3, 3, 0])

    def total(log_probs: jax.Array) -> jax.Array:
        return jnp.sum(ctc_loss(log_probs, frames, labels, lengths).loss)

    assert ctc_loss(log_probs, frames, labels, lengths).weight.tolist() == [0, 1, 0]
    gradient = np.asarray(jax.grad(total)(log_probs))
    assert np.isfinite(gradient).all()
    assert not gradient[[0, 2]].any()
    assert gradient[1].any()


def test_a_prior_lowers_the_scores_of_what_is_frequent() -> None:
    rng = np.random.default_rng(5)
    log_probs = lattice(rng, 4, 3)
    prior = np.log(np.asarray([0.8, 0.15, 0.05]))
    expected = all_paths(log_probs - 0.4 * prior, [1, 2])
    given = (jnp.asarray([4], jnp.int32), jnp.asarray([[1, 2]], jnp.int32), jnp.asarray([2], jnp.int32))
    found = ctc_loss(
        jnp.asarray(log_probs[None], jnp.float32), *given, log_prior=jnp.asarray(prior, jnp.float32), prior_strength=0.4
    )
    np.testing.assert_allclose(found.loss, [expected], rtol=1e-5)


def test_the_running_prior_is_the_mean_of_valid_frames() -> None:
    log_probs = np.stack([lattice(np.random.default_rng(seed), 5, 3) for seed in range(2)])
    valid = np.arange(5)[None] < np.asarray([[5], [2]])
    start = np.full(3, -math.log(3))
    mean = np.exp(log_probs)[valid].mean(axis=0)
    given = [jnp.asarray(each, jnp.float32) for each in (start, log_probs)]
    found = updated_prior(*given, jnp.asarray(valid), momentum=0.25)
    np.testing.assert_allclose(np.exp(found), 0.75 / 3 + 0.25 * mean, rtol=1e-5)
    nothing = updated_prior(*given, jnp.zeros((2, 5), jnp.bool_), momentum=0.25)
    np.testing.assert_allclose(nothing, start, rtol=1e-6)


def test_two_views_teach_each_other_and_not_themselves() -> None:
    one, other = (jnp.asarray(lattice(np.random.default_rng(seed), 3, 4)[None], jnp.float32) for seed in (6, 7))
    valid = jnp.asarray([[True, True, False]])
    p, q = (np.exp(np.asarray(each, np.float64))[0, :2] for each in (one, other))
    both = np.sum(p * np.log(p / q)) + np.sum(q * np.log(q / p))
    np.testing.assert_allclose(consistency(one, other, valid), [both / 2], rtol=1e-4)
    assert float(consistency(one, one, valid)[0]) == pytest.approx(0, abs=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(consistency(x, other, valid)))(one)
    np.testing.assert_allclose(gradient[0, :2], -0.5 * q, rtol=1e-5)
    assert not np.any(gradient[0, 2])


def test_cross_entropy_counts_the_labels_that_there_are() -> None:
    logits = jnp.asarray(np.random.default_rng(8).normal(size=(2, 3, 5)), jnp.float32)
    targets, lengths = jnp.asarray([[1, 4, 2], [3, 0, 0]], jnp.int32), jnp.asarray([3, 0], jnp.int32)
    found = attention_cross_entropy(logits, targets, lengths, smoothing=0.1)
    logs = np.asarray(jax.nn.log_softmax(logits))[0]
    expected = -sum(0.9 * logs[place, label] + 0.1 * logs[place].mean() for place, label in enumerate((1, 4, 2)))
    np.testing.assert_allclose(found.loss, [expected, 0], rtol=1e-5)
    assert found.weight.tolist() == [1, 0]
