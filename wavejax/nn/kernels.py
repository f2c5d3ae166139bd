"""Kernels of linear maps, plain or weight-normalised (Salimans & Kingma 2016, arXiv 1602.07868)."""

import math
from collections.abc import Callable

import flax.errors
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array

Initializer = Callable[[Array, tuple[int, ...]], Array]


def smooth_over_classes(key: Array, shape: tuple[int, ...]) -> Array:
    """Initial values [taps, classes, channels] that vary smoothly from class to class: random cosines, variance 1.

    Classes of a quantised amplitude are ordered, and neighbouring classes mean nearly the same. With independent rows a
    network needs its first million samples to learn this. Cosines with half a period to twelve periods over the range
    show it both coarse and fine amplitude from the first step.
    """
    taps, classes, channels = shape
    rate_key, phase_key = jax.random.split(key)
    low, high = jnp.log(jnp.float32(0.5 * math.pi)), jnp.log(jnp.float32(12.0 * math.pi))
    rates = jnp.exp(jax.random.uniform(rate_key, (taps, 1, channels), jnp.float32, low, high))
    phases = jax.random.uniform(phase_key, (taps, 1, channels), jnp.float32, 0.0, 2.0 * math.pi)
    amplitude = (jnp.arange(classes, dtype=jnp.float32) * jnp.float32(2.0 / classes) - 1.0).reshape(1, classes, 1)
    return jnp.float32(math.sqrt(2.0)) * jnp.cos(rates * amplitude + phases)


def declare(module: nn.Module, name: str, initializer: Initializer, shape: tuple[int, ...]) -> Array:
    """`module.param(name, initializer, shape)`, but ten times faster if the parameters are given.

    linen traces the initial values of every parameter each time it traces a model, only to compare shapes. This takes
    half of the tracing time of a small WaveNet.

    Raises:
        flax.errors.ScopeParamShapeError: the given parameter has another shape; `param` raises the same error.
    """
    if module.is_initializing() or not module.has_variable("params", name):
        return module.param(name, initializer, shape)
    value: Array = module.get_variable("params", name)
    if jnp.shape(value) != shape:
        path = "/".join(("", *module.path))
        raise flax.errors.ScopeParamShapeError(name, path, jnp.shape(value), shape)
    return value


def declare_kernel(
    module: nn.Module,
    name: str,
    shape: tuple[int, ...],
    *,
    weight_normalization: bool = False,
    num_stacked: int = 0,
    gain: float = 1.0,
    initializer: Initializer | None = None,
) -> Array:
    """Declare parameter `name` on `module` and return the kernel to multiply with.

    Args:
        module: the linen module that owns the parameter.
        name: its name; with weight normalisation the parameters are `name` (direction) and `name_g` (length).
        shape: first the stacked axes, then the inputs of the map, last the output channel.
        weight_normalization: return g * v / ||v||, where the norm is taken per output channel over the inputs.
        num_stacked: number of leading axes that index layers and are not inputs.
        gain: scale of the initial values; their variance is gain^2 / fan_in.
        initializer: draws the initial values if given, instead of `gain`.
    """
    fan_in = math.prod(shape[num_stacked:-1])

    def initial(key: Array, shape: tuple[int, ...]) -> Array:
        return jax.random.normal(key, shape, jnp.float32) * jnp.float32(gain / math.sqrt(fan_in))

    direction = declare(module, name, initializer or initial, shape)
    if not weight_normalization:
        return direction
    axes = tuple(range(num_stacked, len(shape) - 1))

    def length(value: Array) -> Array:
        return jnp.sqrt(jnp.sum(value * value, axis=axes, keepdims=True) + jnp.float32(1e-12))

    norm = length(direction)
    g = declare(
        module,
        f"{name}_g",
        lambda _key, g_shape: length(lax.stop_gradient(direction)).reshape(g_shape),
        _g_shape(shape, num_stacked),
    )
    return direction / norm * g.reshape(norm.shape)


def _g_shape(shape: tuple[int, ...], num_stacked: int) -> tuple[int, ...]:
    return (*shape[:num_stacked], shape[-1])
