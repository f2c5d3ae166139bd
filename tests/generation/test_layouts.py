"""A WaveNet's packed layouts compute the same, whatever platform they were made for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import cheap_jit, inputs, make
from wavejax.generation import decoders, encode_conditioning, init_state, pack, replay
from wavejax.models.wavenet import WaveNet

BATCH = 2


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def outputs(name, platform, dtype=jnp.float32):
    model, params = make(name)
    length = 2 * model.receptive_field
    frames = 0 if model.hop_length is None else -(-length // model.hop_length)
    conditioning = inputs(model, BATCH, frames)
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, (BATCH, length)).astype(np.float32)

    @cheap_jit
    def run(params):
        decoder = pack(WaveNet(model.config, dtype=dtype), params, dtype, platform=platform)
        entries = encode_conditioning(
            decoder, conditioning.get("local_conditioning"), conditioning.get("global_conditioning")
        )
        values = model.coding.encode(waveform)
        return len(decoder.links), replay(decoder, init_state(decoder, entries, batch_size=BATCH), entries, values)

    return run(params)


@pytest.mark.parametrize("name", [slow("nv-wavenet"), "r9y9-mol+speakers", slow("nsynth")])
@pytest.mark.parametrize("largest_sum_batch", [16, slow(1)])
def test_a_joined_chain_equals_the_plain_one(name, largest_sum_batch, monkeypatch):
    """Sums of products up to a batch, matrix products beyond it; outputs and the state that backends exchange."""
    monkeypatch.setattr(decoders, "_LARGEST_SUM_BATCH", largest_sum_batch)
    (plain, (state, expected)), (joined, (other, got)) = outputs(name, "cpu"), outputs(name, "gpu")
    assert joined
    assert not plain
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5)
    assert jax.tree.structure(state.cache) == jax.tree.structure(other.cache)
    for one, two in zip(jax.tree.leaves(state.cache), jax.tree.leaves(other.cache), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=2e-5)


@pytest.mark.slow
def test_a_joined_bfloat16_chain_is_as_close_as_the_plain_one():
    exact = outputs("nv-wavenet", "cpu")[1][1]
    plain, joined = (outputs("nv-wavenet", platform, jnp.bfloat16)[1][1] for platform in ("cpu", "gpu"))
    error = [float(jnp.sqrt(jnp.mean((rough - exact) ** 2)) / jnp.std(exact)) for rough in (plain, joined)]
    assert 1e-5 < error[1] < max(0.03, 1.5 * error[0])


def test_a_cache_of_another_backend_is_received_in_the_decoder_s_types():
    model, params = make("unconditional-mu-law-scalar")
    for weights, other in (("bfloat16", "float32"), ("float32", "bfloat16")):
        own, foreign = (cheap_jit(lambda params, of=of: pack(model, params, of))(params) for of in (weights, other))
        cache = init_state(foreign, encode_conditioning(foreign), batch_size=BATCH).cache
        received = own.receive(jax.tree.map(np.asarray, cache))
        assert {name: leaf.dtype.name for name, leaf in received.items()} == {
            "ring": weights,
            "phase": "int32",
            "history": cache["history"].dtype.name,
        }
        np.testing.assert_allclose(np.float32(received["ring"]), np.float32(cache["ring"]), rtol=2**-8)
        assert own.receive(received) is received
