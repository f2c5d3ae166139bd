"""Parallel models in fixed windows: any stream of frames, cut anyhow, becomes the same samples.

A `ParallelModel` makes all samples of a window of frames at once. The driver asks it for windows of one size only,
which begin at multiples of that size: so there is one compiled program, and which frames stand in a window does not
depend on how they arrived. A window's noise is a pure function of (seed, stream id, frame), its context's included.

The size, `window_frames`, is a choice between delay and work: samples come when all frames of their window and the
`lookahead` after it have come, and each window computes `lookback + lookahead` frames beside its own. Two sizes are two
programs, whose samples agree to rounding; bit for bit equal are drivers of the same size (and batch size).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, cast

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from wavejax.generation.forks import refuse_after_fork
from wavejax.generation.noise import join_index, split_index, stream_keys, uniforms
from wavejax.generation.streamer import ConditioningError, _check_temperature, check_frame_temperature
from wavejax.types import AnyArray, ParallelModel, Params

WINDOW_FRAMES = 32
"""Frames of a window unless another size is asked for: about a third of a second at 100 frames a second."""

Progress = Callable[[int, int], None]


@flax.struct.dataclass
class WindowState:
    """Everything but the frames that the next sample depends on."""

    position: UInt32[AnyArray, "2"]
    """Index of the next sample, (high, low) words."""
    keys: UInt32[AnyArray, "batch 2"]
    """Threefry key of each stream."""


def frame_noise(
    keys: UInt32[Array, "batch 2"], first: UInt32[Array, "2"], count: int, noise_size: int
) -> Float[Array, "batch count noise"]:
    """Uniforms of frames, a pure function of (key, frame): pairs of them stand one after the other in the stream.

    Args:
      keys: of `stream_keys`.
      first: `split_index(frame * pairs)` of the first frame, which may be negative, with `noise_pairs(noise_size)`.
      count: frames.
      noise_size: uniforms of a frame.
    """
    pairs = noise_pairs(noise_size)
    drawn = uniforms(keys, first, count * pairs, 2)  # [count * pairs, B, 2]
    by_frame = jnp.moveaxis(drawn, 1, 0).reshape(keys.shape[0], count, 2 * pairs)
    return by_frame[:, :, :noise_size]


def noise_pairs(noise_size: int) -> int:
    """Pairs of uniforms, which one call of Threefry gives, that a frame takes."""
    return -(-noise_size // 2)


@partial(jax.jit, static_argnums=0)
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


class _Frames:
    """The frames that have come and are still needed, with their temperatures."""

    def __init__(self, batch: int, first: int) -> None:
        self.batch, self.first = batch, first
        self.values: np.ndarray | None = None
        self.temperatures = np.zeros((batch, 0), np.float32)

    @property
    def end(self) -> int:
        """Index of the next frame to come."""
        return self.first + self.temperatures.shape[1]

    def add(self, frames: np.ndarray, temperatures: np.ndarray) -> None:
        self.values = frames if self.values is None else np.concatenate([self.values, frames], axis=1)
        self.temperatures = np.concatenate([self.temperatures, temperatures], axis=1)

    def window(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames [B, count, C] from an index on and their temperatures; beyond both ends the edge is repeated."""
        index = np.clip(np.arange(first, first + count), 0, self.end - 1) - self.first
        if index[0] < 0:
            raise ConditioningError(
                f"continuing needs conditioning frames from {max(first, 0)} on, where the window of the next sample "
                f"and its look-back begin, but the first one given is {self.first}"
            )
        return cast(np.ndarray, self.values)[:, index], self.temperatures[:, index]

    def forget(self, before: int) -> None:
        """Drop what is not needed any more, now and then, so that an endless stream keeps a bounded buffer."""
        unused = before - self.first
        if unused > 256 and self.values is not None:
            self.values, self.temperatures = self.values[:, unused:].copy(), self.temperatures[:, unused:].copy()
            self.first += unused


class ParallelStreamer:
    """`Streamer` for a `ParallelModel`: sound from frames while they arrive.

    `push` takes any number of frames and returns the samples of the windows that they complete, look-ahead included.
    `flush` ends the recording (the last frame is repeated) and returns the rest. However the frames are cut, the
    samples equal those of `generate_windows` of the same `window_frames` bit for bit.

    Args:
        model, params: the model and its parameters.
        window_frames: frames of a window, see the module: 1 or 2 for the shortest delay, many for the least work.
        batch_size: streams that run together.
        seed, stream_ids: pick each stream's noise; the ids default to 0 .. B-1.
        global_conditioning: speaker ids [B] or vectors [B, C].
        temperature: a number or [B]; `push` can set it frame by frame.
        state: continue from this state (of `generate_windows(..., return_state=True)` or `.state`); it brings the
            streams' noise, so `seed` and `stream_ids` do nothing then.
        first_frame: index of the first frame that will be pushed, when continuing: at most `first_needed_frame`.
    """

    def __init__(
        self,
        model: ParallelModel,
        params: Params,
        *,
        window_frames: int = WINDOW_FRAMES,
        batch_size: int = 1,
        seed: int = 0,
        stream_ids: Int[AnyArray, "batch"] | None = None,
        global_conditioning: AnyArray | None = None,
        temperature: float | AnyArray = 1.0,
        state: WindowState | None = None,
        first_frame: int = 0,
    ) -> None:
        if window_frames < 1:
            raise ValueError(f"window_frames={window_frames} must be 1 frame or more")
        refuse_after_fork()
        self.model, self.window_frames, self._batch = model, window_frames, batch_size
        self._params = jax.device_put(params)
        self._speaker = _checked_speaker(model, global_conditioning, batch_size)
        self._temperature = _check_temperature(temperature, batch_size)
        if state is None:
            ids = np.arange(batch_size) if stream_ids is None else np.asarray(stream_ids)
            if ids.shape != (batch_size,):
                raise ConditioningError(f"stream_ids must be {batch_size} integers, got an array of shape {ids.shape}")
            keys = np.asarray(stream_keys(seed, jnp.asarray(ids, jnp.int32)))
            state = WindowState(position=split_index(0), keys=keys)
        if np.shape(state.keys) != (batch_size, 2):
            raise ConditioningError(f"the state is that of {len(state.keys)} streams, not of batch_size={batch_size}")
        self._keys = jax.device_put(state.keys)
        self._position = join_index(state.position)
        self._frames = _Frames(batch_size, first_frame)
        self._made: tuple[tuple[int, int | None], np.ndarray] | None = None

    @property
    def lookahead(self) -> int:
        """Frames that must have arrived after a frame before its samples are made, where it is its window's last."""
        return self.model.lookahead

    @property
    def position(self) -> int:
        """Index of the next sample."""
        return self._position

    @property
    def state(self) -> WindowState:
        """The state after the last sample returned, to continue from; any position serves."""
        return WindowState(position=split_index(self._position), keys=np.asarray(self._keys))

    @property
    def first_needed_frame(self) -> int:
        """The first frame that the next sample depends on: where its window begins, less the look-back."""
        return max(self._window_of(self._position) * self.window_frames - self.model.lookback, 0)

    @property
    def available(self) -> int:
        """Samples that can be made from the windows that are complete."""
        complete = (self._frames.end - self.lookahead) // self.window_frames
        return max(complete * self._window_samples - self._position, 0)

    @property
    def remaining(self) -> int:
        """Samples that can be made if no further frame comes."""
        return max(self._frames.end * self.model.hop_length - self._position, 0)

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
        """Make exactly `num_samples` samples [B, num_samples] from the frames at hand.

        More than `available` are made as if no frame followed those at hand.
        """
        pieces = list(self.blocks(num_samples))
        return np.concatenate(pieces, axis=1) if pieces else np.zeros((self._batch, 0), np.float32)

    def blocks(self, num_samples: int, block_size: int | None = None) -> Iterator[np.ndarray]:
        """`take`, block by block, each of at most `block_size` samples and within one window."""
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
        return self.window_frames * self.model.hop_length

    def _window_of(self, sample: int) -> int:
        return sample // self._window_samples

    def _window(self, index: int) -> np.ndarray:
        """The samples of a window, made once unless frames that it lacked have come."""
        end = (index + 1) * self.window_frames + self.lookahead
        label = (index, self._frames.end if self._frames.end < end else None)
        if self._made is None or self._made[0] != label:
            first = index * self.window_frames - self.model.lookback
            frames, temperature = self._frames.window(first, end - first)
            words = split_index(first * noise_pairs(self.model.noise_size))
            given = jax.device_put((frames, temperature, self._speaker, self._keys, words))
            self._made = (label, np.asarray(_synthesize(self.model, self._params, *given)))
        return self._made[1]


def stream_windows(
    model: ParallelModel,
    params: Params,
    *,
    local_conditioning: Float[AnyArray, "batch frames channels"] | Iterable[AnyArray],
    num_samples: int | None = None,
    block_size: int | None = None,
    temperature: float | AnyArray = 1.0,
    progress: Progress | None = None,
    **options: Any,
) -> Iterator[np.ndarray]:
    """Yield the waveform in blocks [B, block_size] (the last may be shorter), `stream` for a `ParallelModel`.

    Takes what `generate_windows` takes; `local_conditioning` may also be an iterator of frames [B, f, C] as they
    arrive, and a block is then yielded as soon as its window and look-ahead have come. Blocks of any size (default:
    a window's samples) add up to `generate_windows` of the same `window_frames`, bit for bit.
    """
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size must be at least 1 sample, got {block_size}")
    given: Any = local_conditioning
    pieces: Iterator[AnyArray] | None = None
    if not hasattr(given, "shape"):
        pieces = iter(given)
        given = next(pieces, None)
        if given is None:
            raise ConditioningError("local_conditioning is an iterator that yielded no frames")
    streamer = _open(model, params, given, temperature, options)
    size = streamer.window_frames * model.hop_length if block_size is None else block_size
    start = streamer.position

    def emit(amount: int, whole: bool) -> Iterator[np.ndarray]:
        while amount >= size or (whole and amount > 0):
            count = min(size, amount)
            yield streamer.take(count)
            amount -= count
            if progress is not None:
                progress(streamer.position - start, streamer.position - start + amount)

    def left(amount: int) -> int:
        return amount if num_samples is None else min(amount, start + num_samples - streamer.position)

    while pieces is not None:
        yield from emit(left(streamer.available), whole=False)  # before the next frames are waited for
        if left(1) <= 0:
            return
        piece = next(pieces, None)
        if piece is None:
            break
        streamer.add_frames(piece)
    yield from emit(streamer.remaining if num_samples is None else left(num_samples), whole=True)


def generate_windows(
    model: ParallelModel,
    params: Params,
    *,
    local_conditioning: Float[AnyArray, "batch frames channels"],
    num_samples: int | None = None,
    lengths: Int[AnyArray, "batch"] | None = None,
    temperature: float | AnyArray = 1.0,
    return_state: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Any:
    """Waveforms [B, T] float32, numpy: `generate` for a `ParallelModel`.

    Args:
        model, params: the model and its parameters.
        local_conditioning: frames [B, F, C] from sample 0 on; beyond both ends the edge frame is repeated.
        num_samples: samples to make; default frames x hop_length, less what was made before `state`.
        lengths: samples of each stream of a ragged batch: later ones are zero, and frames after a stream's end repeat
            its last frame, so a stream sounds as it would alone.
        temperature: a number, [B], or [B, F] frame by frame.
        return_state: return (waveform, state).
        progress: called with (samples made, samples in all) after each window.
        options: of `ParallelStreamer`: `window_frames`, `seed`, `stream_ids`, `global_conditioning`, `state`.

    Raises:
        ConditioningError: conditioning of a wrong shape or length, not finite, or an unknown speaker.
    """
    if lengths is not None:
        lengths = np.asarray(lengths)
        if lengths.shape != np.shape(local_conditioning)[:1] or lengths.min() < 0:
            raise ConditioningError(
                f"lengths must be {np.shape(local_conditioning)[0]} non-negative numbers of samples, got {lengths}"
            )
        local_conditioning = _repeat_last(np.asarray(local_conditioning, np.float32), lengths, model.hop_length)
    streamer = _open(model, params, local_conditioning, temperature, options)
    start, total = streamer.position, streamer.remaining if num_samples is None else num_samples
    pieces = [np.zeros((np.shape(local_conditioning)[0], 0), np.float32)]
    for piece in streamer.blocks(total):
        pieces.append(piece)
        if progress is not None:
            progress(streamer.position - start, total)
    waveform = np.concatenate(pieces, axis=1)
    if lengths is not None:
        waveform = np.where(np.arange(start, start + total)[None] < lengths[:, None], waveform, np.float32(0))
    return (waveform, streamer.state) if return_state else waveform


def _open(
    model: ParallelModel, params: Params, frames: AnyArray, temperature: float | AnyArray, options: dict[str, Any]
) -> ParallelStreamer:
    """A streamer that has these frames: of a whole recording, from frame 0 on."""
    frames = np.asarray(frames, np.float32)
    if frames.ndim != 3 or not frames.shape[1]:
        raise ConditioningError(f"local_conditioning must have shape [B, F >= 1, C], got {frames.shape}")
    per_frame = np.ndim(temperature) == 2
    streamer = ParallelStreamer(
        model, params, batch_size=frames.shape[0], temperature=1.0 if per_frame else temperature, **options
    )
    streamer.add_frames(frames, np.asarray(temperature) if per_frame else None)
    return streamer


def _repeat_last(frames: np.ndarray, lengths: np.ndarray, hop_length: int) -> np.ndarray:
    last = np.maximum(-(-lengths // hop_length), 1) - 1
    index = np.minimum(np.arange(frames.shape[1])[None], last[:, None])
    return np.take_along_axis(frames, index[:, :, None], axis=1)


def _checked_speaker(model: ParallelModel, speaker: AnyArray | None, batch: int) -> Array | None:
    if speaker is None:
        return None
    known = getattr(model, "num_speakers", 0)
    given = np.asarray(speaker)
    if not known:
        return jax.device_put(given.astype(np.float32))
    if given.shape != (batch,) or given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= known:
        raise ConditioningError(f"global_conditioning must be {batch} speaker ids from 0 to {known - 1}, got {given}")
    return jax.device_put(given.astype(np.int32))
