"""Parameters of any model with the attributes that say what it must be shown."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.tiny.models import CONFIGS, cheap_jit
from wavejax.audio import SampleCoding
from wavejax.models.wavenet import WaveNet
from wavejax.nn.parameters import Initialisable, count_parameters, initial_params

SHOWN = {
    "speech-16k+speakers": (jnp.int32, True, jnp.zeros((1,), jnp.int32)),
    "r9y9-mol": (jnp.float32, True, None),
    "unconditional-mu-law-scalar": (jnp.int32, False, None),
    "vectors": (jnp.int32, False, jnp.zeros((1, 3))),
}


def wavenet(name: str) -> WaveNet:
    if name == "vectors":
        return WaveNet(dataclasses.replace(CONFIGS["unconditional-mu-law-scalar"], global_channels=3))
    return WaveNet(CONFIGS[name])


@pytest.mark.parametrize("name", list(SHOWN))
def test_parameters_are_those_of_linen_for_what_the_model_reads(name: str) -> None:
    model, (dtype, reads_frames, speaker) = wavenet(name), SHOWN[name]
    assert isinstance(model, Initialisable)
    count = model.lookback + model.lookahead + 3
    frames = jnp.zeros((1, count, model.local_channels)) if reads_frames else None
    values = jnp.full((1, 2), model.coding.silence, dtype)
    expected = cheap_jit(model.init)(jax.random.key(3), values, frames, speaker)["params"]
    drawn = cheap_jit(lambda key: initial_params(model, key))(jax.random.key(3))
    assert jax.tree.structure(drawn) == jax.tree.structure(expected)
    for leaf, other in zip(jax.tree.leaves(drawn), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(leaf, other)
    assert count_parameters(drawn) == sum(leaf.size for leaf in jax.tree.leaves(drawn))
    shapes = jax.eval_shape(lambda: initial_params(model, jax.random.key(0)))
    assert count_parameters(shapes) == count_parameters(drawn) > 0


class Remembering(nn.Module):
    """A model of its own kind, which keeps the shapes of what it was shown."""

    coding: SampleCoding = SampleCoding(kind="continuous", num_classes=65536)
    hop_length: int | None = 5
    lookback: int = 2
    lookahead: int = 1
    local_channels: int = 3
    num_speakers: int = 0
    global_channels: int = 4

    @nn.compact
    def __call__(self, values, frames, speaker):
        assert values.dtype == jnp.float32
        self.param("seen", nn.initializers.zeros_init(), (*values.shape, *frames.shape, *speaker.shape))


def test_a_model_of_another_kind_is_shown_what_it_says() -> None:
    params = initial_params(Remembering(), jax.random.key(0))
    assert params["seen"].shape == (1, 2, 1, 6, 3, 1, 4)
    assert count_parameters(params) == 2 * 6 * 3 * 4
