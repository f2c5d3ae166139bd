"""The pure layer on meshes of both kinds, Auto and Explicit: jit, vmap and shard_map make the same sound everywhere."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tests.tiny import wavernn
from tests.tiny.models import cheap_jit, inputs, make
from wavejax.generation import encode_conditioning, init_state, pack, replay, run_block
from wavejax.generation.engine import block_noise

BATCH, BLOCK = 8, 12
KINDS = [pytest.param(AxisType.Auto, marks=pytest.mark.slow, id="auto"), pytest.param(AxisType.Explicit, id="explicit")]
NAMES = [
    "nv-wavenet",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("ibab", "r9y9-mol+speakers", "wavernn-16k+speakers")),
]


@functools.cache
def _case(name):
    model, params = (wavernn.make if name.startswith("wavernn") else make)(name)
    given = wavernn.inputs(model, BATCH, 6) if name.startswith("wavernn") else inputs(model, BATCH, 6)
    arrays = (given.get("local_conditioning"), given.get("global_conditioning"))
    return model, params, [None if array is None else jnp.asarray(array) for array in arrays]


def _pieces(name, frames, speakers, jit=cheap_jit):
    """Waveforms of two blocks, what a replay of the first one says, and the state after them, each call by itself."""
    model, params, _ = _case(name)
    decoder = cheap_jit(functools.partial(pack, model))(params)
    conditioning = jit(encode_conditioning)(decoder, frames, speakers)
    state = jit(functools.partial(init_state, batch_size=BATCH, seed=3))(decoder, conditioning)
    draw = jit(functools.partial(block_noise, block=BLOCK))
    run = jit(run_block)
    middle, first = run(decoder, state, conditioning, draw(decoder, state), jnp.int32(BLOCK))
    after, second = run(decoder, middle, conditioning, draw(decoder, middle), jnp.int32(BLOCK))
    values = first.values.reshape(BATCH, -1, 2) if state.value.ndim == 2 else first.values
    _, outputs = jit(replay)(decoder, state, conditioning, values)
    return first.waveform, second.waveform, outputs, after


@functools.cache
def _expected(name):
    return _pieces(name, *_case(name)[2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_over_a_mesh_sounds_as_on_one_device(name, kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    _, _, given = _case(name)
    placed = [None if array is None else jax.device_put(array, _over(mesh)) for array in given]
    got, want = _pieces(name, *placed), _expected(name)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)
    if any(array is not None for array in given):  # and each device holds its own stream only
        waveform, state = got[0], got[3]
        assert {piece.data.shape for piece in waveform.addressable_shards} == {(1, BLOCK)}
        assert {piece.data.shape for piece in state.value.addressable_shards} == {(1, *state.value.shape[1:])}
    if kind is AxisType.Explicit and given[0] is not None:
        assert jax.typeof(state.keys).sharding.spec == PartitionSpec("data", None)
        largest = max(jax.tree.leaves(state.cache), key=lambda leaf: leaf.size)
        assert BATCH * largest.addressable_shards[0].data.size == largest.size


def _over(mesh):
    return NamedSharding(mesh, PartitionSpec("data"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_vmap_and_shard_map_run_on_either_kind_of_mesh(name, kind):
    model, params, (frames, speakers) = _case(name)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))

    def one(frames, speaker, stream):
        decoder = pack(model, params)
        local, who = (None if array is None else array[None] for array in (frames, speaker))
        conditioning = encode_conditioning(decoder, local, who)
        state = init_state(decoder, conditioning, batch_size=1, seed=3, stream_ids=stream[None])
        return run_block(decoder, state, conditioning, block_noise(decoder, state, BLOCK), BLOCK)[1].waveform[0]

    arguments = (frames, speakers, jnp.arange(BATCH, dtype=jnp.int32))
    axes = tuple(None if array is None else 0 for array in arguments)
    each = jax.vmap(one, in_axes=axes)
    specs = tuple(PartitionSpec() if array is None else PartitionSpec("data") for array in arguments)
    sharded = jax.shard_map(each, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("data"), check_vma=False)
    placed = [None if array is None else jax.device_put(array, _over(mesh)) for array in arguments]
    for run in (each, sharded):
        np.testing.assert_allclose(np.asarray(cheap_jit(run)(*placed)), _expected(name)[0], atol=1e-4)


def test_a_mesh_may_be_set_and_a_replicated_batch_stays_so():
    model, params, (frames, _) = _case("nv-wavenet")
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    everywhere = jax.device_put(frames, NamedSharding(mesh, PartitionSpec()))
    with jax.set_mesh(mesh):
        got = cheap_jit(lambda frames: encode_conditioning(pack(model, params), frames))(everywhere)
    want = cheap_jit(lambda frames: encode_conditioning(pack(model, params), frames))(frames)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)
        assert one.addressable_shards[0].data.shape == other.shape
