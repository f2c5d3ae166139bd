"""Step time against processes and devices on this machine, and what a step exchanges on pods.

    python -m benchmarks.scaling [--jobs 1x1 1x2 2x1] [--topologies v5e:16x16 h100x8] [--presets r9y9-mol] [--json OUT]

**weak**: every device has as many rows whatever the number of devices (weak scaling), in real processes that talk over
gloo. All devices of one machine share its cores, so adding devices past the cores cannot make anything faster: a row's
`of_shared_cores` is the time of one device's step, times devices over the cores they can use at once, divided by the
time measured; 1 means that splitting the work over processes and devices costs nothing.

**pods**: the step is compiled for slices that need not be there (extra `aot`), and its program's own collectives are
listed: how many, of what size, and what a ring makes each device send. Counts and bytes, never a speed.
"""

import argparse
import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.environment import count_cores
from benchmarks.harness import ROOT, WrongResult, check_json, result, row, table, write_json
from benchmarks.models import empty_batch
from wavejax.experiments.compilation import compile_step, with_rows
from wavejax.experiments.running import abstract_step, training_strategy
from wavejax.parallel import initialize_processes
from wavejax.parallel.topologies import SEVERAL_PROCESSES, get_topology
from wavejax.tasks.families import get_family, preset
from wavejax.tasks.vocoder.wavenet import WaveNetVocoderConfig
from wavejax.training import create_train_state

JOBS = ("1x1", "1x2", "2x1", "2x2")
TOPOLOGIES = ("v5e:2x4", "v5e:16x16", "h100x8")
TIMEOUT = 900


def run(
    *,
    jobs: Sequence[str] = JOBS,
    topologies: Sequence[str] = TOPOLOGIES,
    presets: Sequence[str] = ("speech-16k",),
    rows: int = 2,
    steps: int = 8,
    quick: bool = False,
) -> dict[str, Any]:
    """Measure; `jobs` are processes x devices of each. Quick: a tiny network and few steps."""
    measured = []
    for name in presets:
        measured += _weak(name, jobs, rows, 3 if quick else steps, quick)
    left_out = []
    for topology in topologies:
        if absent := get_topology(topology).missing_packages():
            left_out.append(f"{topology} left out, not installed: {', '.join(absent)} (extra `aot`)")
            continue
        for name in presets:
            for shard in (False, True):
                measured += _on_pod(name, topology, rows, shard, quick)
    return result("scaling", measured, left_out)


def _weak(name: str, jobs: Sequence[str], rows: int, steps: int, quick: bool) -> list[dict[str, Any]]:
    answers = {job: _run_job(name, *map(int, job.split("x")), rows, steps, quick) for job in dict.fromkeys(jobs)}
    losses: dict[int, float] = {}
    measured = []
    for job, answer in answers.items():
        processes, devices = map(int, job.split("x"))
        total = processes * devices
        loss = losses.setdefault(total, answer["loss"])
        # The same rows on as many devices, however these are spread over processes: only sums are ordered differently.
        if not abs(answer["loss"] - loss) <= 1e-5 * abs(loss):
            raise WrongResult(f"{name}, {job}: loss {answer['loss']:.7f}, but {loss:.7f} on {total} other devices")
        details = {"rows": rows * total, "samples_per_second": rows * total * answer["crop"] / answer["median"]}
        alone = answers.get("1x1")
        if alone is not None:
            cores = min(total, count_cores())
            details["of_shared_cores"] = alone["median"] * total / cores / answer["median"]
        labels = {"part": "weak", "preset": name, "where": job, "kind": ""}
        seconds = [1e3 * each for each in answer["seconds"]]
        measured.append(row(labels, "ms a step", seconds, check={"loss": answer["loss"]}, **details))
    return measured


def _run_job(name: str, processes: int, devices: int, rows: int, steps: int, quick: bool) -> dict[str, Any]:
    """Seconds of each step (of the slowest process) and the last loss, which all processes agree on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    flags = [each for each in os.environ.get("XLA_FLAGS", "").split() if "host_platform_device_count" not in each]
    flags.append(f"--xla_force_host_platform_device_count={devices}")
    environment = {**os.environ, "XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    started = []
    try:
        for process in range(processes):
            arguments = {"name": name, "processes": processes, "process": process, "port": port}
            arguments |= {"rows": rows, "steps": steps, "quick": quick}
            command = [sys.executable, "-m", "benchmarks.process", "benchmarks.scaling:worker", json.dumps(arguments)]
            pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
        answers = []
        for each in started:
            said, errors = each.communicate(timeout=TIMEOUT)
            if each.returncode:
                raise RuntimeError(f"{name} on {processes}x{devices} failed:\n{errors[-4000:]}")
            answers.append(json.loads(said.splitlines()[-1]))
    finally:
        for each in started:
            each.kill()
            each.wait()
    if len({answer["loss"] for answer in answers}) > 1:
        raise WrongResult(f"{name} on {processes}x{devices}: the processes disagree on the loss: {answers}")
    seconds = [max(times) for times in zip(*(answer["seconds"] for answer in answers), strict=True)]
    return {**answers[0], "seconds": seconds, "median": statistics.median(seconds)}


def worker(name: str, processes: int, process: int, port: int, rows: int, steps: int, quick: bool) -> dict[str, Any]:
    """In a fresh process: one of several that train together on random rows."""
    if processes > 1:
        initialize_processes(f"localhost:{port}", num_processes=processes, process_id=process)
    config = with_rows(_config(name, quick), rows, jax.device_count())
    strategy = training_strategy(config)
    step_fn, shapes, _ = abstract_step(get_family(config.family), config)
    state = strategy.place(_ones(config, shapes))
    step = strategy.compile(step_fn)
    batch = strategy.shard_batch(_batch(config, strategy.process_rows(config.training.batch_size)))
    state, metrics = jax.block_until_ready(step(state, batch))
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        state, metrics = jax.block_until_ready(step(state, batch))
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "loss": float(metrics["loss"]), "crop": config.data.crop_length}


def _ones(config: WaveNetVocoderConfig, shapes: Any) -> Any:
    """A state whose values do not matter to its speed, made without compiling an initialisation."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: 0.02 * rng.normal(size=leaf.shape).astype(np.float32), shapes.params)
    return create_train_state(params, config.optimizer.build(), key=0)


def _batch(config: WaveNetVocoderConfig, rows: slice) -> dict[str, np.ndarray]:
    """This process's rows of one global batch of noise."""
    rng = np.random.default_rng(1)
    batch = empty_batch(config)
    batch["waveform"] = (0.1 * rng.normal(size=batch["waveform"].shape)).astype(np.float32)
    return {key: value[rows] for key, value in batch.items()}


def _config(name: str, quick: bool) -> WaveNetVocoderConfig:
    config = preset(name)
    if not quick:
        return config
    network = config.model.frame_network
    if network is not None:
        network = dataclasses.replace(network, channels=8, num_blocks=0)
    narrow = {"residual_channels": 8, "gate_channels": 8, "skip_channels": 8, "tail_channels": (8,)}
    model = dataclasses.replace(config.model, dilations=(1, 2, 4), frame_network=network, **narrow)
    data = dataclasses.replace(config.data, crop_length=2 * config.spec.hop_length)
    return dataclasses.replace(config, model=model, data=data)


def _on_pod(name: str, topology: str, rows: int, shard: bool, quick: bool) -> list[dict[str, Any]]:
    """A row for each kind of collective."""
    where = get_topology(topology)
    config = with_rows(_config(name, quick), rows, where.num_devices)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, shard_optimizer=shard))
    step = compile_step(get_family(config.family), config, where.devices(), where.chip.memory_bytes)
    samples = config.training.batch_size * config.data.crop_length
    measured = []
    for kind, total in step.exchanged().items():
        labels = {"part": "pods", "preset": name, "where": topology, "kind": kind, "shard_optimizer": shard}
        details = {
            "operations": total["count"],
            "sent_by_a_device_MiB": total["sent_bytes"] / 2**20,
            "flops_per_byte_sent": step.flops / step.num_devices / total["sent_bytes"],
            "samples_a_step": samples,
        }
        measured.append(row(labels, "MiB a step", [total["payload_bytes"] / 2**20], **details))
    return measured


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Prints the table and returns the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="*", default=list(JOBS), help="processes x devices of each, e.g. 2x1")
    parser.add_argument("--topologies", nargs="*", default=list(TOPOLOGIES))
    parser.add_argument("--presets", nargs="+", default=["speech-16k"])
    parser.add_argument("--rows", type=int, default=2, help="on each device")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="a tiny network and few steps: does it run at all?")
    parser.add_argument("--json", type=Path, help="write the result here, too")
    given = vars(parser.parse_args(arguments))
    path = given.pop("json")
    check_json(path)
    # What is not there is only compiled for; this process computes on the CPU.
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault(SEVERAL_PROCESSES, "1")
    figures = run(**given)
    print(table(figures))
    if path is not None:
        write_json(path, figures)
    return figures


if __name__ == "__main__":
    main()
