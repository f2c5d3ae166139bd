"""Utterances per second of one optimisation step of a recogniser with CTC, beside the same network in torch.

Both have the same weights, batch, loss (nats of the whole batch divided by its letters) and Adam; neither masks nor
drops anything. wavejax's step includes gradient norm, guard and moving average; torch's is zero_grad, forward,
`ctc_loss`, backward, Adam. torch's network is written with its own layers: conv1d, layer_norm, LSTM.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import Case, Keep, WrongResult, forget, measure, result
from benchmarks.torch_peers import import_torch
from wavejax.losses.sequence import ctc_loss
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.parallel.compiling import run_once_options
from wavejax.tasks.families import preset
from wavejax.tasks.recognizer.learner import recognition_loss
from wavejax.training import OptimizerConfig, create_train_state, make_train_step

NAMES = ("listener-16k", "deep-speech")
LETTERS_PER_SECOND = 14
Batch = Mapping[str, np.ndarray]
Expected = tuple[float, np.ndarray]
"""Loss, and the gradient of the last kernel."""
_OPTIMIZER = OptimizerConfig(learning_rate=1e-3)


def run(
    *,
    peers: Sequence[str] = (),
    quick: bool = False,
    presets: Sequence[str] = NAMES,
    batches: Sequence[int] = (8,),
    seconds: float = 6.0,
    repeats: int = 7,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure each preset, in turns with torch."""
    rows: list[dict[str, Any]] = []
    if quick:
        batches, seconds, repeats = (2,), 1.0, 2
    for name in presets:
        for batch in batches:
            config = _config(name, quick)
            data, params = make_batch(config, batch, seconds), _params(config)
            expected = _loss_and_gradient(config, params, data)
            labels = {"preset": name, "batch": batch, "seconds": seconds}
            cases = [_wavejax_case(config, params, data, expected, labels)]
            if peers:
                cases.append(_torch_case(config, params, data, expected, labels))
            measured = measure(cases, repeats=repeats)
            if peers:
                measured[0]["details"]["times_torch"] = measured[0]["median"] / measured[1]["median"]
            rows += measured
            keep(result("recognition-training", rows))
    return result("recognition-training", rows)


def _config(name: str, quick: bool) -> Any:
    """The preset without dropout and masks; a quick one has few units."""
    config = preset(name)
    changes: dict[str, Any] = {"dropout": 0.0}
    if quick:
        changes |= {"hidden_channels": 16}
    augment = dataclasses.replace(config.augment, time_masks=0, frequency_masks=0)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **changes), augment=augment)


def _params(config: Any) -> Any:
    model = config.model.build()
    draw = jax.jit(lambda key: initial_recognizer_params(model, key), compiler_options=run_once_options())
    return draw(jax.random.key(0))


def make_batch(config: Any, rows: int, seconds: float) -> dict[str, np.ndarray]:
    """A batch of utterances of about `seconds` seconds, with random features and letters."""
    rng = np.random.default_rng(0)
    frames, count = int(seconds * config.spec.frame_rate), int(LETTERS_PER_SECOND * seconds)
    return {
        "features": rng.normal(-5, 2, (rows, frames, config.spec.num_channels)).astype(np.float32),
        "num_frames": rng.integers(int(0.9 * frames), frames + 1, rows).astype(np.int32),
        "labels": rng.integers(1, config.model.num_classes, (rows, count)).astype(np.int32),
        "num_labels": rng.integers(count // 2, count + 1, rows).astype(np.int32),
    }


def _wavejax_case(config: Any, params: Any, data: Batch, expected: Expected, labels: Mapping[str, Any]) -> Case:
    optimizer = _OPTIMIZER.build()
    step = make_train_step(recognition_loss(config), optimizer, ema_decay=0.999)
    given = jax.tree.map(jnp.asarray, dict(data)) | {"id": jnp.zeros(len(data["labels"]), jnp.uint32)}
    state = create_train_state(params, optimizer, key=0)
    compiled = jax.jit(step, donate_argnums=0).lower(state, given).compile()
    held = [jax.tree.map(jnp.copy, state)]
    first = float(compiled(jax.tree.map(jnp.copy, state), given)[1]["loss"])

    def run() -> None:
        held[0] = jax.block_until_ready(compiled(held[0], given))[0]

    def check() -> dict[str, Any]:
        if not abs(first - expected[0]) < 1e-3 * abs(expected[0]):
            raise WrongResult(f"wavejax: the step's loss is {first:.6f}, expected {expected[0]:.6f}")
        return {"loss": first}

    rows = len(data["labels"])
    return Case(labels={**labels, "case": "wavejax"}, run=run, work=rows, check=check, unit="utterances/s")


def _loss_and_gradient(config: Any, params: Any, data: Batch) -> Expected:
    """(loss, gradient of the last kernel)."""
    model = config.model.build(precision="highest")

    def mean(params: Any) -> jax.Array:
        log_probs = model.apply({"params": params}, data["features"], data["num_frames"])
        losses = ctc_loss(log_probs, model.output_frames(data["num_frames"]), data["labels"], data["num_labels"])
        return jnp.sum(losses.loss) / jnp.float32(data["num_labels"].sum())

    loss, gradient = jax.jit(jax.value_and_grad(mean))(params)
    return float(loss), np.asarray(gradient["output_kernel"])


def _torch_case(config: Any, params: Any, data: Batch, expected: Expected, labels: Mapping[str, Any]) -> Case:
    torch = import_torch()
    weights = {
        "/".join(key.key for key in path): torch.nn.Parameter(torch.tensor(np.asarray(leaf)))
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    features, counts, letters, sizes = (
        torch.tensor(data[name]) for name in ("features", "num_frames", "labels", "num_labels")
    )
    forward = _torch_conv if hasattr(config.model, "num_blocks") else _torch_deep_speech
    frames = torch.tensor(np.asarray(config.model.build().output_frames(data["num_frames"])))
    optimizer = torch.optim.Adam(weights.values(), lr=1e-3)

    def loss() -> Any:
        log_probs = torch.log_softmax(forward(torch, config.model, weights, features, counts), -1).transpose(0, 1)
        each = torch.nn.functional.ctc_loss(log_probs, letters, frames, sizes, reduction="none", zero_infinity=True)
        return each.sum() / sizes.sum()

    first = loss()
    first.backward()
    found, gradient = float(first.detach()), weights["output_kernel"].grad.numpy().copy()

    def run() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    def check() -> dict[str, Any]:
        error = float(np.abs(gradient - expected[1]).max() / np.abs(expected[1]).max())
        if not abs(found - expected[0]) < 1e-4 * abs(expected[0]) or not error < 1e-3:
            raise WrongResult(
                f"torch: loss {found:.6f}, expected {expected[0]:.6f}; its gradient is off by {error:.1e}"
            )
        return {"loss": found, "gradient_error": error}

    return Case(labels={**labels, "case": "torch"}, run=run, work=len(letters), check=check, unit="utterances/s")


def _torch_conv(torch: Any, config: Any, weights: Mapping[str, Any], features: Any, counts: Any) -> Any:
    """`wavejax.models.conv_ctc` that is not causal, in torch: logits [B, T, classes]."""
    nn = torch.nn.functional

    def valid(x: Any, counts: Any) -> Any:
        return torch.arange(x.shape[-1])[None, None] < counts[:, None, None]

    def norm(name: str, x: Any) -> Any:
        scaled = nn.layer_norm(x.transpose(1, 2), x.shape[1:2], weights[f"{name}_scale"], weights[f"{name}_bias"], 1e-6)
        return scaled.transpose(1, 2)

    def linear(name: str, x: Any) -> Any:
        return nn.conv1d(x, weights[f"{name}_kernel"].T[..., None], weights[f"{name}_bias"])

    x = nn.pad((features - config.offset) * config.scale, (0, 0, 0, -features.shape[1] % config.subsampling))
    x = x.transpose(1, 2)
    x = x * valid(x, counts)
    for index, stride in enumerate(config.listener.strides):
        kernel = weights[f"stem_{index}_kernel"].permute(2, 1, 0)
        x = nn.conv1d(x, kernel, weights[f"stem_{index}_bias"], stride=stride, padding=kernel.shape[-1] // 2)
        counts = -(-counts // stride)
        x = nn.silu(norm(f"stem_{index}_norm", x)) * valid(x, counts)
    mask = valid(x, counts)
    for index in range(config.num_blocks):
        own = f"block_{index}"
        taps = weights[f"{own}/depthwise_kernel"].T[:, None]
        y = nn.conv1d(x, taps, weights[f"{own}/depthwise_bias"], padding=config.kernel_size // 2, groups=x.shape[1])
        y = linear(f"{own}/contract", nn.silu(linear(f"{own}/expand", norm(f"{own}/norm", y)))) * mask
        mean = y.sum(-1, keepdim=True) / counts[:, None, None]
        y = y * torch.sigmoid(linear(f"{own}/excite", nn.silu(linear(f"{own}/squeeze", mean))))
        x = x + weights[f"{own}/gamma"][None, :, None] * y
    return linear("output", norm("output_norm", x)).transpose(1, 2)


def _torch_deep_speech(torch: Any, config: Any, weights: Mapping[str, Any], features: Any, counts: Any) -> Any:
    """`wavejax.models.deep_speech` in torch: logits [B, F, classes]."""
    nn = torch.nn.functional
    x = features * (torch.arange(features.shape[1])[None, :, None] < counts[:, None, None])
    padded = nn.pad(x, (0, 0, config.context, config.context))
    x = padded.unfold(1, 2 * config.context + 1, 1).transpose(2, 3).flatten(2)

    def dense(name: str, x: Any) -> Any:
        return torch.clamp(nn.linear(x, weights[f"{name}_kernel"].T, weights[f"{name}_bias"]), 0, 20)

    for number in (1, 2, 3):
        x = dense(f"dense_{number}", x)
    kernels = weights["lstm/input_kernel"].T, weights["lstm/recurrent_kernel"].T
    bias = weights["lstm/input_bias"]
    zeros = torch.zeros(1, len(x), config.hidden_channels)
    flat = [*kernels, bias, torch.zeros_like(bias)]
    x, *_ = torch.lstm(x, (zeros, zeros), flat, True, 1, 0.0, True, False, True)
    x = dense("dense_5", x)
    return nn.linear(x, weights["output_kernel"].T, weights["output_bias"])
