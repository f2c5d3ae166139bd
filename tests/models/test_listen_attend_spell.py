"""Listen, attend and spell: its sizes, padding that changes nothing, and letters one by one as all at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from tests.tiny.models import cheap_jit
from wavejax.models.listen_attend_spell import END, PRESETS, ListenAttendSpellConfig
from wavejax.nn.attention import attend
from wavejax.nn.bidirectional import reversed_within
from wavejax.nn.parameters import initial_recognizer_params

TINY = ListenAttendSpellConfig(
    local_channels=4,
    num_classes=5,
    listener_channels=3,
    num_pyramids=2,
    speller_channels=6,
    attention_channels=3,
    embedding_channels=2,
)
MODEL = TINY.build(precision="highest")


def variables() -> dict:
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: initial_recognizer_params(MODEL, jax.random.key(0)))
    return {"params": jax.tree.map(lambda leaf: jnp.asarray(0.6 * rng.normal(size=leaf.shape), jnp.float32), shapes)}


def features(rows: int, frames: int) -> np.ndarray:
    return (3 * np.random.default_rng(1).normal(size=(rows, frames, 4)) - 5).astype(np.float32)


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_have_frozen_names_and_the_papers_sizes(name: str) -> None:
    assert golden.tree(name) == golden.read(name)
    config, shapes = PRESETS[name], {key: leaf["shape"] for key, leaf in golden.read(name).items()}
    units, speller, memory = config.listener_channels, config.speller_channels, 2 * config.listener_channels
    listener = sum(2 * 4 * units * (inputs + units + 1) for inputs in (80, *[4 * units] * config.num_pyramids))
    inputs = config.embedding_channels + memory
    lstms = 4 * speller * (inputs + speller + 1) + 4 * speller * (2 * speller + 1)
    attention = (speller + memory) * config.attention_channels
    output = (speller + memory + 1) * speller + (speller + 1) * 29 + 29 * config.embedding_channels
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == listener + lstms + attention + output


def test_what_lies_past_an_utterance_changes_nothing_in_it() -> None:
    x, counts = features(3, 21), np.asarray([21, 10, 3], np.int32)
    labels = np.asarray([[1, 2, 3], [4, 4, 1], [2, 0, 0]], np.int32)
    read = cheap_jit(lambda x, counts, labels: MODEL.apply(variables(), x, counts, None, labels))
    batch = np.asarray(read(x, counts, labels))
    assert batch.shape == (3, 4, 5)
    louder, other = x.copy(), labels.copy()
    for row, count in enumerate(counts):
        louder[row, count:] += 7.0
    other[:, -1] = 0
    again = np.asarray(read(louder, counts, other))
    np.testing.assert_array_equal(again[:, :3], batch[:, :3])  # nor does a later label change an earlier one
    alone = np.asarray(read(x[1:2, :10], counts[1:2], labels[1:2]))
    np.testing.assert_allclose(alone[0], batch[1], atol=2e-5)
    assert np.abs(np.asarray(read(x + 1, counts, labels)) - batch).max() > 1e-3, "it listens"


def test_letters_one_by_one_are_all_at_once() -> None:
    x, counts = features(2, 17), np.asarray([17, 9], np.int32)
    labels = np.asarray([[1, 2, 3, 3], [4, 4, 1, 2]], np.int32)
    whole = jax.nn.log_softmax(cheap_jit(MODEL.apply)(variables(), x, counts, None, labels), axis=-1)
    memory = cheap_jit(lambda x, counts: MODEL.apply(variables(), x, counts, method="listen"))(x, counts)
    assert memory.valid.sum(axis=1).tolist() == [5, 3]
    state = MODEL.apply(variables(), memory, method="initial_state")
    step = cheap_jit(lambda state, label: MODEL.apply(variables(), state, label, memory, method="advance"))
    before = np.full(2, END, np.int32)
    for place in range(5):
        state, log_probs, weights = step(state, before)
        np.testing.assert_allclose(log_probs, whole[:, place], atol=2e-5)
        np.testing.assert_allclose(np.sum(weights, axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(np.asarray(weights)[1, 3:], 0)
        before = labels[:, place] if place < 4 else before


def test_an_utterance_is_turned_from_its_own_end() -> None:
    x = np.arange(1, 11, dtype=np.float32).reshape(2, 5, 1)
    turned = np.asarray(reversed_within(jnp.asarray(x), jnp.asarray([5, 2], jnp.int32)))[..., 0]
    assert turned.tolist() == [[5, 4, 3, 2, 1], [7, 6, 0, 0, 0]]


def test_attention_is_a_mean_by_likeness() -> None:
    rng = np.random.default_rng(3)
    query, keys, values = rng.normal(size=(1, 4)), rng.normal(size=(1, 3, 4)), rng.normal(size=(1, 3, 2))
    given = (jnp.asarray(each, jnp.float32) for each in (query, keys, values))
    mean, weights = attend(*given, jnp.asarray([[True, False, True]]))
    likeness = np.exp(keys[0, [0, 2]] @ query[0] / 2)
    np.testing.assert_allclose(weights[0, jnp.asarray([0, 2])], likeness / likeness.sum(), rtol=1e-5)
    np.testing.assert_allclose(mean[0], likeness / likeness.sum() @ values[0, [0, 2]], rtol=1e-4)
    assert float(weights[0, 1]) == 0


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"model\.speller_channels must be at least 1, got 0"):
        ListenAttendSpellConfig(speller_channels=0)
