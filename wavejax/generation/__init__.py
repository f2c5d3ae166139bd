"""The generation engine: a pure layer for transformations, and drivers for people."""

from wavejax.generation.decoders import Decoder, pack
from wavejax.generation.drivers import LARGEST_BLOCK, ConditioningError, Streamer, generate, stream
from wavejax.generation.engine import block_noise, encode_conditioning, init_state, replay, run_block
from wavejax.generation.noise import stream_keys, uniforms
from wavejax.generation.state import Conditioning, GenerationState, Samples

__all__ = [
    "LARGEST_BLOCK",
    "Conditioning",
    "ConditioningError",
    "Decoder",
    "GenerationState",
    "Samples",
    "Streamer",
    "block_noise",
    "encode_conditioning",
    "generate",
    "init_state",
    "pack",
    "replay",
    "run_block",
    "stream",
    "stream_keys",
    "uniforms",
]
