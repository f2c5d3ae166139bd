"""The JSON record of every checkpoint: the caller's description, and shape, dtype and checksum of each leaf."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wavejax.checkpoints.leaves import LeafInfo, is_number
from wavejax.limits import DEEPEST_NESTING, shown

FORMAT = 1
VALIDATION_LOSS = "validation/loss"
"""The metric by which a training's checkpoints are compared; lower is better."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """The contents of a checkpoint's record.

    Attributes:
      meta: the caller's JSON-able description (config, feature spec).
      metrics: numbers by which the best step is chosen.
      leaves: shape and dtype by leaf name.
      checksums: checksum by leaf name.
      step: the step that was saved; None for exported parameters and for old checkpoints without this field.
    """

    meta: dict[str, Any]
    metrics: dict[str, float]
    leaves: dict[str, LeafInfo]
    checksums: dict[str, int]
    step: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON-able dict, sealed with a digest of its own contents."""
        body: dict[str, Any] = {
            "format": FORMAT,
            "meta": self.meta,
            "metrics": self.metrics,
            "leaves": {
                name: {"shape": list(info.shape), "dtype": info.dtype, "checksum": self.checksums[name]}
                for name, info in self.leaves.items()
            },
        }
        if self.step is not None:
            body["step"] = self.step
        return {**body, "sha256": digest(body)}

    @classmethod
    def from_json(cls, data: Any) -> "Record":
        """The inverse of `to_json`.

        Raises:
          ValueError: the digest does not match (damage), the format is a later one, or a value does not have the type
            that `to_json` writes: the digest proves that nothing has changed, not who wrote it.
        """
        if not isinstance(data, dict) or "sha256" not in data:
            raise ValueError("its record is no record of a wavejax checkpoint")
        body = {name: value for name, value in data.items() if name != "sha256"}
        if digest(body) != data["sha256"]:
            raise ValueError("its record of leaves and config has changed since it was saved (digest mismatch)")
        if body.get("format") != FORMAT:
            raise ValueError(
                f"its format is {shown(body.get('format'))}, this wavejax reads {FORMAT}; install a later wavejax"
            )
        meta, metrics, leaves = (_object(body, name) for name in ("meta", "metrics", "leaves"))
        return cls(
            meta=meta,
            metrics=_numbers(metrics),
            leaves={name: _leaf(name, entry) for name, entry in leaves.items()},
            checksums={name: entry["checksum"] for name, entry in leaves.items()},
            step=body.get("step"),
        )


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that are numbers; anything else, written by another program, is dropped."""

    def is_number(value: Any) -> bool:
        return type(value) is float or (type(value) is int and abs(value) < 2**53)

    return {name: value for name, value in metrics.items() if is_number(value)}


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is {shown(value)}, not an object with names")
    return value


def _leaf(name: str, entry: Any) -> LeafInfo:
    """Shape and dtype of a leaf in a record. Raises ValueError if the entry declares no array of numbers."""
    if not isinstance(entry, dict) or {"shape", "dtype", "checksum"} - set(entry):
        raise ValueError(f"its leaf {shown(name)} is {shown(entry)}, without a shape, a dtype and a checksum")
    if len(name) > 1024 or name.count("/") >= DEEPEST_NESTING:
        raise ValueError(f"its leaf {shown(name)} has a name too long for one")
    shape, dtype, checksum = entry["shape"], entry["dtype"], entry["checksum"]
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**48 for size in shape):
        raise ValueError(f"its leaf {shown(name)} has the shape {shown(shape)}, no list of sizes")
    if not isinstance(dtype, str) or not is_number(dtype) or type(checksum) is not int:
        raise ValueError(f"its leaf {shown(name)} has the dtype {shown(dtype)}: a checkpoint holds numbers")
    return LeafInfo(tuple(shape), dtype)


def json_copy(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A copy of a mapping as it comes back from JSON (tuples become lists).

    Raises:
      TypeError: it holds a value that JSON cannot represent.
    """
    try:
        copied = json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must be JSON-able (numbers, strings, lists, dicts with string keys): {error}"
        ) from error
    if not isinstance(copied, dict):
        raise TypeError(f"{name} must be a dict; got {type(value).__name__}")
    return copied


def digest(body: dict[str, Any]) -> str:
    """SHA-256 of a JSON-able dict; independent of key order and white space."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def best_step(values: Mapping[int, float | None], mode: Literal["min", "max"] = "min") -> set[int]:
    """The step with the least (greatest) value, the earliest of equal ones; empty if no step has a value."""
    sign = 1.0 if mode == "min" else -1.0
    known = sorted((sign * value, step) for step, value in values.items() if value is not None)
    return {step for _, step in known[:1]}
