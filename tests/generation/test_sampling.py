"""How values are drawn, collected and checked before anything is packed or compiled."""

import dataclasses
import inspect

import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import inputs, make
from wavejax.generation import Sampling, Streamer, generate, generate_folded, stream

VOICE, PARAMS = make("speech-16k")
FRAMES = inputs(VOICE, 1, 12)["local_conditioning"]
DRIVERS = {
    "generate": lambda **options: generate(VOICE, PARAMS, local_conditioning=FRAMES, **options),
    "stream": lambda **options: next(stream(VOICE, PARAMS, local_conditioning=FRAMES, **options)),
    "generate_folded": lambda **options: generate_folded(VOICE, PARAMS, FRAMES, **options),
    "Streamer": lambda **options: Streamer(VOICE, PARAMS, **options),
}


@pytest.mark.parametrize(
    "seed",
    [7, np.int64(7), np.uint8(7), np.asarray(7), jnp.asarray(7), jnp.uint32(7)],
    ids=lambda seed: str(type(seed)),
)
def test_any_integer_is_a_seed(seed) -> None:
    np.testing.assert_array_equal(Sampling(seed=seed).seed_words, [0, 7])


def test_large_and_negative_seeds_have_words_of_their_own() -> None:
    assert Sampling(seed=(5 << 32) + 3).seed_words.tolist() == [5, 3]
    assert Sampling(seed=-1).seed_words.tolist() == [2**32 - 1, 2**32 - 1]


@pytest.mark.parametrize("seed", [np.asarray(1.5), np.asarray([1, 2]), jnp.asarray(1.0)], ids=["float", "two", "jax"])
def test_what_is_no_integer_is_no_seed(seed) -> None:
    with pytest.raises(TypeError, match="seed must be an integer, got "):
        Sampling(seed=seed)


def test_a_seed_of_any_integer_type_gives_the_same_samples() -> None:
    expected = DRIVERS["generate"](seed=3)
    assert np.unique(expected).size > 5
    for seed in (np.int32(3), jnp.asarray(3)):
        np.testing.assert_array_equal(DRIVERS["generate"](seed=seed), expected)
        np.testing.assert_array_equal(DRIVERS["stream"](seed=seed), expected)


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_refuses_what_cannot_be_drawn_by(driver) -> None:
    call = DRIVERS[driver]
    for floor in (-0.1, 0.5, float("nan")):
        with pytest.raises(ValueError, match=rf"probability_floor must be at least 0 and below 0\.5, got {floor}"):
            call(probability_floor=floor)
    with pytest.raises(TypeError, match=r"dtype must be a type of weights such as 'float32', .*, got 'float33'"):
        call(dtype="float33")
    with pytest.raises(TypeError, match=r"seed must be an integer, got array\(0\.5\)"):
        call(seed=np.asarray(0.5))


def test_a_backend_of_no_such_name_is_refused() -> None:
    with pytest.raises(ValueError, match="backend must be one of 'auto', 'scan', 'cpu', got 'gpu'"):
        inspect.unwrap(Sampling.__init__)(object.__new__(Sampling), backend="gpu")


def test_temperatures_may_be_given_frame_by_frame() -> None:
    assert Sampling(temperature=np.ones((1, 12), np.float32)).is_per_frame
    assert not Sampling(temperature=np.ones(2, np.float32)).is_per_frame
    assert not Sampling().is_per_frame
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sampling().seed = 2  # type: ignore[misc]
