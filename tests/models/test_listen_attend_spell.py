"""Listen, attend and spell: its sizes, padding that changes nothing, and letters one by one as all at once."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from tests.models.recognizers import check_letters, check_padding, random_params
from wavejax.models.listen_attend_spell import PRESETS, ListenAttendSpellConfig
from wavejax.nn.attention import attend
from wavejax.nn.bidirectional import reversed_within

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
VARIABLES = {"params": random_params(MODEL, 0.6)}


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
    check_padding(MODEL, VARIABLES, (21, 10, 3), atol=2e-5)


def test_letters_one_by_one_are_all_at_once() -> None:
    check_letters(MODEL, VARIABLES, (17, 9))


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
