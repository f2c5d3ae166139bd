"""Parallel models in fixed windows: however a stream of frames is cut, it becomes the same samples.

A `ParallelModel` makes all samples of a window of frames at once. The driver uses windows of one size only, which begin
at multiples of that size. So there is one compiled program, and the frames of a window do not depend on how they
arrived. A window's noise, including that of its context, is a pure function of (seed, stream id, frame).

The size, `window_frames`, is a trade-off between delay and computation. Samples are made once all frames of their
window and the `lookahead` after it have arrived. Each window also computes `lookback + lookahead` frames of context,
unless the model is a `ContinuedModel`, which passes a state from window to window instead. Different sizes are
different programs, whose samples agree up to rounding; with equal size and batch size they are equal bit for bit.
"""

import functools
import operator
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, SupportsIndex, cast

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, UInt32

from wavejax.generation.backends import BackendName
from wavejax.generation.forks import refuse_after_fork
from wavejax.generation.noise import join_index, split_index, stream_keys, uniforms
from wavejax.generation.sampling import Sampling, check_frame_temperature, check_temperature
from wavejax.generation.states import StateError
from wavejax.generation.stream_inputs import ConditioningError, StreamInputs
from wavejax.parallel.compiling import quick_options
from wavejax.stored_programs import StoredProgram
from wavejax.types import AnyArray, ContinuedModel, ParallelModel, Params, PyTree

WINDOW_FRAMES = 32
"""Default number of frames of a window: about a third of a second at 100 frames per second."""


@flax.struct.dataclass
class WindowState:
    """Everything that the next sample depends on, except the frames."""

    position: UInt32[AnyArray, "2"]
    """Index of the next sample, (high, low) words."""
    keys: UInt32[AnyArray, "batch 2"]
    """Threefry key of each stream."""
    window: AnyArray | int = 0
    """For a `ContinuedModel`: the window of the last sample made; `carry` is the model's state at its beginning."""
    carry: PyTree = None
    """For a `ContinuedModel`: its state at the beginning of `window`; None before the first sample."""


def frame_noise(
    keys: UInt32[Array, "batch 2"], first: UInt32[Array, "2"], count: int, noise_size: int
) -> Float[Array, "batch count noise"]:
    """Uniforms of frames, a pure function of (key, frame); each frame takes consecutive pairs of the noise stream.

    Args:
      keys: from `stream_keys`.
      first: `split_index(frame * noise_pairs(noise_size))` of the first frame, which may be negative.
      count: number of frames.
      noise_size: uniforms per frame.
    """
    pairs = noise_pairs(noise_size)
    drawn = uniforms(keys, first, count * pairs, 2)  # [count * pairs, B, 2]
    by_frame = jnp.moveaxis(drawn, 1, 0).reshape(keys.shape[0], count, 2 * pairs)
    return by_frame[:, :, :noise_size]


def noise_pairs(noise_size: int) -> int:
    """The number of pairs of uniforms that a frame takes; one call of Threefry gives one pair."""
    return -(-noise_size // 2)


def _synthesize(
    model: Any,
    params: Params,
    window: Float[Array, "batch frames channels"],
    temperature: Float[Array, "batch frames"],
    speaker: Array | None,
    keys: UInt32[Array, "batch 2"],
    first: UInt32[Array, "2"],
) -> Float[Array, "batch samples"]:
    batch, frames, _ = window.shape
    noise = frame_noise(keys, first, frames, model.noise_size) if model.noise_size else None
    waveform = model.apply({"params": params}, window, noise, temperature, speaker, method="synthesize")
    expected = (batch, (frames - model.lookback - model.lookahead) * model.hop_length)
    if waveform.shape != expected:
        raise ValueError(
            f"{type(model).__name__}.synthesize returned shape {waveform.shape} for a window of {frames} frames, "
            f"expected {expected}: hop_length={model.hop_length} samples for each frame but lookback={model.lookback} "
            f"and lookahead={model.lookahead}"
        )
    return waveform.astype(jnp.float32)


def _begin(
    model: Any,
    params: Params,
    window: Float[Array, "batch frames channels"],
    temperature: Float[Array, "batch frames"],
    speaker: Array | None,
    keys: UInt32[Array, "batch 2"],
    first: UInt32[Array, "2"],
) -> PyTree:
    noise = frame_noise(keys, first, window.shape[1], model.noise_size) if model.noise_size else None
    return model.apply({"params": params}, window, noise, temperature, speaker, method="begin")


def _advance(
    model: Any,
    params: Params,
    carry: PyTree,
    window: Float[Array, "batch frames channels"],
    temperature: Float[Array, "batch frames"],
    speaker: Array | None,
    keys: UInt32[Array, "batch 2"],
    first: UInt32[Array, "2"],
) -> tuple[PyTree, Float[Array, "batch samples"]]:
    batch, frames, _ = window.shape
    noise = frame_noise(keys, first, frames, model.noise_size) if model.noise_size else None
    carry, waveform = model.apply({"params": params}, carry, window, noise, temperature, speaker, method="advance")
    if waveform.shape != (batch, frames * model.hop_length):
        raise ValueError(
            f"{type(model).__name__}.advance returned shape {waveform.shape} for {frames} new frames, expected "
            f"{(batch, frames * model.hop_length)}: hop_length={model.hop_length} samples for each"
        )
    return carry, waveform.astype(jnp.float32)


class _Programs(NamedTuple):
    """What the driver calls of a model; each is compiled once for each size of window."""

    synthesize: Any
    begin: Any
    advance: Any


@functools.lru_cache(maxsize=32)
def _programs(model: Any) -> _Programs:
    """Kept by model: to find a compiled program by a linen module takes longer than to run a short window."""
    synthesize, begin, advance = (partial(function, model) for function in (_synthesize, _begin, _advance))
    if not type(model).__module__.startswith("wavejax."):  # whose source we do not know
        return _Programs(*map(jax.jit, (synthesize, begin, advance)))
    return _Programs(
        StoredProgram(synthesize, f"window {model!r}"),
        StoredProgram(begin, f"beginning {model!r}", partial(quick_options, once=True)),
        StoredProgram(advance, f"advancing {model!r}", quick_options),
    )


@functools.cache
def _first_keys() -> StoredProgram:
    """`stream_keys` of seed words and ids as one program, where it would be dozens of small ones."""
    return StoredProgram(stream_keys, "stream keys")


class _Made(NamedTuple):
    """The samples of a window."""

    label: tuple[int, int | None]
    """The window's index, and the number of frames there were if some that it depends on were missing."""
    waveform: np.ndarray
    after: PyTree
    """A `ContinuedModel`'s state at its end."""


class _Frames:
    """The frames that have arrived and are still needed, with their temperatures."""

    def __init__(self, batch: int, first: int) -> None:
        self.batch, self.first = batch, first
        self.values: np.ndarray | None = None
        self.temperatures = np.zeros((batch, 0), np.float32)

    @property
    def end(self) -> int:
        """Index of the next frame to arrive."""
        return self.first + self.temperatures.shape[1]

    def add(self, frames: np.ndarray, temperatures: np.ndarray) -> None:
        self.values = frames if self.values is None else np.concatenate([self.values, frames], axis=1)
        self.temperatures = np.concatenate([self.temperatures, temperatures], axis=1)

    def window(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames [B, count, C] from an index on, and their temperatures; beyond both ends the edge is repeated."""
        if self.first <= first and first + count <= self.end:
            inside = slice(first - self.first, first - self.first + count)
            return cast(np.ndarray, self.values)[:, inside], self.temperatures[:, inside]
        index = np.clip(np.arange(first, first + count), 0, self.end - 1) - self.first
        if index[0] < 0:
            raise ConditioningError(
                f"continuing needs conditioning frames from {max(first, 0)} on, where the window of the next sample "
                f"and its look-back begin, but the first one given is {self.first}"
            )
        return cast(np.ndarray, self.values)[:, index], self.temperatures[:, index]

    def forget(self, before: int) -> None:
        """Drops frames that are no longer needed, from time to time, so that an endless stream has a bounded buffer."""
        unused = before - self.first
        if unused > 256 and self.values is not None:
            self.values, self.temperatures = self.values[:, unused:].copy(), self.temperatures[:, unused:].copy()
            self.first += unused


class ParallelStreamer:
    """`Streamer` for a `ParallelModel`: generates sound while frames arrive.

    `push` takes any number of frames and returns the samples of the windows that are now complete, look-ahead included.
    `flush` ends the recording (the last frame is repeated) and returns the rest. However the frames are cut, the
    samples equal those of `generate` with the same `window_frames` bit for bit.

    Args:
        model, params: the model and its parameters.
        window_frames: frames per window (see the module): 1 or 2 for the least delay, many for the least computation.
        batch_size: number of streams that run together.
        seed, stream_ids: select each stream's noise; the ids default to 0 .. B-1.
        global_conditioning: speaker ids [B] or vectors [B, C].
        temperature: a number or [B]; `push` can set it frame by frame.
        state: continue from this state (from `generate(..., return_state=True)` or `.state`); it contains the streams'
            noise keys, so `seed` and `stream_ids` are ignored.
        first_frame: index of the first frame that will be pushed, when continuing: at most `first_needed_frame`.
        probability_floor, dtype, backend: only for autoregressive models; anything but the default is refused.
    """

    def __init__(
        self,
        model: ParallelModel,
        params: Params,
        *,
        window_frames: int | None = None,
        batch_size: int = 1,
        seed: SupportsIndex = 0,
        stream_ids: Int[AnyArray, "batch"] | None = None,
        global_conditioning: AnyArray | None = None,
        temperature: float | AnyArray = 1.0,
        probability_floor: float = 0.0,
        dtype: DTypeLike | None = None,
        backend: BackendName = "auto",
        state: WindowState | None = None,
        first_frame: int = 0,
    ) -> None:
        sampling = Sampling(
            seed=seed,
            temperature=temperature,
            probability_floor=probability_floor,
            backend=backend,
            dtype=dtype,
            window_frames=window_frames,
        )
        given = StreamInputs(
            batch_size=batch_size,
            stream_ids=stream_ids,
            global_conditioning=global_conditioning,
            state=state,
            first_frame=first_frame,
        )
        self._open(model, params, sampling, given)

    @classmethod
    def open(cls, model: ParallelModel, params: Params, sampling: Sampling, given: StreamInputs) -> "ParallelStreamer":
        """A `ParallelStreamer` from the arguments that the drivers have collected."""
        streamer = cls.__new__(cls)
        streamer._open(model, params, sampling, given)
        return streamer

    def _open(self, model: ParallelModel, params: Params, sampling: Sampling, given: StreamInputs) -> None:
        refuse_after_fork()
        _refuse_unsuited(model, sampling, given)
        self.model, self._batch = model, given.batch_size
        self._hop, self._lookahead, self._pairs = model.hop_length, model.lookahead, noise_pairs(model.noise_size)
        self.window_frames = WINDOW_FRAMES if sampling.window_frames is None else sampling.window_frames
        self._programs = _programs(cast(Any, model))
        self._params = jax.device_put(params)
        self._speaker = given.speaker(model)
        self._temperature = check_temperature(sampling.temperature, self._batch)
        state: WindowState | None = given.state
        if state is not None and not isinstance(state, WindowState):
            raise StateError(
                f"state must be a WindowState, got {type(state).__name__}: {type(model).__name__} continues from what "
                "generate(..., return_state=True) returned for it"
            )
        if state is None:
            ids = np.arange(self._batch) if given.stream_ids is None else np.asarray(given.stream_ids)
            if ids.shape != (self._batch,):
                raise ConditioningError(f"stream_ids must be {self._batch} integers, got an array of shape {ids.shape}")
            keys = np.asarray(_first_keys()(split_index(operator.index(sampling.seed)), ids.astype(np.int32)))
            state = WindowState(position=split_index(0), keys=keys)
        if np.shape(state.keys) != (self._batch, 2):
            raise StateError(f"the state is that of {len(state.keys)} streams, not of batch_size={self._batch}")
        self._keys = jax.device_put(state.keys)
        self._position = join_index(state.position)
        self._carries, self._carry, self._carried = isinstance(model, ContinuedModel), state.carry, int(state.window)
        if self._carries and self._carry is None and self._position > self._window_samples:
            raise StateError(
                f"{type(model).__name__} passes a state from window to window, and the state to continue from has none"
            )
        if self._carry is not None:
            self._check_carry(self._carry)
        self._frames = _Frames(self._batch, given.first_frame)
        self._made: _Made | None = None

    def _check_carry(self, carry: PyTree) -> None:
        """Raises StateError if the carry cannot come from this model."""
        frames = self.model.lookback + self.lookahead
        shape = (self._batch, frames, getattr(self.model, "local_channels", 1))
        window, temperature = jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct(shape[:2], jnp.float32)
        words = split_index(0)
        given = (window, temperature, self._speaker, self._keys, words)
        wanted = jax.eval_shape(partial(_begin, self.model), self._params, *given) if self._carries else None
        fits = str(jax.tree.structure(carry)) == str(jax.tree.structure(wanted))
        for leaf, form in zip(jax.tree.leaves(carry), jax.tree.leaves(wanted), strict=False):
            array = np.asarray(leaf)
            fits &= array.shape == form.shape and array.dtype == form.dtype
            fits &= array.dtype.kind != "f" or bool(np.isfinite(array).all())
        behind = self._window_of(self._position) - self._carried
        if not fits or not 0 <= behind <= 2 + self.lookahead // self.window_frames:
            raise StateError(
                f"the state's carry and window are not what {type(self.model).__name__} hands on with "
                f"window_frames={self.window_frames}: continue with the model and the window that made it"
            )

    @classmethod
    def first_frame(cls, model: ParallelModel, params: Params, sampling: Sampling, given: StreamInputs) -> int:
        """The first frame that is needed to continue from a state."""
        return cls.open(model, params, sampling, given).first_needed_frame

    @property
    def block_size(self) -> int:
        """The best number of samples to take at a time: those of a window."""
        return self._window_samples

    @property
    def lookahead(self) -> int:
        """The number of frames that must have arrived after the last frame of a window before its samples are made."""
        return self._lookahead

    @property
    def position(self) -> int:
        """Index of the next sample."""
        return self._position

    @property
    def state(self) -> WindowState:
        """The state after the last sample returned, to continue from; any position is allowed."""
        carry = jax.tree.map(np.asarray, self._carry)
        return WindowState(
            split_index(self._position), np.asarray(self._keys), np.asarray(self._carried, np.uint32), carry
        )

    @property
    def first_needed_frame(self) -> int:
        """The first frame that the next sample depends on: the start of its window minus the look-back.

        For a `ContinuedModel`, it is the start of the window of the last sample made.
        """
        if self._carries:
            return self._carried * self.window_frames
        return max(self._window_of(self._position) * self.window_frames - self.model.lookback, 0)

    @property
    def available(self) -> int:
        """The number of samples that can be made from the complete windows."""
        complete = (self._frames.end - self.lookahead) // self.window_frames
        return max(complete * self._window_samples - self._position, 0)

    @property
    def remaining(self) -> int:
        """The number of samples that can be made if no further frame arrives."""
        return max(self._frames.end * self._hop - self._position, 0)

    def push(self, frames: Float[AnyArray, "batch frames channels"], temperature: AnyArray | None = None) -> np.ndarray:
        """Add frames [B, f, C] (f >= 0), with temperatures [B, f] if they vary; returns samples [B, n], n >= 0."""
        self.add_frames(frames, temperature)
        return self.take(self.available)

    def add_frames(self, frames: Float[AnyArray, "batch frames channels"], temperature: AnyArray | None = None) -> None:
        """Like `push`, but makes no samples yet."""
        frames = np.asarray(frames, np.float32)
        known = self._frames.values
        channels = getattr(self.model, "local_channels", frames.shape[-1]) if known is None else known.shape[-1]
        if frames.ndim != 3 or frames.shape[0] != self._batch or frames.shape[-1] != channels:
            raise ConditioningError(
                f"frames must have shape (batch {self._batch}, frames, channels {channels}), got {frames.shape}"
            )
        if not np.isfinite(frames).all():
            index = int(np.argwhere(~np.isfinite(frames))[0, 1]) + self._frames.end
            raise ConditioningError(f"conditioning frame {index} holds a value that is not finite: check the features")
        if temperature is None:
            temperature = np.broadcast_to(self._temperature[:, None], frames.shape[:2])
        self._frames.add(frames, check_frame_temperature(temperature, frames.shape[:2]))

    def flush(self) -> np.ndarray:
        """End of the recording: returns the samples that were waiting for further frames, [B, n]."""
        return self.take(self.remaining)

    def take(self, num_samples: int) -> np.ndarray:
        """Make exactly `num_samples` samples [B, num_samples] from the frames that have arrived.

        Samples beyond `available` are made as if no further frame followed.
        """
        pieces = list(self.blocks(num_samples))
        return np.concatenate(pieces, axis=1) if pieces else np.zeros((self._batch, 0), np.float32)

    def blocks(self, num_samples: int, block_size: int | None = None) -> Iterator[np.ndarray]:
        """Like `take`, in blocks of at most `block_size` samples, each within one window."""
        end = self._position + num_samples
        if num_samples > self.remaining:
            raise ConditioningError(
                f"{num_samples} samples from {self._position} on need {-(-end // self.model.hop_length)} conditioning "
                f"frames of {self.model.hop_length} samples, got {self._frames.end}: give more frames or ask for less"
            )
        while self._position < end:
            index = self._window_of(self._position)
            begin = self._position - index * self._window_samples
            count = min(end - self._position, self._window_samples - begin, block_size or self._window_samples)
            made = self._window(index)[:, begin : begin + count]
            self._position += count
            self._frames.forget(self.first_needed_frame)
            yield made

    @property
    def _window_samples(self) -> int:
        return self.window_frames * self._hop

    def _window_of(self, sample: int) -> int:
        return sample // self._window_samples

    def _window(self, index: int) -> np.ndarray:
        """The samples of a window; it is made again only if missing frames have arrived since."""
        end = self._end_of(index)
        label = (index, self._frames.end if self._frames.end < end else None)
        if self._made is None or self._made.label != label:
            if self._carries:
                after, waveform = self._continued(index)
            else:
                first = index * self.window_frames - self.model.lookback
                after, waveform = None, self._programs.synthesize(self._params, *self._given(first, end - first))
            self._made = _Made(label, np.asarray(waveform), after)
        return self._made.waveform

    def _end_of(self, index: int) -> int:
        """The frame after the last one that a window depends on."""
        return (index + 1) * self.window_frames + self.lookahead

    def _continued(self, index: int) -> tuple[PyTree, Array]:
        """The state after a window and its samples, from the last state for which no frame was missing."""
        if self._made is not None and self._made.label == (self._carried, None) and index > self._carried:
            self._carry, self._carried = self._made.after, self._carried + 1
        after, waveform = self._advanced(self._carry, self._end_of(self._carried))
        while (window := self._carried) < index and self._frames.end >= self._end_of(window):
            self._carry, self._carried = after, window + 1
            after, waveform = self._advanced(after, self._end_of(window + 1))
        for window in range(self._carried + 1, index + 1):  # these lack frames, and will be made again
            after, waveform = self._advanced(after, self._end_of(window))
        return after, waveform

    def _advanced(self, carry: PyTree, end: int) -> tuple[PyTree, Array]:
        """Continues from a state with the window whose frames and look-ahead end at `end`."""
        if carry is None:
            given = self._given(-self.model.lookback, self.model.lookback + self.lookahead)
            carry = self._programs.begin(self._params, *given)
        given = self._given(end - self.window_frames, self.window_frames)
        made: tuple[PyTree, Array] = self._programs.advance(self._params, carry, *given)
        return made

    def _given(self, first: int, count: int) -> Any:
        """Frames, temperatures, speaker, keys and the first index of the noise; a program takes what the host holds."""
        frames, temperature = self._frames.window(first, count)
        words = split_index(first * self._pairs)
        return frames, temperature, self._speaker, self._keys, words


def _refuse_unsuited(model: ParallelModel, sampling: Sampling, given: StreamInputs) -> None:
    """Refuses options that only autoregressive models take."""
    asked = {
        "prompt": given.prompt is not None,
        "probability_floor": sampling.probability_floor != 0.0,
        "dtype": sampling.dtype is not None,
        "backend": sampling.backend != "auto",
    }
    for name in (name for name, is_given in asked.items() if is_given):
        raise ValueError(
            f"{name} is for models that work sample by sample, and {type(model).__name__} makes all samples of a "
            f"window of frames at once: leave {name} out"
        )
