"""Models that pass a state from window to window: any cutting of the frames makes the same samples, to the bit."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.generation import ParallelStreamer, StateError, generate, stream
from wavejax.types import ContinuedModel, ParallelModel

CHANNELS, HOP, BATCH, AHEAD = 3, 4, 2, 2


class Adding(nn.Module):
    """An oscillator whose phase is the sum of all frames up to two after its own, and a little noise."""

    hop_length: int = HOP
    lookback: int = 1
    lookahead: int = AHEAD
    noise_size: int = 3
    local_channels: int = CHANNELS

    def _made(self, total: Any, window: Any, noise: Any, temperature: Any) -> tuple:
        steps = jnp.mean(window, axis=-1) * self.param("speed", nn.initializers.constant(0.3), ())
        totals = total[:, None] + jnp.cumsum(steps, axis=1)
        angle = totals[..., None] + jnp.arange(HOP, dtype=jnp.float32)[None, None]
        waveform = 0.5 * jnp.sin(angle) + 0.1 * jnp.mean(noise, axis=-1, keepdims=True) * temperature[..., None]
        return totals[:, -1], waveform.reshape(window.shape[0], -1)

    @nn.compact
    def begin(self, window: Any, noise: Any, temperature: Any, speaker: Any) -> Any:
        return self._made(jnp.zeros((window.shape[0],)), window, noise, temperature)[0]

    @nn.compact
    def advance(self, state: Any, window: Any, noise: Any, temperature: Any, speaker: Any) -> tuple:
        return self._made(state, window, noise, temperature)

    @nn.compact
    def synthesize(self, window: Any, noise: Any, temperature: Any, speaker: Any) -> Any:
        first = self.lookback + self.lookahead
        return self._made(jnp.zeros((window.shape[0],)), window, noise, temperature)[1][:, first * HOP :]


MODEL = Adding()
PARAMS = {"speed": jnp.float32(0.3)}
FRAMES = np.random.default_rng(0).normal(size=(BATCH, 23, CHANNELS)).astype(np.float32)


@functools.cache
def whole(window_frames: int, count: int = 23) -> np.ndarray:
    return generate(MODEL, PARAMS, local_conditioning=FRAMES[:, :count], window_frames=window_frames, seed=3)


def streamer(window_frames: int, **options: Any) -> ParallelStreamer:
    return ParallelStreamer(MODEL, PARAMS, window_frames=window_frames, batch_size=BATCH, seed=3, **options)


def test_the_model_keeps_both_protocols() -> None:
    assert isinstance(MODEL, ParallelModel)
    assert isinstance(MODEL, ContinuedModel)


@pytest.mark.parametrize("window_frames", [1, 4, 32])
def test_windows_are_one_synthesis(window_frames: int) -> None:
    """Of the whole recording, its edge frames repeated: the phase goes on through all windows."""
    padded = np.pad(FRAMES, ((0, 0), (1, AHEAD), (0, 0)), mode="edge")
    steps = padded.mean(axis=-1) * np.float32(0.3)
    angle = np.cumsum(steps, axis=1)[:, 1 + AHEAD :, None] + np.arange(HOP)
    heard = whole(window_frames)
    assert heard.shape == (BATCH, 23 * HOP)
    # What is left of it is the noise, the same for a frame's samples.
    rest = heard.reshape(BATCH, 23, HOP) - 0.5 * np.sin(angle)
    np.testing.assert_allclose(rest, np.broadcast_to(rest[..., :1], rest.shape), atol=1e-5)
    assert 0 < rest.min() < rest.max() < 0.1
    np.testing.assert_allclose(heard, whole(4), atol=1e-5)


@pytest.mark.parametrize("window_frames", [1, 4, 32])
@pytest.mark.parametrize("cuts", [(23,), (1,) * 23, (5, 1, 9, 8), (2, 0, 21)])
def test_any_cutting_makes_the_same_samples(window_frames: int, cuts: tuple[int, ...]) -> None:
    live, pieces, position = streamer(window_frames), [], 0
    for count in cuts:
        pieces.append(live.push(FRAMES[:, position : position + count]))
        position += count
    pieces.append(live.flush())
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole(window_frames))
    blocks = stream(MODEL, PARAMS, local_conditioning=FRAMES, block_size=7, window_frames=window_frames, seed=3)
    np.testing.assert_array_equal(np.concatenate(list(blocks), axis=1), whole(window_frames))


@pytest.mark.parametrize("window_frames", [1, 4])
@pytest.mark.parametrize("stop", [1, HOP, 37, 16 * HOP, 92])
def test_a_state_continues_where_it_was_taken(window_frames: int, stop: int) -> None:
    first, state = generate(
        MODEL,
        PARAMS,
        local_conditioning=FRAMES,
        num_samples=stop,
        window_frames=window_frames,
        seed=3,
        return_state=True,
    )
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(state))
    rest = generate(MODEL, PARAMS, local_conditioning=FRAMES, window_frames=window_frames, state=state)
    np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), whole(window_frames))


@pytest.mark.parametrize("early", [1, HOP, 3 * HOP, 7 * HOP])
def test_samples_taken_too_early_do_not_spoil_what_follows(early: int) -> None:
    """They are made as if no frame followed; the next window is made as if they had not been asked for."""
    live = streamer(2)
    live.add_frames(FRAMES[:, :7])
    taken = live.take(early)
    np.testing.assert_array_equal(taken, whole(2, 7)[:, :early])
    live.add_frames(FRAMES[:, 7:])
    rest = live.flush()
    window = 2 * HOP
    skipped = -(-early // window) * window - early
    np.testing.assert_array_equal(rest[:, skipped:], whole(2)[:, early + skipped :])


def test_a_long_stream_keeps_few_states_and_frames() -> None:
    live = streamer(1)
    for _ in range(40):
        live.push(np.tile(FRAMES, (1, 2, 1)))
    assert live._frames.values is not None
    assert live._frames.values.shape[1] < 400


def test_a_state_without_the_models_own_is_refused() -> None:
    live = streamer(4)
    assert live.state.carry is None
    live.push(FRAMES)
    state = live.state
    assert state.carry is not None
    with pytest.raises(StateError, match="Adding passes a state from window to window, and the state to continue"):
        streamer(4, state=state.replace(carry=None))


@pytest.mark.parametrize(
    "changes",
    [
        {"carry": jnp.zeros((BATCH + 1,))},
        {"carry": jnp.zeros((BATCH,), jnp.int32)},
        {"carry": jnp.full((BATCH,), jnp.nan)},
        {"carry": {"total": jnp.zeros((BATCH,))}},
        {"window": 0},
        {"window": 2**31},
    ],
)
def test_a_state_that_the_model_cannot_have_handed_on_is_refused(changes: dict) -> None:
    live = streamer(4)
    live.push(FRAMES)
    with pytest.raises(StateError, match="not what Adding hands on with window_frames=4: continue with the model"):
        streamer(4, state=live.state.replace(**changes))
