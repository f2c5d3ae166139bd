"""What each primitive of a jaxpr is in ONNX."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from wavejax.conversion.onnx_graph import CannotExport, Complex, Graph, Operand, Translation

_WORD = 2**32


def _simple(operator: str) -> Translation:
    """The operator of the same arguments."""

    def translate(graph: Graph, equation: Any, given: list[Any]) -> Operand:
        return _wrapped(graph, equation, graph.add(operator, given))

    return translate


def _wrapped(graph: Graph, equation: Any, name: str) -> str:
    """What an unsigned number wraps around to."""
    if equation.outvars[0].aval.dtype == np.uint32:
        return graph.add("Mod", [name, graph.constant(np.int64(_WORD))])
    return name


def _times(graph: Graph, equation: Any, given: list[Any]) -> str:
    return graph.add("Mul", [given[0], given[0]])


def _power(graph: Graph, equation: Any, given: list[Any]) -> str:
    exponent = equation.params["y"]
    if exponent < 0:
        raise CannotExport(f"the power {exponent} has no translation to ONNX")
    name = given[0]
    for _ in range(exponent - 1):
        name = graph.add("Mul", [name, given[0]])
    return name


def _rsqrt(graph: Graph, equation: Any, given: list[Any]) -> str:
    return graph.add("Reciprocal", [graph.add("Sqrt", given)])


def _round(graph: Graph, equation: Any, given: list[Any]) -> str:
    if equation.params["rounding_method"] != jax.lax.RoundingMethod.TO_NEAREST_EVEN:
        raise CannotExport("only rounding to even numbers has a translation to ONNX")
    return graph.add("Round", given)


def _complement_of_erf(graph: Graph, equation: Any, given: list[Any]) -> str:
    return graph.add("Sub", [graph.constant(np.float32(1)), graph.add("Erf", given)])


def _not_equal(graph: Graph, equation: Any, given: list[Any]) -> str:
    return graph.add("Not", [graph.add("Equal", given)])


def _select(graph: Graph, equation: Any, given: list[Any]) -> str:
    condition, if_false, if_true = given
    return graph.add("Where", [condition, if_true, if_false])


def _clamp(graph: Graph, equation: Any, given: list[Any]) -> str:
    low, x, high = given
    return graph.add("Min", [graph.add("Max", [x, low]), high])


def _convert(graph: Graph, equation: Any, given: list[Any]) -> Operand:
    types = graph.onnx.TensorProto
    kind = np.dtype(equation.params["new_dtype"]).kind
    if kind == "c":
        return given[0] if isinstance(given[0], Complex) else Complex(given[0], graph.constant(np.float32(0)))
    to = {"f": types.FLOAT, "i": types.INT64, "u": types.INT64, "b": types.BOOL}[kind]
    return _wrapped(graph, equation, graph.add("Cast", given, to=to))


def _broadcast(graph: Graph, equation: Any, given: list[Any]) -> str:
    """Axes of length 1 for those that are new, then as wide as asked for."""
    shape, dimensions = equation.params["shape"], equation.params["broadcast_dimensions"]
    before = equation.invars[0].aval.shape
    between = [1] * len(shape)
    for axis, size in zip(dimensions, before, strict=True):
        between[axis] = size
    name = given[0]
    if len(before) != len(shape):
        name = graph.add("Reshape", [name, graph.dimensions(between)])
    return name if tuple(between) == tuple(shape) else graph.add("Expand", [name, graph.dimensions(shape)])


def _reshape(graph: Graph, equation: Any, given: list[Any]) -> str:
    return graph.add("Reshape", [given[0], graph.dimensions(equation.outvars[0].aval.shape)])


def _transpose(graph: Graph, equation: Any, given: list[Any]) -> str:
    return graph.add("Transpose", given, perm=list(equation.params["permutation"]))


def _concatenate(graph: Graph, equation: Any, given: list[Any]) -> str:
    return graph.add("Concat", given, axis=equation.params["dimension"])


def _stacked(graph: Graph, equation: Any, given: list[Any]) -> str:
    axis = equation.params["axis"]
    apart = [graph.add("Unsqueeze", [name, graph.integers(axis)]) for name in given]
    return graph.add("Concat", apart, axis=axis)


def _slice(graph: Graph, equation: Any, given: list[Any]) -> str:
    starts, ends = equation.params["start_indices"], equation.params["limit_indices"]
    strides = equation.params["strides"] or [1] * len(starts)
    shape = equation.invars[0].aval.shape
    cut = [i for i in range(len(shape)) if not (starts[i] == 0 and ends[i] == shape[i] and strides[i] == 1)]
    if not cut:
        return str(given[0])
    axes, steps = (graph.integers(*each) for each in (cut, [strides[i] for i in cut]))
    first, last = (graph.dimensions([each[i] for i in cut]) for each in (starts, ends))
    return graph.add("Slice", [given[0], first, last, axes, steps])


def _gathered(graph: Graph, equation: Any, given: list[Any]) -> str:
    """A slice whose beginning is a tensor: what indexing an axis of any length becomes."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    axes, shape = list(numbers.start_index_map), equation.invars[0].aval.shape
    whole = all(axis in axes or sizes[axis] == shape[axis] for axis in range(len(shape)))
    if equation.invars[1].aval.shape != (len(axes),) or numbers.operand_batching_dims or not whole:
        raise CannotExport("looking up several places of an array has no translation to ONNX")
    ends = graph.add("Add", [given[1], graph.dimensions([sizes[axis] for axis in axes])])
    cut = graph.add("Slice", [given[0], given[1], ends, graph.integers(*axes)])
    if not numbers.collapsed_slice_dims:
        return cut
    return graph.add("Reshape", [cut, graph.dimensions(equation.outvars[0].aval.shape)])


def _slice_from(graph: Graph, equation: Any, given: list[Any]) -> str:
    """A slice whose beginnings are numbers, one for each axis."""
    sizes, shape = equation.params["slice_sizes"], equation.invars[0].aval.shape
    axes = [axis for axis in range(len(shape)) if sizes[axis] != shape[axis]]
    if not axes:
        return str(given[0])
    one = graph.integers(1)
    starts = graph.add("Concat", [graph.add("Reshape", [given[1 + axis], one]) for axis in axes], axis=0)
    ends = graph.add("Add", [starts, graph.dimensions([sizes[axis] for axis in axes])])
    return graph.add("Slice", [given[0], starts, ends, graph.integers(*axes)])


def _length(graph: Graph, equation: Any, given: list[Any]) -> str:
    """The length of an axis as a number."""
    name = graph.dimensions([equation.params["dim"]])
    return graph.add("Reshape", [name, graph.integers()])


def _split(graph: Graph, equation: Any, given: list[Any]) -> list[Operand]:
    sizes, axis = equation.params["sizes"], equation.params["axis"]
    names, begin = [], 0
    for size in sizes:
        bounds = [graph.integers(each) for each in (begin, begin + size, axis)]
        names.append(graph.add("Slice", [given[0], *bounds]))
        begin += size
    return list(names)


def _pad(graph: Graph, equation: Any, given: list[Any]) -> Operand:
    widths = equation.params["padding_config"]
    if all(isinstance(n, int | np.integer) and n == 0 for width in widths for n in width):
        return _passed_on(graph, equation, given)
    if any(not isinstance(n, int | np.integer) for width in widths for n in width) or any(
        between for _, _, between in widths
    ):
        raise CannotExport("padding between places or of a symbolic width has no translation to ONNX")
    pads = [low for low, _, _ in widths] + [high for _, high, _ in widths]
    return graph.add("Pad", [given[0], graph.integers(*pads), given[1]])


def _product(graph: Graph, equation: Any, given: list[Any]) -> str:
    """A matrix product where the last axis meets the first one, else a sum over named indices."""
    (left, right), (left_batch, right_batch) = equation.params["dimension_numbers"]
    a, b = (len(var.aval.shape) for var in equation.invars)
    if not left_batch and b == 2 and tuple(left) == (a - 1,) and tuple(right) == (0,):
        return graph.add("MatMul", given)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    one = [next(letters) for _ in range(a)]
    other = [next(letters) for _ in range(b)]
    for mine, theirs in zip((*left_batch, *left), (*right_batch, *right), strict=True):
        other[theirs] = one[mine]
    kept = [one[i] for i in left_batch] + [one[i] for i in range(a) if i not in (*left, *left_batch)]
    kept += [other[i] for i in range(b) if i not in (*right, *right_batch)]
    return graph.add("Einsum", given, equation=f"{''.join(one)},{''.join(other)}->{''.join(kept)}")


def _sum(graph: Graph, equation: Any, given: list[Any]) -> str:
    axes = graph.integers(*equation.params["axes"])
    return _wrapped(graph, equation, graph.add("ReduceSum", [given[0], axes], keepdims=0))


def _largest(graph: Graph, equation: Any, given: list[Any]) -> str:
    axes = graph.integers(*equation.params["axes"])
    return graph.add("ReduceMax", [given[0], axes], keepdims=0)


def _running_sum(graph: Graph, equation: Any, given: list[Any]) -> str:
    if equation.params["reverse"]:
        raise CannotExport("a running sum from the end has no translation to ONNX")
    axis = graph.constant(np.int64(equation.params["axis"]))
    return _wrapped(graph, equation, graph.add("CumSum", [given[0], axis]))


def _counted(graph: Graph, equation: Any, given: list[Any]) -> str:
    shape = equation.params["shape"]
    if not all(isinstance(size, int) for size in shape):
        raise CannotExport("counting along an axis of any length has no translation to ONNX")
    numbers = np.arange(shape[equation.params["dimension"]], dtype=equation.params["dtype"])
    form = [1] * len(shape)
    form[equation.params["dimension"]] = -1
    return graph.constant(np.broadcast_to(numbers.reshape(form), shape))


def _shift_left(graph: Graph, equation: Any, given: list[Any]) -> str:
    return _wrapped(graph, equation, graph.add("Mul", [given[0], _powers_of_two(graph, given[1])]))


def _shift_right(graph: Graph, equation: Any, given: list[Any]) -> str:
    return graph.add("Div", [given[0], _powers_of_two(graph, given[1])])


def _powers_of_two(graph: Graph, bits: str) -> str:
    """2^bits, int64; as a double in between, whose power every runtime has."""
    types = graph.onnx.TensorProto
    wide = graph.add("Cast", [bits], to=types.DOUBLE)
    base = graph.add("Cast", [graph.constant(np.int64(2))], to=types.DOUBLE)
    return graph.add("Cast", [graph.add("Pow", [base, wide])], to=types.INT64)


def _complex(graph: Graph, equation: Any, given: list[Any]) -> Complex:
    return Complex(*given)


def _inverse_transform(graph: Graph, equation: Any, given: list[Any]) -> str:
    """The inverse Fourier transform of a real signal: two matrix products with a fixed basis."""
    (count,) = equation.params["fft_lengths"]
    spectrum = given[0]
    if equation.params["fft_type"] != jax.lax.FftType.IRFFT or not isinstance(spectrum, Complex):
        raise CannotExport("only the inverse Fourier transform of a real signal has a translation to ONNX")
    turns = np.outer(np.arange(count // 2 + 1), np.arange(count)) % count * (2 * np.pi / count)
    weights = np.full((count // 2 + 1, 1), 2 / count)
    weights[[0, -1] if count % 2 == 0 else [0]] = 1 / count
    real = graph.add("MatMul", [spectrum.real, graph.constant((weights * np.cos(turns)).astype(np.float32))])
    imaginary = graph.add("MatMul", [spectrum.imaginary, graph.constant((-weights * np.sin(turns)).astype(np.float32))])
    return graph.add("Add", [real, imaginary])


def _convolution(graph: Graph, equation: Any, given: list[Any]) -> str:
    """Over one axis, from [N, T, C] and [taps, in, out] to ONNX's order and back."""
    params = equation.params
    numbers = params["dimension_numbers"]
    plain = params["batch_group_count"] == 1 and tuple(params["lhs_dilation"]) == (1,)
    if numbers.lhs_spec != (0, 2, 1) or numbers.rhs_spec != (2, 1, 0) or numbers.out_spec != (0, 2, 1) or not plain:
        raise CannotExport("only a convolution over one axis, channels last, has a translation to ONNX")
    x, kernel = graph.add("Transpose", [given[0]], perm=[0, 2, 1]), graph.add("Transpose", [given[1]], perm=[2, 1, 0])
    y = graph.add(
        "Conv",
        [x, kernel],
        strides=list(params["window_strides"]),
        pads=[width for side in zip(*params["padding"], strict=True) for width in side],
        dilations=list(params["rhs_dilation"]),
        group=params["feature_group_count"],
    )
    return graph.add("Transpose", [y], perm=[0, 2, 1])


def _passed_on(graph: Graph, equation: Any, given: list[Any]) -> Operand:
    result: Operand = given[0]
    return result


def _some(names: Sequence[str], translation: Translation) -> dict[str, Translation]:
    return dict.fromkeys(names, translation)


TRANSLATIONS: dict[str, Translation] = {
    **{
        name: _simple(operator)
        for name, operator in {
            **{"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "neg": "Neg"},
            **{"exp": "Exp", "log": "Log", "tanh": "Tanh", "sqrt": "Sqrt", "abs": "Abs", "floor": "Floor"},
            **{"logistic": "Sigmoid", "erf": "Erf", "sign": "Sign", "pow": "Pow"},
            **{"lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "eq": "Equal"},
            **{"and": "And", "or": "Or", "not": "Not"},
        }.items()
    },
    **_some(["reshape", "squeeze", "expand_dims"], _reshape),
    **_some(["stop_gradient", "copy", "copy_p", "optimization_barrier"], _passed_on),
    "square": _times,
    "integer_pow": _power,
    "rsqrt": _rsqrt,
    "erfc": _complement_of_erf,
    "round": _round,
    "ne": _not_equal,
    "select_n": _select,
    "clamp": _clamp,
    "convert_element_type": _convert,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "stack": _stacked,
    "slice": _slice,
    "gather": _gathered,
    "dynamic_slice": _slice_from,
    "dim_as_value": _length,
    "split": _split,
    "pad": _pad,
    "dot_general": _product,
    "reduce_sum": _sum,
    "reduce_max": _largest,
    "cumsum": _running_sum,
    "iota": _counted,
    "shift_left": _shift_left,
    "shift_right_logical": _shift_right,
    "complex": _complex,
    "fft": _inverse_transform,
    "conv_general_dilated": _convolution,
}
"""Primitive -> how it is written; and a call of a function is written out where it stands."""
