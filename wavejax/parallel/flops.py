"""Counts a function's floating-point operations from its JAX trace; a loop body is counted once per iteration.

Compilers count a loop's body only once, so their figure is not used.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

_UNCOUNTED = {"while": "turns nobody knows how often: use scan", "pallas_call": "is not counted yet"}


def count_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Multiplications and additions of all matrix products and convolutions; elementwise operations are not counted.

    A multiply-add counts as two. A function of a global batch is counted for the whole batch; for `cond`, the most
    expensive branch is counted.

    Args:
      function: any traceable function.
      arguments: arrays or their shapes.

    Raises:
      ValueError: products in a `while_loop`, whose length is unknown, or in a Pallas kernel.
    """
    return _of_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of_jaxpr(jaxpr: Any) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: Any) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        return _of_product(equation)
    if name == "conv_general_dilated":
        return _of_convolution(equation)
    inner = [_of_jaxpr(jaxpr) for jaxpr in _inner_jaxprs(parameters)]
    if name == "scan":
        return int(parameters["length"]) * sum(inner)
    if name == "cond":
        return max(inner, default=0)
    if name in _UNCOUNTED and any(inner):
        raise ValueError(f"there are matrix products in a {name}, which {_UNCOUNTED[name]}")
    if name == "shard_map":
        split = parameters[
            "newly_manual_axes" if "newly_manual_axes" in parameters else "manual_axes"
        ]  # before jax 0.10.1
        return math.prod(parameters["mesh"].shape[axis] for axis in split) * sum(inner)
    return sum(inner)


def _inner_jaxprs(parameters: dict[str, Any]) -> Iterator[Any]:
    for value in parameters.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            each = getattr(each, "jaxpr", each)  # of a ClosedJaxpr
            if hasattr(each, "eqns"):
                yield each


def _of_product(equation: Any) -> int:
    left, _ = (variable.aval.shape for variable in equation.invars)
    (contracted, _), _ = equation.params["dimension_numbers"]
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)


def _of_convolution(equation: Any) -> int:
    """Every output counts the whole kernel of its group, including products with zeros from padding or dilation."""
    kernel = equation.invars[1].aval.shape
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // outputs
