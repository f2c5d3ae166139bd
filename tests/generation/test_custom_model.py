"""The engine is not WaveNet's: a recurrent model, its conditioning network and its distribution, all defined here."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.tiny.models import cheap_jit
from wavejax.audio import SampleCoding
from wavejax.generation import Streamer, encode_conditioning, generate, init_state, pack, replay, stream
from wavejax.parallel import get_strategy
from wavejax.training import CallHook, OptimizerConfig, create_train_state, fit, make_train_step
from wavejax.types import Distribution, Steppable

HOP, CHANNELS, HIDDEN, FRAMES = 5, 2, 8, 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Laplace:
    """A Laplace density over samples, as the mass of 16-bit bins."""

    noise_size: int = 1
    output_size: int = 2  # mean, log of the scale

    def log_prob(self, output, value):
        mean, log_scale = output[..., 0], jnp.maximum(output[..., 1], jnp.float32(-8.0))
        density = -jnp.abs(value - mean) * jnp.exp(-log_scale) - log_scale - jnp.float32(np.log(2.0))
        return density + jnp.float32(np.log(2.0 / 65536))

    def sample(self, output, noise, temperature, probability_floor=0.0):
        del probability_floor  # a density has no least probable value
        centred = noise[..., 0] - jnp.float32(0.5)
        scale = jnp.exp(jnp.maximum(output[..., 1], jnp.float32(-8.0))) * temperature
        quantile = -jnp.sign(centred) * jnp.log1p(jnp.float32(-2.0) * jnp.abs(centred))
        return jnp.clip(output[..., 0] + scale * quantile, -1.0, 1.0)

    def mode(self, output):
        return output[..., 0]


class GruVoice(nn.Module):
    """A GRU over samples (a WaveRNN of one gate width), conditioned on a window of three frames."""

    distribution: Laplace = Laplace()
    coding: SampleCoding = SampleCoding(kind="continuous", num_classes=65536, pre_emphasis=0.5)
    receptive_field: int = 16
    """Samples of silence that warm the state up before a recording; a prompt is heard whole."""
    hop_length: int = HOP
    lookback: int = 1
    lookahead: int = 1
    local_channels: int = CHANNELS

    def setup(self):
        self.frames = nn.Dense(HIDDEN)
        self.cell = nn.GRUCell(HIDDEN)
        self.rnn = nn.RNN(self.cell)
        self.out = nn.Dense(2)

    def __call__(self, previous, frames):
        """Parallel form: previous samples [B, N] and frames [B, N / hop + 2, C] -> outputs [B, N, 2]."""
        count = frames.shape[1] - 2
        windows = jnp.concatenate([frames[:, i : i + count] for i in range(3)], axis=-1)
        condition = jnp.repeat(nn.tanh(self.frames(windows)), HOP, axis=1)
        return self.out(self.rnn(jnp.concatenate([previous[..., None], condition], axis=-1)))

    def encode_frame(self, window, global_conditioning):
        assert global_conditioning is None
        return {"condition": nn.tanh(self.frames(window.reshape(window.shape[0], -1)))}

    def init_cache(self, batch_size):
        return jnp.zeros((batch_size, HIDDEN), jnp.float32)

    def step(self, cache, value, condition):
        cache, hidden = self.cell(cache, jnp.concatenate([value[:, None], condition["condition"]], axis=-1))
        return cache, self.out(hidden)


MODEL = GruVoice()


def recordings(rows: int, num_frames: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose loudness follows the frames' first channel: waveform [B, T], frames [B, F, C]."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=(rows, num_frames, CHANNELS)).astype(np.float32)
    loudness = np.repeat(np.exp(frames[..., 0] - 3), HOP, axis=1)
    return (loudness * rng.laplace(size=loudness.shape)).clip(-0.9, 0.9).astype(np.float32), frames


def outputs_of(params, values, frames):
    """Parallel outputs of whole recordings, heard after encoded silence under the first frame as in generation."""
    before = MODEL.receptive_field - 1  # steps that predict the silence; whole frames
    previous = jnp.pad(values, ((0, 0), (before + 1, 0)))[:, :-1]
    frames = jnp.pad(frames, ((0, 0), (before // HOP + 1, 1), (0, 0)), mode="edge")
    return MODEL.apply({"params": params}, previous, frames)[:, before:]


def loss_fn(params, model_state, batch, keys):
    values = MODEL.coding.encode(batch["waveform"])
    log_prob = MODEL.distribution.log_prob(outputs_of(params, values, batch["frames"]), values)
    return -jnp.sum(log_prob) / jnp.float32(np.log(2.0)), jnp.float32(values.size), model_state, {}


@pytest.fixture(scope="module")
def trained() -> tuple[dict, list[float]]:
    """Parameters after some steps of the library's own training, and the loss of each step."""
    shapes = jax.eval_shape(
        lambda: MODEL.init(
            jax.random.key(0), jnp.zeros((1, HOP), jnp.float32), jnp.zeros((1, 3, CHANNELS), jnp.float32)
        )
    )["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.4, leaf.shape), leaf.dtype), shapes)
    optimizer = OptimizerConfig(learning_rate=0.02, clip_norm=1.0).build()
    strategy = get_strategy("spmd", jax.devices()[:2])
    step = strategy.compile(make_train_step(loss_fn, optimizer, ema_decay=0.9))
    state = strategy.place(create_train_state(params, optimizer, key=3))
    batches = ({"waveform": w, "frames": f} for w, f in (recordings(8, FRAMES, seed) for seed in range(100, 140)))
    losses: list[float] = []
    hook = CallHook(lambda step, state, metrics: losses.append(metrics["loss"]), every=1)
    result = fit(step, state, batches, [hook], num_steps=40)
    return strategy.fetch(result.state.ema_params), losses


def test_the_model_keeps_the_protocols():
    assert isinstance(MODEL, Steppable)
    assert isinstance(MODEL.distribution, Distribution)


def test_it_trains(trained):
    _, losses = trained
    assert len(losses) == 40
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 1.0


def test_step_equals_parallel(trained):
    params, _ = trained
    params = jax.tree.map(jnp.asarray, params)
    waveform, frames = recordings(2, FRAMES, 5)
    values = np.asarray(MODEL.coding.encode(jnp.asarray(waveform)))

    @cheap_jit
    def stepped(params, frames, values):
        decoder = pack(MODEL, params)
        entries = encode_conditioning(decoder, frames)
        state = init_state(decoder, entries, batch_size=2)
        return replay(decoder, state, entries, values)[1]

    at_once = cheap_jit(outputs_of)(params, values, frames)
    np.testing.assert_allclose(stepped(params, frames, values), at_once, rtol=1e-4, atol=1e-5)


def test_generate_stream_push_and_resume_agree_bit_for_bit(trained):
    params, _ = trained
    _, frames = recordings(2, FRAMES, 6)
    whole = generate(MODEL, params, seed=4, local_conditioning=frames)
    assert whole.shape == (2, FRAMES * HOP)
    assert np.isfinite(whole).all()
    assert len(np.unique(whole)) > 100
    again = np.concatenate(list(stream(MODEL, params, seed=4, local_conditioning=frames, block_size=7)), axis=1)
    np.testing.assert_array_equal(again, whole)
    first, state = generate(MODEL, params, seed=4, local_conditioning=frames, num_samples=41, return_state=True)
    rest = generate(MODEL, params, local_conditioning=frames, state=state)
    np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), whole)
    streamer = Streamer(MODEL, params, batch_size=2, seed=4)
    pieces = [streamer.push(frames[:, start : start + 3]) for start in range(0, FRAMES, 3)]
    assert pieces[0].shape[1] == 2 * HOP  # the third frame waits for its look-ahead
    np.testing.assert_array_equal(np.concatenate([*pieces, streamer.flush()], axis=1), whole)


def test_a_prompt_is_heard_whole_however_long(trained):
    params, _ = trained
    waveform, frames = recordings(2, 12, seed=8)
    decoder = pack(MODEL, params)
    conditioning = encode_conditioning(decoder, jnp.asarray(frames))
    prompt = waveform[:, : 3 * MODEL.receptive_field]
    start = init_state(decoder, conditioning, batch_size=2, seed=1)
    stepped, _ = replay(decoder, start, conditioning, MODEL.coding.encode(prompt))
    warmed = init_state(decoder, conditioning, batch_size=2, seed=1, prompt=prompt)
    for one, other in zip(jax.tree.leaves(warmed), jax.tree.leaves(stepped), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_what_it_has_learnt_is_heard(trained):
    """Loudness follows the frames: the one thing there was to learn."""
    params, _ = trained
    _, frames = recordings(2, 200, 7)
    waveform = generate(MODEL, params, seed=1, local_conditioning=frames)
    loudness = np.log(np.abs(waveform).reshape(2, 200, HOP).mean(axis=2) + 1e-4)
    # 400 frames: chance alone gives a standard deviation of 0.05.
    assert np.corrcoef(loudness.ravel(), frames[..., 0].ravel())[0, 1] > 0.3


def test_temperature_zero_is_the_distributions_mode(trained):
    params, _ = trained
    _, frames = recordings(2, FRAMES, 6)
    one, other = (generate(MODEL, params, seed=s, temperature=0.0, local_conditioning=frames) for s in (1, 2))
    np.testing.assert_array_equal(one, other)


class RampVoice(GruVoice):
    """The same, with conditioning that grows within a frame and with the output map's product by 3 made beforehand."""

    def at_sample(self, entry, row):
        return {"condition": entry["condition"] * (row.astype(jnp.float32) / HOP)}

    def fold(self):
        return {"kernel": self.out.variables["params"]["kernel"] * 3.0}

    def step(self, cache, value, condition):
        cache, hidden = self.cell(cache, jnp.concatenate([value[:, None], condition["condition"]], axis=-1))
        return cache, hidden @ self.variables["folded"]["kernel"]


def test_conditioning_within_a_frame_and_what_was_folded_reach_the_step(trained):
    params, _ = trained
    model = RampVoice()
    waveform, frames = recordings(2, 6, 9)
    decoder = pack(model, params)
    entries = encode_conditioning(decoder, jnp.asarray(frames))
    state = init_state(decoder, entries, batch_size=2)
    values = np.asarray(model.coding.encode(jnp.asarray(waveform)))
    _, outputs = replay(decoder, state, entries, values)

    cell, cache = nn.GRUCell(HIDDEN), state.cache
    padded = np.pad(frames, ((0, 0), (1, 1), (0, 0)), mode="edge")
    for n, value in enumerate([np.zeros(2, np.float32), *values.T[:-1]]):
        window = padded[:, n // HOP : n // HOP + 3].reshape(2, -1)
        condition = np.tanh(window @ params["frames"]["kernel"] + params["frames"]["bias"]) * (n % HOP / HOP)
        x = jnp.asarray(np.concatenate([value[:, None], condition], axis=-1), jnp.float32)
        cache, hidden = cell.apply({"params": params["cell"]}, cache, x)
        np.testing.assert_allclose(outputs[:, n], hidden @ (params["out"]["kernel"] * 3.0), atol=1e-5)


def test_a_model_without_a_step_is_refused():
    class Mute(nn.Module):
        distribution: Laplace = Laplace()
        coding: SampleCoding = SampleCoding()
        receptive_field: int = 1
        hop_length: int | None = None
        lookback: int = 0
        lookahead: int = 0

        def encode_frame(self, window, global_conditioning):
            return {}

    with pytest.raises(TypeError, match=r"Mute cannot be stepped: give it the methods of wavejax\.types\.Steppable"):
        pack(Mute(), {})
