"""Two players, one step: a discriminator learns from fresh fakes, then the generator against it.

The players are those of Goodfellow et al. 2014 (arXiv 1406.2661); the discriminator may be a critic that takes several
turns for each of the generator's (Arjovsky et al. 2017, arXiv 1701.07875, algorithm 1). Everything else (strategies,
accumulation, guard, average, keys) is as in `make_train_step`, whose functions this step uses.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from wavejax.parallel import on_each_device
from wavejax.training.evaluation import EvalStep, make_eval_step
from wavejax.training.players import (
    DISCRIMINATOR_PREFIX,
    DiscriminatorTurns,
    Game,
    GeneratorTurn,
    TwoPlayerLoss,
    both_gradients,
    discriminator_gradients,
    generator_gradients,
    generator_loss,
)
from wavejax.training.state import TrainState, create_train_state
from wavejax.training.step import TrainStep, apply_gradients, check_settings, update_average, where_tree
from wavejax.types import PyTree

if TYPE_CHECKING:
    import optax

Schedule = Callable[[Array], Array]


def create_two_player_state(
    generator_params: PyTree,
    discriminator_params: PyTree,
    generator_optimizer: "optax.GradientTransformation",
    discriminator_optimizer: "optax.GradientTransformation",
    *,
    key: PRNGKeyArray | int,
    model_state: PyTree | None = None,
) -> TrainState:
    """The state before the first step of `make_two_player_step`; traceable.

    `params` and `opt_state` are {"generator": ..., "discriminator": ...}. `ema_params` is the average of the generator
    alone, so exports hold only the generator's tree.

    Args:
      generator_params, discriminator_params: initial parameters.
      generator_optimizer, discriminator_optimizer: e.g. `OptimizerConfig(...).build()`, one for each.
      key: typed PRNG key, or a seed (threefry).
      model_state: initial state of the generator's forward.
    """
    generator = create_train_state(generator_params, generator_optimizer, key=key, model_state=model_state)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes Python numbers and integer counters
        discriminator = discriminator_optimizer.init(discriminator_params)
    return dataclasses.replace(
        generator,
        params={"generator": generator_params, "discriminator": discriminator_params},
        opt_state={"generator": generator.opt_state, "discriminator": discriminator},
    )


def make_two_player_step(
    loss: TwoPlayerLoss,
    generator_optimizer: "optax.GradientTransformation",
    discriminator_optimizer: "optax.GradientTransformation",
    *,
    turns: int = 1,
    split_rows: bool = False,
    adversarial_start: int = 0,
    share_forward: bool = False,
    simultaneous: bool = False,
    ema_decay: float = 0.9999,
    accumulation_steps: int = 1,
    generator_learning_rate: Schedule | None = None,
    discriminator_learning_rate: Schedule | None = None,
) -> TrainStep:
    """A pure `step(state, batch) -> (state, metrics)` like that of `make_train_step`; for `create_two_player_state`.

    First the discriminator is updated `turns` times, each time on a fake with its own keys. Then the generator is
    updated once, on a fake with other keys, against the updated discriminator. `model_state` is that of the generator's
    own forward. If any loss or gradient is not finite, also before the adversarial start, the step changes nothing.

    Metrics, [] float32: `loss`, `weight`, `gradient_norm`, `learning_rate` (if given), `finite` and the generator's own
    metrics as in `make_train_step`; means over the turns of `discriminator_loss`, `discriminator_gradient_norm` and the
    discriminator's own metrics as `discriminator_{name}`; and, if given, `discriminator_learning_rate`, that of the
    first turn.

    Args:
      loss: the two players.
      generator_optimizer, discriminator_optimizer: the optimizers, which include clipping.
      turns: number of discriminator updates per generator update.
      split_rows: each turn takes its own part of the batch (turn t takes the rows i with i % turns = t), so a batch of
        `turns` times the rows gives each turn new data. Otherwise each turn takes the whole batch, as the generator
        always does.
      adversarial_start: the first update in which the discriminator learns; until then `adversarial_weight` is 0. The
        same program runs before and after: before, the discriminator's update is computed and discarded.
      share_forward: compute the fake once for both updates. It needs one turn and no accumulation, because the fake and
        the values for its gradient stay in memory; each device then holds the discriminator's whole optimizer state.
      simultaneous: with `share_forward`: the generator meets the discriminator before its update, in one forward of it.
      ema_decay: decay of the generator's average, as in `make_train_step`.
      accumulation_steps: micro-batches of each update.
      generator_learning_rate, discriminator_learning_rate: schedules to report, e.g. `config.learning_rate_at`. A
        schedule counts its own player's updates: the discriminator's begins at the adversarial start and advances by
        `turns` each step.

    Raises:
      ValueError: arguments are out of range or exclude each other; when traced: rows not divisible, or a loss of the
        wrong form.
    """
    check_settings(ema_decay, accumulation_steps)
    _check_game(turns, adversarial_start, split_rows, share_forward, simultaneous, accumulation_steps)
    game = Game(
        loss=loss,
        discriminator_optimizer=discriminator_optimizer,
        turns=turns,
        split_rows=split_rows,
        simultaneous=simultaneous,
        accumulation_steps=accumulation_steps,
    )
    play = _play_shared if share_forward else _play

    def train_step(state: TrainState, batch: PyTree) -> tuple[TrainState, dict[str, Array]]:
        started = state.step >= adversarial_start
        generator, discriminator = play(game, state, batch, started)
        params, opt_state = apply_gradients(
            generator_optimizer, generator.gradients, state.opt_state["generator"], state.params["generator"]
        )
        updated = dataclasses.replace(
            state,
            step=state.step + jnp.int32(1),
            params={"generator": params, "discriminator": discriminator.reached[0]},
            ema_params=update_average(state.ema_params, params, state.step, ema_decay),
            opt_state={"generator": opt_state, "discriminator": discriminator.reached[1]},
            model_state=generator.model_state,
        )
        their_count = jnp.maximum(state.step - adversarial_start, 0) * turns
        schedules = ((generator_learning_rate, state.step), (discriminator_learning_rate, their_count))
        report = _report(generator, discriminator, schedules)
        return where_tree(report["finite"] > 0, updated, state), report

    return train_step


def make_two_player_eval_step(
    loss: TwoPlayerLoss, *, use_ema: bool = True, seed: int = 0, adversarial_weight: float = 1.0
) -> EvalStep:
    """Like `make_eval_step`, for the generator: its loss and metrics over held-out batches, as sums for `evaluate`.

    Args:
      loss: the two players.
      use_ema: evaluate the generator's averaged parameters, else its current ones; the discriminator's are always the
        current ones.
      seed: seed of the examples' keys.
      adversarial_weight: 1 gives the loss that training reports. With 0 only the generator's own loss counts; it can be
        compared between the checkpoints of a run, while the discriminator changes from one to the next.
    """

    def eval_step(state: TrainState, batch: PyTree) -> dict[str, Array]:
        loss_fn = generator_loss(loss, state.params["discriminator"], jnp.float32(adversarial_weight))
        alone = dataclasses.replace(state, params=state.params["generator"])
        return make_eval_step(loss_fn, use_ema=use_ema, seed=seed)(alone, batch)

    return eval_step


def _report(
    generator: GeneratorTurn, discriminator: DiscriminatorTurns, schedules: tuple[tuple[Schedule | None, Array], ...]
) -> dict[str, Array]:
    """Metrics of a step; schedules: the generator's, then the discriminator's, each with its player's update count."""
    numbers = (generator.loss, generator.norm, discriminator.report["loss"], discriminator.report["gradient_norm"])
    finite = jnp.all(jnp.isfinite(jnp.stack(numbers)))
    mine = {"loss": generator.loss, "weight": generator.weight, "gradient_norm": generator.norm}
    mine["finite"] = finite.astype(jnp.float32)
    theirs = dict(discriminator.report)
    for metrics, (schedule, count) in zip((mine, theirs), schedules, strict=True):
        if schedule is not None:
            metrics["learning_rate"] = jnp.asarray(schedule(count), jnp.float32)
    named = {DISCRIMINATOR_PREFIX + name: value for name, value in theirs.items()}
    return {**mine, **named, **generator.metrics}


def _check_game(
    turns: int,
    adversarial_start: int,
    split_rows: bool,
    share_forward: bool,
    simultaneous: bool,
    accumulation_steps: int,
) -> None:
    if simultaneous and not share_forward:
        raise ValueError("simultaneous needs share_forward: without it the players see different fakes; set both")
    if turns < 1:
        raise ValueError(f"turns={turns} must be 1 or more")
    if adversarial_start < 0:
        raise ValueError(f"adversarial_start={adversarial_start} must be 0 or more updates")
    if split_rows and turns == 1:
        raise ValueError("split_rows cuts the batch into one part per turn and needs turns of 2 or more, got turns=1")
    if share_forward and (turns != 1 or accumulation_steps != 1):
        raise ValueError(
            f"share_forward needs turns=1 and accumulation_steps=1, got turns={turns} and "
            f"accumulation_steps={accumulation_steps}: one fake serves one update of each player; leave it out"
        )


def _play(game: Game, state: TrainState, batch: PyTree, started: Array) -> tuple[GeneratorTurn, DiscriminatorTurns]:
    step_key = jax.random.fold_in(state.key, state.step)
    params, before = state.params["generator"], (state.params["discriminator"], state.opt_state["discriminator"])

    def take_turn(carry: tuple[PyTree, PyTree], turn: Int[Array, ""]) -> tuple[tuple[PyTree, PyTree], dict[str, Array]]:
        discriminator, opt_state = carry
        whole = (params, discriminator, state.model_state, step_key, turn)
        gradients, report = on_each_device(partial(discriminator_gradients, game), whole, batch)
        return apply_gradients(game.discriminator_optimizer, gradients, opt_state, discriminator), report

    # A single turn is not run as a loop, so that the compiler can overlap it with what follows.
    turns = jnp.arange(game.turns, dtype=jnp.int32)
    after, reports = jax.lax.scan(take_turn, before, turns, unroll=game.turns == 1)
    discriminator = DiscriminatorTurns(
        where_tree(started, after, before), jax.tree.map(lambda values: jnp.mean(values, axis=0), reports)
    )
    whole = (params, discriminator.reached[0], state.model_state, step_key, started.astype(jnp.float32))
    return on_each_device(partial(generator_gradients, game), whole, batch), discriminator


def _play_shared(
    game: Game, state: TrainState, batch: PyTree, started: Array
) -> tuple[GeneratorTurn, DiscriminatorTurns]:
    step_key = jax.random.fold_in(state.key, state.step)
    whole = (state.params, state.opt_state["discriminator"], state.model_state, step_key, started)
    return on_each_device(partial(both_gradients, game), whole, batch)
