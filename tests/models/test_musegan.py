"""MuseGAN's published networks by count and shape, ours by count, and a step of the game that is finite and resumes."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import cheap_jit
from wavejax.losses import wasserstein
from wavejax.models.musegan import (
    TRACKS,
    CriticV1,
    CriticV3,
    GeneratorV1,
    GeneratorV3,
    VoicesConfig,
    VoicesCritic,
    VoicesGenerator,
    straight_through,
)
from wavejax.training import OptimizerConfig
from wavejax.training.players import TwoPlayerLoss
from wavejax.training.two_player import create_two_player_state, make_two_player_step

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


def test_ours_have_one_to_two_million_parameters_each():
    generator, logits = shapes_of(VoicesGenerator(), (2, 128))
    critic, opinions = shapes_of(VoicesCritic(), logits.shape)
    assert logits.shape == (2, 64, 4, 60)
    assert opinions.shape == (2, 1)
    assert 1e6 < trainable(generator) < 2e6
    assert 1e6 < trainable(critic) < 2e6
    with pytest.raises(ValueError, match="steps_per_bar must be a multiple of 16, got 12"):
        VoicesConfig(steps_per_bar=12)


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


def test_draws_are_those_of_the_softmax_and_its_gradient_passes():
    logits = jnp.log(jnp.asarray([[0.5, 0.3, 0.2]]))
    noise = jax.random.uniform(jax.random.key(1), (20_000, 3), minval=1e-6)
    drawn = straight_through(jnp.broadcast_to(logits, noise.shape), noise)
    np.testing.assert_allclose(drawn.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(np.sort(drawn, axis=-1)[:, :2], 0, atol=1e-6)
    np.testing.assert_allclose(drawn.mean(axis=0), [0.5, 0.3, 0.2], atol=0.015)  # four standard deviations
    slope = jax.grad(lambda x: straight_through(x, noise[:1])[0, 0])(logits)
    assert float(jnp.abs(slope).max()) > 0.01


def test_the_slope_penalty_of_a_plane_is_known():
    real, fake = (jax.random.normal(jax.random.key(n), (4, 3, 2)) for n in (0, 1))
    kernel = jnp.arange(6.0).reshape(3, 2)
    between = jnp.asarray([0.1, 0.4, 0.6, 0.9])

    def critic(x: jax.Array) -> jax.Array:
        return jnp.stack([jnp.sum(x * kernel[None], axis=(1, 2)), jnp.zeros(len(x))], axis=1)

    expected = (math.sqrt(55.0) / 2 - 1) ** 2  # the mean of two opinions
    np.testing.assert_allclose(wasserstein.slope_penalty(critic, real, fake, between), expected, rtol=1e-5)
    losses = wasserstein.critic_loss(critic(real), critic(fake)), wasserstein.generator_loss(critic(fake))
    np.testing.assert_allclose(losses[0], jnp.mean(critic(fake) - critic(real), axis=1), rtol=1e-6)
    np.testing.assert_allclose(losses[1], -jnp.mean(critic(fake), axis=1), rtol=1e-6)


TINY = VoicesConfig(num_classes=6, num_voices=2, bars=1, noise_size=4, channels=8, critic_channels=8)


def game() -> tuple[Any, Any]:
    """(state, step) of five critic updates for each of the generator's, on tiny networks."""
    generator, critic = VoicesGenerator(TINY), VoicesCritic(TINY)

    def forward(params: Any, model_state: Any, batch: Any, keys: Any) -> tuple[Any, Any]:
        noise = jax.vmap(lambda key: jax.random.normal(key, (TINY.noise_size,)))(keys)
        logits = generator.apply({"params": params}, noise)
        drawn = jax.vmap(
            lambda key: jax.random.uniform(jax.random.fold_in(key, 1), logits.shape[1:], jnp.float32, 1e-6, 1)
        )(keys)
        return straight_through(logits, drawn), model_state

    def of_generator(params: Any, fake: Any, batch: Any, keys: Any, weight: Any) -> tuple[Any, ...]:
        loss = wasserstein.generator_loss(critic.apply({"params": params}, fake))
        return jnp.sum(loss) * weight, jnp.float32(len(fake)), {}

    def of_critic(params: Any, fake: Any, batch: Any, keys: Any) -> tuple[Any, ...]:
        opinion = functools.partial(critic.apply, {"params": params})
        between = jax.vmap(lambda key: jax.random.uniform(key, ()))(keys)
        penalty = wasserstein.slope_penalty(opinion, batch["real"], fake, between)
        loss = wasserstein.critic_loss(opinion(batch["real"]), opinion(fake))
        total = loss + jnp.float32(wasserstein.PENALTY) * penalty
        return jnp.sum(total), jnp.float32(len(fake)), {"distance": -jnp.sum(loss)}

    optimizer = OptimizerConfig(learning_rate=1e-3, betas=(0.5, 0.9)).build()
    params = (
        cheap_jit(generator.init)(jax.random.key(0), jnp.zeros((1, 4)))["params"],
        cheap_jit(critic.init)(jax.random.key(1), jnp.zeros((1, 16, 2, 6)))["params"],
    )
    state = create_two_player_state(*params, optimizer, optimizer, key=3)
    loss = TwoPlayerLoss(forward=forward, generator=of_generator, discriminator=of_critic)
    return state, jax.jit(make_two_player_step(loss, optimizer, optimizer, turns=5))


def test_a_step_of_the_game_is_finite_and_a_resumed_game_is_the_whole_one():
    state, step = game()
    rng = np.random.default_rng(0)
    batches = [{"real": np.eye(6, dtype=np.float32)[rng.integers(6, size=(8, 16, 2))]} for _ in range(4)]
    whole, kept = state, None
    for number, batch in enumerate(batches):
        whole, metrics = step(whole, batch)
        assert metrics["finite"] == 1
        assert np.isfinite([metrics["loss"], metrics["discriminator_loss"], metrics["discriminator_distance"]]).all()
        if number == 1:
            kept = jax.tree.map(
                lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf), whole
            )
    resumed = kept
    for batch in batches[2:]:
        resumed, _ = step(resumed, batch)
    for one, other in zip(jax.tree.leaves(whole.params), jax.tree.leaves(resumed.params), strict=True):
        np.testing.assert_array_equal(one, other)
    moved = jax.tree.map(lambda a, b: bool(np.any(np.asarray(a) != np.asarray(b))), state.params, whole.params)
    assert all(jax.tree.leaves(moved["generator"]["output_kernel"]))
    assert jax.tree.leaves(moved["discriminator"]).count(True) > 5
    assert dataclasses.is_dataclass(whole)
