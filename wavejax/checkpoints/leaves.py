"""Pytrees as flat tables of named arrays, and back: what is saved does not depend on the tree's node classes.

A leaf's name is its path, e.g. "opt_state/0/mu/layers/kernel".
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.types import PyTree

Accept = Callable[[Mapping[str, Any], Mapping[str, "LeafInfo"]], None]
"""`accept(meta, declared leaves by name)`: called before any array is read; raises to refuse them."""


class LeafInfo(NamedTuple):
    """Shape and dtype of a leaf as declared in a checkpoint; a PRNG key array's dtype is e.g. "key<fry>"."""

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    @property
    def is_key(self) -> bool:
        """Whether it is a typed PRNG key array, which is stored as its uint32 words."""
        return self.dtype.startswith("key<")

    @property
    def is_empty(self) -> bool:
        """Whether it has no elements, so that nothing is saved."""
        return math.prod(self.shape) == 0

    @property
    def num_bytes(self) -> int:
        """Bytes of its elements in memory; for PRNG keys an upper bound."""
        return math.prod(self.shape) * (32 if self.is_key else np.dtype(self.dtype).itemsize)


def is_number(dtype: str) -> bool:
    """Whether a dtype's name, as `leaf_info` writes it, is that of numbers, booleans or PRNG keys."""
    if len(dtype) > 32 or (dtype.startswith("key<") and dtype.endswith(">")):
        return len(dtype) <= 32
    try:
        found = jnp.dtype(dtype)
    except (TypeError, ValueError):
        return False
    return found.kind != "m" and (found.kind == "b" or bool(jnp.issubdtype(found, np.number)))


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """The leaves of a pytree by name, in the tree's order.

    Raises:
      ValueError: two leaves get the same name (a key that contains "/").
    """
    named: dict[str, Any] = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in named or not name:
            raise ValueError(
                f"the tree has {'two leaves' if name else 'a leaf'} named {name!r}; every leaf needs a path of its "
                "own, without '/' in its keys"
            )
        named[name] = leaf
    return named


def leaf_info(leaf: Any) -> LeafInfo:
    """Shape and dtype of an array, a `jax.ShapeDtypeStruct` or a Python number."""
    if not hasattr(leaf, "dtype"):
        leaf = np.asarray(leaf)
    return LeafInfo(tuple(map(int, leaf.shape)), str(leaf.dtype))


def is_key(leaf: Any) -> bool:
    """Whether a leaf is (the shape of) a typed PRNG key array."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"a/b": x} -> {"a": {"b": x}}.

    Raises:
      ValueError: a name is both a leaf and a parent of another leaf.
    """
    tree: dict[str, Any] = {}
    for name, leaf in flat.items():
        *parents, last = name.split("/")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ValueError(f"leaf {name!r} lies below another leaf")
        if last in node:
            raise ValueError(f"leaf {name!r} has other leaves below it")
        node[last] = leaf
    return tree


def compare(saved: Mapping[str, LeafInfo], expected: Mapping[str, LeafInfo]) -> list[str]:
    """The differences between two tables of leaves, one sentence each; empty if they are equal."""
    missing = [f"missing in the checkpoint: {name} {expected[name]}" for name in expected if name not in saved]
    unexpected = [f"only in the checkpoint: {name} {saved[name]}" for name in saved if name not in expected]
    changed = [
        f"{name}: saved {saved[name]}, expected {expected[name]}"
        for name in expected
        if name in saved and saved[name] != expected[name]
    ]
    return [*missing, *unexpected, *changed]
