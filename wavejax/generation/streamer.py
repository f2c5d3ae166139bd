"""`Streamer` generates sound while its conditioning arrives; all other drivers build on it."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from wavejax.generation.backends import LARGEST_BLOCK, BackendName, open_backend
from wavejax.generation.decoders import Decoder
from wavejax.generation.engine import encode_conditioning, encode_window, history_frames, init_state, samples_per_step
from wavejax.generation.noise import split_index
from wavejax.generation.sampling import Sampling, check_frame_temperature, check_temperature
from wavejax.generation.state import Conditioning, GenerationState
from wavejax.generation.states import entering, fingerprint
from wavejax.generation.stream_inputs import ConditioningError, StreamInputs
from wavejax.types import AnyArray, AutoregressiveModel, Params, PyTree


@jax.jit
def _encode_static(decoder: Decoder, global_conditioning: Array | None, temperature: Array) -> Conditioning:
    return encode_conditioning(decoder, None, global_conditioning, temperature=temperature)


@partial(jax.jit, static_argnames="num_entries")
def _encode(decoder: Decoder, frames: Array, speaker: Array | None, num_entries: int, count: Array) -> PyTree:
    return encode_window(decoder, frames, speaker, num_entries, count)


@jax.jit
def _init(
    decoder: Decoder, conditioning: Conditioning, seed: Array, stream_ids: Array, origin: Array, prompt: Array | None
) -> GenerationState:
    batch = stream_ids.shape[0]
    return init_state(
        decoder, conditioning, batch_size=batch, seed=seed, stream_ids=stream_ids, origin=origin, prompt=prompt
    )


class Streamer:
    """Generates sound while its conditioning arrives.

    `push` takes any number of frames and returns the samples that can now be made: those whose `lookahead` frames have
    all arrived. `flush` ends the recording (the last frame is repeated) and returns the rest. However the frames are
    cut, the samples equal those of `generate` bit for bit.

    Args:
        model, params: the model and its parameters.
        batch_size: number of streams that run together.
        seed, stream_ids: select each stream's noise; the ids default to 0 .. B-1.
        global_conditioning: speaker ids [B] or vectors [B, C].
        prompt: waveform [B, P] to continue; its frames come first.
        temperature: a number or [B]; `push` can set it frame by frame.
        probability_floor: values less probable than this are never drawn.
        dtype: type of weights: "float32", "bfloat16", and with the cpu backend "int8"; default see `open_backend`.
        backend: "scan", "cpu", or "auto" for the faster supported one, see `generation.backends.open_backend`.
        state: continue from this state (from `generate(..., return_state=True)` or `.state`).
        first_frame: index of the first frame that will be pushed, when continuing.
        origins: for each stream, the index of its sample 0 in the noise (folds of a recording share a stream's noise).
    """

    def __init__(
        self,
        model: AutoregressiveModel,
        params: Params,
        *,
        batch_size: int = 1,
        seed: SupportsIndex = 0,
        stream_ids: Int[AnyArray, "batch"] | None = None,
        global_conditioning: AnyArray | None = None,
        prompt: Float[AnyArray, "batch prompt"] | None = None,
        temperature: float | AnyArray = 1.0,
        probability_floor: float = 0.0,
        dtype: DTypeLike | None = None,
        backend: BackendName = "auto",
        state: GenerationState | None = None,
        first_frame: int = 0,
        origins: Sequence[int] | None = None,
    ) -> None:
        sampling = Sampling(
            seed=seed, temperature=temperature, probability_floor=probability_floor, dtype=dtype, backend=backend
        )
        given = StreamInputs(
            batch_size=batch_size,
            stream_ids=stream_ids,
            global_conditioning=global_conditioning,
            prompt=prompt,
            state=state,
            first_frame=first_frame,
            origins=origins,
        )
        self._open(model, params, sampling, given)

    @classmethod
    def open(cls, model: AutoregressiveModel, params: Params, sampling: Sampling, given: StreamInputs) -> "Streamer":
        """A `Streamer` from the arguments that the drivers have collected."""
        streamer = cls.__new__(cls)
        streamer._open(model, params, sampling, given)
        return streamer

    def _open(self, model: AutoregressiveModel, params: Params, sampling: Sampling, given: StreamInputs) -> None:
        if sampling.window_frames is not None:
            raise ValueError(
                f"window_frames is for parallel models, and {type(model).__name__} makes one sample after the other: "
                "leave it out"
            )
        self.model, self._sampling, self._batch = model, sampling, given.batch_size
        self._backend = open_backend(sampling.backend, model, params, dtype=sampling.dtype, batch_size=given.batch_size)
        self._decoder = self._backend.decoder
        # device_put throughout, because jnp.asarray compiles a program for each new shape.
        self._seed = jax.device_put(sampling.seed_words)
        self._ids = (
            jax.device_put(np.arange(self._batch, dtype=np.int32))
            if given.stream_ids is None
            else jnp.asarray(given.stream_ids, jnp.int32)
        )
        self._origin = jax.device_put(np.stack([split_index(origin) for origin in given.origins or (0,) * self._batch]))
        self._speaker, self._prompt = given.speaker(model), given.heard()
        self._temperature = check_temperature(sampling.temperature, self._batch)
        self._state, self._position, self._first_frame = given.state, given.position, given.first_frame
        self._params = params
        if self._state is not None:
            self._state = entering(self._state, self._decoder, self._fingerprint, self._batch)
        channels = getattr(model, "local_channels", 0)
        self._frames = np.zeros((self._batch, 0, channels), np.float32)
        self._temperatures = np.zeros((self._batch, 0), np.float32)
        self._pending = np.zeros((self._batch, 0), np.float32)
        self._static: Conditioning | None = None
        each = samples_per_step(model)
        if (model.hop_length or 0) % each:
            raise ValueError(
                f"{each} samples a step do not divide a hop of {model.hop_length} samples: choose samples_per_step so "
                "that they do"
            )
        if model.hop_length is None:
            self._static = _encode_static(self._decoder, self._speaker, jax.device_put(self._temperature))

    @classmethod
    def first_frame(cls, model: AutoregressiveModel, params: Params, sampling: Sampling, given: StreamInputs) -> int:
        """The first frame that is needed to continue from a state."""
        del params, sampling
        return max(given.position // (model.hop_length or 1) - model.lookback, 0)

    @property
    def block_size(self) -> int:
        """The best number of samples to take at a time."""
        return LARGEST_BLOCK

    @property
    def lookahead(self) -> int:
        """The number of frames that must have arrived after a frame before its samples are made."""
        return self.model.lookahead

    @property
    def position(self) -> int:
        """Index of the next sample, a prompt's samples included."""
        return self._position

    @property
    def state(self) -> GenerationState:
        """The state after the last sample returned, to continue from."""
        if self._pending.shape[1]:
            raise ValueError(
                f"sample {self._position} lies within a step of the model, which makes {samples_per_step(self.model)}: "
                "take a multiple of that many samples before asking for the state"
            )
        return dataclasses.replace(self._reached, fingerprint=self._fingerprint)

    @cached_property
    def _fingerprint(self) -> np.ndarray:
        return fingerprint(self.model, self._params)

    @property
    def available(self) -> int:
        """The number of samples that can be made from the frames that have arrived."""
        return max((self._received - self.lookahead) * self._hop - self._position, 0)

    @property
    def _hop(self) -> int:
        if self.model.hop_length is None:
            raise ConditioningError("this model has no local conditioning: ask for samples with `take(num_samples)`")
        return self.model.hop_length

    @property
    def _received(self) -> int:
        return self._first_frame + self._frames.shape[1]

    def push(self, frames: Float[AnyArray, "batch frames channels"], temperature: AnyArray | None = None) -> np.ndarray:
        """Add frames [B, f, C] (f >= 0), with temperatures [B, f] if they vary; returns samples [B, n], n >= 0."""
        self.add_frames(frames, temperature)
        return self.take(self.available)

    def add_frames(self, frames: Float[AnyArray, "batch frames channels"], temperature: AnyArray | None = None) -> None:
        """Like `push`, but makes no samples yet."""
        if self.model.hop_length is None:
            raise ConditioningError("this model has no local conditioning, but frames were given")
        frames = np.asarray(frames, np.float32)
        channels = getattr(self.model, "local_channels", frames.shape[-1])
        if frames.ndim != 3 or frames.shape[0] != self._batch or frames.shape[-1] != channels:
            raise ConditioningError(
                f"frames must have shape (batch {self._batch}, frames, channels {channels}), got {frames.shape}"
            )
        if not np.isfinite(frames).all():
            index = int(np.argwhere(~np.isfinite(frames))[0, 1]) + self._received
            raise ConditioningError(f"conditioning frame {index} holds a value that is not finite: check the features")
        if temperature is None:
            temperature = np.broadcast_to(self._temperature[:, None], frames.shape[:2])
        temperature = check_frame_temperature(temperature, frames.shape[:2])
        if self._frames.shape[-1] != channels:
            self._frames = np.zeros((self._batch, 0, channels), np.float32)
        self._frames = np.concatenate([self._frames, frames], axis=1)
        self._temperatures = np.concatenate([self._temperatures, temperature], axis=1)

    def flush(self) -> np.ndarray:
        """End of the recording: returns the samples that were waiting for look-ahead, [B, n]."""
        return self.take(self.remaining)

    @property
    def remaining(self) -> int:
        """The number of samples that can be made if no further frame arrives."""
        if self.model.hop_length is None:
            return 0
        return max(self._received * self.model.hop_length - self._position, 0)

    def take(self, num_samples: int) -> np.ndarray:
        """Make exactly `num_samples` samples [B, num_samples] from the conditioning that has arrived."""
        pieces = list(self.blocks(num_samples))
        return np.concatenate(pieces, axis=1) if pieces else np.zeros((self._batch, 0), np.float32)

    def blocks(self, num_samples: int, block_size: int = LARGEST_BLOCK) -> Iterator[np.ndarray]:
        """Like `take`, in blocks of `block_size` samples (whole steps of the model), at most `LARGEST_BLOCK`.

        While one block is made, JAX encodes the conditioning of the next: push no frames before the last block.
        """
        end = self._position + num_samples
        if self.model.hop_length is not None and num_samples > self.remaining:
            raise ConditioningError(
                f"{num_samples} samples from {self._position} on need {-(-end // self.model.hop_length)} conditioning "
                f"frames of {self.model.hop_length} samples, got {self._received}: give more frames or ask for less"
            )
        each = samples_per_step(self.model)
        if self._pending.shape[1] and num_samples:
            ready, self._pending = np.split(self._pending, [num_samples], axis=1)
            self._position += ready.shape[1]
            yield ready

        def following(position: int) -> tuple[int, Conditioning] | None:
            left = min(end - position, block_size, LARGEST_BLOCK // each * each)
            count = -(-left // each) * each
            return (count, self._conditioning(position, count)) if left > 0 else None

        step = following(self._position)
        while step is not None:
            (count, conditioning), state = step, self._reached
            step = following(self._position + count)
            self._state, samples = self._backend.block(state, conditioning, count, self._sampling.probability_floor)
            made = np.asarray(samples.waveform)[:, :count]
            made, self._pending = np.split(made, [end - self._position], axis=1)
            self._position += made.shape[1]
            self._forget()
            yield made

    @property
    def _reached(self) -> GenerationState:
        """The state after the last sample made, which may be up to one step beyond the last sample returned."""
        if self._state is None:
            self._state = self._initial_state()
        return self._state

    def _initial_state(self) -> GenerationState:
        if self._static is not None:
            return _init(self._decoder, self._static, self._seed, self._ids, self._origin, self._prompt)
        history, prompted = history_frames(self._decoder), (self._position - 1) // self._hop + 1
        conditioning = self._window(-history, history + prompted)
        return _init(self._decoder, conditioning, self._seed, self._ids, self._origin, self._prompt)

    def _conditioning(self, position: int, count: int) -> Conditioning:
        """Conditioning of `count` samples from a position on."""
        if self._static is not None:
            return self._static
        first = position // self._hop
        used = (position + count - 1) // self._hop - first + 1
        return self._window(first, used)

    def _window(self, first: int, used: int) -> Conditioning:
        """Encode frame intervals first .. first + used - 1. The same program, sized for the most intervals that a block
        may touch, is used every time."""
        model, decoder, hop = self.model, self._decoder, self._hop
        extra = decoder.back + decoder.forward
        size = (LARGEST_BLOCK - 1) // hop + 2 + extra
        pieces = []
        for begin in range(0, used + extra, size):
            index = np.arange(size - extra + model.lookback + model.lookahead) + first - model.lookback + begin
            index = np.clip(index, 0, self._received - 1) - self._first_frame
            if index[0] < 0:
                raise ConditioningError(
                    f"continuing at sample {self._position} needs conditioning frames from "
                    f"{max(first - model.lookback, 0)} on, but the first one given is {self._first_frame}"
                )
            frames, count = jax.device_put((self._frames[:, index], np.int32(min(used + extra - begin, size))))
            pieces.append(_encode(decoder, frames, self._speaker, size, count))
        entries = pieces[0]
        if len(pieces) > 1:  # with numpy, which compiles nothing
            entries = jax.device_put(jax.tree.map(lambda *parts: np.concatenate(parts), *pieces))
        rows = np.clip(np.arange(len(pieces) * size - extra) + first, 0, self._received - 1) - self._first_frame
        temperature, start = jax.device_put((self._temperatures[:, rows].T, split_index(first * hop)))
        return Conditioning(entries, temperature, start)

    def _forget(self) -> None:
        """Drop frames that no later sample needs, so that an endless stream keeps a bounded buffer."""
        if self.model.hop_length is None:
            return
        unused = self._position // self.model.hop_length - self.model.lookback - self._first_frame
        if unused > 256:
            self._frames, self._temperatures = self._frames[:, unused:].copy(), self._temperatures[:, unused:].copy()
            self._first_frame += unused
