"""A checksum of array contents that does not depend on which devices hold the array.

Every element's bits are mixed with its position by a bijection of 32-bit words (the finaliser of MurmurHash3, Appleby
2011) and the results are summed modulo 2**32. The sum does not depend on the order of summation, so a sharded array is
summed on the devices that hold it. A change confined to one element always changes the sum; any other damage, such as
swapped elements, goes unnoticed with probability 2**-32.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

_POSITION_FACTOR = 0x9E3779B9  # odd, so positions stay distinct modulo 2**32
_MIX_1 = 0x85EBCA6B
_MIX_2 = 0xC2B2AE35


def leaf_checksum(leaf: Any) -> int:
    """The checksum, 0 to 2**32 - 1, of one array, number or PRNG key array; a JAX array's is computed on its devices.

    It depends on the bits and their order, not on the shape or the dtype's name; compare those separately.
    """
    return tree_checksums({"leaf": leaf})["leaf"]


def tree_checksums(leaves: Mapping[str, Any]) -> dict[str, int]:
    """Checksums of named arrays, with one compiled program for all arrays on the same devices.

    JAX arrays (any dtype, any sharding, several processes included), typed PRNG keys, NumPy arrays and Python numbers
    give the same value for the same bits.
    """
    sums: dict[str, int] = {}
    groups: dict[frozenset[Any], dict[str, jax.Array]] = {}
    for name, leaf in leaves.items():
        if isinstance(leaf, jax.Array):
            groups.setdefault(frozenset(leaf.sharding.device_set), {})[name] = leaf
        else:
            sums[name] = _numpy_checksum(np.asarray(leaf))
    for group in groups.values():
        computed = _device_checksums(list(group.values()))
        for name, value in zip(group, computed, strict=True):
            local = value if value.is_fully_addressable else value.addressable_data(0)
            sums[name] = int(np.asarray(local))
    return {name: sums[name] for name in leaves}


def _numpy_checksum(array: np.ndarray) -> int:
    data = np.ascontiguousarray(array)
    if data.dtype.kind in "OSUVM" and data.dtype.names is None and not jnp.issubdtype(data.dtype, np.number):
        raise TypeError(f"a checkpoint holds numbers; got an array of dtype {data.dtype}")
    if _is_four_bits(data.dtype):
        data = data.astype(np.int8).view(np.uint8) & np.uint8(15)
    width = data.dtype.itemsize
    unsigned = {1: np.uint8, 2: np.uint16}.get(width, np.uint32)
    words = data.reshape(-1).view(unsigned).astype(np.uint32)
    positions = np.arange(words.size, dtype=np.uint64).astype(np.uint32)
    mixed = words ^ (positions * np.uint32(_POSITION_FACTOR) + np.uint32(1))
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(_MIX_1)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(_MIX_2)
    mixed = mixed ^ (mixed >> np.uint32(16))
    return int(np.sum(mixed, dtype=np.uint32))


@jax.jit
def _device_checksums(leaves: list[jax.Array]) -> list[UInt32[Array, ""]]:
    return [_traced_checksum(leaf) for leaf in leaves]


def _traced_checksum(leaf: jax.Array) -> UInt32[Array, ""]:
    words = _as_words(leaf)
    positions = jnp.zeros(words.shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(words.ndim)):
        along = jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis)
        positions = positions + along * jnp.uint32(stride % 2**32)
        stride *= words.shape[axis]
    mixed = words ^ (positions * jnp.uint32(_POSITION_FACTOR) + jnp.uint32(1))
    mixed = (mixed ^ (mixed >> jnp.uint32(16))) * jnp.uint32(_MIX_1)
    mixed = (mixed ^ (mixed >> jnp.uint32(13))) * jnp.uint32(_MIX_2)
    mixed = mixed ^ (mixed >> jnp.uint32(16))
    return jnp.sum(mixed, dtype=jnp.uint32)


def _as_words(leaf: jax.Array) -> UInt32[Array, "..."]:
    """The bits of an array as uint32, in NumPy's memory order; wide elements are split along a new last axis."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if leaf.dtype == jnp.bool_:
        return leaf.astype(jnp.uint32)
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        leaf = jnp.stack([leaf.real, leaf.imag], axis=-1)
    if _is_four_bits(leaf.dtype):
        return leaf.astype(jnp.int32).astype(jnp.uint32) & jnp.uint32(15)
    unsigned = {1: jnp.uint8, 2: jnp.uint16}.get(leaf.dtype.itemsize, jnp.uint32)
    return jax.lax.bitcast_convert_type(leaf, unsigned).astype(jnp.uint32)


def _is_four_bits(dtype: Any) -> bool:
    """Whether the dtype is int4 or uint4: an element takes a byte in memory, of which only the low half is defined."""
    return bool(jnp.issubdtype(dtype, jnp.integer) and jnp.iinfo(dtype).bits == 4)
