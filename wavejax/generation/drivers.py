"""Drivers: Python around the pure layer. `Streamer` takes frames as they arrive; `stream` and `generate` build on it.

All of them run the same compiled functions with the same largest block, so their results are equal bit for bit. They
drive both autoregressive and parallel models; an option that does not apply to a kind of model is refused.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, SupportsIndex, cast

import jax
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from wavejax.generation.backends import BackendName
from wavejax.generation.folding import (
    Seam,
    automatic_folds,
    fold_frames,
    join_folds,
    plan_folds,
    refuse_with_folds,
)
from wavejax.generation.sampling import Sampling, check_frame_temperature
from wavejax.generation.state import GenerationState
from wavejax.generation.stream_inputs import ConditioningError, StreamInputs
from wavejax.generation.streamer import Streamer
from wavejax.generation.windows import ParallelStreamer, WindowState
from wavejax.types import AnyArray, AutoregressiveModel, ParallelModel, Params

Progress = Callable[[int, int], None]
SoundModel = AutoregressiveModel | ParallelModel
"""The models that the drivers can run."""

_MOST_FOLDS = 16


def streamer_of(model: SoundModel) -> type[Streamer] | type[ParallelStreamer]:
    """The streamer class for a model."""
    return ParallelStreamer if hasattr(model, "synthesize") else Streamer


def stream(
    model: SoundModel,
    params: Params,
    *,
    num_samples: int | None = None,
    seed: SupportsIndex = 0,
    batch_size: int | None = None,
    state: GenerationState | WindowState | None = None,
    stream_ids: Int[AnyArray, "batch"] | None = None,
    local_conditioning: Float[AnyArray, "batch frames channels"] | Iterable[AnyArray] | None = None,
    global_conditioning: AnyArray | None = None,
    prompt: Float[AnyArray, "batch prompt"] | None = None,
    temperature: float | AnyArray = 1.0,
    probability_floor: float = 0.0,
    dtype: DTypeLike | None = None,
    backend: BackendName = "auto",
    window_frames: int | None = None,
    block_size: int | None = None,
    progress: Progress | None = None,
) -> Iterator[np.ndarray]:
    """Yield the waveform in blocks [B, block_size] (the last may be shorter).

    Takes the arguments of `generate`. `local_conditioning` may also be an iterator of frames [B, f, C] as they arrive;
    a block is then yielded as soon as its look-ahead (for a parallel model, also its window) has arrived. The blocks,
    of any size, are together equal to the output of `generate`, bit for bit.
    """
    _refuse_tracers(
        "stream", params, local_conditioning, seed, state, stream_ids, global_conditioning, prompt, temperature
    )
    sampling = Sampling(
        seed=seed,
        temperature=temperature,
        probability_floor=probability_floor,
        dtype=dtype,
        backend=backend,
        window_frames=window_frames,
    )
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size must be at least 1 sample, got {block_size}")
    pieces: Iterator[AnyArray] | None = None
    given: Any = local_conditioning
    if given is not None and not hasattr(given, "shape"):
        pieces = iter(given)
        given = next(pieces, None)
        if given is None:
            raise ConditioningError("local_conditioning is an iterator that yielded no frames")
    inputs = StreamInputs(stream_ids=stream_ids, global_conditioning=global_conditioning, prompt=prompt, state=state)
    streamer = _open(model, params, given, sampling, inputs.sized(batch_size, given))
    start, size = streamer.position, streamer.block_size if block_size is None else block_size
    _wanted(streamer, num_samples)  # refuses a stream without an end

    def emit(limit: int, whole: bool) -> Iterator[np.ndarray]:
        while limit >= size or (whole and limit > 0):
            count = min(size, limit)
            yield streamer.take(count)
            limit -= count
            if progress is not None:
                progress(streamer.position - start, streamer.position - start + limit)

    def left(amount: int) -> int:
        return amount if num_samples is None else min(amount, start + num_samples - streamer.position)

    while pieces is not None:
        yield from emit(left(streamer.available), whole=False)
        if left(1) <= 0:
            return
        piece = next(pieces, None)
        if piece is None:
            break
        streamer.add_frames(piece)
    total = start + num_samples - streamer.position if num_samples is not None else streamer.remaining
    yield from emit(total, whole=True)


def generate(
    model: SoundModel,
    params: Params,
    *,
    num_samples: int | None = None,
    lengths: Int[AnyArray, "batch"] | None = None,
    seed: SupportsIndex = 0,
    batch_size: int | None = None,
    state: GenerationState | WindowState | None = None,
    return_state: bool = False,
    stream_ids: Int[AnyArray, "batch"] | None = None,
    local_conditioning: Float[AnyArray, "batch frames channels"] | None = None,
    global_conditioning: AnyArray | None = None,
    prompt: Float[AnyArray, "batch prompt"] | None = None,
    temperature: float | AnyArray = 1.0,
    probability_floor: float = 0.0,
    dtype: DTypeLike | None = None,
    backend: BackendName = "auto",
    folds: int | Literal["auto"] = 1,
    window_frames: int | None = None,
    block_size: int | None = None,
    progress: Progress | None = None,
) -> Any:
    """Generate waveforms [B, T] float32, numpy.

    Args:
        model, params: any `AutoregressiveModel` or `ParallelModel`, and its parameters.
        num_samples: samples to make, without a prompt's; default frames x hop_length, less a prompt and earlier calls.
        lengths: length of each stream of a ragged batch, in samples. Later samples are zero; conditioning after a
            stream's end repeats its last frame, so a stream sounds the same as alone.
        seed, stream_ids: select the noise: a pure function of (seed, stream id, sample index). Ids default to 0 .. B-1.
        batch_size: number of streams; default is implied by the other arguments, else 1.
        state: continue where a call with `return_state` ended; `local_conditioning` is still the whole recording's.
        return_state: return (waveform, state).
        local_conditioning: frames [B, F, C] from sample 0 on, including a prompt's frames.
        global_conditioning: speaker ids [B] or vectors [B, C].
        prompt: waveform [B, P] to continue; not part of the output.
        temperature: a number, [B], or [B, F] frame by frame; 0 is the mode.
        probability_floor: values less probable than this are never drawn.
        dtype: type of weights: "float32", "bfloat16", and with the cpu backend "int8"; default see `open_backend`.
        backend: "scan", "cpu", or "auto" for the faster supported one, see `generation.backends.open_backend`.
        folds: if above 1, one recording is generated as this many overlapping pieces in one batch (see
            `generate_folded`): faster, with seams. "auto" chooses the number.
        window_frames: for a parallel model, the frames of one window (see `generation.windows`).
        block_size: samples between two calls of `progress` (default 1024, or a window). It never changes the result.
        progress: called with (samples made, total samples) after each block.

    Raises:
        ConditioningError: conditioning of a wrong shape or length, not finite, or an unknown speaker.
        ValueError: an option that this kind of model does not take.
        TypeError: called under a JAX transformation; use `run_block` there.
    """
    _refuse_tracers(
        "generate", params, local_conditioning, seed, state, stream_ids, global_conditioning, prompt, temperature
    )
    sampling = Sampling(
        seed=seed,
        temperature=temperature,
        probability_floor=probability_floor,
        dtype=dtype,
        backend=backend,
        window_frames=window_frames,
    )
    given = StreamInputs(stream_ids=stream_ids, global_conditioning=global_conditioning, prompt=prompt, state=state)
    if folds != 1:
        refuse_with_folds({"lengths": lengths, "state": state, "return_state": return_state, "prompt": prompt})
        plan = _Folds(count=folds, warm_up=None, num_samples=num_samples)
        return _generate_folded(
            _foldable(model), params, local_conditioning, sampling, given, plan, block_size, progress
        )[0]
    inputs = given.sized(batch_size, local_conditioning)
    if lengths is not None:
        lengths = _checked_lengths(lengths, inputs.batch_size)
        local_conditioning = _repeat_last(local_conditioning, lengths, model.hop_length)
    streamer = _open(model, params, local_conditioning, sampling, inputs)
    start = streamer.position
    waveform = _collect(streamer, _wanted(streamer, num_samples), block_size, progress)
    if lengths is not None:
        waveform = np.where(np.arange(start, streamer.position) < lengths[:, None], waveform, np.float32(0))
    return (waveform, streamer.state) if return_state else waveform


def _wanted(streamer: Streamer | ParallelStreamer, num_samples: int | None) -> int:
    """The number of samples to make: `num_samples`, or all that the frames cover."""
    if num_samples is not None:
        return num_samples
    if streamer.model.hop_length is None:
        raise ConditioningError("a model without local conditioning needs num_samples")
    return streamer.remaining


def generate_folded(
    model: SoundModel,
    params: Params,
    local_conditioning: Float[AnyArray, "batch frames channels"] | None,
    *,
    folds: int | Literal["auto"] = "auto",
    warm_up: int | None = None,
    num_samples: int | None = None,
    seed: SupportsIndex = 0,
    stream_ids: Int[AnyArray, "1"] | None = None,
    global_conditioning: AnyArray | None = None,
    temperature: float | AnyArray = 1.0,
    probability_floor: float = 0.0,
    dtype: DTypeLike | None = None,
    backend: BackendName = "auto",
    block_size: int | None = None,
    progress: Progress | None = None,
) -> tuple[Float[np.ndarray, "1 samples"], tuple[Seam, ...]]:
    """Generate one recording as a batch of overlapping folds; returns the waveform [1, T] and its seams.

    Args:
        model, params, local_conditioning, ...: as in `generate`, for one recording.
        folds: number of pieces; "auto": at most 16, each at least four times as long as its warm-up.
        warm_up: samples that a fold makes before its audible part; default two receptive fields, at least ten frames.

    Raises:
        ValueError: more than one recording, a model without local conditioning, or folds shorter than their warm-up.
    """
    sampling = Sampling(
        seed=seed, temperature=temperature, probability_floor=probability_floor, dtype=dtype, backend=backend
    )
    given = StreamInputs(stream_ids=stream_ids, global_conditioning=global_conditioning)
    wanted = _Folds(count=folds, warm_up=warm_up, num_samples=num_samples)
    return _generate_folded(_foldable(model), params, local_conditioning, sampling, given, wanted, block_size, progress)


def _foldable(model: SoundModel) -> AutoregressiveModel:
    if streamer_of(model) is not Streamer:
        raise ValueError(f"folds are for models that work sample by sample; {type(model).__name__} needs none: use 1")
    return cast(AutoregressiveModel, model)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Folds:
    """The arguments of `generate_folded`."""

    count: int | Literal["auto"]
    warm_up: int | None
    num_samples: int | None


def _generate_folded(
    model: AutoregressiveModel,
    params: Params,
    local_conditioning: AnyArray | None,
    sampling: Sampling,
    given: StreamInputs,
    wanted: _Folds,
    block_size: int | None,
    progress: Progress | None,
) -> tuple[np.ndarray, tuple[Seam, ...]]:
    frames = np.asarray(local_conditioning, np.float32) if local_conditioning is not None else None
    hop = model.hop_length
    if hop is None or frames is None or frames.ndim != 3 or frames.shape[0] != 1 or not frames.shape[1]:
        raise ConditioningError(
            "folds need the frames of one recording, local_conditioning [1, F >= 1, C], got "
            + ("none" if frames is None else f"shape {frames.shape}")
        )
    total = frames.shape[1] * hop if wanted.num_samples is None else wanted.num_samples
    if total > frames.shape[1] * hop:
        raise ConditioningError(f"{total} samples need {-(-total // hop)} conditioning frames, got {frames.shape[1]}")
    frames = frames[:, : -(-total // hop)]
    warm_up = max(2 * model.receptive_field, 10 * hop) if wanted.warm_up is None else wanted.warm_up
    automatic = wanted.count == "auto"
    count = automatic_folds(frames.shape[1], hop, warm_up, _MOST_FOLDS) if automatic else int(wanted.count)
    plan, length = plan_folds(frames[0], count, hop, warm_up)
    speaker = given.global_conditioning
    repeated = StreamInputs(
        batch_size=count,
        stream_ids=np.repeat([0] if given.stream_ids is None else np.asarray(given.stream_ids), count),
        global_conditioning=None if speaker is None else np.repeat(speaker, count, axis=0),
        origins=[fold.first_frame * hop for fold in plan],
    )
    heat, per_frame = np.asarray(sampling.temperature, np.float32), sampling.is_per_frame
    steady = dataclasses.replace(sampling, temperature=1.0 if per_frame else np.broadcast_to(heat, (count,)))
    streamer = Streamer.open(model, params, steady, repeated)
    streamer.add_frames(fold_frames(frames[0], plan, length), fold_frames(heat[0], plan, length) if per_frame else None)
    waveforms = _collect(streamer, streamer.remaining, block_size, progress)
    waveform, seams = join_folds(waveforms, plan, hop, total)
    return waveform[None], seams


def _collect(
    streamer: Streamer | ParallelStreamer, total: int, block_size: int | None, progress: Progress | None
) -> np.ndarray:
    size = streamer.block_size if block_size is None else block_size
    if size < 1 or total < 0:
        raise ValueError(f"block_size must be at least 1 and num_samples at least 0, got {size} and {total}")
    pieces, done, told = [streamer.take(0)], 0, 0
    for piece in streamer.blocks(total, size):
        pieces.append(piece)
        done += piece.shape[1]
        if progress is not None and (done - told >= size or done == total):
            progress(done, total)
            told = done
    return np.concatenate(pieces, axis=1)


def _open(
    model: SoundModel,
    params: Params,
    local_conditioning: AnyArray | None,
    sampling: Sampling,
    given: StreamInputs,
) -> Streamer | ParallelStreamer:
    """A streamer with the given conditioning, from the first frame that is still needed."""
    opener: Any = streamer_of(model)
    steady = dataclasses.replace(sampling, temperature=1.0) if sampling.is_per_frame else sampling
    if model.hop_length is None:
        if local_conditioning is not None:
            raise ConditioningError("this model has no local conditioning, but local_conditioning was given")
        return opener.open(model, params, steady, given)
    if local_conditioning is None:
        raise ConditioningError("this model needs local_conditioning: frames [B, F, C]")
    frames = np.asarray(local_conditioning, np.float32)
    if frames.ndim != 3 or not frames.shape[1]:
        raise ConditioningError(f"local_conditioning must have shape [B, F >= 1, C], got {frames.shape}")
    prompted = 0 if given.prompt is None else given.position
    if prompted > frames.shape[1] * model.hop_length:
        raise ConditioningError(
            f"conditioning covers the prompt first: {prompted} samples of prompt need "
            f"{-(-prompted // model.hop_length)} frames, got {frames.shape[1]}"
        )
    first = 0 if given.state is None else opener.first_frame(model, params, steady, given)
    streamer: Streamer | ParallelStreamer = opener.open(
        model, params, steady, dataclasses.replace(given, first_frame=first)
    )
    frame_temperatures = None
    if sampling.is_per_frame:
        frame_temperatures = check_frame_temperature(sampling.temperature, frames.shape[:2])[:, first:]
    streamer.add_frames(frames[:, first:], frame_temperatures)
    return streamer


def _checked_lengths(lengths: AnyArray, batch_size: int) -> np.ndarray:
    checked = np.asarray(lengths)
    if checked.shape != (batch_size,) or checked.min() < 0:
        raise ConditioningError(f"lengths must be {batch_size} non-negative numbers of samples, got {checked}")
    return checked


def _repeat_last(frames: AnyArray | None, lengths: np.ndarray, hop_length: int | None) -> np.ndarray | None:
    if frames is None or hop_length is None:
        return None if frames is None else np.asarray(frames)
    frames = np.asarray(frames, np.float32)
    last = np.maximum(-(-lengths // hop_length), 1) - 1
    index = np.minimum(np.arange(frames.shape[1])[None], last[:, None])
    return np.take_along_axis(frames, index[:, :, None], axis=1)


def _refuse_tracers(name: str, *trees: Any) -> None:
    leaves = jax.tree.leaves([tree for tree in trees if not isinstance(tree, Iterator)])
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        raise TypeError(
            f"{name} runs Python between blocks and cannot be traced by jit, vmap or grad: inside a transformation use "
            "wavejax.generation.run_block with init_state and encode_conditioning"
        )
