"""Backends generate blocks of samples. All of them take the same state, conditioning and noise."""

import dataclasses
import importlib.util
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from wavejax.generation.decoders import Decoder, pack
from wavejax.generation.engine import block_noise, run_block
from wavejax.generation.forks import refuse_after_fork
from wavejax.generation.state import Conditioning, GenerationState, Samples
from wavejax.models.wavenet import WaveNet
from wavejax.parallel.compiling import run_once_options
from wavejax.types import AutoregressiveModel, Params

LARGEST_BLOCK = 1024
"""The most samples that one call of a backend makes. It is fixed, so that chunking cannot change the program."""

BackendName = Literal["auto", "scan", "cpu"]


@runtime_checkable
class Backend(Protocol):
    """What the drivers need: a decoder for conditioning and the first state, and one pure function."""

    @property
    def name(self) -> str:
        """The name as given to `open_backend`."""

    @property
    def decoder(self) -> Decoder:
        """Encodes conditioning and warms up the first state, in JAX."""

    def block(
        self, state: GenerationState, conditioning: Conditioning, count: int, probability_floor: float
    ) -> tuple[GenerationState, Samples]:
        """The next `count` <= LARGEST_BLOCK samples and the state after them.

        `state` is not changed. The samples have at least `count` columns; further columns are zero. However a stream is
        cut into blocks, one backend returns the same samples and states bit for bit.
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
        cache = self.decoder.receive(state.cache)
        if cache is not state.cache:
            state = dataclasses.replace(state, cache=cache)
        return _scan_block(self.decoder, state, conditioning, jnp.asarray(count, jnp.int32), probability_floor)


@partial(jax.jit, static_argnames="probability_floor")
def _scan_block(
    decoder: Decoder, state: GenerationState, conditioning: Conditioning, count: Array, probability_floor: float
) -> tuple[GenerationState, Samples]:
    noise = block_noise(decoder, state, LARGEST_BLOCK)
    return run_block(decoder, state, conditioning, noise, count, probability_floor=probability_floor)


@cache
def _compiled_pack() -> Callable[..., Decoder]:
    return jax.jit(pack, static_argnames=("model", "dtype"), compiler_options=run_once_options())


def _pack(model: AutoregressiveModel, params: Params, dtype: DTypeLike | None) -> Decoder:
    return _compiled_pack()(model, params, dtype)


def check_backend_name(name: str) -> None:
    """Raises a ValueError that lists the backends if none has this name."""
    if name not in get_args(BackendName):
        names = ", ".join(repr(known) for known in get_args(BackendName))
        raise ValueError(f"backend must be one of {names}, got {name!r}")


def open_backend(
    name: BackendName, model: Any, params: Params, *, dtype: DTypeLike | None = None, batch_size: int = 1
) -> Backend:
    """The backend called `name`, with `params` packed.

    Args:
        name: "scan": any model on any device; "cpu": WaveNets as machine code on the processor's cores (extra `cpu`);
            "auto": "cpu" if it is installed, supports the model and JAX itself computes on the CPU, else "scan". If
            numba then turns out not to work, "auto" falls back to "scan" and says why.
        model, params: any `AutoregressiveModel` and its parameters.
        dtype: type of the weights. "scan" takes floating types and computes in them, by default in float32. "cpu" takes
            float32, bfloat16 and int8 (one scale per output) and sums in float32; its default is bfloat16 if that is
            lossless, as for parameters exported in bfloat16, else float32.
        batch_size: number of streams that will run together.

    Raises:
        ValueError: no backend has this name, or it does not support this model or dtype.
        RuntimeError: this process was forked from one that had already generated.
        MissingExtra: "cpu" is requested and numba is not installed.
    """
    check_backend_name(name)
    refuse_after_fork()
    weights: Any = jnp.dtype(jnp.float32 if dtype is None else dtype).name
    refusal = _cpu_refusal(model, weights)
    if name == "cpu" and refusal is not None:
        raise ValueError(f"backend 'cpu' {refusal}")
    installed = importlib.util.find_spec("numba") is not None
    if name == "cpu" or (name == "auto" and refusal is None and installed and jax.default_backend() == "cpu"):
        from wavejax.generation.cpu.backend import CpuBackend
        from wavejax.generation.cpu.compiling import ahead
        from wavejax.generation.cpu.packing import exact_weights

        chosen = weights if dtype is not None else exact_weights(model, params)
        ahead(chosen)  # meanwhile XLA compiles the rest
        decoder = _pack(model, params, jnp.float32)
        instead = ScanBackend(decoder=decoder) if name == "auto" else None
        return CpuBackend(decoder, params, weights=chosen, block=LARGEST_BLOCK, instead=instead)
    if not jnp.issubdtype(weights, jnp.floating):
        raise ValueError(
            f"backend 'scan' computes in a floating dtype such as float32 or bfloat16, got {weights}: int8 weights "
            "need backend='cpu' (WaveNets on a CPU, pip install 'wavejax-audio[cpu]')"
        )
    return ScanBackend(decoder=_pack(model, params, dtype))


def _cpu_refusal(model: Any, weights: str) -> str | None:
    """Why the cpu backend does not support this model and weight type; None if it does."""
    if not isinstance(model, WaveNet):
        return f"knows the loop of a WaveNet, got {type(model).__name__}: use backend='scan'"
    if weights not in ("float32", "bfloat16", "int8"):
        return f"packs weights as float32, bfloat16 or int8, got {weights}"
    return None
