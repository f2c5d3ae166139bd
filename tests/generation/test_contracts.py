"""Contracts 1 to 5 for every preset (shrunk) and distribution."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.generation.naive import naive_generate
from tests.tiny.models import CONFIGS, cheap_jit, inputs, make, parallel_outputs
from wavejax.generation import (
    Streamer,
    encode_conditioning,
    generate,
    init_state,
    pack,
    replay,
    run_block,
    stream,
    uniforms,
)
from wavejax.models.wavenet import WaveNet


def slow(name):
    return pytest.param(name, marks=pytest.mark.slow)


# Among the quick ones: every input, upsampler, distribution, skip scaling and kind of conditioning, alone and together.
QUICK = (
    "ibab",
    "nsynth",
    "nv-wavenet",
    "nv-wavenet-20",
    "r9y9-gaussian",
    "r9y9-mol+speakers",
    "r9y9-mol-2018",
    "speech-16k",
)
NAMES = [name if name in QUICK else slow(name) for name in sorted(CONFIGS)]
FRAMES = {4: 29, 8: 15, None: 0}
BATCH = 2
# Both kinds of skip scaling, every kind of input and upsampler, speakers, weight normalisation, a conditioned tail.
WITH_GRADIENTS = ("ibab+speakers", "nsynth", "nv-wavenet", "r9y9-mol+speakers", "r9y9-mol-2018", "speech-16k")
QUICK_GRADIENTS = ("r9y9-mol+speakers",)


def pack_and_encode(model, params, conditioning):
    decoder = pack(model, params)
    return decoder, encode_conditioning(
        decoder, conditioning.get("local_conditioning"), conditioning.get("global_conditioning")
    )


def encoded(model, params, conditioning):
    return cheap_jit(functools.partial(pack_and_encode, model))(params, conditioning)


@functools.cache
def recording(name):
    """Values [B, T] of noise and conditioning, several receptive fields and a bit long."""
    model, _ = make(name)
    length = 3 * model.receptive_field + 1
    frames = 0 if model.hop_length is None else -(-length // model.hop_length)
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, (BATCH, length)).astype(np.float32)
    return np.asarray(jax.jit(model.coding.encode)(waveform)), inputs(model, BATCH, frames)


def parallel_form(params, values, *, name):
    return parallel_outputs(make(name)[0], params, values, recording(name)[1])


def step_form(params, values, *, name):
    model, conditioning = make(name)[0], recording(name)[1]
    decoder, entries = pack_and_encode(model, params, conditioning)
    return replay(decoder, init_state(decoder, entries, batch_size=BATCH), entries, values)[1]


@functools.cache
def compiled(form, name):
    return cheap_jit(functools.partial(form, name=name))


@pytest.mark.parametrize("name", NAMES)
def test_step_equals_parallel(name):
    _, params = make(name)
    values, _ = recording(name)
    at_once = compiled(parallel_form, name)(params, values)
    assert float(jnp.std(at_once)) > 0.05
    np.testing.assert_allclose(compiled(step_form, name)(params, values), at_once, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", [name if name in QUICK_GRADIENTS else slow(name) for name in WITH_GRADIENTS])
def test_gradients_through_step_equal_those_through_parallel(name):
    model, params = make(name)
    values, _ = recording(name)
    mix = np.random.default_rng(3).normal(size=(*values.shape, model.distribution.output_size)).astype(np.float32)

    def gradient(form):
        return cheap_jit(jax.grad(lambda params: jnp.mean(form(params, values, name=name) * mix)))(params)

    by_step, at_once = gradient(step_form), gradient(parallel_form)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(at_once))
    assert largest > 1e-4
    for (path, leaf), other in zip(jax.tree_util.tree_leaves_with_path(at_once), jax.tree.leaves(by_step), strict=True):
        np.testing.assert_allclose(other, leaf, rtol=1e-3, atol=1e-4 * largest, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize("name", NAMES)
def test_generate_equals_the_naive_reference(name):
    model, params = make(name)
    given, conditioning = recording(name)
    num_samples = given.shape[1]
    values = naive_generate(model, lambda values: compiled(parallel_form, name)(params, values), num_samples, 7, BATCH)
    waveform = generate(model, params, num_samples=num_samples, seed=7, batch_size=BATCH, **conditioning)
    expected = np.asarray(model.coding.decode(values))
    if model.coding.is_discrete:
        # A draw may differ only where the uniform lies within the CDF's rounding error of an edge; then streams part.
        # These short runs have none: about one draw in 100,000 does.
        np.testing.assert_allclose(waveform, expected, atol=1e-5)
    else:
        np.testing.assert_allclose(waveform, expected, atol=2e-3)
    assert len(np.unique(values)) > 5


@pytest.mark.parametrize("name", NAMES)
def test_any_chunking_is_bit_identical(name):
    model, params = make(name)
    hop = model.hop_length
    frames = FRAMES[hop]
    total = 97 if hop is None else frames * hop
    conditioning = inputs(model, BATCH, frames)
    whole = generate(model, params, num_samples=total, seed=3, batch_size=BATCH, **conditioning)
    assert np.unique(whole).size > 5
    blocks = list(stream(model, params, num_samples=total, seed=3, batch_size=BATCH, block_size=16, **conditioning))
    assert {block.shape[1] for block in blocks[:-1]} == {16}
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)

    first, state = generate(model, params, num_samples=41, seed=3, batch_size=BATCH, return_state=True, **conditioning)
    second = generate(model, params, num_samples=total - 41, state=state, **conditioning)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)

    if hop is not None:
        local = conditioning.pop("local_conditioning")
        streamer = Streamer(model, params, seed=3, batch_size=BATCH, **conditioning)
        pieces, start = [], 0
        for size in (1, 3, 0, 7, 2, frames):
            pieces.append(streamer.push(local[:, start : start + size]))
            start = min(start + size, frames)
            assert streamer.position == max(start - model.lookahead, 0) * hop
        pieces.append(streamer.flush())
        np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
        live = stream(
            model,
            params,
            seed=3,
            block_size=13,
            local_conditioning=(local[:, i : i + 1] for i in range(frames)),
            **conditioning,
        )
        np.testing.assert_array_equal(np.concatenate(list(live), axis=1), whole)


@pytest.mark.parametrize("name", ["speech-16k", slow("nv-wavenet"), slow("r9y9-mol"), slow("ibab")])
def test_run_block_takes_any_count_without_recompiling(name):
    model, params = make(name)
    conditioning = inputs(model, BATCH, 40)
    decoder, entries = encoded(model, params, conditioning)
    start = cheap_jit(lambda decoder, entries: init_state(decoder, entries, batch_size=BATCH, seed=5))(decoder, entries)
    draw = jax.jit(lambda state: uniforms(state.keys, state.position, 160, model.distribution.noise_size))
    traced = []

    @jax.jit
    def block(*arguments):
        traced.append(1)
        return run_block(*arguments)

    state, whole = block(decoder, start, entries, draw(start), 150)
    pieces, other = [], start
    for count in (37, 1, 50, 0, 62):
        other, samples = block(decoder, other, entries, draw(other), count)
        pieces.append(np.asarray(samples.waveform)[:, :count])
        assert not np.asarray(samples.waveform)[:, count:].any()
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), np.asarray(whole.waveform)[:, :150])
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(traced) == 1


@pytest.mark.parametrize(
    "name", [slow("nv-wavenet"), "speech-16k", slow("r9y9-mulaw256"), slow("r9y9-gaussian"), "ibab+speakers"]
)
def test_prompt_warm_up_equals_stepping_through_the_prompt(name):
    model, params = make(name)
    conditioning = inputs(model, BATCH, 40)
    rng = np.random.default_rng(4)
    prompt, future = (rng.uniform(-0.4, 0.4, (BATCH, count)).astype(np.float32) for count in (61, 50))

    @cheap_jit
    def both(params, prompt, future):
        decoder, entries = pack_and_encode(model, params, conditioning)
        start = init_state(decoder, entries, batch_size=BATCH, seed=5)
        stepped, _ = replay(decoder, start, entries, model.coding.encode(prompt))
        warmed = init_state(decoder, entries, batch_size=BATCH, seed=5, prompt=prompt)
        values = model.coding.encode(future)
        return stepped, warmed, *(replay(decoder, state, entries, values)[1] for state in (stepped, warmed))

    stepped, warmed, after_step, after_warm = both(params, prompt, future)
    np.testing.assert_array_equal(warmed.position, stepped.position)
    np.testing.assert_array_equal(warmed.value, stepped.value)
    np.testing.assert_allclose(warmed.memory, stepped.memory, atol=1e-6)
    np.testing.assert_allclose(after_warm, after_step, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if config.frame_network is None])
def test_the_state_of_settled_silence_is_that_of_a_receptive_field_of_it(name):
    model, params = make(name)
    conditioning = inputs(model, BATCH, 40)

    @cheap_jit
    def both(params):
        decoder, entries = pack_and_encode(model, params, conditioning)
        state = init_state(decoder, entries, batch_size=BATCH)
        heard = jnp.broadcast_to(state.value[:, None], (BATCH, model.receptive_field - 1))
        return state.cache, decoder.warm_up(heard, entries.entries, jnp.int32(1 - heard.shape[1]))

    settled, warmed = both(params)
    assert settled.keys() == warmed.keys()
    for part in warmed:
        assert settled[part].dtype == warmed[part].dtype
        np.testing.assert_allclose(settled[part], warmed[part], rtol=1e-5, atol=1e-6)


def test_a_stream_is_the_same_in_any_batch_until_rounding_tips_a_draw():
    model, params = make("speech-16k")
    conditioning = inputs(model, BATCH, 20)
    together = generate(model, params, seed=9, **conditioning)
    for index in range(BATCH):
        alone = generate(
            model,
            params,
            seed=9,
            stream_ids=np.array([index]),
            local_conditioning=conditioning["local_conditioning"][index : index + 1],
        )
        np.testing.assert_allclose(alone[0], together[index], atol=1e-6)
    assert not np.array_equal(together[0], together[1])


@pytest.mark.parametrize("name", ["nsynth", slow("speech-16k+speakers")])
def test_bfloat16_decoders_are_close(name):
    model, params = make(name)
    values, conditioning = recording(name)
    exact = compiled(step_form, name)(params, values)

    @cheap_jit
    def outputs(params):
        decoder = pack(WaveNet(model.config, dtype=jnp.bfloat16), params, jnp.bfloat16)
        local, speaker = (conditioning.get(key) for key in ("local_conditioning", "global_conditioning"))
        entries = encode_conditioning(decoder, local, speaker)
        return replay(decoder, init_state(decoder, entries, batch_size=BATCH), entries, values)[1]

    rough = outputs(params)
    assert rough.dtype == jnp.float32
    assert 1e-5 < float(jnp.sqrt(jnp.mean((rough - exact) ** 2)) / jnp.std(exact)) < 0.05


@pytest.mark.parametrize("name", ["nv-wavenet", slow("r9y9-mol")])
def test_pure_layer_works_under_vmap_and_shard_map(name):
    model, params = make(name)
    conditioning = inputs(model, 8, 10)
    decoder, entries = encoded(model, params, conditioning)

    @cheap_jit
    def together(decoder, entries):
        state = init_state(decoder, entries, batch_size=8, seed=1)
        noise = uniforms(state.keys, state.position, 32, model.distribution.noise_size)
        return noise, run_block(decoder, state, entries, noise, 32)[1].waveform

    noise, expected = together(decoder, entries)

    def one(local, noise, stream):
        entries = encode_conditioning(decoder, local[None])
        state = init_state(decoder, entries, batch_size=1, seed=1, stream_ids=stream[None])
        return run_block(decoder, state, entries, noise[:, None], 32)[1].waveform[0]

    local = jnp.asarray(conditioning["local_conditioning"])
    each = jax.vmap(one, in_axes=(0, 1, 0))
    np.testing.assert_allclose(cheap_jit(each)(local, noise, jnp.arange(8)), expected, atol=1e-4)

    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    batch, rows = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec(None, "data")
    sharded = jax.shard_map(each, mesh=mesh, in_specs=(batch, rows, batch), out_specs=batch, check_vma=False)
    np.testing.assert_allclose(cheap_jit(sharded)(local, noise, jnp.arange(8)), expected, atol=1e-4)


def test_export_round_trip():
    model, params = make("nv-wavenet")
    conditioning = inputs(model, 1, 10)

    def sound(params, local, seed):
        decoder, entries = pack_and_encode(model, params, {"local_conditioning": local})
        state = init_state(decoder, entries, batch_size=1, seed=seed)
        noise = uniforms(state.keys, state.position, 32, model.distribution.noise_size)
        return run_block(decoder, state, entries, noise, 32)[1].waveform

    arguments = params, jnp.asarray(conditioning["local_conditioning"]), jnp.asarray([0, 1], jnp.uint32)
    exported = jax.export.export(jax.jit(sound), platforms=["cpu", "cuda", "tpu"])(*arguments)
    np.testing.assert_array_equal(exported.call(*arguments), jax.jit(sound)(*arguments))


def test_temperature_zero_is_the_mode_and_ignores_the_seed():
    model, params = make("speech-16k")
    conditioning = inputs(model, BATCH, 6)
    one, other = (generate(model, params, seed=seed, temperature=0.0, **conditioning) for seed in (1, 2))
    np.testing.assert_array_equal(one, other)
    warm = generate(model, params, seed=1, temperature=1.0, **conditioning)
    assert not np.array_equal(one, warm)
    temperature = np.zeros((BATCH, 6), np.float32)
    temperature[:, 3:] = 1.0
    mixed = generate(model, params, seed=1, temperature=temperature, **conditioning)
    hop = model.hop_length
    np.testing.assert_array_equal(mixed[:, : 3 * hop], one[:, : 3 * hop])
    assert not np.array_equal(mixed[:, 3 * hop :], one[:, 3 * hop :])


def test_a_live_stream_waits_for_no_frame_that_it_does_not_need():
    model, params = make("speech-16k-small")
    local = inputs(model, 1, 12)["local_conditioning"]
    arrived = []

    def frames():
        for index in range(12):
            arrived.append(index)
            yield local[:, index : index + 1]

    blocks = stream(model, params, block_size=model.hop_length, local_conditioning=frames())
    for number, _ in zip(range(12 - model.lookahead), blocks, strict=False):
        assert len(arrived) == number + 1 + model.lookahead


@pytest.mark.parametrize("name", ["speech-16k-small", "nv-wavenet"])
def test_one_compilation_serves_every_length(name, compilations):
    model, params = make(name)
    model = model.clone(precision="high")  # no other test has compiled this one
    local = inputs(model, 1, 300)["local_conditioning"]
    generate(model, params, local_conditioning=local[:, :3])
    assert compilations
    compilations.clear()
    for frames in (1, 7, 300):  # 1,200 samples are more than one block
        generate(model, params, local_conditioning=local[:, :frames], num_samples=frames * model.hop_length - 1)
    assert not compilations
