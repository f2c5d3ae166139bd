"""A peer written the obvious way in JAX: a ring buffer per layer, taps concatenated, skips added layer by layer.

Conditioning, noise and draws are the engine's own, so only the network's step differs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from wavejax.generation import encode_conditioning, init_state, pack, run_block, uniforms
from wavejax.generation.decoders import WaveNetDecoder
from wavejax.models.wavenet import WaveNet

BLOCK = 1024


@struct.dataclass
class NaiveDecoder:
    """A `Decoder` whose step is the textbook's."""

    arrays: dict[str, jax.Array]
    packed: WaveNetDecoder
    """For the conditioning and the input layer alone."""

    @property
    def model(self) -> WaveNet:
        return self.packed.model

    @property
    def back(self) -> int:
        return self.packed.back

    @property
    def forward(self) -> int:
        return self.packed.forward

    def encode_frame(self, window: jax.Array | None, speaker: jax.Array | None) -> Any:
        return self.packed.encode_frame(window, speaker)

    def condition(self, entries: Any, offset: jax.Array) -> Any:
        return self.packed.condition(entries, offset)

    def settle(self, value: jax.Array, count: int, entries: Any) -> Any:
        """`warm_up` on as many."""
        return self.warm_up(jnp.repeat(value[:, None], count, axis=1), entries, jnp.int32(0))

    def receive(self, cache: Any) -> Any:
        """There is one kind of cache."""
        return cache

    def warm_up(self, values: jax.Array, entries: Any, offset: jax.Array) -> Any:
        config, batch = self.model.config, values.shape[0]
        rings = [
            jnp.zeros(((config.kernel_size - 1) * d + 1, batch, config.residual_channels)) for d in config.dilations
        ]
        silence = jnp.full((config.input_kernel_size - 1, batch), config.coding.silence, values.dtype)
        cache = {"rings": rings, "time": jnp.int32(0), "history": silence}

        def consume(carry: Any, value: jax.Array) -> Any:
            cache, at = carry
            return (self.step(cache, value, self.condition(entries, at))[0], at + 1), None

        return lax.scan(consume, (cache, offset), values.T)[0][0]

    def step(self, cache: Any, value: jax.Array, condition: Any) -> tuple[Any, jax.Array]:
        config, arrays, time = self.model.config, self.arrays, cache["time"]
        history = jnp.concatenate([cache["history"], value[None]])
        x = self.packed._input(history)
        skips = jnp.zeros((value.shape[0], config.skip_channels))
        rings = []
        for layer, dilation in enumerate(config.dilations):
            ring = cache["rings"][layer]
            rows = ring.shape[0]
            ring = lax.dynamic_update_index_in_dim(ring, x, time % rows, 0)
            rings.append(ring)
            ages = [back * dilation for back in range(config.kernel_size - 1, -1, -1)]
            taps = [lax.dynamic_index_in_dim(ring, (time - age) % rows, 0, keepdims=False) for age in ages]
            kernel = arrays["dilated"][layer].reshape(-1, 2 * config.gate_channels)
            z = jnp.concatenate(taps, axis=-1) @ kernel + condition["gates"][layer]
            if "local" in condition:
                z = z + condition["local"] @ arrays["local"][layer]
            h = jnp.tanh(z[:, : config.gate_channels]) * jax.nn.sigmoid(z[:, config.gate_channels :])
            skip = h @ arrays["skip"][layer] + arrays["skip_bias"][layer][None]
            skips = skips + skip * jnp.float32(config.skip_coefficients[layer])
            if layer < config.num_layers - 1:
                out = h @ arrays["residual"][layer] + arrays["residual_bias"][layer][None]
                x = (x + out) * jnp.float32(config.residual_coefficient)
        for i in range(len(config.tail_channels) + 1):
            skips = jax.nn.relu(skips) @ arrays[f"tail_{i}"]
            if config.tail_bias:
                skips = skips + arrays[f"tail_{i}_bias"][None]
        return {"rings": rings, "time": time + 1, "history": history[1:]}, skips


@jax.jit
def _start(decoder: NaiveDecoder, frames: jax.Array | None, stream_ids: jax.Array, seed: jax.Array) -> Any:
    conditioning = encode_conditioning(decoder, frames)
    return conditioning, init_state(
        decoder, conditioning, batch_size=stream_ids.shape[0], seed=seed, stream_ids=stream_ids
    )


@partial(jax.jit, static_argnames="size")
def _block(decoder: NaiveDecoder, state: Any, conditioning: Any, count: jax.Array, size: int) -> Any:
    noise = uniforms(state.keys, state.position, size, decoder.model.distribution.noise_size)
    return run_block(decoder, state, conditioning, noise, count)


def naive_generator(
    model: WaveNet, params: Any, *, batch_size: int, seed: int, frames: np.ndarray | None
) -> Callable[[int], np.ndarray]:
    """A function of the number of samples that returns what `wavejax.generate` does; its start is prepared here."""
    config = model.config
    if config.skip_input or config.tail_local:
        raise ValueError("the naive scan knows neither skip_input nor tail_local")
    arrays = jax.jit(lambda params: model.apply({"params": params}, method="kernels"))(params)
    decoder = NaiveDecoder(arrays=dict(arrays), packed=jax.jit(partial(pack, model))(params))
    words = jnp.asarray([seed >> 32, seed & 0xFFFFFFFF], jnp.uint32)
    conditioning, first_state = jax.block_until_ready(_start(decoder, frames, jnp.arange(batch_size), words))

    def run(num_samples: int) -> np.ndarray:
        pieces, state = [], first_state
        for done in range(0, num_samples, BLOCK):
            count = min(BLOCK, num_samples - done)
            state, samples = _block(decoder, state, conditioning, jnp.int32(count), BLOCK)
            pieces.append(np.asarray(samples.waveform)[:, :count])
        return np.concatenate(pieces, axis=1)

    return run
