"""States as no generation leaves them: mutations, each of one leaf, drawn from a seed."""

import dataclasses
from typing import Any

import numpy as np

from wavejax.generation import GenerationState


def mutated(state: GenerationState, **changes: Any) -> GenerationState:
    """`dataclasses.replace` without a look at the types: what a careless reader of files would make."""
    made = object.__new__(GenerationState)
    made.__dict__.update({**state.__dict__, **changes})
    return made


def leaf_names(state: GenerationState) -> list[tuple[str, ...]]:
    """Paths of the leaves: ("value",), ("cache", "ring") ..."""
    names: list[tuple[str, ...]] = []
    for field in dataclasses.fields(state):
        names += _paths((field.name,), getattr(state, field.name))
    return names


def _paths(path: tuple[str, ...], node: Any) -> list[tuple[str, ...]]:
    if not isinstance(node, dict):
        return [path]
    return [found for key in node for found in _paths((*path, key), node[key])]


def get(state: GenerationState, path: tuple[str, ...]) -> Any:
    node = getattr(state, path[0])
    for key in path[1:]:
        node = node[key]
    return node


def put(state: GenerationState, path: tuple[str, ...], leaf: Any) -> GenerationState:
    """The state with another leaf; a leaf of `DROPPED` takes its name out of its dict."""

    def replaced(node: Any, keys: tuple[str, ...]) -> Any:
        if not keys:
            return leaf
        changed = {**node, keys[0]: replaced(node[keys[0]], keys[1:])}
        return {key: value for key, value in changed.items() if value is not DROPPED}

    return mutated(state, **{path[0]: replaced(getattr(state, path[0]), path[1:])})


DROPPED = object()
NUMBERS = (0, 1, -1, 2, 255, 256, 10**6, -(10**8), 2**31 - 1, -(2**31), 2**31, 2**32 - 1, 2**63 - 1, -(2**63))
FLOATS = (0.0, 1.0, -1.0, 1.5, 1e-30, 1e9, -1e30, 3e38, 1e300, np.inf, -np.inf, np.nan)
STRANGE = (None, 7, 0.5, "ring", b"ring", [1, 2], {"a": 1}, (), np.array("x"), np.array([None]), np.zeros(3, "M8[s]"))
TYPES = ("f2", "f4", "f8", "i1", "i4", "i8", "u1", "u4", "u8", "?", "c8")


def mutate(state: GenerationState, other: GenerationState, random: np.random.Generator) -> GenerationState:
    """One mutation; `other` is a state of another model, whose leaves may stand in."""
    names = leaf_names(state)
    path = names[random.integers(len(names))]
    leaf = np.array(get(state, path))
    kind = random.integers(9)
    if kind == 0:
        return put(state, path, STRANGE[random.integers(len(STRANGE))])
    if kind == 1 and len(path) > 1:
        return put(state, path, DROPPED)
    if kind == 2:
        others = leaf_names(other)
        return put(state, path, get(other, others[random.integers(len(others))]))
    if kind == 3:
        return mutated(state, cache=other.cache)
    if leaf.dtype.kind not in "iufb" or not leaf.ndim:
        return state  # an earlier mutation has made no number of it
    if kind == 4:
        return put(state, path, _reshaped(leaf, random))
    if kind == 5:
        with np.errstate(all="ignore"):
            return put(state, path, leaf.astype(TYPES[random.integers(len(TYPES))]))
    if kind == 6 and leaf.size:
        return put(state, path, _flipped(leaf, random))
    return put(state, path, _written(leaf, random))


def _reshaped(leaf: np.ndarray, random: np.random.Generator) -> np.ndarray:
    ways = [leaf[:-1], leaf[1:], leaf[:0], leaf[None], leaf.T, leaf.reshape(-1), np.repeat(leaf, 2, axis=0)]
    ways += [np.repeat(leaf, 2, axis=-1), leaf[..., :1], leaf[..., None], np.zeros((0,) * leaf.ndim, leaf.dtype)]
    return ways[random.integers(len(ways))]


def _flipped(leaf: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One bit of one byte."""
    data = np.frombuffer(leaf.tobytes(), np.uint8).copy()
    data[random.integers(data.size)] ^= np.uint8(1 << random.integers(8))
    return data.view(leaf.dtype).reshape(leaf.shape)


def _written(leaf: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One element, or all of them, as a number that some kernel would index with."""
    if leaf.dtype.kind == "f":
        wide, number = leaf.astype(np.float64), FLOATS[random.integers(len(FLOATS))]
    else:
        wide, number = leaf.astype(np.int64), NUMBERS[random.integers(len(NUMBERS))]
    if wide.size and random.integers(2):
        wide.reshape(-1)[random.integers(wide.size)] = number
    else:
        wide[...] = number
    if random.integers(2):
        return wide
    with np.errstate(all="ignore"):
        return wide.astype(leaf.dtype)
