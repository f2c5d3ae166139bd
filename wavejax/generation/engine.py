"""The engine's pure layer: works under jit, vmap, shard_map and export; it never donates and never uses the host.

`run_block(decoder, state, conditioning, noise, count)` generates one block of samples. All its shapes are fixed by the
largest block, and `count` is a run-time value, so the results do not depend on how a stream is cut into blocks.
"""

import dataclasses
from functools import partial
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec as P
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, UInt32

from wavejax.generation.decoders import Decoder
from wavejax.generation.meshes import abstract, along_batch, batch_spec, explicit_mesh, same, with_auto_axes
from wavejax.generation.noise import advance, seed_words, shifted, split_index, stream_keys, uniforms
from wavejax.generation.state import Conditioning, GenerationState, Samples
from wavejax.types import AnyArray, PyTree


def as_jax(tree: PyTree) -> PyTree:
    """The tree with JAX arrays: a traced loop cannot index the NumPy arrays that come from files or other processes."""
    return jax.tree.map(jnp.asarray, tree)


def samples_per_step(model: object) -> int:
    """The number of samples that one step of the model makes."""
    return int(getattr(model, "samples_per_step", 1))


def encode_window(
    decoder: Decoder,
    frames: Float[Array, "batch frames channels"],
    global_conditioning: Array | None,
    num_entries: int,
    count: Array | None = None,
) -> PyTree:
    """Entries of `num_entries` consecutive frames, each from its own fixed-size window.

    `frames` is the union of the windows: `num_entries - 1 + W` frames. Only the first `count` entries are computed (the
    others are zero). Windows are encoded one at a time, so an entry does not depend on which frames arrived with it.
    """
    window = frames.shape[1] - num_entries + 1

    def encode(index: Array | int) -> PyTree:
        piece = lax.dynamic_slice_in_dim(frames, index, window, axis=1)
        return decoder.encode_frame(piece, global_conditioning)

    shapes = jax.eval_shape(encode, jnp.int32(0))
    empty = jax.tree.map(lambda leaf: jnp.zeros((num_entries, *leaf.shape), leaf.dtype), shapes)

    def body(index: Array | int, entries: PyTree) -> PyTree:
        return jax.tree.map(
            lambda all_, one: lax.dynamic_update_index_in_dim(all_, one, index, 0), entries, encode(index)
        )

    return lax.fori_loop(0, num_entries if count is None else count, body, empty)


def history_frames(decoder: Decoder) -> int:
    """The number of frame intervals before sample 0 that the receptive field covers."""
    model = decoder.model
    return 0 if model.hop_length is None else -(-model.receptive_field // model.hop_length)


def encode_conditioning(
    decoder: Decoder,
    local_conditioning: Float[AnyArray, "batch frames channels"] | None = None,
    global_conditioning: AnyArray | None = None,
    *,
    temperature: float | AnyArray = 1.0,
) -> Conditioning:
    """Encode a whole recording's conditioning, starting at sample 0.

    Args:
        decoder: from `pack`.
        local_conditioning: frames [B, F, C]; beyond both ends the edge frame is repeated.
        global_conditioning: speaker ids [B] int32 or vectors [B, C].
        temperature: a number, [B], or [B, F].
    """
    given = as_jax((decoder, local_conditioning, global_conditioning, jnp.asarray(temperature, jnp.float32)))
    if (mesh := explicit_mesh(given)) is None:
        return _encode_conditioning(*given)
    decoder, frames, speaker, heat = given
    model, batch, axis = decoder.model, (frames if speaker is None else speaker), batch_spec(frames, speaker)
    width = model.lookback + model.lookahead + 1

    def entries(size: int) -> PyTree:
        """Shapes of the entries for `size` streams."""
        window = None if frames is None else jax.ShapeDtypeStruct((size, width, frames.shape[2]), jnp.float32)
        who = None if speaker is None else jax.ShapeDtypeStruct((size, *speaker.shape[1:]), speaker.dtype)
        encoded = jax.eval_shape(type(decoder).encode_frame, abstract(decoder), window, who)
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), encoded)

    own: Any = P(None, axis if heat.ndim and heat.shape[0] > 1 else None), P()
    specs = Conditioning(along_batch(entries, 1 if batch is None else batch.shape[0], axis), *own)
    return with_auto_axes(_encode_conditioning, mesh, specs, *given)


def _encode_conditioning(
    decoder: Decoder, local_conditioning: Array | None, global_conditioning: Array | None, temperature: Array
) -> Conditioning:
    model = decoder.model
    if local_conditioning is None:
        entry = decoder.encode_frame(None, global_conditioning)
        entries = jax.tree.map(lambda leaf: leaf[None], entry)
        return Conditioning(entries, _temperature_rows(temperature, 1, 0), jnp.zeros((2,), jnp.uint32))
    before = history_frames(decoder)
    num_frames = local_conditioning.shape[1]
    padding = ((0, 0), (before + model.lookback, model.lookahead), (0, 0))
    frames = jnp.pad(jnp.asarray(local_conditioning, jnp.float32), padding, mode="edge")
    entries = encode_window(decoder, frames, global_conditioning, before + num_frames + decoder.back + decoder.forward)
    first = jnp.asarray(split_index(-before * model.hop_length))
    return Conditioning(entries, _temperature_rows(temperature, num_frames, before), first)


def _temperature_rows(temperature: float | AnyArray, num_frames: int, before: int) -> Array:
    value = jnp.asarray(temperature, jnp.float32)
    if value.ndim < 2:
        return value.reshape(1, -1)
    return jnp.pad(value[:, :num_frames], ((0, 0), (before, 0)), mode="edge").T


def init_state(
    decoder: Decoder,
    conditioning: Conditioning,
    *,
    batch_size: int = 1,
    seed: SupportsIndex | AnyArray = 0,
    stream_ids: Int[AnyArray, "batch"] | None = None,
    origin: UInt32[AnyArray, "batch 2"] | None = None,
    prompt: Float[AnyArray, "batch prompt"] | None = None,
) -> GenerationState:
    """The state before sample 0, or before the first sample after the prompt.

    Before sample 0 the network's input is encoded silence under the first frame's conditioning, exactly as in training
    at a recording's true start. `stream_ids` (default 0 .. B-1) select each stream's noise, and `origin` (words of
    `split_index`, default 0) is the index of sample 0 in that noise. `prompt` [B, P] is a waveform whose samples take
    positions 0 .. P-1.
    """
    ids = jnp.arange(batch_size, dtype=jnp.int32) if stream_ids is None else jnp.asarray(stream_ids, jnp.int32)
    begins = jnp.zeros((batch_size, 2), jnp.uint32) if origin is None else origin
    given = as_jax((decoder, conditioning, seed_words(seed), ids, begins, prompt))
    if (mesh := explicit_mesh(given)) is None:
        return _init_state(*given)
    along = [leaf for leaf in jax.tree.leaves(conditioning.entries) if any(jax.typeof(leaf).sharding.spec)]
    axis = batch_spec(stream_ids, prompt)
    if axis is None and along:
        axis = next(filter(None, jax.typeof(along[0]).sharding.spec))

    def state(size: int) -> PyTree:
        """Shapes of the state for `size` streams."""
        heard = None if prompt is None else jax.ShapeDtypeStruct((size, prompt.shape[1]), jnp.float32)
        streams = jax.ShapeDtypeStruct((size,), jnp.int32), jax.ShapeDtypeStruct((size, 2), jnp.uint32)
        words = jax.ShapeDtypeStruct((2,), jnp.uint32)
        return jax.eval_shape(_init_state, abstract(given[0]), abstract(given[1], size), words, *streams, heard)

    return with_auto_axes(_init_state, mesh, along_batch(state, batch_size, axis), *given)


def _init_state(
    decoder: Decoder, conditioning: Conditioning, seed: Array, ids: Array, origin: Array, prompt: Array | None
) -> GenerationState:
    model, batch_size = decoder.model, ids.shape[0]
    silence = jnp.asarray(model.coding.silence, _value_dtype(model))
    each, length = samples_per_step(model), 0
    values = jnp.broadcast_to(silence, (batch_size, model.receptive_field // each, *((each,) if each > 1 else ())))
    start_memory = getattr(model.coding, "initial_memory", None)
    memory = jnp.zeros((batch_size,), jnp.float32) if start_memory is None else start_memory(batch_size)
    if prompt is not None and prompt.shape[1]:
        length = prompt.shape[1]
        if length % each:
            raise ValueError(
                f"the model makes {each} samples a step, so a prompt must be a multiple of that, got {length} samples: "
                f"leave out the first {length % each}"
            )
        encoded = model.coding.encode(jnp.asarray(prompt, jnp.float32))
        values = jnp.concatenate([values, encoded.astype(values.dtype)], axis=1)
        memory = _heard(model, encoded.astype(values.dtype), memory)
    position = jnp.asarray(split_index(length))
    offset = conditioning.offset(position) - jnp.int32((values.shape[1] - 1) * each)
    if model.hop_length is None and not length:
        cache = decoder.settle(values[:, -1], values.shape[1] - 1, conditioning.entries)
    else:
        cache = decoder.warm_up(values[:, :-1], conditioning.entries, offset)
    keys = stream_keys(seed, ids)
    return GenerationState(position=position, keys=keys, origin=origin, value=values[:, -1], memory=memory, cache=cache)


def block_noise(decoder: Decoder, state: GenerationState, block: int) -> Float[Array, "block batch noise"]:
    """The uniforms of the next `block` samples, in the form that `run_block` takes."""
    size, words = decoder.model.distribution.noise_size, as_jax((state.keys, state.position, state.origin))

    def draw(keys: Array, position: Array, origin: Array) -> Array:
        return uniforms(keys, shifted(position, origin), block, size)

    if (mesh := explicit_mesh(words)) is None:
        return draw(*words)
    return with_auto_axes(draw, mesh, P(None, batch_spec(words[0]), None), *words)


def _heard(model: object, values: Array, memory: Array) -> Array:
    """The de-emphasis memory after `values` [B, P]."""
    coding = model.coding  # type: ignore[attr-defined]

    def consume(memory: Array, value: Array) -> tuple[Array, None]:
        return coding.de_emphasize(coding.decode_values(value), memory)[1], None

    return lax.scan(consume, memory, jnp.moveaxis(values, 1, 0))[0]


def _value_dtype(model: object) -> DTypeLike:
    return jnp.float32 if isinstance(model.coding.silence, float) else jnp.int32  # type: ignore[attr-defined]


def run_block(
    decoder: Decoder,
    state: GenerationState,
    conditioning: Conditioning,
    noise: Float[AnyArray, "block batch noise"],
    count: SupportsIndex | Int[AnyArray, ""],
    *,
    probability_floor: float = 0.0,
) -> tuple[GenerationState, Samples]:
    """Generate `count` samples; `count` is at most the number of rows of `noise`.

    Args:
        decoder: from `pack`.
        state: from `init_state` or an earlier block; not changed.
        conditioning: must cover samples position .. position + count - 1.
        noise: uniforms of those samples, `noise_size` for each draw (see `block_noise`).
        count: a run-time value, a multiple of the model's samples per step; one compilation works for every count.
        probability_floor: values less probable than this are removed before drawing; static.

    Returns:
        The state after the block, and the samples [B, block] (zero from `count` on).
    """
    given = as_jax((decoder, state, conditioning, noise, jnp.asarray(count, jnp.int32)))
    run = partial(_run_block, probability_floor=probability_floor)
    if (mesh := explicit_mesh(given)) is None:
        return run(*given)
    samples: Any = P(batch_spec(given[1].keys), None)
    return with_auto_axes(run, mesh, (same(given[1]), Samples(values=samples, waveform=samples)), *given)


def _run_block(
    decoder: Decoder,
    state: GenerationState,
    conditioning: Conditioning,
    noise: Array,
    count: Array,
    *,
    probability_floor: float,
) -> tuple[GenerationState, Samples]:
    model, each = decoder.model, samples_per_step(decoder.model)
    steps = noise.shape[0] // each
    start = conditioning.offset(state.position)
    values = jnp.zeros((steps, *state.value.shape), state.value.dtype)
    waveform = jnp.zeros(values.shape, jnp.float32)
    if each > 1:  # [steps, B, m, noise]
        noise = jnp.moveaxis(noise[: steps * each].reshape(steps, each, *noise.shape[1:]), 1, 2)

    def body(index: Array | int, carry: tuple) -> tuple:
        value, memory, cache, values, waveform = carry
        offset = start + index * each if each > 1 else start + index
        cache, output = decoder.step(cache, value, decoder.condition(conditioning.entries, offset))
        temperature = _temperature_at(model, conditioning, offset, value.shape[0])
        if each > 1:
            temperature = jnp.broadcast_to(temperature[:, None], value.shape)
        value = model.distribution.sample(output, noise[index], temperature, probability_floor).astype(value.dtype)
        sample, memory = model.coding.de_emphasize(model.coding.decode_values(value), memory)
        values = lax.dynamic_update_index_in_dim(values, value, index, 0)
        waveform = lax.dynamic_update_index_in_dim(waveform, sample, index, 0)
        return value, memory, cache, values, waveform

    made = count // each
    carry = (state.value, state.memory, state.cache, values, waveform)
    value, memory, cache, values, waveform = lax.fori_loop(0, made, body, carry)
    position = advance(state.position, made * each)
    state = dataclasses.replace(state, position=position, value=value, memory=memory, cache=cache)
    return state, Samples(values=_in_order(values), waveform=_in_order(waveform))


def _in_order(samples: Array) -> Array:
    """[steps, B] or [steps, B, m] -> [B, samples]."""
    by_stream = jnp.moveaxis(samples, 1, 0)
    return by_stream.reshape(by_stream.shape[0], -1)


def _temperature_at(model: object, conditioning: Conditioning, offset: Array, batch: int) -> Array:
    rows = conditioning.temperature
    hop = model.hop_length  # type: ignore[attr-defined]
    index = jnp.int32(0) if hop is None or rows.shape[0] == 1 else offset // jnp.int32(hop)
    return jnp.broadcast_to(lax.dynamic_index_in_dim(rows, index, 0, keepdims=False), (batch,))


def replay(
    decoder: Decoder, state: GenerationState, conditioning: Conditioning, values: AnyArray
) -> tuple[GenerationState, Float[Array, "batch time *step outputs"]]:
    """Teacher-forced generation: the same step, but `values` [B, N] ([B, N, m]) are used instead of drawn values.

    Returns the state after them and the outputs [B, N, output_size]: row i is the step's prediction of values[:, i].
    """
    given = as_jax((decoder, state, conditioning, values))
    if (mesh := explicit_mesh(given)) is None:
        return _replay(*given)
    outputs = P(batch_spec(given[1].keys), *(None,) * values.ndim)
    return with_auto_axes(_replay, mesh, (same(given[1]), outputs), *given)


def _replay(
    decoder: Decoder, state: GenerationState, conditioning: Conditioning, values: Array
) -> tuple[GenerationState, Array]:
    start = conditioning.offset(state.position)
    coding, each = decoder.model.coding, samples_per_step(decoder.model)

    def body(carry: tuple, inputs: tuple[Array, Array]) -> tuple[tuple, Array]:
        value, memory, cache = carry
        offset, given = inputs
        cache, output = decoder.step(cache, value, decoder.condition(conditioning.entries, offset))
        _, memory = coding.de_emphasize(coding.decode_values(given), memory)
        return (given, memory, cache), output

    count = values.shape[1]
    offsets = start + jnp.arange(count, dtype=jnp.int32) * each
    inputs = (offsets, jnp.moveaxis(jnp.asarray(values), 1, 0).astype(state.value.dtype))
    (value, memory, cache), outputs = lax.scan(body, (state.value, state.memory, state.cache), inputs)
    position = advance(state.position, jnp.int32(count * each))
    state = dataclasses.replace(state, position=position, value=value, memory=memory, cache=cache)
    return state, jnp.moveaxis(outputs, 0, 1)
