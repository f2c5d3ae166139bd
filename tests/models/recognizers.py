"""What the tests of recognisers share: random parameters and features, and what holds for every model that spells."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.tiny.models import cheap_jit
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.nn.spelling import END


def random_params(model: Any, spread: float) -> dict:
    """Parameters large enough that every part matters."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: initial_recognizer_params(model, jax.random.key(0)))
    return jax.tree.map(lambda leaf: jnp.asarray(spread * rng.normal(size=leaf.shape), jnp.float32), shapes)


def features(rows: int, frames: int) -> np.ndarray:
    """Features [B, F, 4] about where the networks' offset is."""
    return (3 * np.random.default_rng(1).normal(size=(rows, frames, 4)) - 5).astype(np.float32)


def check_padding(model: Any, variables: dict, counts: tuple[int, ...], atol: float) -> None:
    """Neither frames past an utterance nor later labels change a speller's logits; alone it is read as in a batch."""
    x, counts = features(3, counts[0]), np.asarray(counts, np.int32)
    labels = np.asarray([[1, 2, 3], [4, 4, 1], [2, 0, 0]], np.int32)
    read = cheap_jit(lambda x, counts, labels: model.apply(variables, x, counts, None, labels))
    batch = np.asarray(read(x, counts, labels))
    assert batch.shape == (3, 4, 5)
    louder, other = x.copy(), labels.copy()
    for row, count in enumerate(counts):
        louder[row, count:] += 7.0
    other[:, -1] = 0
    np.testing.assert_array_equal(np.asarray(read(louder, counts, other))[:, :3], batch[:, :3])
    alone = np.asarray(read(x[1:2, : counts[1]], counts[1:2], labels[1:2]))
    np.testing.assert_allclose(alone[0], batch[1], atol=atol)
    assert np.abs(np.asarray(read(x + 1, counts, labels)) - batch).max() > 1e-3, "it listens"


def check_letters(model: Any, variables: dict, counts: tuple[int, int]) -> list[tuple[dict, np.ndarray]]:
    """Letters one by one are all at once, with 5 and 3 places to attend to; (state, attention) after each."""
    x, counts = features(2, counts[0]), np.asarray(counts, np.int32)
    labels = np.asarray([[1, 2, 3, 3], [4, 4, 1, 2]], np.int32)
    whole = jax.nn.log_softmax(cheap_jit(model.apply)(variables, x, counts, None, labels), axis=-1)
    memory = cheap_jit(lambda x, counts: model.apply(variables, x, counts, method="listen"))(x, counts)
    assert memory.valid.sum(axis=1).tolist() == [5, 3]
    state = model.apply(variables, memory, method="initial_state")
    step = cheap_jit(lambda state, label: model.apply(variables, state, label, memory, method="advance"))
    before, found = np.full(2, END, np.int32), []
    for place in range(5):
        state, log_probs, weights = step(state, before)
        np.testing.assert_allclose(log_probs, whole[:, place], atol=2e-5)
        np.testing.assert_allclose(np.sum(weights, axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(np.asarray(weights)[1, 3:], 0)
        found.append((state, np.asarray(weights)))
        before = labels[:, place] if place < 4 else before
    return found
