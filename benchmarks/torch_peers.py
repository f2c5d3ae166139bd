"""Peers in torch, with wavejax's own weights: PyPI's `wavenet_vocoder` 0.1.1, and a compiled incremental step.

`wavenet_vocoder` multiplies every residual sum by sqrt(1/2). Where a model does not, its weights are scaled layer by
layer so that the function is the same: with y_l = c^l x_l the residual map gets c^l and the dilated kernel c^-l.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import WrongResult
from benchmarks.models import parallel_outputs
from wavejax.extras import require_extra
from wavejax.generation import stream_keys, uniforms
from wavejax.models.wavenet import WaveNet, WaveNetConfig


def import_torch() -> Any:
    """torch, of the extra `peers`."""
    return require_extra("torch", "peers", "the peers in torch")


def effective_arrays(model: WaveNet, params: Any) -> dict[str, np.ndarray]:
    """The model's kernels by name as numpy, weight normalisation applied; `local` and `gate_bias` besides."""

    def read(module: WaveNet) -> dict[str, Any]:
        arrays = dict(module.kernels())
        arrays["gate_bias"] = module.stack.layer_bias(None)[:, 0]
        if module.config.frame_network is not None:
            arrays["local"] = module.stack.local_kernel
        return arrays

    arrays = jax.jit(lambda params: model.apply({"params": params}, method=read))(params)
    return {name: np.asarray(value) for name, value in arrays.items()}


def make_vocoder(model: WaveNet, params: Any, *, weight_norm: bool, conditioning_channels: int = -1) -> Any:
    """`wavenet_vocoder.WaveNet` that computes what `model` does, given conditioning at the sample rate."""
    torch = import_torch()
    peer = require_extra("wavenet_vocoder.wavenet", "peers", "the peer's generation")
    config = model.config
    stacks = config.dilations.count(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's, about the peer's way to normalise weights
        network = peer.WaveNet(
            out_channels=config.distribution.output_size,
            layers=config.num_layers,
            stacks=stacks,
            residual_channels=config.residual_channels,
            gate_channels=2 * config.gate_channels,  # before the split
            skip_out_channels=config.skip_channels,
            kernel_size=config.kernel_size,
            dropout=0.0,
            cin_channels=conditioning_channels,
            scalar_input=config.input_kind == "scalar",
            legacy=False,
        )
    arrays = effective_arrays(model, params)
    with torch.no_grad():
        for module, weight, bias in _assignments(network, config, arrays):
            _set(torch, module, weight, bias)
    if not weight_norm:
        network.make_generation_fast_()
    return network


def _assignments(network: Any, config: WaveNetConfig, arrays: Mapping[str, np.ndarray]) -> Any:
    """(peer's module, weight [out, in, taps], bias [out])."""
    zeros = np.zeros
    input_bias = arrays.get("input_bias", zeros(config.residual_channels, np.float32))
    yield network.first_conv, arrays["input"].transpose(2, 1, 0), input_bias
    for layer, module in enumerate(network.conv_layers):
        scale = math.sqrt(0.5) ** layer if config.residual_scale == "none" else 1.0
        yield module.conv, arrays["dilated"][layer].transpose(2, 1, 0) / scale, arrays["gate_bias"][layer]
        if "local" in arrays and module.conv1x1c is not None:
            yield module.conv1x1c, arrays["local"][layer].T[:, :, None], zeros(2 * config.gate_channels)
        coefficient = config.skip_coefficients[layer]
        skip = arrays["skip"][layer].T[:, :, None]
        yield module.conv1x1_skip, skip * coefficient, arrays["skip_bias"][layer] * coefficient
        residual = (zeros((config.gate_channels, config.residual_channels)), zeros(config.residual_channels))
        if layer < len(arrays["residual"]):
            residual = (arrays["residual"][layer], arrays["residual_bias"][layer])
        yield module.conv1x1_out, residual[0].T[:, :, None] * scale, residual[1] * scale
    for i, place in enumerate((1, 3)):
        kernel = arrays[f"tail_{i}"]
        yield (
            network.last_conv_layers[place],
            kernel.T[:, :, None],
            arrays.get(f"tail_{i}_bias", zeros(kernel.shape[1])),
        )


def _set(torch: Any, module: Any, weight: np.ndarray, bias: np.ndarray) -> None:
    tensor = torch.tensor(np.asarray(weight, np.float32))
    if hasattr(module, "weight_g"):
        norm = tensor.flatten(1).norm(dim=1).reshape(-1, 1, 1)
        module.weight_g.copy_(norm)
        module.weight_v.copy_(torch.where(norm > 0, tensor, torch.ones_like(tensor)))
    else:
        module.weight.copy_(tensor)
    module.bias.copy_(torch.tensor(np.asarray(bias, np.float32)))


def peer_inputs(config: WaveNetConfig, values: np.ndarray) -> Any:
    """Values [B, N] as the peer takes them: one-hot [B, C, N], or scalars [B, 1, N]."""
    torch = import_torch()
    if config.input_kind == "scalar":
        return torch.tensor(np.asarray(values, np.float32))[:, None]
    return torch.nn.functional.one_hot(torch.tensor(np.asarray(values)).long(), config.coding.num_classes).mT.float()


def check_vocoder(
    network: Any, model: WaveNet, params: Any, values: np.ndarray, frames: np.ndarray | None, conditioning: Any
) -> dict[str, Any]:
    """Holds the peer's parallel and incremental outputs for `values` [B, N] against wavejax's parallel form.

    Raises:
        WrongResult: a difference beyond rounding.
    """
    torch = import_torch()
    field = model.receptive_field
    silence = np.full((len(values), field), model.coding.silence, np.asarray(values).dtype)
    heard = peer_inputs(model.config, np.concatenate([silence, values], axis=1)[:, :-1])
    if conditioning is not None:
        before = conditioning[:, :, :1].expand(-1, -1, field - 1)
        conditioning = torch.cat([before, conditioning[:, :, : values.shape[1]]], dim=2)
    with torch.inference_mode():
        outputs = network(heard, c=conditioning)[:, :, field - 1 :].mT.numpy()
    expected = np.asarray(parallel_outputs(model, params, np.asarray(values), frames))
    error = float(np.abs(outputs - expected).max() / np.abs(expected).max())
    if not error < 1e-3:
        raise WrongResult(f"wavenet_vocoder differs from the parallel form by {error:.1e} of the largest output")
    return {"samples": int(np.size(values)), "relative_error": error}


def vocoder_generation(network: Any, config: WaveNetConfig, batch: int, conditioning: Any) -> Callable[[int], Any]:
    """The peer's `incremental_forward` as a function of the number of samples.

    It can draw classes for one stream only; a batch of class models is teacher-forced instead, without draws.
    """
    torch = import_torch()

    def run(num_samples: int) -> Any:
        given: dict[str, Any] = {"T": num_samples}
        if conditioning is not None:
            given["c"] = conditioning[:, :, :num_samples]
        if config.input_kind == "scalar":
            given["initial_input"] = torch.zeros(batch, 1, 1)
            if batch > 1:
                given["test_inputs"] = torch.zeros(batch, 1, 1)  # the only way to tell it the batch
        elif batch > 1:
            shape = (batch, config.coding.num_classes, num_samples)
            given |= {"test_inputs": torch.zeros(shape), "quantize": False}
        with torch.inference_mode():
            output = network.incremental_forward(**given)
        channels = 1 if config.input_kind == "scalar" else config.distribution.output_size
        if tuple(output.shape) != (batch, channels, num_samples):
            raise WrongResult(f"wavenet_vocoder returned {tuple(output.shape)}")
        return output

    return run


def compiled_generation(model: WaveNet, params: Any, *, batch_size: int, seed: int) -> Callable[[int], np.ndarray]:
    """A step of an unconditional class model in torch, compiled, with one ring buffer; Python loops over samples."""
    torch = import_torch()
    config = model.config
    if config.frame_network is not None or config.input_kind == "scalar" or config.input_kernel_size != 1:
        raise ValueError("the compiled torch step is written for class models without conditioning")
    arrays = {name: torch.tensor(value) for name, value in effective_arrays(model, params).items()}
    layers, gate, taps = config.num_layers, config.gate_channels, config.kernel_size - 1
    rows = [taps * dilation for dilation in config.dilations]
    starts = np.cumsum([0, *rows[:-1]])
    ages = np.asarray([[back * d for back in range(taps, 0, -1)] for d in config.dilations])
    size = torch.tensor(rows)
    start = torch.tensor(starts)
    age = torch.tensor(ages)
    coefficients = torch.tensor(config.skip_coefficients)
    skip = (arrays["skip"] * coefficients[:, None, None]).reshape(layers * gate, -1).contiguous()
    skip_bias = (arrays["skip_bias"] * coefficients[:, None]).sum(0)
    dilated = arrays["dilated"].reshape(layers, (taps + 1) * config.residual_channels, 2 * gate).contiguous()
    tails = range(len(config.tail_channels) + 1)

    def step(ring: Any, time: Any, value: Any, uniform: Any) -> Any:
        slots = start[:, None] + (time - age) % size[:, None]
        old = ring[slots.flatten()].reshape(layers, taps, -1, config.residual_channels)
        x = arrays["input"][0][value]
        if "input_bias" in arrays:
            x = x + arrays["input_bias"]
        inputs, hidden = [], []
        for layer in range(layers):
            inputs.append(x)
            z = torch.cat([*old[layer], x], dim=-1) @ dilated[layer] + arrays["gate_bias"][layer]
            h = torch.tanh(z[:, :gate]) * torch.sigmoid(z[:, gate:])
            hidden.append(h)
            if layer < layers - 1:
                x = (x + h @ arrays["residual"][layer] + arrays["residual_bias"][layer]) * config.residual_coefficient
        ring[start + time % size] = torch.stack(inputs)
        out = torch.cat(hidden, dim=-1) @ skip + skip_bias
        for i in tails:
            out = torch.relu(out) @ arrays[f"tail_{i}"]
            if config.tail_bias:
                out = out + arrays[f"tail_{i}_bias"]
        edges = torch.cumsum(torch.softmax(out, dim=-1), dim=-1)
        drawn = (edges <= uniform[:, None] * edges[:, -1:]).sum(-1)
        return torch.clamp(drawn, max=config.coding.num_classes - 1)

    # Compiled once for each batch and number of threads, which is more than torch allows one function by default: past
    # its limit it would go on without a word, uncompiled.
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    fast = torch.compile(step, dynamic=False)
    levels = np.asarray(model.coding.levels)
    keys = stream_keys(seed, jnp.arange(batch_size))

    # All tensors are made in inference mode: of another kind, the first value would be compiled for on its own.
    torch.set_num_threads(1)
    with torch.inference_mode():
        silence = torch.full((batch_size,), int(config.coding.silence))
        clock = list(torch.arange(model.receptive_field + 1_000_000))
        first_ring = torch.zeros(sum(rows), batch_size, config.residual_channels)
        for index in range(model.receptive_field - 1):  # what the engine has heard before sample 0
            fast(first_ring, clock[1 + index], silence, torch.full((batch_size,), 0.5))

    def run(num_samples: int) -> np.ndarray:
        value, values = silence, []
        with torch.inference_mode():
            noise = torch.tensor(np.asarray(uniforms(keys, jnp.zeros(2, jnp.uint32), num_samples, 1))[:, :, 0])
            ring = first_ring.clone()
            for index in range(num_samples):
                value = fast(ring, clock[model.receptive_field + index], value, noise[index])
                values.append(value)
            return levels[torch.stack(values, dim=1).numpy()]

    return run
