"""What checks annotations and jaxtyping shapes while the tests run (installed by conftest.py)."""

import functools
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

# An int where a float is annotated is fine by PEP 484, and by beartype once it is told so.
_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function so that arguments and results are held against its annotations.

    Constructors of `flax.struct` classes are let through: JAX rebuilds such pytrees with shapes, shardings and
    placeholders in place of the annotated arrays.
    """
    checked = _beartype(function)
    if function.__name__ != "__init__":
        return checked

    @functools.wraps(function)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        if hasattr(type(self), "_flax_dataclass"):
            function(self, *args, **kwargs)
        else:
            checked(self, *args, **kwargs)

    return construct
