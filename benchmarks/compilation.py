"""Seconds that compilation adds to a first call: generation by length and by number of layers, and the training step.

Each figure is of a fresh process: the first call's time less the second's, so tracing, compiling and all else that
happens once. No compilation cache is read or written.
"""

import dataclasses
import time
from typing import Any, get_args

import jax
import numpy as np

from benchmarks.harness import Keep, forget, in_fresh_process, result, row
from benchmarks.models import empty_batch, frames_for, make_model
from wavejax.experiments.autoregressive.learner import crop_loss
from wavejax.generation import generate
from wavejax.generation.backends import BackendName
from wavejax.models.wavenet_presets import get_preset, powers
from wavejax.tasks.families import preset
from wavejax.training import create_train_state, make_train_step

NO_CACHE = {"JAX_ENABLE_COMPILATION_CACHE": "false"}


def run(*, quick: bool = False, repeats: int = 3, keep: Keep = forget) -> dict[str, Any]:
    """Measure; generation is of `speech-16k`'s widths, 16 layers where only the length varies."""
    lengths, layers, repeats = ((200, 400), (4,), 1) if quick else ((1_000, 16_000, 64_000), (10, 20, 30, 40), repeats)
    backends = [name for name in get_args(BackendName) if name != "auto"]
    rows = []
    for backend in backends:
        for num_samples in lengths:
            labels = {"what": "generate", "backend": backend, "layers": 16, "samples": num_samples}
            rows.append(_row(labels, "generation", repeats, backend=backend, layers=16, num_samples=num_samples))
        for count in layers:
            labels = {"what": "generate", "backend": backend, "layers": count, "samples": 1_000}
            rows.append(_row(labels, "generation", repeats, backend=backend, layers=count, num_samples=1_000))
        keep(result("compile", rows))
    for count in layers:
        rows.append(_row({"what": "training step", "layers": count}, "training", repeats, layers=count))
    return result("compile", rows)


def _row(labels: dict[str, Any], function: str, repeats: int, **arguments: Any) -> dict[str, Any]:
    call = f"benchmarks.compilation:{function}"
    answers = [in_fresh_process(call, NO_CACHE, **arguments) for _ in range(repeats)]
    check = {"second_call": "equal to the first"} if function == "generation" else None
    return row(labels, "s", [answer["seconds"] for answer in answers], check=check)


def generation(backend: str, layers: int, num_samples: int) -> dict[str, Any]:
    """In a fresh process: what the first call costs more than the second."""
    stacks = max(1, round(layers / 10))
    dilations = (powers(stacks, 10) if layers >= 10 else powers(1, layers))[:layers]
    dilations = powers(2, 8) if layers == 16 else dilations
    model, params = make_model(dataclasses.replace(get_preset("speech-16k"), dilations=dilations))
    frames = frames_for(model, 1, num_samples)
    seconds, waveforms = [], []
    for _ in range(2):
        start = time.perf_counter()
        waveforms.append(
            generate(model, params, num_samples=num_samples, local_conditioning=frames, backend=backend)  # type: ignore[arg-type]
        )
        seconds.append(time.perf_counter() - start)
    np.testing.assert_array_equal(*waveforms)
    return {"seconds": seconds[0] - seconds[1]}


def training(layers: int) -> dict[str, Any]:
    """In a fresh process: what the first training step costs more than the second."""
    config = preset("speech-16k")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, dilations=powers(1, 8) * layers))
    model = dataclasses.replace(config.model, dilations=config.model.dilations[:layers])
    config = dataclasses.replace(config, model=model)
    _, params = make_model(config.model)
    optimizer = config.optimizer.build()
    state = create_train_state(params, optimizer, key=0)
    step = jax.jit(make_train_step(crop_loss(config), optimizer), donate_argnums=0)
    batch = jax.device_put(empty_batch(config))
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(step(state, batch))
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[0] - seconds[1]}
