"""Which axis of a feature array is time: known for arrays that wavejax made, unknown for all others."""

import weakref
from typing import Any, Literal, TypeVar

import numpy as np

Axes = Literal["frames-first", "bands-first"]
_A = TypeVar("_A")
_ours: "weakref.WeakValueDictionary[int, Any]" = weakref.WeakValueDictionary()


def frames_first(features: _A) -> _A:
    """The same array, recorded (for its lifetime) as one whose last two axes are frames and bands."""
    _ours[id(features)] = features
    if isinstance(base := getattr(features, "base", None), np.ndarray):
        _ours[id(base)] = features  # the base of a slice is the owner of the memory, not the array it was cut from
    return features


def axes_of(features: Any) -> Axes | None:
    """Which axis comes first in features [F, C] that wavejax made, or in a view of them; None for any other array."""
    if _ours.get(id(features)) is features:
        return "frames-first"
    base = getattr(features, "base", None)
    whole = _ours.get(id(base))
    if base is None or whole is None or (whole is not base and whole.base is not base) or features.ndim < 2:
        return None
    # In a slice the bands have the smallest stride, in a transposed view the frames have it.
    if features.strides[-1] == whole.strides[-1]:
        return "frames-first"
    return "bands-first" if features.strides[-2] == whole.strides[-1] else None
