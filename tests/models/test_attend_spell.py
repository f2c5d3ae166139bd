"""A speller on a convolutional listener: a CTC recogniser inside, letters one by one as all at once, and attention by
place."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from tests.models.recognizers import check_letters, check_padding, features, random_params
from tests.tiny.models import cheap_jit
from wavejax.models.attend_spell import PRESETS, AttendSpellConfig
from wavejax.models.conv_ctc import ConvCTCConfig
from wavejax.nn.conv_listener import ConvListenerConfig
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.nn.spelling import Memory, Speller

SIZES = {"channels": 6, "hidden_channels": 8, "squeeze_channels": 3, "num_blocks": 2, "kernel_size": 5}
TINY = AttendSpellConfig(
    listener=ConvListenerConfig(local_channels=4, **SIZES),
    num_classes=5,
    speller_channels=6,
    attention_channels=3,
    embedding_channels=2,
    location_taps=3,
)
MODEL = TINY.build(precision="highest")
VARIABLES = {"params": random_params(MODEL, 0.6)}


@pytest.mark.parametrize("name", PRESETS)
def test_its_listener_is_a_ctc_recogniser_under_frozen_names(name: str) -> None:
    assert golden.tree(name) == golden.read(name)
    listener = {
        path.removeprefix("listener/"): leaf for path, leaf in golden.read(name).items() if path.startswith("listener/")
    }
    assert listener == golden.read("listener-16k")


def test_its_listener_reads_as_the_recogniser_does() -> None:
    recognizer = ConvCTCConfig(local_channels=4, num_classes=5, **SIZES)
    assert recognizer.listener == TINY.listener
    x, counts = features(3, 44), np.asarray([44, 29, 6], np.int32)
    heard = cheap_jit(lambda x, counts: MODEL.apply(VARIABLES, x, counts, method="hear"))(x, counts)
    own = {"params": VARIABLES["params"]["listener"]}
    expected = cheap_jit(recognizer.build(precision="highest").apply)(own, x, counts)
    np.testing.assert_array_equal(heard, expected)


def test_what_lies_past_an_utterance_changes_nothing_in_it() -> None:
    check_padding(MODEL, VARIABLES, (24, 12, 3), atol=3e-5)


def test_letters_one_by_one_are_all_at_once() -> None:
    looked = np.zeros((2, 5))
    for state, weights in check_letters(MODEL, VARIABLES, (20, 9)):
        looked += weights
        np.testing.assert_allclose(state["looked"], np.stack([weights, looked], axis=-1), atol=1e-5)


def test_earlier_attention_moves_the_keys_as_a_convolution_does() -> None:
    speller = Speller(TINY.speller, precision="highest")
    rng = np.random.default_rng(5)
    memory = Memory(*(jnp.asarray(rng.normal(size=(1, 7, n)), jnp.float32) for n in (6, 3)), jnp.ones((1, 7), bool))
    params = VARIABLES["params"]["speller"]
    state = speller.apply({"params": params}, memory, method="initial_state")
    looked = rng.uniform(size=(1, 7, 2)).astype(np.float32)
    step = cheap_jit(lambda state, memory: speller.apply({"params": params}, state, jnp.zeros(1, jnp.int32), memory))
    _, _, weights = step({**state, "looked": jnp.asarray(looked)}, memory)
    kernel, moved = np.asarray(params["location_kernel"], np.float64), np.asarray(memory.keys, np.float64).copy()
    for place in range(7):
        for tap in range(3):
            if 0 <= place + tap - 1 < 7:
                moved[0, place] += looked[0, place + tap - 1] @ kernel[tap]
    plain = memory._replace(keys=jnp.asarray(moved, jnp.float32))
    _, _, expected = step(state, plain)  # nothing was looked at before
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    assert np.abs(weights - step(state, memory)[2]).max() > 1e-3


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"model\.location_taps must be odd, or 0, got 4: use 5"):
        AttendSpellConfig(location_taps=4)
    with pytest.raises(ValueError, match=r"model\.listener\.kernel_size must be odd, got 4"):
        ConvListenerConfig(kernel_size=4)
    content = dataclasses.replace(TINY, location_taps=0)
    shapes = jax.eval_shape(lambda: initial_recognizer_params(content.build(), jax.random.key(0)))
    assert "location_kernel" not in shapes["speller"]
