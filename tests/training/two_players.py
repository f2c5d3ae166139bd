"""Players whose game has a known end, and the loss that the tests of the two-player step share."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.parallel import Strategy, get_strategy
from wavejax.training import OptimizerConfig, TrainState, TwoPlayerLoss, create_two_player_state, make_two_player_step

GENERATOR = OptimizerConfig(learning_rate=0.01, schedule="noam", warmup_steps=4, clip_norm=0.5)
DISCRIMINATOR = OptimizerConfig(learning_rate=0.02, betas=(0.0, 0.9))


def weighted(rows: jax.Array, mask: jax.Array) -> jax.Array:
    return jnp.sum(jnp.where(mask, rows, jnp.float32(0)))


def forward(params: dict, model_state: dict, batch: Mapping, keys: jax.Array) -> tuple[dict, dict]:
    """x = mu + sigma z in two dimensions; a whole number among the outputs has no gradient."""
    z = jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)
    fake = params["mu"][None] + jnp.exp(params["log_sigma"])[None] * z
    seen = {"seen": model_state["seen"] + jnp.int32(1)} if model_state else model_state
    return {"fake": fake, "sign": (z > 0).astype(jnp.int32)}, seen


def features(params: dict, x: jax.Array) -> jax.Array:
    return jnp.tanh(x @ params["hidden"]["kernel"] + params["hidden"]["bias"][None])


def opinion(params: dict, x: jax.Array) -> jax.Array:
    return (features(params, x) @ params["output"]["kernel"])[:, 0]


def generator(params: dict, outputs: dict, batch: Mapping, keys: jax.Array, adversarial_weight: jax.Array) -> tuple:
    """Least squares, feature matching and a loss of its own, as vocoders have them (Kong et al. 2020)."""
    fake, real = outputs["fake"], batch["real"]
    adversarial = (opinion(params, fake) - 1) ** 2
    matching = jnp.mean(jnp.abs(features(params, fake) - jax.lax.stop_gradient(features(params, real))), axis=1)
    own = jnp.mean((fake - real) ** 2, axis=1)
    total = own + adversarial_weight * (adversarial + jnp.float32(2) * matching)
    return (
        weighted(total, batch["mask"]),
        jnp.sum(batch["mask"]),
        {"own": weighted(own, batch["mask"]), "positive": jnp.sum(outputs["sign"])},
    )


def discriminator(params: dict, outputs: dict, batch: Mapping, keys: jax.Array) -> tuple:
    """Least squares with a penalty on the slope between fake and real, at a random point of each example."""
    between = jax.vmap(lambda key: jax.random.uniform(key, (1,)))(keys)
    points = between * batch["real"] + (1 - between) * outputs["fake"]
    slope = jax.vmap(jax.grad(lambda x: opinion(params, x[None])[0]))(points)
    total = (opinion(params, batch["real"]) - 1) ** 2 + opinion(params, outputs["fake"]) ** 2
    total = total + jnp.float32(0.1) * jnp.sum(slope**2, axis=1)
    return weighted(total, batch["mask"]), jnp.sum(batch["mask"]), {"real": jnp.sum(opinion(params, batch["real"]))}


def plain(params: dict, outputs: dict, batch: Mapping, keys: jax.Array) -> tuple:
    """Least squares alone."""
    total = (opinion(params, batch["real"]) - 1) ** 2 + opinion(params, outputs["fake"]) ** 2
    return weighted(total, batch["mask"]), jnp.sum(batch["mask"]), {}


LOSS = TwoPlayerLoss(forward, generator, discriminator)
PLAIN = LOSS._replace(discriminator=plain)


def generator_params() -> dict:
    return {"mu": jnp.zeros((2,)), "log_sigma": jnp.zeros((2,))}


def discriminator_params() -> dict:
    draw = np.random.default_rng(0)
    return {
        "hidden": {"kernel": jnp.asarray(draw.normal(size=(2, 16)), jnp.float32), "bias": jnp.zeros((16,))},
        "output": {"kernel": jnp.asarray(draw.normal(size=(16, 1)), jnp.float32)},
    }


def make_batch(step: int, rows: int = 16) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(2000 + step)
    real = (np.asarray([2.0, -1.0]) + np.asarray([0.5, 1.5]) * draw.normal(size=(rows, 2))).astype(np.float32)
    return {"real": real, "mask": draw.random(rows) < np.linspace(0.2, 1, rows)}  # parts weigh differently


def start(model_state: Any = None) -> TrainState:
    return create_two_player_state(
        generator_params(),
        discriminator_params(),
        GENERATOR.build(),
        DISCRIMINATOR.build(),
        key=5,
        model_state=model_state,
    )


def make_step(loss: TwoPlayerLoss = LOSS, **options: Any) -> Any:
    return make_two_player_step(
        loss,
        GENERATOR.build(),
        DISCRIMINATOR.build(),
        ema_decay=0.5,
        generator_learning_rate=GENERATOR.learning_rate_at,
        discriminator_learning_rate=DISCRIMINATOR.learning_rate_at,
        **options,
    )


def run(strategy: Strategy, state: TrainState, steps: int, rows: int = 16, **options: Any) -> tuple[TrainState, list]:
    """`steps` more updates and their metrics."""
    step, history = strategy.compile(make_step(**options)), []
    for number in range(int(state.step), int(state.step) + steps):
        state, metrics = step(state, make_batch(number, rows))
        history.append({name: float(value) for name, value in metrics.items()})
    return state, history


def train(name: str, num_devices: int, steps: int, rows: int = 16, **options: Any) -> tuple[TrainState, list]:
    strategy = get_strategy(name, jax.devices()[:num_devices])
    state, history = run(strategy, strategy.place(start()), steps, rows, **options)
    return strategy.fetch(state), history
