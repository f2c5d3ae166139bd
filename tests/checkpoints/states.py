"""States that the checkpoint tests save: what training has, and every odd kind of leaf."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.parallel import Strategy, get_strategy
from wavejax.training import OptimizerConfig, TrainState, create_train_state, make_train_step

META = {"config": {"model": "tiny", "layers": 2}, "spec": {"sample_rate": 16000}}
OPTIMIZER = OptimizerConfig(learning_rate=0.05, clip_norm=1.0)


def tiny_params(width: int = 4) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "input": {"kernel": jnp.asarray(draw.normal(size=(3, width)), jnp.float32)},
        "output": {"kernel": jnp.ones((width, 1), jnp.float32), "bias": jnp.zeros((1,), jnp.float32)},
    }


def tiny_state(width: int = 4) -> TrainState:
    return create_train_state(tiny_params(width), OPTIMIZER.build(), key=11)


def tiny_loss(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
    """Squared error of a small network with noise from each example's key."""
    noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
    hidden = jnp.tanh((batch["x"] + jnp.float32(0.1) * noise) @ params["input"]["kernel"])
    predicted = hidden @ params["output"]["kernel"] + params["output"]["bias"][None]
    return jnp.sum((predicted[:, 0] - batch["y"]) ** 2), jnp.float32(batch["x"].shape[0]), model_state, {}


def tiny_batch(step: int) -> dict[str, np.ndarray]:
    x = np.random.default_rng(step).normal(size=(8, 3)).astype(np.float32)
    return {"x": x, "y": x.sum(axis=1), "id": np.arange(8, dtype=np.uint32) + 8 * step}


def trained(
    steps: int, start: TrainState | None = None, strategy_name: str = "spmd", num_devices: int = 8
) -> TrainState:
    """The state after `steps` more updates, on devices."""
    strategy, step = _compiled(strategy_name, num_devices)
    state = strategy.place(tiny_state() if start is None else start)
    for number in range(int(state.step), int(state.step) + steps):
        state, _ = step(state, tiny_batch(number))
    return state


@functools.cache
def _compiled(strategy_name: str, num_devices: int) -> tuple[Strategy, Callable[..., Any]]:
    strategy = get_strategy(strategy_name, jax.devices()[:num_devices])
    return strategy, strategy.compile(make_train_step(tiny_loss, OPTIMIZER.build(), ema_decay=0.9))


def odd_state() -> dict[str, Any]:
    """A leaf of every kind: half precision, bits, keys, scalars of JAX, NumPy and Python, nothing at all."""
    return {
        "half": jnp.asarray([[1.5, -2.25]], jnp.bfloat16),
        "flags": jnp.asarray([True, False, True]),
        "scalar": jnp.float32(0.1),
        "keys": jax.random.split(jax.random.key(9), 2),
        "rbg": jax.random.key(1, impl="rbg"),
        "empty": jnp.zeros((0, 3), jnp.float32),
        "host": np.arange(6, dtype=np.int64).reshape(2, 3) * 2**40,
        "python": {"int": 2**40 + 1, "float": 0.1, "bool": True},
        "nested": (jnp.arange(3, dtype=jnp.int32), [jnp.ones((2,), jnp.uint8), None]),
    }


def assert_equal_bits(got: Any, want: Any) -> None:
    """Same structure, same kinds of leaf, same dtypes, same bits."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert type(one) is type(other)
        if isinstance(other, jax.Array) and jnp.issubdtype(other.dtype, jax.dtypes.prng_key):
            assert one.dtype == other.dtype
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
        assert np.asarray(one).shape == np.asarray(other).shape
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
