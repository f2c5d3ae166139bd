"""A JAX function of real arrays as an ONNX graph: each primitive of its jaxpr becomes an operator or a few.

Written for models of sound: what they compute has a translation in `onnx_operators`, anything else is refused by name.
One axis may have any length: it is a symbolic dimension, and lengths that follow from it are computed in the graph.
Whole numbers are 64-bit there; unsigned 32-bit ones, whose sums wrap around, are reduced modulo 2^32 after each step.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.export
import jax.extend.core
import numpy as np

from wavejax.extras import require_extra

OPSET = 18
"""Of ONNX's operators, version 1.13 of the standard (2022)."""
SYMBOL = "frames"


class CannotExport(ValueError):
    """The function computes something that has no translation."""


class Complex(NamedTuple):
    """Two tensors' names: what stands for complex numbers, which the graph does not have."""

    real: str
    imaginary: str


class Graph:
    """The operators that were written down so far."""

    def __init__(self) -> None:
        onnx = require_extra("onnx", "onnx", "export to ONNX")
        require_extra("onnx.numpy_helper", "onnx", "export to ONNX")
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.length: str | None = None
        """Of the symbolic axis: the name of an int64 [1]."""
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._lengths: dict[tuple[int, int], str] = {}

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Write an operator of one result, and say its name."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        """The name of a tensor that is there from the beginning; equal ones are one."""
        array = exported(np.asarray(value))
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            name = f"c{len(self._constants)}"
            self.initializers.append(self.onnx.numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

    def integers(self, *values: Any) -> str:
        """The name of an int64 tensor [values]."""
        return self.constant(np.asarray(values, np.int64))

    def dimensions(self, sizes: Sequence[Any]) -> str:
        """The name of an int64 tensor that holds lengths of axes, some of them symbolic."""
        if all(isinstance(size, int) for size in sizes):
            return self.integers(*sizes)
        parts = [self.integers(size) if isinstance(size, int) else self._length(size) for size in sizes]
        return parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=0)

    def _length(self, size: Any) -> str:
        """An int64 [1]: a x length + b."""
        factor, offset = linear(size)
        if (factor, offset) not in self._lengths:
            if self.length is None:
                raise CannotExport(f"the length {size} follows from no input")
            scaled = self.length if factor == 1 else self.add("Mul", [self.length, self.integers(factor)])
            moved = self.add("Add", [scaled, self.integers(offset)]) if offset else scaled
            self._lengths[factor, offset] = moved
        return self._lengths[factor, offset]


def linear(size: Any) -> tuple[int, int]:
    """(a, b) of a symbolic length a x SYMBOL + b. Raises CannotExport where it is not of this form."""

    def at(value: int) -> int:
        return int(size._evaluate({SYMBOL: value}))

    first, second, third = at(10_000), at(10_001), at(20_000)
    factor = second - first
    if third != first + 10_000 * factor:
        raise CannotExport(f"the length {size} is no multiple of {SYMBOL} plus a number")
    return factor, first - 10_000 * factor


def exported(array: np.ndarray) -> np.ndarray:
    """With the type that stands for it in the graph."""
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


Operand = str | Complex
Translation = Callable[[Graph, Any, list[Operand]], Operand | list[Operand]]


def write(graph: Graph, jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Operand]) -> list[Operand]:
    """Write a jaxpr's equations into a graph; names of its results."""
    from wavejax.conversion.onnx_operators import TRANSLATIONS

    names: dict[Any, Operand] = dict(zip(jaxpr.invars, inputs, strict=True))
    names |= {var: graph.constant(value) for var, value in zip(jaxpr.constvars, constants, strict=True)}

    def name_of(atom: Any) -> Operand:
        return graph.constant(atom.val) if isinstance(atom, jax.extend.core.Literal) else names[atom]

    for equation in jaxpr.eqns:
        given = [name_of(atom) for atom in equation.invars]
        inner = _inlined(equation)
        if inner is not None:
            made: Any = write(graph, inner.jaxpr, inner.consts, given)
        elif equation.primitive.name in TRANSLATIONS:
            made = TRANSLATIONS[equation.primitive.name](graph, equation, given)
        else:
            raise CannotExport(f"the operation {equation.primitive.name} has no translation to ONNX")
        results = made if isinstance(made, list) else [made]
        names |= dict(zip(equation.outvars, results, strict=True))
    return [name_of(atom) for atom in jaxpr.outvars]


def _inlined(equation: Any) -> Any:
    """The function that a call calls, or None."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        if inner is not None and equation.primitive.name in _CALLS:
            return inner
    return None


_CALLS = ("pjit", "jit", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "closed_call", "remat")


def as_model(
    function: Callable[..., Sequence[Any]],
    inputs: Mapping[str, tuple[str, Any]],
    outputs: Sequence[str],
    metadata: Mapping[str, str],
) -> Any:
    """An ONNX model (a `ModelProto`, checked) of a function of arrays.

    Args:
        function: its arguments are the inputs in this order; returns as many arrays as there are `outputs`.
        inputs: name -> (shape as in "1, frames + 44, 80", dtype). `frames` is any number of 1 or more, the same in all
            of them; where it occurs, one input has an axis of just this length.
        outputs: names.
        metadata: texts that travel with the model (`metadata_props`).

    Raises:
        CannotExport: something has no translation.
        MissingExtra: the package onnx is not installed.
    """
    scope = jax.export.SymbolicScope((f"{SYMBOL} >= 1",))
    shapes = {name: jax.export.symbolic_shape(shape, scope=scope) for name, (shape, _) in inputs.items()}
    given = [jax.ShapeDtypeStruct(shapes[name], dtype) for name, (_, dtype) in inputs.items()]
    closed = jax.make_jaxpr(function)(*given)
    graph = Graph()
    helper = graph.onnx.helper
    for name, sizes in shapes.items():
        axes = [axis for axis, size in enumerate(sizes) if not isinstance(size, int) and linear(size) == (1, 0)]
        if axes and graph.length is None:
            graph.length = graph.add("Shape", [name], start=axes[0], end=axes[0] + 1)
    made = write(graph, closed.jaxpr, closed.consts, list(inputs))
    # Results get their names by a copy: an input that is passed on has a name already.
    for name, result in zip(outputs, made, strict=True):
        if isinstance(result, Complex):
            raise CannotExport("a complex result has no type in ONNX")
        graph.nodes.append(helper.make_node("Identity", [result], [name]))

    def described(name: str, shape: Sequence[Any], dtype: Any) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(exported(np.zeros(0, dtype)).dtype)
        return helper.make_tensor_value_info(name, kind, [n if isinstance(n, int) else str(n) for n in shape])

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "wavejax",
            [described(name, shapes[name], dtype) for name, (_, dtype) in inputs.items()],
            [described(name, aval.shape, aval.dtype) for name, aval in zip(outputs, closed.out_avals, strict=True)],
            graph.initializers,
        ),
        producer_name="wavejax",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    helper.set_model_props(model, dict(metadata))
    graph.onnx.checker.check_model(model, full_check=True)
    return model
