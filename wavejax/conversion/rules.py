"""A conversion as a table that must be a bijection: rules from a source's tensors to a model's parameters.

Every tensor of the source is used by one rule, or listed as ignored with its reason; every parameter of the model is
filled by one rule. What is wrong is collected and reported together, as one misnamed layer has many consequences.
"""

import fnmatch
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wavejax.conversion.source import shown

Tensors = Mapping[str, np.ndarray]

_MOST_SHOWN = 12


class ConversionError(ValueError):
    """Weights that are not those of the model for which they were taken; the message lists all that does not fit."""

    def __init__(self, what: str, violations: Sequence[str]) -> None:
        self.violations = tuple(violations)
        more = f"; and {len(violations) - _MOST_SHOWN} more" if len(violations) > _MOST_SHOWN else ""
        super().__init__(f"{what} does not fit in {len(violations)} ways: {'; '.join(violations[:_MOST_SHOWN])}{more}")


@dataclass(frozen=True)
class Rule:
    """Parameters from tensors."""

    targets: tuple[str, ...]
    """Paths of the parameters that it fills: "backbone/embedding_kernel"."""
    sources: tuple[str, ...]
    """Names of the tensors that it uses up."""
    make: Callable[..., Sequence[np.ndarray]]
    """The sources' arrays, in order -> the targets', in order. Raises ValueError where they do not go together."""


@dataclass(frozen=True)
class Ignored:
    """Tensors that the model does not need."""

    pattern: str
    """Of their names, as in file names: "head.istft.*"."""
    reason: str
    expected: np.ndarray | None = None
    """What must stand in them, if that can be told: a filterbank that is another one would mean other features."""
    tolerance: float = 1e-4
    """Of that, in its largest value."""


class Applied(NamedTuple):
    """What a table made of a source's tensors."""

    params: dict[str, np.ndarray]
    """Parameters by path, float32."""
    used: int
    """Tensors that rules used."""
    ignored: dict[str, str]
    """Name -> reason, of the tensors that were left out."""


def moved(target: str, source: str, axes: Sequence[int] | None = None) -> Rule:
    """A tensor as it is, or with its axes in another order, as `numpy.transpose` takes it."""
    return Rule((target,), (source,), lambda array: [array if axes is None else _transposed(array, axes)])


def reshaped(target: str, source: str, shape: Sequence[int], axes: Sequence[int] | None = None) -> Rule:
    """A tensor in another shape, and then with its axes in another order."""

    def make(array: np.ndarray) -> list[np.ndarray]:
        array = array.reshape(tuple(shape))
        return [array if axes is None else _transposed(array, axes)]

    return Rule((target,), (source,), make)


def stacked(target: str, sources: Sequence[str], axis: int = 0) -> Rule:
    """Tensors of one shape as one parameter, along a new axis."""
    return Rule((target,), tuple(sources), lambda *arrays: [np.stack(arrays, axis)])


def split(targets: Sequence[str], source: str, axis: int = 0) -> Rule:
    """A tensor as parameters of equal size, cut along an axis."""
    return Rule(tuple(targets), (source,), lambda array: np.split(array, len(targets), axis))


def weight(target: str, module: str, names: Mapping[str, object] | Sequence[str], axes: Sequence[int]) -> Rule:
    """A layer's weight, folded if it is normalised, with its axes in another order.

    Weight normalisation (Salimans & Kingma 2016, arXiv 1602.07868) comes in two spellings of PyTorch: `weight_g` and
    `weight_v`, and `parametrizations.weight.original0` and `original1`.

    Args:
        target: path of the parameter.
        module: the layer's name.
        names: those of the source's tensors: which form the layer has.
        axes: as `numpy.transpose` takes them, of the plain weight.
    """
    for length, direction in (("weight_g", "weight_v"), (f"{_NEW}.original0", f"{_NEW}.original1")):
        pair = f"{module}.{length}", f"{module}.{direction}"
        if any(name in names for name in pair):
            return Rule((target,), pair, lambda g, v: [_transposed(folded(g, v), axes)])
    return moved(target, f"{module}.weight", axes)


_NEW = "parametrizations.weight"


def folded(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """g * v / ||v||, the norm taken over all axes but the first one, in float64 until it is rounded to float32.

    The first axis is the output channel of a convolution and the input channel of a transposed one: PyTorch's layouts
    are [out, in, taps] and [in, out, taps].

    Raises:
        ValueError: g is not one number for each entry of the first axis, or a norm is 0.
    """
    if g.shape != (len(v), *(1,) * (v.ndim - 1)):
        raise ValueError(f"weight_g has the shape {g.shape}, expected {(len(v), *(1,) * (v.ndim - 1))} for {v.shape}")
    direction = v.astype(np.float64)
    norm = np.sqrt(np.sum(np.square(direction), axis=tuple(range(1, v.ndim)), keepdims=True))
    if not np.all(sound := (norm > 0) & np.isfinite(norm)):
        channel = int(np.argmin(sound))
        raise ValueError(f"weight_v has the length {norm.ravel()[channel]} in channel {channel}: it has no direction")
    return (g.astype(np.float64) * direction / norm).astype(np.float32)


def apply_rules(
    what: str,
    rules: Sequence[Rule],
    ignored: Sequence[Ignored],
    tensors: Tensors,
    expected: Mapping[str, tuple[int, ...]],
) -> Applied:
    """The parameters that a table makes of tensors.

    Args:
        what: the file and what it was taken for, in errors.
        rules: one for each parameter or group of parameters.
        ignored: patterns of tensors that are not needed.
        tensors: the source's, by name.
        expected: the model's parameters: path -> shape.

    Raises:
        ConversionError: the table is no bijection for these tensors, or a value does not fit; lists all violations.
    """
    left_out, violations = _left_out(rules, ignored, tensors)
    violations += _structure(rules, left_out, tensors, expected)
    params: dict[str, np.ndarray] = {}
    for rule in rules:
        if all(name in tensors for name in rule.sources):
            violations += _make(rule, [tensors[name] for name in rule.sources], expected, params)
    if violations:
        raise ConversionError(what, violations)
    return Applied(params, sum(len(rule.sources) for rule in rules), left_out)


def _left_out(rules: Sequence[Rule], ignored: Sequence[Ignored], tensors: Tensors) -> tuple[dict[str, str], list[str]]:
    """Ignored tensors with their reasons, and those of them that are not what they should be."""
    used = {name for rule in rules for name in rule.sources}
    left_out: dict[str, str] = {}
    violations = []
    for name, array in tensors.items():
        each = next((each for each in ignored if fnmatch.fnmatchcase(name, each.pattern)), None)
        if each is None:
            continue
        if name in used:
            violations.append(f"{shown(name)} is used, and listed as ignored ({each.reason})")
        left_out[name] = each.reason
        if each.expected is not None and (wrong := _difference(array, each)):
            violations.append(f"{shown(name)} {wrong}")
    return left_out, violations


def _difference(array: np.ndarray, ignored: Ignored) -> str:
    wanted = np.asarray(ignored.expected, np.float64)
    if array.shape != wanted.shape:
        return f"has the shape {array.shape}, expected {wanted.shape}: the features are others"
    difference = float(np.max(np.abs(array.astype(np.float64) - wanted), initial=0.0))
    if not difference <= ignored.tolerance * float(np.max(np.abs(wanted), initial=0.0)):
        return f"differs by {difference:.3g} from what these features have: they are others"
    return ""


def _structure(
    rules: Sequence[Rule], left_out: Mapping[str, str], tensors: Tensors, expected: Mapping[str, object]
) -> list[str]:
    used = Counter(name for rule in rules for name in rule.sources)
    filled = Counter(path for rule in rules for path in rule.targets)
    return [
        *(f"{shown(name)} is missing" for name in used if name not in tensors),
        *(f"{shown(name)} is used {count} times" for name, count in used.items() if count > 1),
        *(f"{shown(name)} is not known" for name in tensors if name not in used and name not in left_out),
        *(f"parameter {path} is filled {count} times" for path, count in filled.items() if count > 1),
        *(f"the model has no parameter {path}" for path in filled if path not in expected),
        *(f"parameter {path} is not filled" for path in expected if path not in filled),
    ]


def _make(
    rule: Rule,
    arrays: Sequence[np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
    params: dict[str, np.ndarray],
) -> list[str]:
    """Fill in a rule's parameters; what does not fit is returned."""
    source = ", ".join(rule.sources)[:120]
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is reported below
            made = rule.make(*arrays)
            values = [np.ascontiguousarray(array, np.float32).reshape(array.shape) for array in made]
    except ValueError as error:
        return [f"{source}: {error}"]
    if len(made) != len(rule.targets):
        return [f"{source} makes {len(made)} parameters, expected {len(rule.targets)}"]
    violations = []
    for path, value in zip(rule.targets, values, strict=True):
        params[path] = value
        if path in expected and value.shape != tuple(expected[path]):
            violations.append(f"parameter {path} has the shape {expected[path]}, and {source} makes {value.shape}")
        elif not np.all(np.isfinite(value)):
            violations.append(f"{source} holds values that are not finite in float32")
    return violations


def _transposed(array: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    if array.ndim != len(axes):
        raise ValueError(f"a tensor of shape {array.shape}, expected {len(axes)} axes")
    return np.transpose(array, tuple(axes))
