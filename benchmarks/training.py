"""Samples per second and peak memory of one optimisation step, beside torch with the same weights and batch.

The network is nv-wavenet's 20 layers (R64, G64, S256, 256 classes) with 80 channels of conditioning. All cases have
the same loss on the same batch: in `sample rate` cases conditioning is given at the sample rate and projected there, as
torch does; in the `frame rate` case the same conditioning, linear between frames, is projected per frame. wavejax's
step includes gradient norm, guard and moving average; torch's is zero_grad, forward, cross-entropy, backward, Adam.
Each set of timings is of one process, twice: with malloc's defaults, and with `MALLOC` below, which lets both sides
keep freed memory. Peak memory is measured in a process of its own per case, as the rise over the state before the step,
with what is freed going back at once.

On an accelerator products are as its matrix units make them by default, the reference's in full float32; peak memory is
the device's own count, parameters and optimiser included; torch's cases stay on the CPU and are left out.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import torch_peers
from benchmarks.environment import count_cores
from benchmarks.harness import Case, Keep, WrongResult, forget, in_fresh_process, measure, result, row
from benchmarks.process import RETURNED, peak_growth
from wavejax.models.wavenet import WaveNet
from wavejax.models.wavenet_presets import get_preset
from wavejax.nn import FrameNetworkConfig, UpsamplerConfig
from wavejax.nn.parameters import initial_params
from wavejax.parallel.compiling import run_once_options
from wavejax.training import OptimizerConfig, create_train_state, make_train_step

SHAPES = ((1, 8192), (4, 4000))
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592"}
HOP = 200
WAVEJAX = ("wavejax, sample rate", "wavejax, frame rate", "wavejax, frame rate, remat")
PEERS = ("wavenet_vocoder, weight norm removed", "wavenet_vocoder, as constructed")
FRAME_RATE = UpsamplerConfig(kind="linear", hop_length=HOP, frame_centre=HOP // 2)


def run(
    *,
    peers: Sequence[str] = (),
    quick: bool = False,
    batches: Sequence[int] = (1, 4),
    parts: Sequence[str] = ("speed", "memory"),
    repeats: int = 7,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure speed and memory."""
    shapes = [shape for shape in SHAPES if shape[0] in batches]
    if quick:
        shapes, repeats = [(1, 400)], 2
    device = in_fresh_process("benchmarks.training:where")["device"]
    notes, allocators = [], ("default", "kept")
    if device != "cpu":
        allocators = ("default",)
        if peers:
            peers, notes = (), [f"torch is left out: its build here is for CPUs, and JAX computes on a {device}"]
    names = WAVEJAX + (PEERS if peers else ())
    rows = []
    for batch, length in shapes:
        for malloc in allocators if "speed" in parts else ():
            environment = MALLOC if malloc == "kept" else {}
            timing = {"names": names, "batch": batch, "length": length, "repeats": repeats}
            timed = in_fresh_process("benchmarks.training:speed", environment, **timing)["rows"]
            torch_speed = max((each["median"] for each in timed if each["labels"]["case"] in PEERS), default=None)
            for each in timed:
                each["labels"]["malloc"] = malloc
                if torch_speed:
                    each["details"]["times_fastest_torch"] = each["median"] / torch_speed
            rows += timed
            keep(result("training", rows, notes))
        for name in names if "memory" in parts else ():
            call = {"name": name, "batch": batch, "length": length}
            peak = in_fresh_process("benchmarks.training:memory", RETURNED, **call)
            labels = {"batch": batch, "length": length, "case": name, "malloc": "returned"}
            rows.append(row(labels, "MiB at peak", peak["peak"], **peak["details"]))
            keep(result("training", rows, notes))
    return result("training", rows, notes)


def where() -> dict[str, str]:
    """What JAX computes on, asked in a process that gives the device back."""
    return {"device": jax.default_backend()}


def speed(names: list[str], batch: int, length: int, repeats: int) -> dict[str, Any]:
    """Rows of all `names`, in this process."""
    return {"rows": measure([make_case(name, batch, length) for name in names], repeats=repeats)}


def memory(name: str, batch: int, length: int) -> dict[str, Any]:
    """MiB by which two steps raise the resident memory, of three trials."""
    case = make_case(name, batch, length)
    case.run()
    if jax.default_backend() == "cpu":
        return {"peak": [peak_growth(case.run) for _ in range(3)], "details": dict(case.details)}
    counts = jax.devices()[0].memory_stats() or {}
    return {"peak": [counts["peak_bytes_in_use"] / 2**20], "details": dict(case.details)}


def make_case(name: str, batch: int, length: int) -> Case:
    """The step called `name`."""
    if name in WAVEJAX:
        return _wavejax_case(name, batch, length)
    if name in PEERS:
        return _torch_case(name, batch, length)
    raise ValueError(f"no training case is called {name!r}; there are {', '.join(WAVEJAX + PEERS)}")


def make_network(*, at_frame_rate: bool) -> WaveNet:
    """The network; at the sample rate its frames last one sample and pass unchanged."""
    upsampler = (
        FRAME_RATE if at_frame_rate else UpsamplerConfig(kind="stretch", hop_length=1, frame_centre=0, scales=(1,))
    )
    config = dataclasses.replace(
        get_preset("nv-wavenet-20"),
        input_kind="one_hot",
        input_bias=True,
        tail_bias=True,
        last_residual=True,
        local_bias=False,
        residual_scale="sqrt_half",
        frame_network=FrameNetworkConfig(input_channels=80),
        upsampler=upsampler,
    )
    return WaveNet(config)


def make_params(model: WaveNet) -> Any:
    """Parameters, the same with either upsampler."""
    params = dict(jax.jit(partial(initial_params, model), compiler_options=run_once_options())(jax.random.key(0)))
    if model.config.upsampler is not None and not model.config.upsampler.at_frame_rate:
        params["upsampler"] = {"stage_0_kernel": jnp.asarray([0.0, 1.0, 0.0])}
    return params


def make_batch(batch: int, length: int) -> dict[str, np.ndarray]:
    """values [B, T + 1]; frames for linear interpolation; the same conditioning at the sample rate, [B, T, 80]."""
    rng = np.random.default_rng(0)
    walk = 128 + np.cumsum(rng.normal(0, 6, (batch, length + 1)), axis=1)
    values = (127.5 + 127.5 * np.sin(walk / 40)).astype(np.int32)
    count = -(-length // HOP) + FRAME_RATE.back + FRAME_RATE.forward
    frames = rng.normal(0, 1, (batch, count, 80)).astype(np.float32)
    return {
        "values": values,
        "frames": frames,
        "samples": np.asarray(FRAME_RATE.spread(jnp.asarray(frames), 0, length)),
    }


def make_loss(model: WaveNet, *, remat: bool = False) -> Callable[..., Any]:
    """Sum of nats over all samples, a `LossFn`; `remat` as of the model's call."""

    def loss_fn(params: Any, model_state: Any, batch: Mapping[str, jax.Array], keys: Any) -> Any:
        values = batch["values"]
        outputs: Any = model.apply({"params": params}, values[:, :-1], batch["frames"], remat=remat)
        nats = -model.distribution.log_prob(outputs, values[:, 1:])
        return jnp.sum(nats), jnp.float32(nats.size), model_state, {}

    return loss_fn


def _given(model: WaveNet, data: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    frames = data["frames"]
    if model.config.upsampler is None or not model.config.upsampler.at_frame_rate:
        frames = np.pad(data["samples"], ((0, 0), (1, 1), (0, 0)), mode="edge")
    return {"values": jnp.asarray(data["values"]), "frames": jnp.asarray(frames)}


def _wavejax_case(name: str, batch: int, length: int) -> Case:
    model, data = make_network(at_frame_rate=name != WAVEJAX[0]), make_batch(batch, length)
    remat = name == WAVEJAX[2]
    params, given = make_params(model), _given(model, data)
    optimizer = OptimizerConfig(learning_rate=1e-3).build()
    step = make_train_step(make_loss(model, remat=remat), optimizer, ema_decay=0.999)
    state = create_train_state(params, optimizer, key=0)
    compiled = jax.jit(step, donate_argnums=0).lower(state, given).compile()
    analysis: Any = compiled.memory_analysis()
    held = [jax.tree.map(jnp.copy, state)]

    def run() -> None:
        held[0] = jax.block_until_ready(compiled(held[0], given))[0]

    def check() -> dict[str, Any]:
        return compare(
            name, *_loss_and_gradient(model, make_params(model), data, remat=remat), reference(batch, length)
        )

    labels = {"batch": batch, "length": length, "case": name}
    details = {"xla_temporaries_MiB": analysis.temp_size_in_bytes / 2**20}
    return Case(labels=labels, run=run, work=batch * length, check=check, details=details)


@lru_cache(maxsize=1)
def reference(batch: int, length: int) -> tuple[float, np.ndarray]:
    """(mean loss, gradient of the first dilated kernel) by the sample-rate network."""
    model = make_network(at_frame_rate=False)
    with jax.default_matmul_precision("highest"):
        return _loss_and_gradient(model, make_params(model), make_batch(batch, length))


def _loss_and_gradient(
    model: WaveNet, params: Any, data: dict[str, np.ndarray], *, remat: bool = False
) -> tuple[float, np.ndarray]:
    loss_fn = make_loss(model, remat=remat)

    def mean(params: Any) -> jax.Array:
        total, weight, _, _ = loss_fn(params, {}, _given(model, data), None)
        return total / weight

    loss, gradient = jax.jit(jax.value_and_grad(mean))(params)
    return float(loss), np.asarray(gradient["stack"]["dilated_kernel"][0])


def compare(what: str, loss: float, gradient: np.ndarray, expected: tuple[float, np.ndarray]) -> dict[str, Any]:
    """What a check reports. Raises WrongResult where loss or gradient differ from the reference."""
    # A GPU's matrix units keep 10 bits of a factor and a TPU's 7, where float32 has 23.
    loose = 1.0 if jax.default_backend() == "cpu" else 30.0
    error = float(np.abs(gradient - expected[1]).max() / np.abs(expected[1]).max())
    if not abs(loss - expected[0]) < 1e-4 * loose * abs(expected[0]) or not error < 1e-3 * loose:
        raise WrongResult(
            f"{what}: loss {loss:.6f}, expected {expected[0]:.6f}; its gradient is off by {error:.1e} of the largest"
        )
    return {"loss": loss, "gradient_error": error}


def _torch_case(name: str, batch: int, length: int) -> Case:
    torch = torch_peers.import_torch()
    torch.set_num_threads(count_cores())
    model, data = make_network(at_frame_rate=False), make_batch(batch, length)
    params = make_params(model)
    weight_norm = name == PEERS[1]
    network = torch_peers.make_vocoder(model, params, weight_norm=weight_norm, conditioning_channels=80).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    values = torch.tensor(data["values"]).long()
    heard = torch_peers.peer_inputs(model.config, data["values"][:, :-1])
    conditioning = torch.tensor(data["samples"].swapaxes(1, 2).copy())
    target = values[:, 1:]

    def backward() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(heard, c=conditioning), target)
        loss.backward()
        return loss

    def run() -> None:
        backward()
        optimizer.step()

    loss = float(backward().detach())
    gradient = None if weight_norm else network.conv_layers[0].conv.weight.grad.numpy().transpose(2, 1, 0).copy()

    def check() -> dict[str, Any]:
        # With weight norm the gradient is another parameter's; its loss is compared alone.
        expected = reference(batch, length)
        return compare(name, loss, expected[1] if gradient is None else gradient, expected)

    labels = {"batch": batch, "length": length, "case": name}
    return Case(labels=labels, run=run, work=batch * length, check=check)
