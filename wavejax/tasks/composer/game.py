"""How a generator of phrases learns against a critic: WGAN-GP, several critic updates for each of the generator's."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from wavejax.experiments.autoregressive.learner import merged_params
from wavejax.experiments.family import Learner
from wavejax.losses.wasserstein import critic_loss, generator_loss, slope_penalty
from wavejax.nn.normalization import initial_statistics, overlaid
from wavejax.nn.parameters import count_parameters
from wavejax.training import TrainState
from wavejax.training.players import TwoPlayerLoss
from wavejax.training.two_player import create_two_player_state, make_two_player_eval_step, make_two_player_step
from wavejax.types import Params

Batch = Mapping[str, Array]


def game_loss(config: Any, *, held_out: bool = False) -> TwoPlayerLoss:
    """Both players' losses. With `held_out` the generator's is the distance that the critic sees between what it makes
    and real phrases: the mean opinion of these minus that of those, an estimate of the Wasserstein distance."""
    players, weight = config.model.build(), jnp.float32(config.training.penalty)

    def forward(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Array, Any]:
        del batch
        fake, model_state = players.fake(params, model_state, keys, training=not held_out)
        return fake, model_state

    def generator(params: Params, fake: Array, batch: Batch, keys: Any, share: Array) -> tuple[Array, Array, Any]:
        del keys
        opinion, mask = players.opinion(params, fake), batch["mask"].astype(jnp.float32)
        if held_out:
            loss = -critic_loss(players.opinion(params, players.real(batch["examples"])), opinion)
        else:
            loss = generator_loss(opinion)
        return jnp.sum(loss * mask) * share, jnp.sum(mask), {}

    def critic(params: Params, fake: Array, batch: Batch, keys: Any) -> tuple[Array, Array, Any]:
        real, mask = players.real(batch["examples"]), batch["mask"].astype(jnp.float32)
        opinion = functools.partial(players.opinion, params)
        both = opinion(jnp.concatenate([real, fake]))
        apart = critic_loss(both[: len(real)], both[len(real) :])
        between = jax.vmap(lambda key: jax.random.uniform(key, ()))(keys)
        slope = slope_penalty(opinion, real, fake, between)
        parts = {"distance": -jnp.sum(apart * mask), "slope_penalty": jnp.sum(slope * mask)}
        return jnp.sum((apart + weight * slope) * mask), jnp.sum(mask), parts

    return TwoPlayerLoss(forward=forward, generator=generator, discriminator=critic)


def game_learner(config: Any) -> Learner:
    """The learner of an experiment whose model builds two players."""
    players, training = config.model.build(), config.training
    optimizer, their_optimizer = config.optimizer.build(), config.critic_optimizer.build()

    def start(generator: Params, critic: Params, key: PRNGKeyArray, statistics: Any) -> TrainState:
        model_state = {"statistics": statistics} if statistics else {}
        return create_two_player_state(generator, critic, optimizer, their_optimizer, key=key, model_state=model_state)

    def init(key: PRNGKeyArray) -> TrainState:
        generator, critic = players.initial_params(jax.random.fold_in(key, 0))
        return start(generator, critic, jax.random.fold_in(key, 1), initial_statistics(generator))

    def adopt(state: TrainState, given: Params, where: str) -> TrainState:
        own = state.params["generator"]
        found = merged_params(own, given, where)
        # Running statistics go on from those that are laid over the given parameters.
        generator, statistics = overlaid(found, initial_statistics(own)), initial_statistics(found)
        return start(generator, state.params["discriminator"], state.key, statistics)

    step = make_two_player_step(
        game_loss(config),
        optimizer,
        their_optimizer,
        turns=training.turns,
        split_rows=training.split_rows,
        ema_decay=training.ema_decay,
        accumulation_steps=training.accumulation_steps,
        generator_learning_rate=config.optimizer.learning_rate_at,
        discriminator_learning_rate=config.critic_optimizer.learning_rate_at,
    )
    evaluate = make_two_player_eval_step(game_loss(config, held_out=True))
    return Learner(init=init, step=step, evaluate=evaluate, adopt=adopt)


@functools.lru_cache(maxsize=8)
def generator_shapes(config: Any) -> Any:
    """Shapes of the generator's parameters, which are those that a product holds: not to be changed."""
    return _shapes(config.model)[0]


@functools.lru_cache(maxsize=8)
def critic_shapes(config: Any) -> Any:
    """Shapes of the critic's parameters: not to be changed."""
    return _shapes(config.model)[1]


def critic_words(config: Any) -> str:
    """What `info` says of the critic."""
    return (
        f"{count_parameters(critic_shapes(config)):,} parameters, {config.training.turns} updates for each of the "
        "generator's, in training alone"
    )


def _shapes(model: Any) -> Any:
    return jax.eval_shape(lambda: model.build().initial_params(jax.random.key(0)))
