"""The chorale model: step against parallel form, an obvious reference, the engine's contracts, given voices."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.generation.naive import naive_generate
from tests.models import golden
from tests.tiny.chorale import CONFIGS, codes, make
from tests.tiny.models import cheap_jit, parallel_outputs
from wavejax.generation import Streamer, encode_conditioning, generate, init_state, pack, replay, stream
from wavejax.models.chorale import FREE, PRESETS, Chorale, ChoraleConfig, frames_of
from wavejax.nn.scores import HOLD, REST, ScoreCoding
from wavejax.types import Steppable

BATCH = 2


def frames_for(config: ChoraleConfig, steps: int, *, given: bool, seed: int = 5) -> np.ndarray:
    """Frames [B, steps, C]; with `given`, the first example's first voice and some codes of the second's last."""
    mask = np.zeros((BATCH, steps, config.num_voices), bool)
    mask[0, :, 0], mask[1, ::2, -1] = given, given
    rows = []
    for row in range(BATCH):
        classes = np.asarray(config.coding.encode(codes(config, steps, seed + row)))
        chosen = np.where(mask[row], classes + 1, FREE)
        rows.append(frames_of(config, steps, given=chosen, first=3 * row, total=steps + 1, key=row or None))
    return np.stack(rows)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_have_one_to_two_million_parameters(name):
    parameters = sum(math.prod(leaf["shape"]) for leaf in golden.tree(name).values())
    assert 1e6 < parameters < 2e6
    assert PRESETS[name].num_voices == PRESETS[name].hop_length == 4


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_it_keeps_the_engines_protocol(name):
    model = CONFIGS[name].build()
    assert isinstance(model, Steppable)
    assert model == Chorale(CONFIGS[name])


def test_codes_are_classes_and_back():
    coding = ScoreCoding(lowest=55, highest=66)
    given = np.asarray([REST, HOLD, 55, 66])
    np.testing.assert_array_equal(coding.encode(given), [0, 1, 2, 13])
    np.testing.assert_array_equal(coding.decode_values(coding.encode(given)), given)
    np.testing.assert_array_equal(coding.decode_values(jnp.arange(coding.num_classes)), [0, -1, *range(55, 67)])
    assert coding.num_classes == 14


# Both forms from any place on, by the model's own methods.


def step_form(model: Chorale, params: dict, values: jax.Array, frames: jax.Array, first: int) -> jax.Array:
    """Outputs of `step`, called code by code from the state before any."""
    variables, hop, window = {"params": params}, model.hop_length, 1 + model.lookahead
    entries = [
        model.apply(variables, frames[:, i : i + window], None, method="encode_frame")
        for i in range(frames.shape[1] - window + 1)
    ]
    entries = jax.tree.map(lambda *leaves: jnp.stack(leaves), *entries)

    def body(cache, inputs):
        value, place = inputs
        entry = jax.tree.map(lambda leaf: leaf[place // hop], entries)
        condition = model.apply(variables, entry, place % hop, method="at_sample")
        return model.apply(variables, cache, value, condition, method="step")

    cache = model.apply(variables, values.shape[0], method="init_cache")
    places = first + jnp.arange(values.shape[1], dtype=jnp.int32)
    return jnp.moveaxis(lax.scan(body, cache, (values.T, places))[1], 0, 1)


@functools.cache
def example(name: str, length: int, first: int, *, given: bool = True) -> tuple:
    """Values [B, N] and frames for predictions from `first` on."""
    config = CONFIGS[name]
    steps = -(-(first + length) // config.num_voices)
    rows = [codes(config, steps + 1, row).reshape(-1)[:length] for row in range(BATCH)]
    frames = frames_for(config, steps + config.lookahead, given=given)
    return jnp.asarray(config.coding.encode(np.stack(rows))), jnp.asarray(frames)


@pytest.mark.parametrize("name", ["chorales", "three-voices"])
@pytest.mark.parametrize(("length", "first"), [(1, 0), (1, 3), (5, 0), (7, 2), (13, 5)])
def test_step_equals_parallel_at_odd_lengths_and_places(name, length, first):
    model, params = make(name)
    values, frames = example(name, length, first)

    @cheap_jit
    def both(params):
        at_once = model.apply({"params": params}, values, frames, first=first)
        return step_form(model, params, values, frames, first), at_once

    stepped, at_once = both(params)
    assert at_once.shape == (BATCH, length, model.distribution.output_size)
    np.testing.assert_allclose(stepped, at_once, rtol=1e-4, atol=2e-5)


def test_gradients_through_step_equal_those_through_parallel():
    model, params = make("chorales")
    values, frames = example("chorales", 11, 1, given=False)
    mix = np.random.default_rng(3).normal(size=(BATCH, 11, model.distribution.output_size)).astype(np.float32)
    mix[..., 1] = 0  # the logit of an impossible hold is a constant of a billion

    def parallel(params):
        return model.apply({"params": params}, values, frames, first=1)

    def stepped(params):
        return step_form(model, params, values, frames, 1)

    by_step, at_once = (
        cheap_jit(jax.grad(lambda p, form=form: jnp.mean(form(p) * mix)))(params) for form in (stepped, parallel)
    )
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(at_once))
    assert largest > 1e-3
    for (path, leaf), other in zip(jax.tree_util.tree_leaves_with_path(at_once), jax.tree.leaves(by_step), strict=True):
        np.testing.assert_allclose(other, leaf, rtol=1e-3, atol=1e-4 * largest, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize("first", [0, 3])
def test_scored_outputs_are_the_last_ones(first):
    model, params = make("chorales")
    values, frames = example("chorales", 9, first)
    whole, *others = cheap_jit(
        lambda params: [
            model.apply({"params": params}, values, frames, first=first, scored=scored) for scored in (9, 1, 4, 8)
        ]
    )(params)
    for scored, some in zip((1, 4, 8), others, strict=True):
        np.testing.assert_allclose(some, whole[:, 9 - scored :], atol=1e-5)


def test_an_output_sees_every_earlier_value_and_no_later_one():
    model, params = make("chorales")
    values, frames = example("chorales", 13, 0, given=False)
    apply = cheap_jit(lambda values: model.apply({"params": params}, values, frames))
    before = apply(values)
    for n in range(13):
        other = jnp.where(values[:, n] == 5, 6, 5)  # another pitch, struck
        moved = np.asarray(apply(values.at[:, n].set(other)) != before).any(axis=(0, 2))
        np.testing.assert_array_equal(moved, np.arange(13) >= n)


def test_a_code_sees_the_declared_frames_and_no_more():
    model, params = make("chorales")
    frames = frames_for(model.config, 1 + model.lookahead, given=False)

    def entry(frames):
        return model.apply({"params": params}, jnp.asarray(frames), None, method="encode_frame")["condition"]

    for step in range(1 + model.lookahead):
        other = frames.copy()
        other[:, step, 1] = 4
        assert not np.array_equal(entry(other), entry(frames)), f"step {step} ahead is not seen"
    with pytest.raises(ValueError, match=r"1 samples from 0 on need 4 frames \(of which lookback 0 and lookahead 3\)"):
        entry(frames[:, 1:])


# The obvious reference: one piece, loops, float64.


def obvious(p: dict, config: ChoraleConfig, piece: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Logits [T, V, classes] of classes [T, V], nothing given, by the equations at the head of the model's file."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), p)
    voices, size = config.num_voices, config.hidden_channels

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def relu(x):
        return np.maximum(x, 0)

    def embedded(sounding, struck):
        chroma = [np.zeros(len(p["chroma_embedding"][0])), *p["chroma_embedding"][np.arange(config.lowest, 128) % 12]]
        return [
            p["pitch_embedding"][n] + chroma[n] + p["struck_embedding"][s]
            for n, s in zip(sounding, struck, strict=True)
        ]

    hidden, sounding, struck, out = np.zeros(size), [0] * voices, [0] * voices, []
    for t, row in enumerate(piece):
        window = [p["given_embedding"][int(n)] for n in frames[t : t + 1 + config.lookahead, :voices].reshape(-1)]
        kernel = p["window_kernel"].reshape(-1, config.condition_channels)
        beat, left, key = frames[t, voices:].astype(int)
        told = p["beat_embedding"][beat] + p["left_embedding"][left] + p["key_embedding"][key]
        condition = relu(np.concatenate(window) @ kernel + told + p["condition_bias"])
        q, x = p["recurrent"], np.concatenate([*embedded(sounding, struck), condition])
        given, recurrent = x @ q["input_kernel"] + q["input_bias"], hidden @ q["recurrent_kernel"] + q["recurrent_bias"]
        r, z = sigmoid((given + recurrent)[:size]), sigmoid((given + recurrent)[size : 2 * size])
        hidden = (1 - z) * np.tanh(given[2 * size :] + r * recurrent[2 * size :]) + z * hidden
        logits, before, left = [], embedded(sounding, struck), list(sounding)
        for v in range(voices):
            x = np.concatenate([hidden, *before, *embedded(sounding, struck), condition])
            x = relu(x @ p["head_kernel"][v] + p["head_bias"][v])
            x = relu(x @ p["middle_kernel"][v] + p["middle_bias"][v])
            y = x @ p["output_kernel"][v] + p["output_bias"][v]
            for u in range(voices):
                for pitch in range(len(y) - 2):
                    if sounding[u]:
                        y[2 + pitch] += p["interval_bias"][v, u, pitch - (sounding[u] - 1) + len(y) - 3]
                    alike = (sounding[u] - left[u]) * (pitch + 1 - left[v]) > 0
                    if config.voice_leading and alike and left[u] and left[v] and sounding[u]:
                        intervals = (left[u] - left[v]) % 12, (sounding[u] - pitch - 1) % 12
                        y[2 + pitch] += p["motion_bias"][v, u][intervals]
            if not (config.holds and sounding[v]):
                y[1] = -1e9
            logits.append(y)
            struck[v] = int(row[v] >= 2)
            sounding[v] = sounding[v] if row[v] == 1 else max(row[v] - 1, 0)
        out.append(logits)
    return np.asarray(out)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_it_is_what_its_equations_say(name):
    model, params = make(name)
    config = model.config
    frames = frames_for(config, 9, given=False)
    pieces = np.stack([np.asarray(config.coding.encode(codes(config, 9, row))) for row in range(BATCH)])
    conditioning = {"local_conditioning": jnp.asarray(frames)}
    found = cheap_jit(lambda values: parallel_outputs(model, params, values, conditioning))(pieces.reshape(BATCH, -1))
    padded = np.pad(frames, ((0, 0), (0, config.lookahead), (0, 0)), mode="edge")
    for row in range(BATCH):
        expected = obvious(params, config, pieces[row], padded[row])
        np.testing.assert_allclose(found[row], expected.reshape(found[row].shape), rtol=1e-4, atol=1e-4)


# The engine's contracts.


@functools.cache
def recording(name: str, *, given: bool) -> tuple[np.ndarray, dict]:
    config = CONFIGS[name]
    values = np.stack([np.asarray(config.coding.encode(codes(config, 11, row))).reshape(-1) for row in range(BATCH)])
    return values, {"local_conditioning": frames_for(config, 11, given=given)}


@functools.cache
def whole_pieces(name: str, *, given: bool):
    model, conditioning = make(name)[0], recording(name, given=given)[1]
    return cheap_jit(lambda params, values: parallel_outputs(model, params, values, conditioning))


@pytest.mark.parametrize("given", [False, True])
def test_the_engines_steps_equal_the_parallel_form(given):
    model, params = make("chorales")
    values, conditioning = recording("chorales", given=given)

    @cheap_jit
    def stepped(params, values):
        decoder = pack(model, params)
        entries = encode_conditioning(decoder, conditioning["local_conditioning"])
        return replay(decoder, init_state(decoder, entries, batch_size=BATCH), entries, values)[1]

    at_once = whole_pieces("chorales", given=given)(params, values)
    np.testing.assert_allclose(stepped(params, values), at_once, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("given", [False, True])
def test_generate_equals_the_naive_reference(given):
    model, params = make("chorales")
    _, conditioning = recording("chorales", given=given)
    outputs_of = functools.partial(whole_pieces("chorales", given=given), params)
    values = naive_generate(model, outputs_of, 44, 7, BATCH)
    drawn = generate(model, params, seed=7, backend="scan", **conditioning)
    np.testing.assert_array_equal(drawn, model.coding.decode_values(jnp.asarray(values)))
    assert len(np.unique(values)) > 5


def test_generate_stream_push_and_resume_agree_bit_for_bit():
    model, params = make("chorales")
    local = frames_for(model.config, 29, given=True)
    whole = generate(model, params, seed=3, local_conditioning=local)
    assert whole.shape == (BATCH, 29 * 4)
    for size in (4, 37, 64):
        blocks = list(stream(model, params, block_size=size, seed=3, local_conditioning=local))
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)
    first, state = generate(model, params, num_samples=41, return_state=True, seed=3, local_conditioning=local)
    second = generate(model, params, state=state, local_conditioning=local)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)
    streamer = Streamer(model, params, batch_size=BATCH, seed=3)
    pieces = [streamer.push(local[:, start : start + 5]) for start in range(0, 29, 5)]
    np.testing.assert_array_equal(np.concatenate([*pieces, streamer.flush()], axis=1), whole)


def test_given_voices_are_kept_and_cost_nothing():
    model, params = make("chorales")
    frames = frames_for(model.config, 29, given=True)
    drawn = generate(model, params, seed=11, local_conditioning=frames, temperature=2.0).reshape(BATCH, 29, 4)
    given = frames[..., :4].astype(int)
    expected = np.asarray(model.coding.decode_values(jnp.asarray(given - 1)))
    assert (given != FREE).sum() > 40
    np.testing.assert_array_equal(drawn[given != FREE], expected[given != FREE])
    values = model.coding.encode(drawn.reshape(BATCH, -1))
    conditioning = {"local_conditioning": frames}
    logits = cheap_jit(lambda values: parallel_outputs(model, params, values, conditioning))(values)
    nats = -np.asarray(model.distribution.log_prob(logits, values)).reshape(given.shape)
    assert np.all(nats[given != FREE] == 0)
    assert np.mean(nats[given == FREE]) > 0.5


def test_nothing_is_held_where_nothing_sounds():
    model, params = make("chorales")
    params = {**params, "output_bias": params["output_bias"].at[:, :2].set(3.0)}  # many rests, many holds
    drawn = generate(model, params, seed=2, local_conditioning=frames_for(model.config, 64, given=False))
    rows = drawn.reshape(BATCH, 64, 4)
    before = np.pad(rows, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    assert (rows == HOLD).sum() > 20
    assert (rows == REST).sum() > 20
    assert not ((rows == HOLD) & (before == REST)).any()
    quarters, weights = make("chorales-quarters")
    drawn = generate(quarters, weights, seed=2, local_conditioning=frames_for(quarters.config, 64, given=False))
    assert (drawn != HOLD).all()


def test_dropout_belongs_to_training_and_to_the_example():
    model, params = make("chorales")
    values, frames = example("chorales", 12, 0, given=False)
    keys = jax.random.split(jax.random.key(0), BATCH)
    apply = cheap_jit(lambda values, frames, keys: model.apply({"params": params}, values, frames, keys=keys))
    noisy, quiet = apply(values, frames, keys), apply(values, frames, None)
    assert float(jnp.abs(noisy - quiet)[..., 2:].max()) > 0.01
    np.testing.assert_allclose(apply(values[1:], frames[1:], keys[1:]), noisy[1:], atol=1e-5)


def test_frames_say_where_a_step_is():
    config = CONFIGS["chorales"]
    frames = frames_of(config, 6, first=-2, total=4, key=23)
    np.testing.assert_array_equal(frames[:, 4], [14, 15, 0, 1, 2, 3])
    np.testing.assert_array_equal(frames[:, 5], [5, 5, 4, 3, 2, 1])
    np.testing.assert_array_equal(frames[:, 6], [24] * 6)
    assert not frames[:, :4].any()
    assert not frames_of(config, 2)[:, 5:].any()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"pitches go from lowest to highest within 1 \.\. 127, got 70 and 60"):
        ChoraleConfig(lowest=70, highest=60)
    with pytest.raises(ValueError, match="voices must be one or more different names"):
        ChoraleConfig(voices=("alto", "alto"))
    with pytest.raises(ValueError, match="hidden_channels must be at least 1, got 0"):
        ChoraleConfig(hidden_channels=0)
    with pytest.raises(ValueError, match=r"dropout in \[0, 1\), got 16 and 1"):
        ChoraleConfig(dropout=1.0)
    model, params = make("chorales")
    values, frames = example("chorales", 4, 0)
    with pytest.raises(ValueError, match="a chorale has no speaker"):
        model.apply({"params": params}, values, frames, jnp.zeros(BATCH, jnp.int32))
