"""A model that makes several samples a step: two sub-bands, and a coding that remembers between steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.generation.test_custom_model import Laplace
from wavejax.generation import (
    Streamer,
    encode_conditioning,
    generate,
    init_state,
    pack,
    replay,
    stream,
    stream_keys,
    uniforms,
)

BANDS, HOP, CHANNELS, FRAMES = 2, 6, 3, 9


@dataclasses.dataclass(frozen=True, kw_only=True)
class HaarCoding:
    """Sum and difference of two neighbours; the synthesis is one sample late, so that it needs a memory."""

    silence: float = 0.0

    def encode(self, waveform):
        late = jnp.pad(waveform, ((0, 0), (0, 1)))[:, 1:]  # what synthesis delays, analysis reads ahead
        pairs = late.reshape(*waveform.shape[:-1], -1, BANDS)
        return jnp.stack([pairs[..., 0] + pairs[..., 1], pairs[..., 0] - pairs[..., 1]], axis=-1) / jnp.float32(2)

    def decode_values(self, values):
        return values

    def initial_memory(self, batch_size):
        return jnp.zeros((batch_size,), jnp.float32)

    def de_emphasize(self, signal, memory):
        first, second = signal[:, 0] + signal[:, 1], signal[:, 0] - signal[:, 1]
        return jnp.stack([memory, first], axis=-1), second


class BandVoice(nn.Module):
    """A recurrent network that makes one value of each band a step."""

    distribution: Laplace = Laplace()
    coding: HaarCoding = HaarCoding()
    samples_per_step: int = BANDS
    receptive_field: int = 8
    hop_length: int | None = HOP
    lookback: int = 0
    lookahead: int = 1
    local_channels: int = CHANNELS

    def setup(self):
        self.frames = nn.Dense(7)
        self.cell = nn.GRUCell(7)
        self.out = nn.Dense(2 * BANDS)

    def encode_frame(self, window, global_conditioning):
        del global_conditioning
        return {"condition": nn.tanh(self.frames(window.reshape(window.shape[0], -1)))}

    def init_cache(self, batch_size):
        return jnp.zeros((batch_size, 7), jnp.float32)

    def step(self, cache, value, condition):
        cache, hidden = self.cell(cache, jnp.concatenate([value, condition["condition"]], axis=-1))
        return cache, self.out(hidden).reshape(-1, BANDS, 2)


MODEL = BandVoice()


def all_at_once(model, frames, values):
    return model.step(model.init_cache(1), values, model.encode_frame(frames, None))


@pytest.fixture(scope="module")
def params():
    shapes = jax.eval_shape(
        lambda: MODEL.init(
            jax.random.key(0), jnp.zeros((1, 2, CHANNELS)), jnp.zeros((1, BANDS), jnp.float32), method=all_at_once
        )
    )["params"]
    rng = np.random.default_rng(2)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.5, leaf.shape), leaf.dtype), shapes)


FRAMES_GIVEN = np.random.default_rng(1).normal(size=(2, FRAMES, CHANNELS)).astype(np.float32)


def naive(params, frames, seed):
    """Step after step in Python, with the noise of the samples' own positions."""
    batch = frames.shape[0]
    noise = np.asarray(
        uniforms(stream_keys(seed, jnp.arange(batch)), jnp.zeros((2,), jnp.uint32), FRAMES * HOP, 1)
    )  # [T, B, 1]
    padded = np.pad(frames, ((0, 0), (1, 1), (0, 0)), mode="edge")
    cache, value, memory, heard = MODEL.init_cache(batch), jnp.zeros((batch, BANDS)), jnp.zeros((batch,)), []

    def step(cache, value, frame):
        condition = MODEL.apply({"params": params}, padded[:, frame + 1 : frame + 3], None, method="encode_frame")
        return MODEL.apply({"params": params}, cache, value, condition, method="step")

    for _ in range(MODEL.receptive_field // BANDS - 1):  # silence, under the frame before the first
        cache, _ = step(cache, value, -1)
    for position in range(0, FRAMES * HOP, BANDS):
        cache, output = step(cache, value, position // HOP)
        value = MODEL.distribution.sample(output, np.moveaxis(noise[position : position + BANDS], 0, 1), 1.0)
        samples, memory = MODEL.coding.de_emphasize(value, memory)
        heard.append(samples)
    return np.concatenate(heard, axis=1)


def test_it_equals_its_naive_reference_and_any_chunking_of_itself(params):
    whole = generate(MODEL, params, local_conditioning=FRAMES_GIVEN, seed=3)
    np.testing.assert_allclose(whole, naive(params, FRAMES_GIVEN, 3), atol=1e-5)
    for size in (1, 5, 7):
        blocks = list(stream(MODEL, params, local_conditioning=FRAMES_GIVEN, seed=3, block_size=size))
        assert {block.shape[1] for block in blocks[:-1]} == {size}
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    streamer = Streamer(MODEL, params, batch_size=2, seed=3)
    pieces = [streamer.push(FRAMES_GIVEN[:, i : i + 2]) for i in range(0, FRAMES, 2)]
    np.testing.assert_array_equal(np.concatenate([*pieces, streamer.flush()], axis=1), whole)


def test_it_goes_on_from_a_state_between_steps_only(params):
    whole = generate(MODEL, params, local_conditioning=FRAMES_GIVEN, seed=3)
    options = {"local_conditioning": FRAMES_GIVEN, "return_state": True}
    first, state = generate(MODEL, params, num_samples=20, seed=3, **options)
    rest, _ = generate(MODEL, params, state=state, **options)
    np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), whole)
    with pytest.raises(ValueError, match=r"sample 21 lies within a step of the model, which makes 2"):
        generate(MODEL, params, num_samples=21, seed=3, **options)


def test_a_prompt_is_replayed_step_by_step(params):
    prompt = np.random.default_rng(5).normal(0, 0.3, (2, 12)).astype(np.float32)
    decoder = pack(MODEL, params)
    conditioning = encode_conditioning(decoder, jnp.asarray(FRAMES_GIVEN))
    values = MODEL.coding.encode(jnp.asarray(prompt))
    stepped, outputs = replay(decoder, init_state(decoder, conditioning, batch_size=2), conditioning, values)
    assert outputs.shape == (2, 6, BANDS, 2)
    warmed = init_state(decoder, conditioning, batch_size=2, prompt=prompt)
    for one, other in zip(jax.tree.leaves(warmed), jax.tree.leaves(stepped), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match="a prompt must be a multiple of that, got 11 samples: leave out the first 1"):
        init_state(decoder, conditioning, batch_size=2, prompt=prompt[:, 1:])


def test_steps_that_do_not_divide_a_hop_are_refused(params):
    with pytest.raises(ValueError, match="2 samples a step do not divide a hop of 5 samples"):
        Streamer(BandVoice(hop_length=5), params)
