"""Draws a class by inversion of its cumulative distribution: one uniform per draw, no sequential prefix sum.

The classes lie in a table of about sqrt(N) x sqrt(N). One small product with a triangular matrix gives the prefix sums
within all rows, another gives the sum before each row, and one reduction finds the class. That is five kernels per draw
on an accelerator, and in a batch-1 loop on a CPU it is faster than `jnp.cumsum` over all classes. The rounding bound is
tighter too.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int


def table_shape(num_classes: int) -> tuple[int, int]:
    """(rows, columns) of the table of `num_classes` classes in row-major order; up to 32 classes use one row."""
    if num_classes <= 32:
        return 1, num_classes
    columns = 2 ** math.ceil(math.log2(num_classes) / 2)
    return -(-num_classes // columns), columns


def cdf_error(num_classes: int) -> float:
    """Bound on the rounding error of `draw_class`'s cumulative probabilities, given its float32 probabilities.

    A draw is exact for the given probabilities unless the uniform lies within this distance (in units of probability)
    of a bin edge. Each sum adds at most rows + 2 columns terms in sequence. Each addition rounds by at most 2^-24 of
    the total, and so does the product of uniform and total.
    """
    rows, columns = table_shape(num_classes)
    return (rows + 2 * columns + 1) * 2.0**-24


def at_class(values: Float[Array, "*batch classes"], index: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """values[..., index], as a masked sum: its gradient is a select, not a scatter. 0 if the index is out of range."""
    return jnp.sum(jnp.where(_iota(values) == index[..., None], values, jnp.float32(0)), axis=-1)


def draw_mode(logits: Float[Array, "*batch classes"]) -> Int[Array, "*batch"]:
    """The class of the largest logit, the first one if several are equal (`argmax` as one vectorised reduction)."""
    is_largest = logits == jnp.max(logits, axis=-1, keepdims=True)
    return jnp.min(jnp.where(is_largest, _iota(logits), logits.shape[-1] - 1), axis=-1)


def draw_class(
    logits: Float[Array, "*batch classes"],
    uniform: Float[Array, "*batch"],
    temperature: Float[Array, "..."] | float,
    probability_floor: float = 0.0,
) -> Int[Array, "*batch"]:
    """A class drawn from softmax(logits / temperature) without the classes below a floor.

    Args:
      logits: float32.
      uniform: in (0, 1); the result is the number of cumulative probabilities <= it, up to an error of `cdf_error`.
      temperature: broadcastable to `uniform`; 0 (or less) gives `draw_mode(logits)` exactly.
      probability_floor: classes whose probability at that temperature is below it are never drawn, and the rest are
        renormalised; the most probable class is always kept.

    Returns:
      int32 in [0, classes). A class of probability zero is never returned.
    """
    largest = jnp.max(logits, axis=-1, keepdims=True)
    heat = per_draw(temperature, uniform)[..., None]
    is_warm = heat > 0
    # At temperature 0 only the largest logits have weight, and a uniform of 0 selects the first of them.
    weights = jnp.where(
        is_warm,
        jnp.exp((logits - largest) / jnp.where(is_warm, heat, jnp.float32(1))),
        (logits == largest).astype(jnp.float32),
    )
    if probability_floor > 0:
        least = jnp.float32(probability_floor) * jnp.sum(weights, axis=-1, keepdims=True)
        weights = jnp.where(weights >= jnp.minimum(least, jnp.float32(1)), weights, jnp.float32(0))
    return _invert(weights, jnp.where(is_warm[..., 0], uniform, jnp.float32(0)))


def per_draw(temperature: Float[Array, "..."] | float, uniform: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The temperature of each draw in float32; 0 if it is negative or too small for a normal float32."""
    heat = jnp.broadcast_to(jnp.asarray(temperature, jnp.float32), uniform.shape)
    return jnp.where(heat >= np.finfo(np.float32).tiny, heat, jnp.float32(0))


def _invert(weights: Float[Array, "*batch classes"], uniform: Float[Array, "*batch"]) -> Int[Array, "*batch"]:
    """The class whose interval contains `uniform` if the weights are placed one after the other and scaled to 1."""
    num_classes = weights.shape[-1]
    rows, columns = table_shape(num_classes)
    padding = [(0, 0)] * (weights.ndim - 1) + [(0, rows * columns - num_classes)]
    table = jnp.pad(weights, padding).reshape(*weights.shape[:-1], rows, columns)
    edges = _sums(table, np.triu(np.ones((columns, columns), np.float32)))
    if rows > 1:
        before = _sums(edges[..., -1], np.triu(np.ones((rows, rows), np.float32), 1))
        edges = edges + before[..., None]
    target = uniform * edges[..., -1, -1]
    edges = edges.reshape(*weights.shape[:-1], rows * columns)[..., :num_classes]
    return _first_beyond(weights, edges, target)


def _sums(weights: Float[Array, "*batch terms"], chosen: np.ndarray) -> Float[Array, "*batch terms"]:
    return jnp.matmul(weights, jnp.asarray(chosen), precision=lax.Precision.HIGHEST)


def _first_beyond(
    weights: Float[Array, "*batch classes"], edges: Float[Array, "*batch classes"], target: Float[Array, "*batch"]
) -> Int[Array, "*batch"]:
    """The first class of nonzero weight whose edge exceeds the target; the last of them if rounding leaves none."""
    size = weights.shape[-1]
    index = _iota(weights)
    # One reduction does both: classes beyond the target rank by index, others with weight by 2 size - index, then rest.
    rank = jnp.where(weights > 0, jnp.where(edges > target[..., None], index, 2 * size - index), 3 * size)
    best = jnp.min(rank, axis=-1)
    return jnp.clip(jnp.where(best >= size, 2 * size - best, best), 0, size - 1)


def _iota(values: Array) -> Int[Array, "..."]:
    return lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
