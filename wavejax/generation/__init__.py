"""The generation engine: pure functions for use under JAX transformations, and drivers for direct use."""

from wavejax.generation.backends import LARGEST_BLOCK
from wavejax.generation.decoders import Decoder, pack
from wavejax.generation.drivers import generate, generate_folded, stream, streamer_of
from wavejax.generation.engine import block_noise, encode_conditioning, init_state, replay, run_block
from wavejax.generation.errors import ConditioningError
from wavejax.generation.folding import Seam
from wavejax.generation.noise import stream_keys, uniforms
from wavejax.generation.sampling import Sampling
from wavejax.generation.state import Conditioning, GenerationState, Samples
from wavejax.generation.states import StateError
from wavejax.generation.streamer import Streamer
from wavejax.generation.teacher_forcing import teacher_forced
from wavejax.generation.windows import ParallelStreamer

__all__ = [
    "LARGEST_BLOCK",
    "Conditioning",
    "ConditioningError",
    "Decoder",
    "GenerationState",
    "ParallelStreamer",
    "Samples",
    "Sampling",
    "Seam",
    "StateError",
    "Streamer",
    "block_noise",
    "encode_conditioning",
    "generate",
    "generate_folded",
    "init_state",
    "pack",
    "replay",
    "run_block",
    "stream",
    "stream_keys",
    "streamer_of",
    "teacher_forced",
    "uniforms",
]
