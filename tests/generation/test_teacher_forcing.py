"""Teacher forcing of whole recordings; that it agrees with the step form is checked in test_contracts.py."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.tiny.models import cheap_jit, inputs, make
from wavejax.audio import SampleCoding
from wavejax.distributions import Categorical
from wavejax.generation import teacher_forced
from wavejax.nn.parameters import initial_params

NAMES = ["speech-16k+speakers", "r9y9-mol", "unconditional-mu-law-scalar"]


forced = cheap_jit(teacher_forced, static_argnames=("model", "start"))


def recording(name: str, length: int) -> tuple[Any, Any, np.ndarray, dict[str, np.ndarray]]:
    model, params = make(name)
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, (2, length)).astype(np.float32)
    frames = 0 if model.hop_length is None else -(-length // model.hop_length)
    return model, params, np.asarray(model.coding.encode(waveform)), inputs(model, 2, frames)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fields", [0.5, 1.0, 2.2])
def test_a_later_start_gives_the_rest_of_the_outputs(name: str, fields: float) -> None:
    field = make(name)[0].receptive_field
    model, params, values, conditioning = recording(name, 3 * field + 1)
    whole, start = forced(model, params, values, **conditioning), int(fields * field)
    assert whole.shape == (*values.shape, model.distribution.output_size)
    rest = forced(model, params, values, **conditioning, start=start)
    np.testing.assert_allclose(rest, whole[:, start:], rtol=1e-5, atol=1e-5)
    # From one receptive field on, nothing is heard but the values themselves.
    changed = values.copy()
    changed[:, : max(start - field, 0)] = model.coding.silence
    np.testing.assert_array_equal(forced(model, params, changed, **conditioning, start=start), rest)


@pytest.mark.parametrize("name", NAMES)
def test_an_output_hears_what_came_before_and_nothing_else(name: str) -> None:
    model, params, values, conditioning = recording(name, 20)
    changed = values.copy()
    changed[:, 10:] = model.coding.silence
    outputs, others = (forced(model, params, each, **conditioning) for each in (values, changed))
    np.testing.assert_array_equal(outputs[:, :11], others[:, :11])
    assert np.abs(outputs[:, 11:] - others[:, 11:]).max() > 1e-3


def test_the_edge_frames_are_repeated() -> None:
    model, params, values, conditioning = recording("speech-16k+speakers", 40)
    frames, speaker = conditioning["local_conditioning"], conditioning["global_conditioning"]
    longer = np.pad(frames, ((0, 0), (0, 9), (0, 0)), mode="edge")
    outputs = forced(model, params, values, frames, speaker)
    np.testing.assert_array_equal(forced(model, params, values, longer, speaker), outputs)


def test_a_wrong_start_and_wrong_conditioning_are_refused() -> None:
    model, params, values, conditioning = recording("speech-16k+speakers", 20)
    for start in (-1, 20):
        with pytest.raises(ValueError, match=f"start must be the number of one of the 20 values, got {start}"):
            teacher_forced(model, params, values, **conditioning, start=start)
    with pytest.raises(ValueError, match=r"needs conditioning frames \[B, F, 3\], got none"):
        teacher_forced(model, params, values, global_conditioning=conditioning["global_conditioning"])
    model, params, values, _ = recording("unconditional-mu-law-scalar", 20)
    with pytest.raises(ValueError, match="has no local conditioning, but frames were given"):
        teacher_forced(model, params, values, np.zeros((2, 5, 3), np.float32))


class OneBack(nn.Module):
    """Logits of the next value from the last one, its frame and the speaker: no WaveNet."""

    coding: SampleCoding = SampleCoding(num_classes=8)
    distribution: Categorical = Categorical(num_classes=8)
    receptive_field: int = 1
    hop_length: int = 4
    lookback: int = 1
    lookahead: int = 0
    local_channels: int = 8
    num_speakers: int = 0
    global_channels: int = 8

    @nn.compact
    def __call__(self, values, frames, speaker, *, first=0, scored=None):
        count = values.shape[1]
        scored = count if scored is None else scored
        rows = jnp.repeat(frames[:, self.lookback :], self.hop_length, axis=1)[:, first : first + count]
        x = nn.Embed(8, 8)(values) + rows + speaker[:, None]
        return x[:, count - scored :]

    def encode_frame(self, window, global_conditioning):
        return window + global_conditioning[:, None]


@pytest.mark.parametrize("start", [0, 3, 9])
def test_any_model_of_that_signature_is_served(start: int) -> None:
    model = OneBack()
    params = initial_params(model, jax.random.key(0))
    (table,) = jax.tree.leaves(params)
    rng = np.random.default_rng(0)
    values, frames = rng.integers(0, 8, (2, 10)).astype(np.int32), rng.normal(size=(2, 3, 8)).astype(np.float32)
    speaker = rng.normal(size=(2, 8)).astype(np.float32)
    before = np.concatenate([np.full((2, 1), model.coding.silence), values[:, :-1]], axis=1)
    expected = np.asarray(table)[before] + frames[:, np.arange(10) // 4] + speaker[:, None]
    outputs = teacher_forced(model, params, values, frames, speaker, start=start)
    np.testing.assert_allclose(outputs, expected[:, start:], rtol=1e-6)
    other = dataclasses.replace(model, receptive_field=6)  # more silence is heard, which this model forgets at once
    np.testing.assert_allclose(teacher_forced(other, params, values, frames, speaker, start=start), outputs, rtol=1e-6)
