"""The models that are measured, their inputs, and the reference that every implementation is held against."""

import dataclasses
import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import WrongResult
from wavejax.experiments.autoregressive.config import AutoregressiveConfig
from wavejax.experiments.autoregressive.data import batch_shapes
from wavejax.generation import stream_keys, teacher_forced, uniforms
from wavejax.models.wavenet import WaveNet, WaveNetConfig
from wavejax.models.wavenet_presets import get_preset
from wavejax.nn.parameters import initial_params
from wavejax.parallel.compiling import run_once_options

SEED = 7
EDGE = {"float32": 1e-5, "tensorfloat32": 0.02, "bfloat16": 0.05, "int8": 0.1}
"""How far, in probability, a draw may lie from where the float32 reference puts it, by the type of the weights."""
MEAN_EDGE = {"float32": 1e-6, "tensorfloat32": 1e-3, "bfloat16": 2e-3, "int8": 4e-3}
"""The same, on average over all draws."""
STRAY = {"int8": 0.005}
"""Share of draws that may lie farther off than `EDGE`: rounded weights tip a mixture's choice of a component now and
then, and the draw lies wherever the other one is."""
UNCONDITIONAL = "-unconditional"
"""After a preset's name: the same network without local conditioning, which is what most projects time."""


def unconditional(config: WaveNetConfig) -> WaveNetConfig:
    """The same network without local conditioning."""
    return dataclasses.replace(config, frame_network=None, upsampler=None, local_bias=False)


def named_config(preset: str) -> WaveNetConfig:
    """The preset, or with `UNCONDITIONAL` after its name what is left of it without conditioning."""
    if preset.endswith(UNCONDITIONAL):
        return unconditional(get_preset(preset.removesuffix(UNCONDITIONAL)))
    return get_preset(preset)


def empty_batch(config: AutoregressiveConfig) -> dict[str, np.ndarray]:
    """A global batch of silence, every sample of it scored."""
    batch = {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in batch_shapes(config).items()}
    return {**batch, "mask": np.ones_like(batch["mask"])}


def make_model(preset: str | WaveNetConfig) -> tuple[WaveNet, dict[str, Any]]:
    """A preset (see `named_config`) and random parameters whose outputs spread like a trained network's."""
    config = named_config(preset) if isinstance(preset, str) else preset
    model = WaveNet(config)
    params = dict(jax.jit(partial(initial_params, model), compiler_options=run_once_options())(jax.random.key(0)))
    outputs = np.asarray(parallel_outputs(model, params, _some_values(model), frames_for(model, 1, 600)))
    last = f"tail_{len(config.tail_channels)}_kernel"
    gain = 2.0 / float(np.std(outputs[:, 300:]))
    if not model.coding.is_discrete:
        # Means within the signal's range, scales of about a hundredth of it.
        mixtures = config.distribution.output_size // 3
        bias = np.zeros(config.distribution.output_size, np.float32)
        bias[2 * mixtures :] = -4.0
        params[f"tail_{len(config.tail_channels)}_bias"] = jnp.asarray(bias)
        gain *= 0.15
    gains = params.get(f"{last}_g")
    if gains is None:
        params[last] = params[last] * gain
    else:
        params[f"{last}_g"] = gains * gain
    return model, params


def _some_values(model: WaveNet) -> np.ndarray:
    rng = np.random.default_rng(1)
    if model.coding.is_discrete:
        return rng.integers(0, model.coding.num_classes, (1, 600)).astype(np.int32)
    return rng.uniform(-0.5, 0.5, (1, 600)).astype(np.float32)


def frames_for(model: WaveNet, batch: int, num_samples: int) -> np.ndarray | None:
    """Conditioning frames of about a log-mel's range for `num_samples`; None for a model that reads none."""
    if model.hop_length is None:
        return None
    count = -(-num_samples // model.hop_length)
    rng = np.random.default_rng(2)
    frames = np.cumsum(rng.normal(0, 0.5, (batch, count, model.local_channels)), axis=1)
    return (-5 + 2 * np.tanh(frames)).astype(np.float32)


def macs_read(config: WaveNetConfig) -> int:
    """Weights that one step reads: those of all products (not the input table, of which a step reads a row)."""
    layers = config.num_layers
    gates = layers * config.kernel_size * config.residual_channels * 2 * config.gate_channels
    maps = config.gate_channels * (layers * config.skip_channels + (layers - 1) * config.residual_channels)
    widths = (config.skip_channels, *config.tail_channels, config.distribution.output_size)
    return gates + maps + sum(a * b for a, b in itertools.pairwise(widths)) + _macs_projected(config)


def macs_computed(config: WaveNetConfig) -> int:
    """Multiplications of one step: the network's, and the projection of conditioning that is known per sample only."""
    return config.macs_per_sample + _macs_projected(config)


def _macs_projected(config: WaveNetConfig) -> int:
    if config.frame_network is None or not config.projects_samples:
        return 0
    return config.frame_network.output_channels * config.num_layers * 2 * config.gate_channels


def parallel_outputs(
    model: WaveNet, params: dict[str, Any], values: np.ndarray, frames: np.ndarray | None = None
) -> jax.Array:
    """Outputs [B, N, output_size] of the parallel form for values [B, N] of recordings that begin from silence.

    In full float32, also where a device rounds the factors of its products by default.
    """
    with jax.default_matmul_precision("highest"):
        outputs: jax.Array = _teacher_forced(model, params, np.asarray(values), frames)
    return outputs


_teacher_forced = jax.jit(teacher_forced, static_argnums=0)


def check_draws(
    model: WaveNet,
    params: dict[str, Any],
    waveform: np.ndarray,
    frames: np.ndarray | None,
    *,
    dtype: str = "float32",
    what: str = "the backend",
    streams: Sequence[int] = (),
) -> dict[str, Any]:
    """Holds `waveform` [B, N], generated with `SEED`, against the float32 parallel form of its own history.

    Each sample is drawn again from the reference's distribution with the same uniforms, once as they are and once with
    them moved by `EDGE[dtype]` either way: the sample must lie within what those draws span, but for a share of
    `STRAY[dtype]`. The mean over all draws of the distance is held to `MEAN_EDGE[dtype]`. `streams` [B] are the rows'
    numbers in the batch, default 0 .. B-1.

    Raises:
        WrongResult: with the number of samples outside and the first of them.
    """
    values = np.asarray(model.coding.encode(waveform))
    outputs = _reference(model, params, values, frames)
    size = model.distribution.noise_size
    noise = np.asarray(_noise(np.asarray(streams or range(len(waveform)), np.int32), values.shape[1], size))

    def outside(edge: float) -> np.ndarray:
        spans = []
        for moves in itertools.product((-edge, 0.0, edge), repeat=size):
            moved = np.clip(noise + np.asarray(moves, np.float32), 1e-7, 1 - 1e-7).astype(np.float32)
            spans.append(np.asarray(_draw(model.distribution, outputs, moved), np.float64))
        rounding = 0.0 if model.coding.is_discrete else 2e-4 if dtype == "float32" else 2e-2
        drawn = values.astype(np.float64)
        low, high = np.min(spans, axis=0) - rounding, np.max(spans, axis=0) + rounding
        return (drawn < low) | (drawn > high)

    wrong = outside(EDGE[dtype])
    if wrong.mean() > STRAY.get(dtype, 0.0):
        stream, first = np.argwhere(wrong)[0]
        raise WrongResult(
            f"{what}: {int(wrong.sum())} of {wrong.size} samples, the first at {first} of stream {stream}, are not the "
            f"draws of the parallel form's distribution, to {EDGE[dtype]} of probability"
        )
    by_rounding = outside(0.0)
    levels = EDGE[dtype] * np.asarray([0.01, 0.03, 0.1, 0.3, 1.0])
    shares = [float(by_rounding.mean()), *(float(outside(level).mean()) for level in levels[:-1])]
    # Every draw outside one level lies at most at the next, a stray one at most 1 off: a bound of the mean distance.
    stray = float(wrong.mean())
    mean = stray + sum((a - b) * level for a, b, level in zip(shares, [*shares[1:], stray], levels, strict=True))
    if mean > MEAN_EDGE[dtype]:
        raise WrongResult(f"{what}: draws lie {mean:.1e} of probability off on average, expected {MEAN_EDGE[dtype]}")
    return {
        "samples": int(wrong.size),
        "across_an_edge": int(by_rounding.sum()),
        "mean_distance_at_most": float(mean),
        "distinct_values": len(np.unique(values)),
    }


def _reference(model: WaveNet, params: Any, values: np.ndarray, frames: np.ndarray | None) -> np.ndarray:
    """`parallel_outputs` one stream at a time, lengths rounded up: every batch and case shares one compiled program."""
    length = values.shape[1]
    padded = np.pad(values, ((0, 0), (0, (1 << (length - 1).bit_length()) - length)), mode="edge")
    rows = [
        parallel_outputs(model, params, padded[i : i + 1], None if frames is None else frames[i : i + 1])
        for i in range(len(values))
    ]
    return np.concatenate([np.asarray(row)[:, :length] for row in rows])


@partial(jax.jit, static_argnames=("count", "size"))
def _noise(streams: Any, count: int, size: int) -> Any:
    keys = stream_keys(SEED, streams)
    return jnp.swapaxes(uniforms(keys, jnp.zeros(2, jnp.uint32), count, size), 0, 1)


@partial(jax.jit, static_argnames="distribution")
def _draw(distribution: Any, outputs: Any, noise: Any) -> Any:
    return distribution.sample(outputs, noise, jnp.float32(1.0))
