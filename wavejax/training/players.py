"""Losses, keys and gradients of the two players on the rows of one device (`on_each_device`)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from wavejax.parallel import mean_over_devices, sum_over_devices
from wavejax.training.step import (
    apply_gradients,
    checked_loss,
    divide_sums,
    example_keys,
    interleave,
    num_rows,
    sum_over_batch,
    where_tree,
)
from wavejax.types import LossFn, PyTree

if TYPE_CHECKING:
    import optax

DISCRIMINATOR_PREFIX = "discriminator_"
"""Prefix of the discriminator's metrics; the generator's metrics have the names of `make_train_step`."""

Batch = Mapping[str, Array]


class TwoPlayerLoss(NamedTuple):
    """The functions of both players. Sums and weights are as in `LossFn`; there is one key per example, [rows].

    The losses depend on the generator only through its outputs. A loss of the generator's own parameters or states (a
    codebook's commitment) must therefore be an entry of `outputs`.

    Attributes:
      forward: `(generator_params, model_state, batch, keys) -> (outputs, model_state)`. `outputs` is any pytree: the
        fake waveform and everything else that the losses need.
      generator: `(discriminator_params, outputs, batch, keys, adversarial_weight) -> (loss_sum, weight, metrics)`.
        `adversarial_weight`, [] float32, is 0 before the adversarial start and 1 from then on: it multiplies the losses
        from the discriminator (adversarial and feature matching), not the generator's own loss.
      discriminator: `(discriminator_params, outputs, batch, keys) -> (loss_sum, weight, metrics)`, including a gradient
        penalty; its keys differ from those of `forward`.
    """

    forward: Callable[[PyTree, PyTree, Batch, PRNGKeyArray], tuple[PyTree, PyTree]]
    generator: Callable[[PyTree, PyTree, Batch, PRNGKeyArray, Array], tuple[Array, Array, Mapping[str, Array]]]
    discriminator: Callable[[PyTree, PyTree, Batch, PRNGKeyArray], tuple[Array, Array, Mapping[str, Array]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Game:
    """The settings that do not change from step to step."""

    loss: TwoPlayerLoss
    discriminator_optimizer: "optax.GradientTransformation"
    turns: int
    split_rows: bool
    simultaneous: bool
    accumulation_steps: int


class GeneratorTurn(NamedTuple):
    """Results of the generator's turn: means, the gradient and its norm, the sum of weights, the next model state."""

    loss: Float[Array, ""]
    metrics: dict[str, Array]
    gradients: PyTree
    norm: Float[Array, ""]
    weight: Float[Array, ""]
    model_state: PyTree


class DiscriminatorTurns(NamedTuple):
    """Results of its turns: (parameters, optimizer state), and means of `loss`, `gradient_norm` and the metrics."""

    reached: tuple[PyTree, PyTree]
    report: dict[str, Array]


def _player_keys(step_key: PRNGKeyArray, player: Array, rows: int) -> Key[Array, "rows"]:
    """The examples' keys: player 0 is the generator, player t + 1 is the discriminator in its turn t."""
    return example_keys(jax.random.fold_in(step_key, player), rows)


def _halves(keys: Key[Array, "rows"]) -> tuple[Key[Array, "rows"], Key[Array, "rows"]]:
    """Splits each key into one for the forward and one for the loss."""
    both = jax.vmap(jax.random.split)(keys)
    return both[:, 0], both[:, 1]


def generator_loss(loss: TwoPlayerLoss, discriminator_params: PyTree, adversarial_weight: Array) -> LossFn:
    """The generator's loss against a fixed discriminator, as a single-player `LossFn`."""

    def loss_fn(params: PyTree, model_state: PyTree, batch: Batch, keys: Key[Array, "rows"]) -> tuple[Any, ...]:
        forward_keys, loss_keys = _halves(keys)
        outputs, model_state = loss.forward(params, model_state, batch, forward_keys)
        loss_sum, weight, metrics = loss.generator(discriminator_params, outputs, batch, loss_keys, adversarial_weight)
        return loss_sum, weight, model_state, _own_names(metrics)

    return loss_fn


def _own_names(metrics: Mapping[str, Array]) -> Mapping[str, Array]:
    taken = sorted(name for name in metrics if name.startswith(DISCRIMINATOR_PREFIX))
    if taken:
        raise ValueError(
            f"the generator's metrics {taken} begin with {DISCRIMINATOR_PREFIX!r}, as only the discriminator's do; "
            "rename them"
        )
    return metrics


def generator_gradients(game: Game, whole: tuple[Any, ...], rows: PyTree) -> GeneratorTurn:
    """`whole`: (generator, discriminator, model state, step key, adversarial weight)."""
    params, discriminator, model_state, step_key, adversarial_weight = whole
    keys = _player_keys(step_key, jnp.int32(0), num_rows(rows))
    loss_fn = generator_loss(game.loss, discriminator, adversarial_weight)
    sums, model_state = sum_over_batch(loss_fn, params, model_state, rows, keys, game.accumulation_steps)
    return GeneratorTurn(*divide_sums(sums, params), sums[1], model_state)


def discriminator_gradients(game: Game, whole: tuple[Any, ...], rows: PyTree) -> tuple[PyTree, dict[str, Array]]:
    """Gradient and metrics of one turn; `whole`: (generator, discriminator, model state, step key, turn)."""
    generator, params, model_state, step_key, turn = whole
    count = num_rows(rows)
    keys = _player_keys(step_key, turn + jnp.int32(1), count)
    if game.split_rows:
        if count % game.turns:
            raise ValueError(
                f"{count} rows cannot be split over turns={game.turns}; choose a batch size that is a multiple of "
                f"{game.turns} on each device, or split_rows=False"
            )
        rows, keys = jax.tree.map(lambda x: interleave(x, game.turns)[turn], (rows, keys))

    def fakes(batch: Batch, keys: Key[Array, "rows"]) -> tuple[PyTree, Key[Array, "rows"]]:
        forward_keys, loss_keys = _halves(keys)
        return game.loss.forward(generator, model_state, batch, forward_keys)[0], loss_keys

    return _gradients_on_fakes(game, params, rows, keys, fakes)


def _gradients_on_fakes(
    game: Game, params: PyTree, rows: PyTree, keys: Key[Array, "rows"], fakes: Callable[..., tuple[PyTree, Any]]
) -> tuple[PyTree, dict[str, Array]]:
    """The discriminator's gradient and metrics; `fakes(batch, keys)` gives the generator's outputs and loss keys."""

    def loss_fn(params: PyTree, nothing: PyTree, batch: Batch, keys: Key[Array, "rows"]) -> tuple[Any, ...]:
        outputs, loss_keys = fakes(batch, keys)
        loss_sum, weight, metrics = game.loss.discriminator(params, jax.lax.stop_gradient(outputs), batch, loss_keys)
        return loss_sum, weight, nothing, metrics

    sums, _ = sum_over_batch(loss_fn, params, {}, rows, keys, game.accumulation_steps)
    mean, metrics, gradients, norm = divide_sums(sums, params)
    return gradients, {"loss": mean, "gradient_norm": norm, **metrics}


def both_gradients(game: Game, whole: tuple[Any, ...], rows: PyTree) -> tuple[GeneratorTurn, DiscriminatorTurns]:
    """The generator's gradient and the updated discriminator, from a single forward.

    `whole`: (both players' parameters, the discriminator's optimizer state, model state, step key, whether the
    adversarial part has started).
    """
    params, opt_state, model_state, step_key, started = whole
    own_keys, their_keys = (_player_keys(step_key, jnp.int32(player), num_rows(rows)) for player in (0, 1))
    forward_keys, _ = _halves(own_keys)
    outputs, pull_back, model_state = jax.vjp(
        lambda generator: game.loss.forward(generator, model_state, rows, forward_keys),
        params["generator"],
        has_aux=True,
    )
    before = (params["discriminator"], opt_state)
    gradients, report = _gradients_on_fakes(
        game, before[0], rows, their_keys, lambda batch, keys: (outputs, _halves(keys)[1])
    )
    after = apply_gradients(game.discriminator_optimizer, gradients, opt_state, before[0])
    discriminator = DiscriminatorTurns(where_tree(started, after, before), report)
    # From here on the loss is a function of the generator's outputs, not of its parameters.
    outputs_loss = game.loss._replace(forward=lambda outputs, nothing, batch, keys: (outputs, nothing))
    # Against the discriminator as it was, the compiler finds that its forward has been computed already.
    against = before[0] if game.simultaneous else discriminator.reached[0]
    loss_fn = generator_loss(outputs_loss, against, started.astype(jnp.float32))

    def loss_of(outputs: PyTree) -> tuple[Array, Any]:
        loss_sum, weight, _, metrics = checked_loss(loss_fn, outputs, {}, rows, own_keys)
        return loss_sum, (weight, metrics)

    # Integer outputs have no gradient; JAX needs `allow_int` for them.
    (loss_sum, (weight, metrics)), slopes = jax.value_and_grad(loss_of, has_aux=True, allow_int=True)(outputs)
    (gradients,) = pull_back(slopes)
    gradients = jax.tree.map(lambda g: g.astype(jnp.float32), gradients)
    sums = sum_over_devices((loss_sum, weight, metrics, gradients))
    generator = GeneratorTurn(*divide_sums(sums, params["generator"]), sums[1], mean_over_devices(model_state))
    return generator, discriminator
