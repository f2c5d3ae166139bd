"""Tensors of a weight file before they are read: where their numbers are, checked against the size of the file."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from wavejax.conversion.source import LIMITS, RefusedFile, shown

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


class StoredTensor(NamedTuple):
    """A tensor that has not been read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    """Its numbers, [*shape]."""

    reach: int = 0
    """Bytes from its first to its last number in the file, where that can be more than its size."""

    @property
    def cost(self) -> int:
        """Bytes that reading it takes: its own, or those between its first and its last number."""
        return max(self.reach, math.prod(self.shape) * self.dtype.itemsize)


Part = Mapping[str, StoredTensor]
"""Tensors by name, as one state dict holds them."""


def checked_name(name: str) -> str:
    """A tensor's name. Raises RefusedFile where it is too long to be one."""
    if len(name) > LIMITS.name_length:
        raise RefusedFile(f"a tensor has the name {shown(name)} of {len(name)} letters; most is {LIMITS.name_length}")
    return str(name)


def checked_sizes(values: Any, what: str) -> tuple[int, ...]:
    """A shape or strides: whole numbers of 0 or more, not too many. Raises RefusedFile, with `what`."""
    if not isinstance(values, list | tuple) or len(values) > LIMITS.dimensions:
        raise RefusedFile(f"{what} is {shown(values)}, expected at most {LIMITS.dimensions} whole numbers")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 48:
            raise RefusedFile(f"{what} has {shown(value)} in it, expected whole numbers from 0 to 2^48")
    return tuple(values)


def strided(data: bytearray, dtype: np.dtype, shape: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """An array of its own from the bytes that its elements span; strides count elements and were checked before."""
    flat = np.frombuffer(data, np.uint8 if dtype.kind == "b" else dtype)
    flat = flat != 0 if dtype.kind == "b" else flat
    if tuple(strides) == contiguous(shape):
        return flat[: math.prod(shape)].reshape(shape)
    steps = [stride * flat.itemsize for stride in strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)).reshape(shape)


def span(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements from the first to the last one that a tensor touches; 0 for an empty one."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides, in elements, of an array without gaps, last axis first."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
