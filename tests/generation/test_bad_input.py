"""Arguments that do not fit are refused in words, before anything is generated; ragged batches are masked."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import inputs, make
from wavejax.generation import ConditioningError, Streamer, generate, stream

# One small model of each kind for the whole file: what it compiles is shared.
VOICE, PARAMS = make("speech-16k")
SPEAKERS, SPEAKER_PARAMS = make("r9y9-mol+speakers")
FREE, FREE_PARAMS = make("ibab")
HOP, CHANNELS = VOICE.hop_length, VOICE.local_channels
FRAMES = inputs(VOICE, 2, 12)["local_conditioning"]


def refused(message, **options):
    """As users meet it: without the shape checks that only tests install."""
    with pytest.raises(ConditioningError, match=message):
        inspect.unwrap(generate)(VOICE, PARAMS, **{"local_conditioning": FRAMES, **options})


def test_frames_of_a_wrong_shape():
    refused(
        r"frames must have shape \(batch 2, frames, channels 3\), got \(2, 12, 4\)",
        local_conditioning=np.zeros((2, 12, 4), np.float32),
    )
    refused(r"must have shape \[B, F >= 1, C\], got \(2, 0, 3\)", local_conditioning=FRAMES[:, :0])
    with pytest.raises(ConditioningError, match=r"must have shape \[B, F >= 1, C\], got \(12, 3\)"):
        list(stream(VOICE, PARAMS, local_conditioning=FRAMES[0]))
    with pytest.raises(ConditioningError, match=r"needs local_conditioning: frames \[B, F, C\]"):
        generate(VOICE, PARAMS, num_samples=10)
    streamer = Streamer(VOICE, PARAMS, batch_size=1)
    with pytest.raises(
        ConditioningError, match=r"frames must have shape \(batch 1, frames, channels 3\), got \(2, 12, 3\)"
    ):
        streamer.push(FRAMES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_frames_that_are_not_finite(value):
    frames = FRAMES.copy()
    frames[1, 7, 2] = value
    refused("conditioning frame 7 holds a value that is not finite", local_conditioning=frames)


def test_frames_that_are_not_finite_are_counted_from_the_streams_start():
    streamer = Streamer(VOICE, PARAMS, batch_size=2)
    streamer.add_frames(FRAMES)
    frames = np.full((2, 3, CHANNELS), np.nan, np.float32)
    with pytest.raises(ConditioningError, match="conditioning frame 12 holds a value"):
        streamer.add_frames(frames)


def test_more_samples_than_frames():
    refused(
        rf"{12 * HOP + 1} samples from 0 on need 13 conditioning frames of {HOP} samples, got 12",
        num_samples=12 * HOP + 1,
    )


def test_a_prompt_longer_than_its_conditioning():
    prompt = np.zeros((2, 12 * HOP + 1), np.float32)
    refused(rf"{12 * HOP + 1} samples of prompt need 13 frames, got 12", prompt=prompt)


def test_a_prompt_that_is_not_finite():
    prompt = np.zeros((2, HOP), np.float32)
    prompt[1, 2] = np.nan
    refused("the prompt holds a value that is not finite at sample 2", prompt=prompt)


def test_arguments_that_disagree_on_the_batch():
    refused("disagree on the batch size: .*'local_conditioning': 2, .*'stream_ids': 3", stream_ids=np.arange(3))
    refused("disagree on the batch size: .*'batch_size': 1, .*'local_conditioning': 2", batch_size=1)
    refused("disagree on the batch size: .*'prompt': 1", prompt=np.zeros((1, 3), np.float32))


@pytest.mark.parametrize("speaker", [np.array([0, 3]), np.array([-1, 0]), np.array([0.0, 1.0]), np.array([[0], [1]])])
def test_unknown_speakers(speaker):
    frames = inputs(SPEAKERS, 2, 6)["local_conditioning"]
    with pytest.raises(ConditioningError, match="global_conditioning must be 2 speaker ids from 0 to 2, got"):
        generate(SPEAKERS, SPEAKER_PARAMS, local_conditioning=frames, global_conditioning=speaker)


def test_a_speaker_that_is_missing_or_not_wanted():
    frames = inputs(SPEAKERS, 2, 6)["local_conditioning"]
    with pytest.raises(ValueError, match="needs global_conditioning: speaker ids below 3"):
        generate(SPEAKERS, SPEAKER_PARAMS, local_conditioning=frames)
    with pytest.raises(ValueError, match="has no global conditioning"):
        generate(VOICE, PARAMS, local_conditioning=FRAMES, global_conditioning=np.array([0, 1]))


def test_temperatures():
    refused(
        r"must be finite and non-negative, of shape \(2, 12\)",
        temperature=np.ones((2, 11), np.float32),
    )
    refused(r"temperature per frame must be finite and non-negative", temperature=np.full((2, 12), -0.5, np.float32))
    for wrong in (-1.0, float("nan"), np.ones(3, np.float32)):
        with pytest.raises(ValueError, match=r"temperature must be a non-negative number or \[2\] of them, got"):
            generate(VOICE, PARAMS, local_conditioning=FRAMES, temperature=wrong)
    streamer = Streamer(VOICE, PARAMS, batch_size=2)
    with pytest.raises(ConditioningError, match=r"must be finite and non-negative, of shape \(2, 12\)"):
        streamer.push(FRAMES, np.ones((2, 5), np.float32))


def test_a_temperature_is_finite():
    for wrong in (float("inf"), 1e300, np.array([1.0, np.inf]), np.full((2, 12), np.inf)):
        with pytest.raises(ValueError, match="temperature must be finite: 1 draws as the model says, 0 takes the most"):
            generate(VOICE, PARAMS, local_conditioning=FRAMES, temperature=wrong)


def test_lengths():
    for wrong in (np.array([3]), np.array([3, -1])):
        refused("lengths must be 2 non-negative numbers of samples", lengths=wrong)


def test_an_iterator_without_frames():
    with pytest.raises(ConditioningError, match="an iterator that yielded no frames"):
        next(stream(VOICE, PARAMS, local_conditioning=iter(())))


def test_block_sizes_and_numbers_of_samples():
    with pytest.raises(ValueError, match="block_size must be at least 1 sample, got 0"):
        next(stream(VOICE, PARAMS, local_conditioning=FRAMES, block_size=0))
    with pytest.raises(ValueError, match="num_samples at least 0, got 1024 and -1"):
        generate(VOICE, PARAMS, local_conditioning=FRAMES, num_samples=-1)
    with pytest.raises(ValueError, match="block_size must be at least 1"):
        generate(VOICE, PARAMS, local_conditioning=FRAMES, block_size=0)


def test_a_prompt_beside_a_state():
    _, state = generate(VOICE, PARAMS, local_conditioning=FRAMES, num_samples=5, return_state=True)
    with pytest.raises(ValueError, match="either a prompt or a state to continue from, not both"):
        generate(VOICE, PARAMS, local_conditioning=FRAMES, state=state, prompt=np.zeros((2, 3), np.float32))


def test_continuing_without_the_frames_that_are_still_needed():
    _, state = generate(VOICE, PARAMS, local_conditioning=FRAMES, num_samples=9 * HOP, return_state=True)
    streamer = Streamer(VOICE, PARAMS, batch_size=2, state=state, first_frame=9)
    streamer.add_frames(FRAMES[:, 9:])
    message = f"continuing at sample {9 * HOP} needs conditioning frames from {9 - VOICE.lookback} on, but .* is 9"
    with pytest.raises(ConditioningError, match=message):
        streamer.flush()


def test_models_without_local_conditioning():
    with pytest.raises(ConditioningError, match="a model without local conditioning needs num_samples"):
        generate(FREE, FREE_PARAMS)
    with pytest.raises(ConditioningError, match="a model without local conditioning needs num_samples"):
        next(stream(FREE, FREE_PARAMS))
    with pytest.raises(ConditioningError, match="has no local conditioning, but local_conditioning was given"):
        generate(FREE, FREE_PARAMS, local_conditioning=FRAMES)
    streamer = Streamer(FREE, FREE_PARAMS)
    with pytest.raises(ConditioningError, match="has no local conditioning, but frames were given"):
        streamer.push(FRAMES[:1])
    with pytest.raises(ConditioningError, match=r"ask for samples with `take\(num_samples\)`"):
        _ = streamer.available


@pytest.mark.parametrize("driver", [generate, lambda *a, **k: next(stream(*a, **k))])
def test_transformations_are_sent_to_run_block(driver):
    with pytest.raises(TypeError, match=r"cannot be traced by jit, vmap or grad.*wavejax\.generation\.run_block"):
        jax.jit(lambda params: driver(VOICE, params, local_conditioning=FRAMES))(PARAMS)
    with pytest.raises(TypeError, match="run_block"):
        jax.vmap(lambda frames: driver(VOICE, PARAMS, local_conditioning=frames))(jnp.asarray(FRAMES)[:, None])


def test_lengths_mask_tails_and_a_ragged_batch_is_each_stream_alone():
    lengths = np.array([12 * HOP, 6 * HOP - 3])
    together = generate(VOICE, PARAMS, seed=5, local_conditioning=FRAMES, lengths=lengths)
    assert together.shape == (2, 12 * HOP)
    assert not together[1, lengths[1] :].any()
    assert together[1, lengths[1] - 8 : lengths[1]].any()
    for row, length in enumerate(lengths):
        frames = FRAMES[row : row + 1, : -(-length // HOP)]
        alone = generate(
            VOICE, PARAMS, seed=5, local_conditioning=frames, stream_ids=np.array([row]), num_samples=int(length)
        )
        np.testing.assert_allclose(together[row, :length], alone[0], atol=1e-6)


def test_frames_after_a_streams_end_do_not_reach_it():
    lengths = np.array([12 * HOP, 6 * HOP])
    other = FRAMES.copy()
    other[1, 6:] += 3.0
    waveforms = [generate(VOICE, PARAMS, seed=5, local_conditioning=f, lengths=lengths) for f in (FRAMES, other)]
    np.testing.assert_array_equal(*waveforms)


def test_progress_is_told_after_each_block_and_changes_nothing():
    heard = []
    plain = generate(VOICE, PARAMS, seed=5, local_conditioning=FRAMES)
    told = generate(
        VOICE, PARAMS, seed=5, local_conditioning=FRAMES, block_size=20, progress=lambda *n: heard.append(n)
    )
    np.testing.assert_array_equal(told, plain)
    total = 12 * HOP
    assert heard == [(min(done, total), total) for done in range(20, total + 20, 20)]


def test_no_samples_are_no_error():
    assert generate(VOICE, PARAMS, local_conditioning=FRAMES, num_samples=0).shape == (2, 0)
    assert Streamer(VOICE, PARAMS, batch_size=2).push(FRAMES[:, :0]).shape == (2, 0)
