"""MuseGAN's published networks by count and shape."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import cheap_jit
from wavejax.models.musegan import (
    TRACKS,
    CriticV1,
    CriticV3,
    GeneratorV1,
    GeneratorV3,
)

STATISTICS = ("mean", "variance")


def shapes_of(module: Any, *inputs: tuple[int, ...]) -> Any:
    """(parameters' shapes, output's shape), nothing being computed."""

    def both(*given: jax.Array) -> tuple:
        params = module.init(jax.random.key(0), *given)["params"]
        return params, module.apply({"params": params}, *given)

    return jax.eval_shape(both, *(jax.ShapeDtypeStruct(each, jnp.float32) for each in inputs))


def trainable(params: Any) -> int:
    """Parameters that an optimizer changes: running statistics are left out."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum(math.prod(leaf.shape) for path, leaf in leaves if path[-1].key not in STATISTICS)


def conv(inputs: int, outputs: int, taps: int, *, norm: bool = False) -> int:
    """Parameters of a convolution with a bias; a normalisation adds a scale and a shift."""
    return inputs * outputs * taps + outputs + 2 * outputs * norm


norm_conv = functools.partial(conv, norm=True)


def test_the_generator_of_version_3_is_the_published_one():
    params, output = shapes_of(GeneratorV3(), (2, 128))
    shared = norm_conv(128, 512, 4) + norm_conv(512, 256, 12) + norm_conv(256, 128, 12)
    private = norm_conv(128, 32, 12) + norm_conv(32, 16, 3) + norm_conv(128, 32, 3) + norm_conv(32, 16, 12)
    assert trainable(params) == shared + 5 * (private + norm_conv(32, 1, 1)) == 2_578_127
    assert output.shape == (2, 4, 48, 84, 5)


def test_the_critic_of_version_3_is_the_published_one():
    params, output = shapes_of(CriticV3(), (2, 4, 48, 84, 5))
    private = conv(5, 16, 12) + conv(16, 32, 3) + conv(5, 16, 3) + conv(16, 32, 12) + conv(64, 64, 1)
    shared = conv(320, 128, 12) + conv(128, 256, 12)
    chroma, onsets = conv(5, 32, 12) + conv(32, 64, 4), conv(5, 16, 3) + conv(16, 32, 4) + conv(32, 64, 4)
    last = conv(384, 512, 2) + 513
    assert trainable(params) == 5 * private + shared + chroma + onsets + last == 1_365_841
    assert output.shape == (2, 3)


BAR = (
    *(norm_conv(128, 1024, 1), norm_conv(512, 512, 2), norm_conv(512, 256, 2), norm_conv(256, 256, 2)),
    *(norm_conv(256, 128, 2), norm_conv(128, 128, 3), norm_conv(128, 64, 7)),
)


@pytest.mark.parametrize(
    ("kind", "part", "generators", "outputs", "noise"),
    [("composer", 64, 1, 5, 128), ("jamming", 64, 5, 1, 640), ("hybrid", 32, 5, 1, 384)],
)
def test_the_generators_of_version_1_are_the_published_ones(kind, part, generators, outputs, noise):
    model = GeneratorV1(kind)
    assert model.noise_size == noise
    params, output = shapes_of(model, (2, noise))
    phrase = norm_conv(part, 1024, 2) + norm_conv(1024, part, 3)
    assert trainable(params) == phrase + generators * (sum(BAR) + conv(64, outputs, 12))
    assert output.shape == (2, 4, 96, 84, 5)
    assert set(params) == {"phrase", *(("all",) if kind == "composer" else TRACKS)}


def test_the_critic_of_version_1_is_the_published_one():
    params, output = shapes_of(CriticV1(), (2, 4, 96, 84, 5))
    bar = conv(5, 128, 12) + conv(128, 128, 7) + 2 * conv(128, 128, 2) + conv(128, 256, 4) + conv(256, 512, 3)
    phrase = conv(128, 512, 2) + conv(512, 128, 3)
    heads = sum(inputs * 1024 + 1024 + 1025 for inputs in (2560, 128))
    assert trainable(params) == bar + phrase + heads
    assert output.shape == (2, 20)


def test_a_chroma_and_an_onset_reach_the_critic_of_version_3():
    """Two phrases with equal rolls up to an octave have equal chroma, and differ for the critic by the roll alone."""
    model = CriticV3(num_tracks=1)
    params = model.init(jax.random.key(0), jnp.zeros((1, 4, 48, 84, 1)))["params"]
    rolls = np.zeros((1, 4, 48, 84, 1), np.float32)
    rolls[0, :, :24, 40] = 1
    moved = np.roll(rolls, 12, axis=3)
    deaf = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.zeros_like(leaf) if path[0].key.startswith("track") else leaf, params
    )
    apply = cheap_jit(lambda params, rolls: model.apply({"params": params}, rolls))
    np.testing.assert_allclose(apply(deaf, rolls), apply(deaf, moved), atol=1e-6)
    assert not np.allclose(apply(params, rolls), apply(params, moved), atol=1e-6)
    assert not np.allclose(apply(deaf, rolls), apply(deaf, np.roll(rolls, 12, axis=2)), atol=1e-6)
