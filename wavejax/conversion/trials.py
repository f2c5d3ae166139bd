"""How a converted model is held to its source: both run on the same random inputs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.models.tacotron2 import initial_tacotron2_params
from wavejax.nn.parallel import initial_parallel_params
from wavejax.types import Params

Tensors = Mapping[str, np.ndarray]
Outputs = tuple[np.ndarray, ...]

_FRAMES = 8
_SYMBOLS, _STEPS = 12, 8


class Trial(NamedTuple):
    """One kind of model in a comparison."""

    initial: Callable[[Any, Any], Any]
    """(model, key) -> parameters; traceable."""
    run: Callable[[Callable[..., Any], Any, Any, Params, Tensors], tuple[Outputs, Outputs]]
    """(the source's arithmetic, configuration, model, parameters, tensors) -> (what it makes, what ours makes)."""
    unit: str
    """What the numbers are that are compared, in the plural."""
    inputs: str
    """What both are given."""


def _of_frames(
    original: Callable[..., Any], config: Any, model: Any, params: Params, tensors: Tensors
) -> tuple[Outputs, Outputs]:
    mel = np.random.default_rng(0).normal(-4.0, 2.0, (_FRAMES, model.local_channels)).astype(np.float32)
    given = np.asarray(jax.jit(model.apply)({"params": params}, jnp.asarray(mel)[None]))[0]
    return (original(tensors, config, mel),), (given,)


def _of_symbols(
    original: Callable[..., Any], config: Any, model: Any, params: Params, tensors: Tensors
) -> tuple[Outputs, Outputs]:
    """Free running, the same dropout in both, and no gate that ends it."""
    random = np.random.default_rng(0)
    symbols = random.integers(1, config.num_classes, _SYMBOLS).astype(np.int32)
    noise = random.uniform(0, 1, (_STEPS, config.noise_size)).astype(np.float32)
    kept = (noise >= config.prenet_dropout).reshape(_STEPS, 2, -1)
    wanted = original(tensors, symbols, kept, config.spec.num_channels)
    never = 2.0

    def speak(params: Params, symbols: Any, noise: Any) -> Any:
        count = jnp.full((1,), _SYMBOLS, jnp.int32)
        return model.apply({"params": params}, symbols, count, noise, never, method="speak")

    said = jax.jit(speak)(params, symbols[None], noise[None])
    return tuple(wanted), tuple(np.asarray(each[0]) for each in (said.draft, said.mel, said.gates, said.attention))


FRAMES = Trial(initial_parallel_params, _of_frames, "samples", "random features")
SYMBOLS = Trial(
    initial_tacotron2_params, _of_symbols, "values of mel, gates and attention", "random symbols, free running"
)

__all__ = ["FRAMES", "SYMBOLS", "Trial"]
