"""Backends: what makes a block of samples. All of them take the same state, conditioning and noise."""

import dataclasses
from functools import partial
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from wavejax.generation.decoders import Decoder, pack
from wavejax.generation.engine import block_noise, run_block
from wavejax.generation.state import Conditioning, GenerationState, Samples
from wavejax.types import AutoregressiveModel, Params

LARGEST_BLOCK = 1024
"""Samples that one call of a backend makes at most. Fixed, so that chunking cannot change the program."""

BackendName = Literal["auto", "scan"]


@runtime_checkable
class Backend(Protocol):
    """What the drivers need: a decoder for conditioning and first state, and one pure function."""

    @property
    def name(self) -> str:
        """As given to `open_backend`."""

    @property
    def decoder(self) -> Decoder:
        """Encodes conditioning and warms up the first state, in JAX."""

    def block(
        self, state: GenerationState, conditioning: Conditioning, count: int, probability_floor: float
    ) -> tuple[GenerationState, Samples]:
        """The next `count` <= LARGEST_BLOCK samples and the state after them.

        `state` is not changed. The samples have `count` columns or more, those from `count` on zero. However a stream
        is cut into blocks, one backend returns the same samples and states bit for bit.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanBackend:
    """`run_block`, compiled by XLA: any model, any device."""

    decoder: Decoder
    name: str = "scan"

    def block(
        self, state: GenerationState, conditioning: Conditioning, count: int, probability_floor: float
    ) -> tuple[GenerationState, Samples]:
        """See `Backend.block`."""
        return _scan_block(self.decoder, state, conditioning, jnp.asarray(count, jnp.int32), probability_floor)


@partial(jax.jit, static_argnames="probability_floor")
def _scan_block(
    decoder: Decoder, state: GenerationState, conditioning: Conditioning, count: Array, probability_floor: float
) -> tuple[GenerationState, Samples]:
    noise = block_noise(decoder, state, LARGEST_BLOCK)
    return run_block(decoder, state, conditioning, noise, count, probability_floor=probability_floor)


@partial(jax.jit, static_argnames=("model", "dtype"))
def _pack(model: AutoregressiveModel, params: Params, dtype: DTypeLike | None) -> Decoder:
    return pack(model, params, dtype)


def open_backend(
    name: BackendName, model: Any, params: Params, *, dtype: DTypeLike | None = None, batch_size: int = 1
) -> Backend:
    """The backend called `name`, holding `params` packed.

    Args:
        name: "scan", or "auto" for the fastest that serves the model on this machine.
        model, params: any `AutoregressiveModel` and its parameters.
        dtype: type of weights and activations, default float32.
        batch_size: streams that will run together.

    Raises:
        ValueError: no backend has this name, or it cannot serve this dtype.
    """
    if name not in get_args(BackendName):
        names = ", ".join(repr(known) for known in get_args(BackendName))
        raise ValueError(f"backend must be one of {names}, got {name!r}")
    if dtype is not None and not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"backend 'scan' computes in a floating dtype such as float32 or bfloat16, got {dtype!r}")
    return ScanBackend(decoder=_pack(model, params, dtype))
