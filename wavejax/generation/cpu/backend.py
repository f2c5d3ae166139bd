"""`CpuBackend`: calls the compiled kernels for the drivers."""

import dataclasses
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wavejax.distributions import GaussianMixture, LogisticMixture
from wavejax.generation.cpu import kernels, packing
from wavejax.generation.cpu.bounds import check_bounds
from wavejax.generation.cpu.compiling import Weights, ahead, lanes, note_scan, numba_trouble
from wavejax.generation.decoders import Decoder
from wavejax.generation.engine import block_noise
from wavejax.generation.noise import join_index, split_index
from wavejax.generation.state import Conditioning, GenerationState, Samples
from wavejax.types import AnyArray, Params


class CpuBackend:
    """A WaveNet on the CPU: see `wavejax.generation.cpu.kernels`. The streams of a batch are divided among the cores.

    Args:
        decoder: the model packed in float32, for conditioning and first states.
        params: the model's parameters.
        weights: "float32", "bfloat16" or "int8". Activations and sums are float32; int8 weights have one scale for
            each output and layer, and are multiplied with activations rounded to 16 bits.
        block: number of samples for which noise is drawn at once.
        threads: number of threads; default one per core.
        instead: fallback backend for the case that numba is installed but does not work; without it, the first block
            raises ValueError. This is found out late, because numba is imported while XLA compiles.
    """

    name = "cpu"

    def __init__(
        self,
        decoder: Decoder,
        params: Params,
        *,
        weights: Weights = "float32",
        block: int,
        threads: int | None = None,
        instead: Any = None,
    ) -> None:
        self.decoder, self._block, self._instead = decoder, block, instead
        self._kernels = ahead(weights)
        try:
            self._packed, self._sizes = packing.pack(decoder.model, params, weights, lanes())
        except (ImportError, AttributeError, OSError):  # from LLVM: then numba cannot be imported either
            if instead is None or numba_trouble() is None:
                raise
        self._threads = threads or available_cores()

    def block(
        self, state: GenerationState, conditioning: Conditioning, count: int, probability_floor: float
    ) -> tuple[GenerationState, Samples]:
        """See `Backend.block`."""
        if count > self._block:
            raise ValueError(f"a block has at most {self._block} samples, got {count}")
        noise = np.asarray(_block_quantiles(self.decoder, state, self._block, probability_floor))[:count]
        if self._instead is not None and (trouble := numba_trouble()) is not None:
            note_scan(trouble)
            made: tuple[GenerationState, Samples] = self._instead.block(state, conditioning, count, probability_floor)
            return made
        state, job = self._work(state, conditioning, noise, floor=probability_floor)
        values, waveform = (np.pad(made.T, ((0, 0), (0, self._block - count))) for made in (job.values, job.waveform))
        values, waveform = jax.device_put((values.astype(state.value.dtype), waveform))
        return state, Samples(values=values, waveform=waveform)

    def replay(
        self, state: GenerationState, conditioning: Conditioning, values: AnyArray
    ) -> tuple[GenerationState, Float[np.ndarray, "batch time outputs"]]:
        """See `wavejax.generation.replay`: values [B, N] are used instead of drawn ones."""
        given = np.ascontiguousarray(np.asarray(values, np.float32).T)
        noise = np.zeros((*given.shape, 1), np.float32)
        state, job = self._work(state, conditioning, noise, given=given)
        return state, np.moveaxis(job.outputs, 0, 1)

    def _work(
        self,
        state: GenerationState,
        conditioning: Conditioning,
        noise: np.ndarray,
        *,
        floor: float = 0.0,
        given: np.ndarray | None = None,
    ) -> tuple[GenerationState, kernels.Job]:
        count, batch = noise.shape[:2]
        entries: Any = conditioning.entries
        none = np.zeros((0, 1, 1, 1), np.float32)
        job = kernels.Job(
            gates=_read_only(entries["gates"]),
            local=_read_only(entries.get("local", none)),
            tail=_read_only(entries.get("tail", none)),
            temperature=_read_only(conditioning.temperature),
            noise=_read_only(noise),
            floor=np.float32(floor),
            start=join_index(state.position) - join_index(conditioning.first),
            given=_read_only(np.zeros((0, batch), np.float32) if given is None else given),
            values=np.zeros((count, batch), np.float32),
            waveform=np.zeros((count, batch), np.float32),
            outputs=np.zeros((0 if given is None else count, batch, self._sizes.outputs), np.float32),
        )
        cache: Any = state.cache
        arrays = kernels.Cache(
            ring=np.array(cache["ring"], np.float32),
            phase=np.array(cache["phase"], np.int64),
            history=np.array(cache["history"], np.float32),
            value=np.array(state.value, np.float32),
            memory=np.array(state.memory, np.float32),
        )
        check_bounds(self._packed, self._sizes, arrays, job)
        self._share_out(arrays, job, batch)
        rows = (self._sizes.kernel_size - 1) * self._packed.dilations
        after = {
            "ring": arrays.ring,
            "phase": ((arrays.phase + count) % rows).astype(cache["phase"].dtype),
            "history": arrays.history.astype(cache["history"].dtype),
        }
        changed = {
            "position": split_index(join_index(state.position) + count),
            "value": arrays.value.astype(state.value.dtype),
            "memory": arrays.memory,
            "cache": after,
        }
        return dataclasses.replace(state, **jax.device_put(changed)), job

    def _share_out(self, arrays: kernels.Cache, job: kernels.Job, batch: int) -> None:
        threads = min(self._threads, batch)
        bounds = [batch * i // threads for i in range(threads + 1)]
        work = functools.partial(self._kernels.result()["run"], self._packed, self._sizes, arrays, job)
        if threads == 1:
            work(0, batch)
        else:
            list(_pool(threads).map(work, bounds[:-1], bounds[1:]))


def _read_only(array: AnyArray) -> np.ndarray:
    """A read-only view of an input, so that numba sees one type for all inputs."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="wavejax-cpu")


@functools.partial(jax.jit, static_argnames=("block", "probability_floor"))
def _block_quantiles(
    decoder: Decoder, state: GenerationState, block: int, probability_floor: float
) -> Float[Array, "block batch noise"]:
    """The block's noise; for a mixture, the last uniform is already converted to its quantile."""
    noise, distribution = block_noise(decoder, state, block), decoder.model.distribution
    if not isinstance(distribution, LogisticMixture | GaussianMixture):
        return noise
    within = probability_floor + (1 - 2 * probability_floor) * noise[..., -1:]
    return jnp.concatenate([noise[..., :-1], distribution._quantile(within)], axis=-1)
