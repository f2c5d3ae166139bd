"""Each pure function exports by itself: a program read back takes decoders, states and conditioning as they are."""

import dataclasses
import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import inputs, make
from wavejax.generation import encode_conditioning, init_state, pack, replay, run_block
from wavejax.generation.engine import block_noise
from wavejax.generation.exporting import KeptModel

pytest.importorskip("flatbuffers", reason="jax.export writes with flatbuffers (extra dev)")


def _kept(function, *arguments):
    """A program that went through bytes."""
    exported = jax.export.export(jax.jit(function))(*arguments)
    return jax.export.deserialize(bytearray(exported.serialize()))


def test_every_pure_function_survives_export_by_itself():
    model, params = make("nv-wavenet")
    params, frames = jax.tree.map(jnp.asarray, params), jnp.asarray(inputs(model, 1, 6)["local_conditioning"])
    decoder = pack(model, params)
    begin = functools.partial(init_state, batch_size=1, seed=3)
    draw = functools.partial(block_noise, block=12)

    conditioning = _kept(encode_conditioning, decoder, frames).call(decoder, frames)
    state = _kept(begin, decoder, conditioning).call(decoder, conditioning)
    noise = _kept(draw, decoder, state).call(decoder, state)
    arguments = (decoder, state, conditioning, noise, jnp.int32(12))
    program = _kept(run_block, *arguments)
    after, samples = program.call(*arguments)
    _, outputs = _kept(replay, decoder, state, conditioning, samples.values).call(
        decoder, state, conditioning, samples.values
    )

    entries = jax.jit(encode_conditioning)(decoder, frames)
    start = jax.jit(begin)(decoder, entries)
    want, sound = jax.jit(run_block)(decoder, start, entries, draw(decoder, start), jnp.int32(12))
    np.testing.assert_array_equal(samples.waveform, sound.waveform)
    np.testing.assert_array_equal(after.position, want.position)
    np.testing.assert_allclose(outputs, jax.jit(replay)(decoder, start, entries, sound.values)[1], atol=1e-5)

    program.call(pack(model.clone(), params), *arguments[1:])  # the same model, made again
    other = model.clone(config=dataclasses.replace(model.config, residual_scale="sqrt_half"))
    with pytest.raises(ValueError, match="must have the same pytree structure"):
        program.call(pack(other, params), *arguments[1:])


def test_a_decoder_out_of_a_program_knows_its_model_by_a_digest_only():
    model, params = make("nv-wavenet")
    params = jax.tree.map(jnp.asarray, params)
    decoder = _kept(functools.partial(pack, model), params).call(params)
    assert decoder.model == model
    assert hash(decoder.model) == hash(KeptModel.of(model))
    assert decoder.model != model.clone(precision="high")
    assert decoder.model != "another"
    with pytest.raises(
        AttributeError, match=r"has no model to ask for 'hop_length': make one with wavejax\.generation\.pack"
    ):
        _ = decoder.model.hop_length
    np.testing.assert_array_equal(decoder.old, pack(model, params).old)
