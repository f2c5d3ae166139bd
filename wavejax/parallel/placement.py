"""Moves single arrays between host and devices, for any sharding and any number of processes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding


def is_key(leaf: Any) -> bool:
    """Whether a leaf is (the shape of) a typed PRNG key array."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def split_axis(shape: tuple[int, ...], parts: int) -> int | None:
    """The axis of the largest dimension (the first of equal ones) that `parts` divides; None if it divides none."""
    fitting = [axis for axis, size in enumerate(shape) if size and size % parts == 0]
    return max(fitting, key=lambda axis: shape[axis]) if fitting else None


def place(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """Copies an array, typed PRNG key or Python number to the devices of a sharding; the result is strongly typed."""
    if isinstance(leaf, jax.Array) and is_key(leaf):
        implementation = jax.random.key_impl(leaf)
        data = place(jax.random.key_data(leaf), sharding)
        wrap = jax.jit(lambda words: jax.random.wrap_key_data(words, impl=implementation), out_shardings=sharding)
        return wrap(data)
    # Copy via the host: a device-to-device copy may share the source's buffer, which the first step would donate.
    host = np.array(leaf)
    host = host.astype(jax.dtypes.canonicalize_dtype(host.dtype), copy=False)
    if jax.process_count() > 1:
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
    return jax.device_put(host, sharding)


def abstract(leaf: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    """Shape, dtype (as after `place`) and sharding for an array, its shape, or a Python number."""
    leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    dtype = leaf.dtype
    if not jnp.issubdtype(dtype, jax.dtypes.extended):
        dtype = jax.dtypes.canonicalize_dtype(dtype)
    return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=sharding)


def fetch(leaf: Any) -> np.ndarray:
    """The whole array on the host; PRNG keys as uint32 words. If several processes hold parts, all must call it."""
    if isinstance(leaf, jax.Array):
        if is_key(leaf):
            leaf = jax.random.key_data(leaf)
        if not leaf.is_fully_addressable:
            if not leaf.is_fully_replicated:
                whole = NamedSharding(leaf.sharding.mesh, jax.sharding.PartitionSpec())
                leaf = jax.jit(lambda x: x, out_shardings=whole)(leaf)
            leaf = leaf.addressable_data(0)
    return np.asarray(leaf)
