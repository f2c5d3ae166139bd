"""Contracts 1 to 5 for every preset (shrunk) and distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.generation.naive import naive_generate
from tests.models.shrunk import CONFIGS, inputs, make, parallel_outputs
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

NAMES = sorted(CONFIGS)
FRAMES = {4: 29, 8: 15, None: 0}


def encoded(model, params, conditioning):
    decoder = pack(model, params)
    return decoder, encode_conditioning(
        decoder, conditioning.get("local_conditioning"), conditioning.get("global_conditioning")
    )


@pytest.mark.parametrize("name", NAMES)
def test_step_equals_parallel_for_values_and_gradients(name):
    model, params = make(name)
    batch, length = 2, 4 * model.receptive_field + 3
    frames = 0 if model.hop_length is None else -(-length // model.hop_length)
    conditioning = inputs(model, batch, frames)
    rng = np.random.default_rng(1)
    waveform = rng.uniform(-0.5, 0.5, (batch, length)).astype(np.float32)
    values = np.asarray(model.coding.encode(waveform))
    mix = rng.normal(size=(batch, length, model.distribution.output_size)).astype(np.float32)

    def stepped(params):
        decoder, entries = encoded(model, params, conditioning)
        state = init_state(decoder, entries, batch_size=batch)
        _, outputs = replay(decoder, state, entries, jnp.asarray(values))
        return jnp.mean(outputs * mix), outputs

    def parallel(params):
        outputs = parallel_outputs(model, params, values, conditioning)
        return jnp.mean(outputs * mix), outputs

    (_, by_step), step_gradient = jax.jit(jax.value_and_grad(stepped, has_aux=True))(params)
    (_, at_once), parallel_gradient = jax.jit(jax.value_and_grad(parallel, has_aux=True))(params)
    np.testing.assert_allclose(by_step, at_once, rtol=1e-4, atol=2e-5)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(parallel_gradient))
    assert largest > 1e-4
    for path, leaf in jax.tree_util.tree_leaves_with_path(parallel_gradient):
        other = step_gradient
        for key in path:
            other = other[key.key]
        np.testing.assert_allclose(other, leaf, rtol=1e-3, atol=1e-4 * largest, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize("name", NAMES)
def test_generate_equals_the_naive_reference(name):
    model, params = make(name)
    batch = 2
    num_samples = 3 * model.receptive_field + 1
    frames = 0 if model.hop_length is None else -(-num_samples // model.hop_length)
    conditioning = inputs(model, batch, frames)
    values = naive_generate(model, params, num_samples, 7, conditioning, batch)
    waveform = generate(model, params, num_samples=num_samples, seed=7, batch_size=batch, **conditioning)
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
    conditioning = inputs(model, 2, frames)
    whole = generate(model, params, num_samples=total, seed=3, batch_size=2, **conditioning)
    assert np.unique(whole).size > 5
    blocks = list(stream(model, params, num_samples=total, seed=3, batch_size=2, block_size=16, **conditioning))
    assert {block.shape[1] for block in blocks[:-1]} == {16}
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)

    first, state = generate(model, params, num_samples=41, seed=3, batch_size=2, return_state=True, **conditioning)
    second = generate(model, params, num_samples=total - 41, state=state, **conditioning)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)

    if hop is not None:
        local = conditioning.pop("local_conditioning")
        streamer = Streamer(model, params, seed=3, batch_size=2, **conditioning)
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


@pytest.mark.parametrize("name", ["nv-wavenet", "speech-16k", "r9y9-mol", "ibab"])
def test_run_block_takes_any_count_without_recompiling(name):
    model, params = make(name)
    conditioning = inputs(model, 2, 40)
    decoder, entries = encoded(model, params, conditioning)
    start = init_state(decoder, entries, batch_size=2, seed=5)
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


@pytest.mark.parametrize("name", ["nv-wavenet", "speech-16k", "r9y9-mulaw256", "r9y9-gaussian", "ibab+speakers"])
def test_prompt_warm_up_equals_stepping_through_the_prompt(name):
    model, params = make(name)
    conditioning = inputs(model, 2, 40)
    decoder, entries = encoded(model, params, conditioning)
    prompt = np.random.default_rng(4).uniform(-0.4, 0.4, (2, 61)).astype(np.float32)
    start = init_state(decoder, entries, batch_size=2, seed=5)
    values = model.coding.encode(prompt)
    stepped, _ = replay(decoder, start, entries, values)
    warmed = init_state(decoder, entries, batch_size=2, seed=5, prompt=jnp.asarray(prompt))
    np.testing.assert_array_equal(warmed.position, stepped.position)
    np.testing.assert_array_equal(warmed.value, stepped.value)
    np.testing.assert_allclose(warmed.memory, stepped.memory, atol=1e-6)
    future = model.coding.encode(np.random.default_rng(5).uniform(-0.4, 0.4, (2, 50)).astype(np.float32))
    _, after_step = replay(decoder, stepped, entries, future)
    _, after_warm = replay(decoder, warmed, entries, future)
    np.testing.assert_allclose(after_warm, after_step, rtol=1e-4, atol=2e-5)


def test_a_stream_is_the_same_in_any_batch_until_rounding_tips_a_draw():
    model, params = make("speech-16k")
    conditioning = inputs(model, 5, 20)
    together = generate(model, params, seed=9, **conditioning)
    for index in (0, 3):
        alone = generate(
            model,
            params,
            seed=9,
            stream_ids=np.array([index]),
            local_conditioning=conditioning["local_conditioning"][index : index + 1],
        )
        np.testing.assert_allclose(alone[0], together[index], atol=1e-6)
    assert not np.array_equal(together[0], together[1])


@pytest.mark.parametrize("name", ["nv-wavenet", "r9y9-mol"])
def test_pure_layer_works_under_vmap_and_shard_map(name):
    model, params = make(name)
    conditioning = inputs(model, 8, 10)
    decoder, entries = encoded(model, params, conditioning)
    state = init_state(decoder, entries, batch_size=8, seed=1)
    noise = uniforms(state.keys, state.position, 32, model.distribution.noise_size)
    _, expected = jax.jit(run_block)(decoder, state, entries, noise, 32)

    def one(local, noise, stream):
        entries = encode_conditioning(decoder, local[None])
        state = init_state(decoder, entries, batch_size=1, seed=1, stream_ids=stream[None])
        return run_block(decoder, state, entries, noise[:, None], 32)[1].waveform[0]

    local = jnp.asarray(conditioning["local_conditioning"])
    mapped = jax.jit(jax.vmap(one, in_axes=(0, 1, 0)))(local, noise, jnp.arange(8))
    np.testing.assert_allclose(mapped, expected.waveform, atol=1e-4)

    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    batch, rows = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec(None, "data")
    shard = jax.jit(
        jax.shard_map(
            jax.vmap(one, in_axes=(0, 1, 0)), mesh=mesh, in_specs=(batch, rows, batch), out_specs=batch, check_vma=False
        )
    )
    np.testing.assert_allclose(shard(local, noise, jnp.arange(8)), expected.waveform, atol=1e-4)


def test_export_round_trip():
    model, params = make("nv-wavenet")
    conditioning = inputs(model, 1, 10)
    decoder, entries = encoded(model, params, conditioning)
    state = init_state(decoder, entries, batch_size=1, seed=1)
    noise = uniforms(state.keys, state.position, 32, 1)
    leaves, tree = jax.tree.flatten((decoder, state, entries, noise))

    def flat(*leaves):
        return run_block(*jax.tree.unflatten(tree, leaves), 32)[1].waveform

    exported = jax.export.export(jax.jit(flat), platforms=["cpu", "cuda", "tpu"])(*leaves)
    np.testing.assert_array_equal(exported.call(*leaves), jax.jit(flat)(*leaves))


def test_temperature_zero_is_the_mode_and_ignores_the_seed():
    model, params = make("speech-16k-small")
    conditioning = inputs(model, 1, 6)
    one, other = (generate(model, params, seed=seed, temperature=0.0, **conditioning) for seed in (1, 2))
    np.testing.assert_array_equal(one, other)
    warm = generate(model, params, seed=1, temperature=1.0, **conditioning)
    assert not np.array_equal(one, warm)
    temperature = np.zeros((1, 6), np.float32)
    temperature[:, 3:] = 1.0
    mixed = generate(model, params, seed=1, temperature=temperature, **conditioning)
    hop = model.hop_length
    np.testing.assert_array_equal(mixed[:, : 3 * hop], one[:, : 3 * hop])
    assert not np.array_equal(mixed[:, 3 * hop :], one[:, 3 * hop :])
