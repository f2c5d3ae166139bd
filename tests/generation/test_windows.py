"""Parallel models in fixed windows: the same samples however the frames are cut, and those of one whole application."""

import functools
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.generation import ConditioningError, GenerationState, StateError, generate, stream, stream_keys, uniforms
from wavejax.generation.noise import split_index
from wavejax.generation.windows import (
    ParallelStreamer,
    WindowState,
    frame_noise,
    noise_pairs,
)
from wavejax.types import AutoregressiveModel, ContinuedModel, ParallelModel

CHANNELS, HOP, BATCH = 3, 5, 2


class Convolutional(nn.Module):
    """Two convolutions over frames that see 2 frames before and 2 after their own, and noise of each sample.

    They pad with zeros at the window's edges, so what is declared must cover what they see.
    """

    lookback: int = 2
    lookahead: int = 2
    noise_size: int = 0
    num_speakers: int = 0
    hop_length: int = HOP
    local_channels: int = CHANNELS

    @nn.compact
    def synthesize(self, window: Any, noise: Any, temperature: Any, speaker: Any) -> jax.Array:
        x = nn.tanh(nn.Conv(8, (3,), padding="SAME", name="first")(window))
        if self.num_speakers:
            x = x + nn.Embed(self.num_speakers, 8, name="speaker")(speaker)[:, None]
        if noise is not None:
            heard = (noise * 2 - 1) * temperature[:, :, None]
            x = x + nn.Dense(8, name="noise")(heard)
        x = nn.Conv(self.hop_length, (3,), padding="SAME", name="second")(x)
        x = x[:, self.lookback : x.shape[1] - self.lookahead]
        return jnp.tanh(x.reshape(x.shape[0], -1))


class Carrying(nn.Module):
    """A causal convolution over frames, 2 frames late, and a phase that advances by what each frame says: no end."""

    noise_size: int = HOP
    lookback: int = 4
    lookahead: int = 2
    hop_length: int = HOP
    local_channels: int = CHANNELS

    def setup(self) -> None:
        self.first, self.second = nn.Dense(8), nn.Dense(self.hop_length)

    def begin(self, window: Any, noise: Any, temperature: Any, speaker: Any) -> Any:
        return {"frames": window[:, -6:], "phase": jnp.zeros((window.shape[0],))}

    def advance(self, state: Any, window: Any, noise: Any, temperature: Any, speaker: Any) -> Any:
        x = jnp.concatenate([state["frames"], window], axis=1)
        taps = jnp.concatenate([x[:, i : x.shape[1] - 6 + i] for i in range(7)], axis=-1)
        made = self.second(jnp.tanh(self.first(taps))) + 0.1 * (noise - 0.5) * temperature[..., None]
        phase = state["phase"][:, None] + jnp.cumsum(window[..., 0], axis=1)
        waveform = jnp.tanh(made + jnp.sin(phase)[..., None]).reshape(x.shape[0], -1)
        return {"frames": x[:, -6:], "phase": phase[:, -1]}, waveform

    def synthesize(self, window: Any, noise: Any, temperature: Any, speaker: Any) -> jax.Array:
        known = self.lookback + self.lookahead
        state = self.begin(window[:, :known], None, temperature[:, :known], speaker)
        return self.advance(state, window[:, known:], noise[:, known:], temperature[:, known:], speaker)[1]


PLAIN = Convolutional()
NOISY = Convolutional(noise_size=HOP)
MODELS = {"plain": PLAIN, "noisy": NOISY, "carrying": Carrying()}


@functools.cache
def params_of(model: Any) -> dict:
    frames = model.lookback + model.lookahead + 1
    noise = jnp.zeros((1, frames, model.noise_size)) if model.noise_size else None
    speaker = jnp.zeros((1,), jnp.int32) if getattr(model, "num_speakers", 0) else None
    arguments = (jnp.zeros((1, frames, CHANNELS)), noise, jnp.ones((1, frames)), speaker)
    return model.init(jax.random.key(0), *arguments, method="synthesize")["params"]


def frames_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(BATCH, count, CHANNELS)).astype(np.float32)


def whole(model: Any, frames: np.ndarray, seed: int = 7) -> np.ndarray:
    """One application to the whole recording, its edge frames repeated."""
    declared = (model.lookback, model.lookahead)
    padded = np.pad(frames, ((0, 0), declared, (0, 0)), mode="edge")
    count, noise = padded.shape[1], None
    if model.noise_size:
        keys = stream_keys(seed, jnp.arange(len(frames), dtype=jnp.int32))
        first = jnp.asarray(split_index(-declared[0] * noise_pairs(model.noise_size)))
        noise = frame_noise(keys, first, count, model.noise_size)
    ones = jnp.ones(padded.shape[:2])
    variables = {"params": params_of(model)}
    return np.asarray(model.apply(variables, jnp.asarray(padded), noise, ones, None, method="synthesize"))


def test_the_model_keeps_the_protocol() -> None:
    assert isinstance(PLAIN, ParallelModel)
    assert not isinstance(PLAIN, ContinuedModel)
    assert isinstance(MODELS["carrying"], ContinuedModel)
    assert not isinstance(PLAIN, AutoregressiveModel)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("window_frames", [1, 4, 32])
@pytest.mark.parametrize("count", [1, 4, 23])
def test_windows_are_one_whole_application(name: str, window_frames: int, count: int) -> None:
    model, frames = MODELS[name], frames_of(count)
    got = generate(model, params_of(model), local_conditioning=frames, window_frames=window_frames, seed=7)
    want = whole(model, frames)
    assert got.shape == (BATCH, count * HOP)
    assert got.dtype == np.float32
    assert want.std() > 0.1
    # Another length is another program, which adds up a convolution's products in another order.
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)


@pytest.mark.parametrize("declared", [(2, 1), (1, 2)])
def test_a_model_that_declares_too_little_context_is_found_out(declared: tuple[int, int]) -> None:
    """The control of the test above."""
    small = Convolutional(lookback=declared[0], lookahead=declared[1])
    frames = frames_of(23)
    want = whole(PLAIN, frames)
    got = generate(small, params_of(PLAIN), local_conditioning=frames, window_frames=4)
    different = np.abs(got - want).max(axis=0).reshape(-1, HOP).max(axis=1) > 1e-3
    inner = np.arange(23) % 4 == (3 if declared[1] == 1 else 0)  # the frames at a window's edge
    inner &= (np.arange(23) > 0) & (np.arange(23) < 22)
    assert different[inner].all()
    assert not different[~inner][1:-1].any()


def test_the_noise_decides_and_the_temperature_scales_it() -> None:
    params, frames = params_of(NOISY), frames_of(9)
    make = functools.partial(generate, NOISY, params, local_conditioning=frames, window_frames=4)
    one, other = make(seed=1), make(seed=2)
    assert np.abs(one - other).max() > 0.1
    np.testing.assert_array_equal(make(seed=1, temperature=0.0), make(seed=2, temperature=0.0))
    np.testing.assert_array_equal(make(seed=1, temperature=np.ones((BATCH, 9), np.float32)), one)
    late = np.ones((BATCH, 9), np.float32)
    late[:, 6:] = 0.5
    mixed = make(seed=1, temperature=late)
    np.testing.assert_array_equal(mixed[:, : 4 * HOP], one[:, : 4 * HOP])  # frame 4 sees frame 6
    assert np.abs(mixed[:, 6 * HOP :] - one[:, 6 * HOP :]).max() > 0.01


def test_noise_is_a_pure_function_of_the_frame() -> None:
    keys = stream_keys(3, jnp.arange(BATCH, dtype=jnp.int32))
    for size in (1, 2, 5):
        pairs = noise_pairs(size)
        all_ = frame_noise(keys, jnp.asarray(split_index(-3 * pairs)), 20, size)
        assert all_.shape == (BATCH, 20, size)
        assert len(np.unique(all_)) == all_.size
        part = frame_noise(keys, jnp.asarray(split_index(4 * pairs)), 6, size)
        np.testing.assert_array_equal(part, all_[:, 7:13])
    drawn = uniforms(keys, jnp.asarray(split_index(0)), 4, 2)
    np.testing.assert_array_equal(frame_noise(keys, jnp.asarray(split_index(0)), 4, 2), jnp.moveaxis(drawn, 1, 0))


# ---------------------------------------------------------------------------------------- any cutting, bit for bit


def cuts(total: int, seed: int) -> Iterator[slice]:
    draw, begin = np.random.default_rng(seed), 0
    while begin < total:
        end = min(begin + int(draw.integers(0, 6)), total)
        yield slice(begin, end)
        begin = end


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("window_frames", [1, 4])
def test_any_cutting_of_frames_and_samples_is_bit_identical(name: str, window_frames: int) -> None:
    model, frames = MODELS[name], frames_of(23)
    params, options = params_of(model), {"window_frames": window_frames, "seed": 7}
    want = generate(model, params, local_conditioning=frames, **options)
    for seed in range(3):
        streamer = ParallelStreamer(model, params, batch_size=BATCH, **options)
        pieces = [streamer.push(frames[:, cut]) for cut in cuts(23, seed)]
        assert streamer.position == (23 - 2) // window_frames * window_frames * HOP
        np.testing.assert_array_equal(np.concatenate([*pieces, streamer.flush()], axis=1), want)
    for block_size in (1, 7, 20, 1000):
        blocks = list(stream(model, params, local_conditioning=frames, block_size=block_size, **options))
        assert {block.shape[1] for block in blocks[:-1]} <= {block_size}
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), want)
        live = (frames[:, cut] for cut in cuts(23, block_size))
        blocks = list(stream(model, params, local_conditioning=live, block_size=block_size, **options))
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), want)
    short = list(stream(model, params, local_conditioning=iter([frames]), num_samples=31, **options))
    np.testing.assert_array_equal(np.concatenate(short, axis=1), want[:, :31])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("position", [0, 13, 40, 64])
def test_it_continues_from_a_state(name: str, position: int) -> None:
    model, frames = MODELS[name], frames_of(23)
    params, options = params_of(model), {"window_frames": 4, "seed": 7, "stream_ids": np.asarray([5, 3])}
    want = generate(model, params, local_conditioning=frames, **options)
    begun, state = generate(
        model, params, local_conditioning=frames, num_samples=position, return_state=True, **options
    )
    np.testing.assert_array_equal(begun, want[:, :position])
    assert isinstance(state, WindowState)
    rest = generate(model, params, local_conditioning=frames, window_frames=4, state=state)
    np.testing.assert_array_equal(rest, want[:, position:])

    streamer = ParallelStreamer(model, params, batch_size=BATCH, **options)
    streamer.add_frames(frames)
    streamer.take(position)
    first = streamer.first_needed_frame
    carried = max(position - 1, 0) // (4 * HOP) * 4  # the window of the last sample made
    assert first == (carried if name == "carrying" else max(position // (4 * HOP) * 4 - 2, 0))
    again = ParallelStreamer(model, params, batch_size=BATCH, window_frames=4, state=streamer.state, first_frame=first)
    np.testing.assert_array_equal(
        np.concatenate([again.push(frames[:, first:]), again.flush()], axis=1), want[:, position:]
    )


@pytest.mark.parametrize("name", ["plain", "carrying"])
def test_samples_taken_early_are_those_of_a_recording_that_ends_there(name: str) -> None:
    """And what follows sees the frames that have come since, from the next sample on."""
    model, params, frames = MODELS[name], params_of(MODELS[name]), frames_of(12)
    streamer = ParallelStreamer(model, params, batch_size=BATCH, window_frames=4)
    streamer.add_frames(frames[:, :6])
    assert (streamer.available, streamer.remaining) == (4 * HOP, 6 * HOP)
    early = streamer.take(27)
    np.testing.assert_array_equal(
        early, generate(model, params, local_conditioning=frames[:, :6], window_frames=4)[:, :27]
    )
    later = np.concatenate([streamer.push(frames[:, 6:]), streamer.flush()], axis=1)
    want = generate(model, params, local_conditioning=frames, window_frames=4)
    np.testing.assert_array_equal(later, want[:, 27:])
    assert np.abs(early[:, 25:] - want[:, 25:27]).max() > 1e-3  # else the above would show nothing


def test_a_live_stream_waits_for_no_frame_that_it_does_not_need() -> None:
    frames, seen = frames_of(12), []
    for window_frames in (1, 2, 4):
        streamer = ParallelStreamer(PLAIN, params_of(PLAIN), batch_size=BATCH, window_frames=window_frames)
        seen.append([streamer.push(frames[:, i : i + 1]).shape[1] // HOP for i in range(12)])
    assert seen == [
        [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2],
        [0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0],
    ]
    asked = []

    def arriving() -> Iterator[np.ndarray]:
        for i in range(12):
            asked.append(i)
            yield frames[:, i : i + 1]

    blocks = stream(PLAIN, params_of(PLAIN), local_conditioning=arriving(), window_frames=2)
    next(blocks)
    assert asked == [0, 1, 2, 3]


def test_an_endless_stream_keeps_a_bounded_buffer() -> None:
    streamer = ParallelStreamer(PLAIN, params_of(PLAIN), batch_size=BATCH, window_frames=16)
    frames = frames_of(2000)
    pieces = [streamer.push(frames[:, i : i + 100]) for i in range(0, 2000, 100)]
    assert streamer._frames.values.shape[1] < 500
    want = generate(PLAIN, params_of(PLAIN), local_conditioning=frames, window_frames=16)
    np.testing.assert_array_equal(np.concatenate([*pieces, streamer.flush()], axis=1), want)


def test_rows_do_not_hear_each_other() -> None:
    params, frames = params_of(NOISY), frames_of(9)
    make = functools.partial(generate, NOISY, params, window_frames=4)
    both = make(local_conditioning=frames)
    changed = frames.copy()
    changed[1] += 1
    np.testing.assert_array_equal(make(local_conditioning=changed)[0], both[0])
    alone = make(local_conditioning=frames[1:], stream_ids=np.asarray([1]))  # another batch size: another program
    np.testing.assert_allclose(alone[0], both[1], rtol=0, atol=2e-6)


def test_a_ragged_batch_is_each_stream_alone() -> None:
    params, frames = params_of(NOISY), frames_of(9)
    lengths = np.asarray([17, 45])
    got = generate(NOISY, params, local_conditioning=frames, lengths=lengths, window_frames=4)
    assert not got[0, 17:].any()
    short = generate(NOISY, params, local_conditioning=frames[:, :4], window_frames=4)
    np.testing.assert_array_equal(got[0, :17], short[0, :17])
    full = generate(NOISY, params, local_conditioning=frames, window_frames=4)
    np.testing.assert_array_equal(got[1], full[1])
    assert np.abs(got[0, 10:17] - full[0, 10:17]).max() > 1e-3  # the frames after its end would have been heard


def test_one_compilation_serves_every_length(compilations: list[str]) -> None:
    model, params = NOISY, params_of(NOISY)
    recordings = {count: frames_of(count) for count in (23, 1, 8, 40)}
    generate(model, params, local_conditioning=recordings[23], window_frames=6)
    compilations.clear()
    for count, frames in recordings.items():
        generate(model, params, local_conditioning=frames, window_frames=6, seed=count, temperature=0.3)
        streamer = ParallelStreamer(model, params, batch_size=BATCH, window_frames=6)
        for i in range(count):
            streamer.push(frames[:, i : i + 1])
        streamer.flush()
    assert compilations == []


def test_progress_and_no_samples() -> None:
    seen: list[tuple[int, int]] = []
    make = functools.partial(generate, PLAIN, params_of(PLAIN), local_conditioning=frames_of(9))
    make(window_frames=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(20, 45), (40, 45), (45, 45)]
    assert make(num_samples=0).shape == (BATCH, 0)
    assert ParallelStreamer(PLAIN, params_of(PLAIN), batch_size=BATCH).flush().shape == (BATCH, 0)


def test_speakers() -> None:
    model, frames = Convolutional(num_speakers=3), frames_of(5)
    params = params_of(model)
    make = functools.partial(generate, model, params, local_conditioning=frames)
    one, other = make(global_conditioning=np.asarray([0, 1])), make(global_conditioning=np.asarray([2, 1]))
    np.testing.assert_array_equal(one[1], other[1])
    assert np.abs(one[0] - other[0]).max() > 0.01
    with pytest.raises(ConditioningError, match="global_conditioning must be 2 speaker ids from 0 to 2"):
        make(global_conditioning=np.asarray([0, 3]))


class Longer(Convolutional):
    def synthesize(self, window: Any, noise: Any, temperature: Any, speaker: Any) -> jax.Array:
        return jnp.zeros((window.shape[0], window.shape[1] * self.hop_length))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window_frames": 0}, ValueError, "window_frames=0 must be 1 frame or more"),
        ({"local_conditioning": np.zeros((2, 0, 3))}, ConditioningError, r"shape \[B, F >= 1, C\], got \(2, 0, 3\)"),
        ({"local_conditioning": np.zeros((2, 4, 5))}, ConditioningError, r"channels 3\), got \(2, 4, 5\)"),
        ({"local_conditioning": np.full((2, 4, 3), np.nan)}, ConditioningError, "conditioning frame 0 holds a value"),
        (
            {"num_samples": 46},
            ConditioningError,
            "46 samples from 0 on need 10 conditioning frames of 5 samples, got 9",
        ),
        (
            {"lengths": np.asarray([3, -1])},
            ConditioningError,
            "lengths must be 2 non-negative numbers of samples, got",
        ),
        ({"temperature": -1.0}, ValueError, "temperature must be a non-negative number"),
        ({"temperature": np.ones((2, 4))}, ConditioningError, r"temperature per frame must be .*shape \(2, 9\), got"),
        (
            {"batch_size": 3},
            ConditioningError,
            "disagree on the batch size: {'batch_size': 3, 'local_conditioning': 2}",
        ),
        (
            {"state": WindowState(position=split_index(0), keys=np.zeros((3, 2), np.uint32))},
            ConditioningError,
            "disagree on the batch size: {'local_conditioning': 2, 'state': 3}",
        ),
        ({"prompt": np.zeros((2, 7), np.float32)}, ValueError, "prompt is for models that work sample by sample"),
        ({"probability_floor": 0.1}, ValueError, "Convolutional makes all samples of a window .* leave probability_"),
        ({"dtype": "bfloat16"}, ValueError, "dtype is for models that work sample by sample"),
        ({"backend": "cpu"}, ValueError, "backend is for models that work sample by sample"),
        ({"folds": 2}, ValueError, "folds are for models that work sample by sample; Convolutional needs none"),
    ],
)
def test_what_is_asked_wrongly_is_explained(options: dict, error: type[Exception], message: str) -> None:
    given = {"local_conditioning": frames_of(9), "window_frames": 4, **options}
    with pytest.raises(error, match=message):
        generate(PLAIN, params_of(PLAIN), **given)


def test_more_of_what_is_asked_wrongly() -> None:
    params = params_of(PLAIN)
    state = WindowState(position=split_index(40), keys=np.zeros((2, 2), np.uint32))
    later = ParallelStreamer(PLAIN, params, batch_size=2, window_frames=4, state=state, first_frame=7)
    with pytest.raises(ConditioningError, match=r"needs .* frames from 6 on, .* but the first one given is 7"):
        later.push(frames_of(9))
    with pytest.raises(StateError, match="the state is that of 2 streams, not of batch_size=3"):
        ParallelStreamer(PLAIN, params, batch_size=3, state=state)
    nothing = np.zeros(2, np.float32)
    other = GenerationState(state.position, state.keys, np.zeros((2, 2), np.uint32), nothing, nothing, {})
    with pytest.raises(StateError, match="state must be a WindowState, got GenerationState: Convolutional continues"):
        generate(PLAIN, params, local_conditioning=frames_of(9), state=other)
    with pytest.raises(ConditioningError, match=r"stream_ids must be 2 integers, got an array of shape \(1,\)"):
        ParallelStreamer(PLAIN, params, batch_size=2, stream_ids=np.asarray([1]))
    with pytest.raises(ValueError, match="block_size must be at least 1 sample, got 0"):
        next(stream(PLAIN, params, local_conditioning=frames_of(9), block_size=0))
    with pytest.raises(ConditioningError, match="an iterator that yielded no frames"):
        next(stream(PLAIN, params, local_conditioning=iter([])))
    with pytest.raises(ValueError, match=r"Longer.synthesize returned shape \(2, 40\) .*8 frames, expected \(2, 20\)"):
        generate(Longer(), {}, local_conditioning=frames_of(9), window_frames=4)
