"""Packs a WaveNet's parameters into the kernels' layout."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.distributions import Categorical, CoarseFine
from wavejax.generation.cpu import kernels
from wavejax.generation.cpu.compiling import Weights
from wavejax.models.wavenet import WaveNet, WaveNetConfig
from wavejax.types import Params

_LARGEST_GROUP = 512
"""Inputs that share a scale in int8: with 16-bit inputs, the sum of this many products fits an int32."""


def pack(model: WaveNet, params: Params, weights: Weights, lanes: int) -> tuple[kernels.Packed, kernels.Sizes]:
    """Weights and sizes of `model`; every constant factor is folded in."""
    config = model.config
    arrays = {name: np.asarray(array, np.float32) for name, array in _kernels(model, params).items()}
    layers, gate, taps = config.num_layers, config.gate_channels, config.kernel_size - 1
    scale = np.float32(config.residual_coefficient)
    coefficients = np.asarray(config.skip_coefficients, np.float32)
    matrices = _matrices(config, arrays)
    groups = [config.residual_channels] * layers + [_LARGEST_GROUP] * (2 * layers) + [gate]
    groups += [_LARGEST_GROUP] * (len(matrices) - len(groups))
    # They are stored in the order in which a step reads them.
    order = [layer + kind * layers for layer in range(layers) for kind in range(3)]
    order += range(3 * layers, len(matrices))
    packer = _Packer(weights, lanes)
    places = {index: packer.add(matrices[index], min(groups[index], _LARGEST_GROUP)) for index in order}
    width = max(packer.padded(size) for size in (config.skip_channels, *config.tail_channels, matrices[-1].shape[1]))
    skip_bias = np.einsum("l,ls->s", coefficients, arrays["skip_bias"])
    if config.skip_input:
        skip_bias = skip_bias + arrays["skip_input_bias"]
    tail_bias = np.zeros((len(config.tail_channels) + 1, width), np.float32)
    for i in range(len(tail_bias) if config.tail_bias else 0):
        tail_bias[i, : arrays[f"tail_{i}_bias"].size] = arrays[f"tail_{i}_bias"]
    empty = np.zeros((0,), np.float32)
    packed = kernels.Packed(
        weights=packer.weights(),
        scales=np.concatenate([empty, *packer.scales]),
        matrices=np.asarray([places[index] for index in range(len(matrices))], np.int64),
        table=_table(config, arrays),
        residual_bias=np.ascontiguousarray(arrays["residual_bias"] * scale),
        skip_bias=np.pad(skip_bias, (0, width - skip_bias.size)).astype(np.float32),
        tail_bias=tail_bias,
        dilations=np.asarray(config.dilations, np.int64),
        starts=taps * (np.cumsum(config.dilations, dtype=np.int64) - np.asarray(config.dilations)),
        levels=np.array(config.coding.levels if config.coding.is_discrete else empty),
        scalars=np.array(config.coding.scalars if config.coding.is_discrete else empty),
        tilt=_tilt(config.distribution),
    )
    return packed, _sizes(config)


def exact_weights(model: WaveNet, params: Params) -> Weights:
    """The smaller of bfloat16 and float32 that holds every weight exactly, factors folded in."""
    arrays = {name: np.asarray(array, np.float32) for name, array in _kernels(model, params).items()}
    # A bfloat16 is the upper half of a float32.
    exact = all(not np.any(matrix.view(np.uint32) & 0xFFFF) for matrix in _matrices(model.config, arrays))
    return "bfloat16" if exact else "float32"


def _matrices(config: WaveNetConfig, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """All matrices of a step, [inputs, outputs] each."""
    layers, gate, taps = config.num_layers, config.gate_channels, config.kernel_size - 1
    coefficients = np.asarray(config.skip_coefficients, np.float32)
    # The output of the last layer's residual map is not used.
    residual = arrays["residual"][: layers - 1] * np.float32(config.residual_coefficient)
    return [
        *arrays["dilated"][:, :taps].reshape(layers, taps * config.residual_channels, 2 * gate),
        *arrays["dilated"][:, taps],
        *residual,
        np.zeros((1, config.residual_channels), np.float32),
        (arrays["skip"] * coefficients[:, None, None]).reshape(layers * gate, -1),
        arrays["skip_input"] if config.skip_input else np.zeros((1, config.skip_channels), np.float32),
        *(arrays["local"] if config.projects_samples else ()),
        *(arrays[f"tail_{i}"] for i in range(len(config.tail_channels) + 1)),
    ]


@partial(jax.jit, static_argnames="model")
def _kernels(model: WaveNet, params: Params) -> Any:
    params = jax.tree.map(jnp.asarray, params)  # without jit they are still NumPy arrays
    return model.apply({"params": params}, method="kernels")


def _table(config: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
    table = arrays["input"]
    bias = arrays.get("input_bias", np.zeros((config.residual_channels,), np.float32))
    if config.input_kind == "scalar":
        return np.ascontiguousarray(np.concatenate([table, np.broadcast_to(bias, table.shape)], axis=1))
    return np.ascontiguousarray(np.concatenate([table[:-1], table[-1:] + bias]))


def _tilt(distribution: Any) -> np.ndarray:
    if not isinstance(distribution, CoarseFine):
        return np.zeros((2, 0), np.float32)
    place = np.linspace(-1, 1, distribution.fine, dtype=np.float32)
    return np.stack([place, place**2 - np.mean(place**2)])


def _sizes(config: Any) -> kernels.Sizes:
    distribution, upsampler = config.distribution, config.upsampler
    kinds = {"repeat": kernels.REPEAT, "linear": kernels.LINEAR}
    if isinstance(distribution, Categorical):
        drawn = kernels.CATEGORICAL, distribution.num_classes, 0, 0.0
    elif isinstance(distribution, CoarseFine):
        drawn = kernels.COARSE_FINE, distribution.coarse, distribution.fine, 0.0
    else:
        drawn = kernels.MIXTURE, distribution.num_mixtures, 0, distribution.log_scale_min
    return kernels.Sizes(
        kernel_size=config.kernel_size,
        residual=config.residual_channels,
        gate=config.gate_channels,
        skip=config.skip_channels,
        tails=len(config.tail_channels) + 1,
        outputs=distribution.output_size,
        scalar_input=config.input_kind == "scalar",
        skip_input=config.skip_input,
        residual_scale=np.float32(config.residual_coefficient),
        distribution=drawn[0],
        classes=drawn[1],
        fine=drawn[2],
        log_scale_min=np.float32(drawn[3]),
        pre_emphasis=np.float32(config.coding.pre_emphasis),
        gain=np.float32(config.coding.gain),
        conditioning=kernels.NONE if upsampler is None else kinds.get(upsampler.kind, kernels.SAMPLES),
        hop=1 if upsampler is None else upsampler.hop_length,
        centre=0 if upsampler is None else upsampler.frame_centre,
        back=0 if upsampler is None or not upsampler.at_frame_rate else upsampler.back,
    )


class _Packer:
    """Packs matrices [inputs, outputs] one after the other, each in panels with adjacent columns."""

    def __init__(self, weights: Weights, lanes: int) -> None:
        self.kind, self.lanes = weights, lanes
        self.pieces: list[np.ndarray] = []
        self.scales: list[np.ndarray] = []
        self.size = self.num_scales = 0

    def padded(self, columns: int) -> int:
        """The number of columns padded with zeros to whole vectors; for bfloat16, to pairs of vectors."""
        unit = self.lanes * (2 if self.kind == "bfloat16" else 1)
        return -(-columns // unit) * unit

    def add(self, matrix: np.ndarray, group: int) -> tuple[int, ...]:
        """Packs one more matrix; returns its row of `Packed.matrices`."""
        inputs, columns = matrix.shape
        matrix = np.pad(matrix, ((0, 0), (0, self.padded(columns) - columns)))
        place = (self.size, inputs, matrix.shape[1] // self.lanes, self.num_scales, min(group, inputs))
        rows = [matrix[i : i + group] for i in range(0, inputs, group)] if self.kind == "int8" else [matrix]
        for block in rows:
            if self.kind == "int8":
                block = self._whole(block)
            panel = kernels.PANEL * self.lanes
            for first in range(0, matrix.shape[1], panel):
                self._append(block[:, first : first + panel])
        return place

    def _whole(self, block: np.ndarray) -> np.ndarray:
        """The block as integers -127 .. 127 times one scale per column, padded to an even number of inputs."""
        scale = np.abs(block).max(axis=0) / np.float32(127)
        self.scales.append(scale.astype(np.float32))
        self.num_scales += scale.size
        whole = np.round(block / np.where(scale > 0, scale, np.float32(1)))
        return np.pad(whole, ((0, len(block) % 2), (0, 0)))

    def _append(self, panel: np.ndarray) -> None:
        if self.kind == "float32":
            flat = panel.astype(np.float32)
        elif self.kind == "int8":
            flat = panel.reshape(len(panel) // 2, 2, -1).swapaxes(1, 2).astype(np.int8)
        else:
            vectors = panel.reshape(len(panel), -1, 2, self.lanes)
            flat = _bfloat16_pairs(vectors[:, :, 0], vectors[:, :, 1])
        self.pieces.append(flat.reshape(-1))
        self.size += flat.size

    def weights(self) -> np.ndarray:
        """All packed weights, at an address that is aligned for vectors."""
        dtype = self.pieces[0].dtype
        align = 64 // dtype.itemsize
        memory = np.empty(self.size + align, dtype)
        first = (-memory.ctypes.data % 64) // dtype.itemsize
        return np.concatenate(self.pieces, out=memory[first : first + self.size])


def _bfloat16_pairs(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Words of two weights. The whole word, as float32, is used as the high weight; its high half is chosen to fit.

    Each weight is off by at most half a unit in bfloat16's last place, as with plain rounding.
    """
    bits = np.ascontiguousarray(low, np.float32).view(np.uint32).astype(np.int64)
    below = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) & 0xFFFF
    bits = np.ascontiguousarray(high, np.float32).view(np.uint32).astype(np.int64)
    above = np.maximum((bits & 0x7FFFFFFF) - below + 0x8000, 0) >> 16
    return (((bits >> 31) << 31) | (above << 16) | below).astype(np.uint32)


__all__ = ["pack"]
