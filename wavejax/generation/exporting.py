"""Registers the engine's pytrees with `jax.export`: programs that take a decoder, state or conditioning can be saved.

A decoder holds its model beside its arrays, and a program works only for the model that it was traced with. So a digest
of the model's class and configuration is saved. When loaded, it equals any model with the same digest: a program
accepts the decoder that `pack` makes of that model and refuses every other. No code is saved, and none is run.
"""

import hashlib
from typing import Any

import jax
import jax.export
from flax import linen as nn


class KeptModel:
    """Stands for the model of an exported program: equal to every model with the same class and configuration."""

    def __init__(self, digest: str) -> None:
        self.digest = digest

    @classmethod
    def of(cls, model: Any) -> "KeptModel":
        """The part of a model that is saved."""
        return model if isinstance(model, KeptModel) else cls(_digest(model))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeptModel | nn.Module) and KeptModel.of(other).digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<a model with the digest {self.digest[:12]}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"a decoder out of an exported program has no model to ask for {name!r}: make one with "
            "wavejax.generation.pack"
        )


def _digest(model: Any) -> str:
    """A digest of a linen module's class and attributes: those by which linen itself compares modules."""
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    return hashlib.sha256(f"{kind}:{model!r}".encode()).hexdigest()


def _keep(model: Any) -> bytes:
    return KeptModel.of(model).digest.encode()


def _read(data: bytes) -> KeptModel:
    return KeptModel(data.decode())


def register(kind: type, name: str) -> None:
    """Lets programs that take or return this flax dataclass be serialised, under a stable name."""
    jax.export.register_pytree_node_serialization(
        kind,
        serialized_name=f"wavejax.generation.{name}",
        serialize_auxdata=lambda static: b"".join(_keep(each) for each in static),
        deserialize_auxdata=lambda data: tuple(_read(data[at : at + 64]) for at in range(0, len(data), 64)),
    )


__all__ = ["KeptModel", "register"]
