"""Uniform noise as a pure function of (seed, stream id, sample index).

Threefry 2x32 (Salmon et al. 2011) is called directly, so neither `jax.config` nor a change of JAX's default generator
changes any draw. A sample index is a pair of 32-bit words, so streams may be longer than 2^31 samples.
"""

import operator
from typing import SupportsIndex

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from wavejax.types import AnyArray

_WORD = 0xFFFFFFFF


def split_index(index: int) -> np.ndarray:
    """A Python integer as (high, low) 32-bit words, in two's complement if negative."""
    return np.asarray([(index >> 32) & _WORD, index & _WORD], np.uint32)


def join_index(words: Array | np.ndarray) -> int:
    """The inverse of `split_index` for indices below 2^63."""
    high, low = (int(word) for word in np.asarray(words))
    value = (high << 32) | low
    return value - (1 << 64) if high >> 31 else value


def advance(words: UInt32[Array, "2"], count: Array) -> UInt32[Array, "2"]:
    """Add a non-negative int32 count to an index, with carry."""
    low = words[1] + count.astype(jnp.uint32)
    return jnp.stack([words[0] + (low < words[1]).astype(jnp.uint32), low])


def shifted(words: UInt32[Array, "2"], origins: UInt32[Array, "batch 2"]) -> UInt32[Array, "batch 2"]:
    """An index plus each of several origins."""
    low = words[1] + origins[:, 1]
    return jnp.stack([words[0] + origins[:, 0] + (low < words[1]).astype(jnp.uint32), low], axis=-1)


def seed_words(seed: SupportsIndex | AnyArray) -> UInt32[Array, "2"]:
    """The words of a seed: any integer of Python, NumPy or JAX (also traced), or words from `split_index`.

    Raises TypeError if it is neither.
    """
    if isinstance(seed, jax.Array | np.ndarray) and seed.dtype == np.uint32 and seed.shape == (2,):
        return jnp.asarray(seed)
    if isinstance(seed, jax.core.Tracer) and not seed.shape and jnp.issubdtype(seed.dtype, jnp.integer):
        high = jnp.where(seed < jnp.zeros((), seed.dtype), jnp.uint32(_WORD), jnp.uint32(0))
        if seed.dtype.itemsize == 8:
            high = (seed >> jnp.asarray(32, seed.dtype)).astype(jnp.uint32)
        return jnp.stack([high, seed.astype(jnp.uint32)])
    try:
        return jnp.asarray(split_index(operator.index(seed)))
    except TypeError as error:
        raise TypeError(f"seed must be an integer, or its two words from split_index, got {seed!r}") from error


def stream_keys(seed: SupportsIndex | AnyArray, stream_ids: Int[Array, "batch"]) -> UInt32[Array, "batch 2"]:
    """One Threefry key per stream; the seed is an integer of at most 64 bits or its words, see `seed_words`."""
    key = seed_words(seed)
    ids = stream_ids.astype(jnp.uint32)
    return _hash(jnp.broadcast_to(key, (*ids.shape, 2)), jnp.stack([jnp.ones_like(ids), ids], axis=-1))


def uniforms(
    keys: UInt32[Array, "batch 2"],
    position: UInt32[Array, "2"] | UInt32[Array, "batch 2"],
    count: int,
    noise_size: int,
) -> Float[Array, "count batch noise"]:
    """Uniforms of samples position .. position + count - 1: midpoints (k + 1/2) / 2^23, so 0 and 1 never occur."""
    start = jnp.broadcast_to(position, keys.shape)
    low = start[None, :, 1] + jnp.arange(count, dtype=jnp.uint32)[:, None]
    high = start[None, :, 0] + (low < start[None, :, 1]).astype(jnp.uint32)
    index = jnp.stack([high, low], axis=-1)
    words = []
    for pair in range(-(-noise_size // 2)):
        label = jnp.broadcast_to(jnp.asarray([2, pair], jnp.uint32), keys.shape)
        words.append(_hash(jnp.broadcast_to(_hash(keys, label)[None], index.shape), index))
    bits = jnp.concatenate(words, axis=-1)[..., :noise_size] >> jnp.uint32(9)
    return (bits.astype(jnp.float32) + jnp.float32(0.5)) * jnp.float32(2.0**-23)


def _hash(keys: UInt32[Array, "... 2"], counters: UInt32[Array, "... 2"]) -> UInt32[Array, "... 2"]:
    flat_keys, flat_counters = keys.reshape(-1, 2), counters.reshape(-1, 2)
    return jax.vmap(jax.extend.random.threefry_2x32)(flat_keys, flat_counters).reshape(keys.shape)
