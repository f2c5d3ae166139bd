"""Kernels per generated sample of the decode block, compiled ahead of time for accelerators that need not be there.

    python -m benchmarks.kernels [--targets cpu h100 v5e] [--presets nv-wavenet-20 speech-16k] [--batch 8] [--json OUT]

On an accelerator one step of a small network costs about as many kernel launches as its loop body holds, so their
number is what restructuring has to bring down. The compilers are the vendors' own (extra `aot`; `cpu` needs nothing),
and what is printed is read off their programs: a count, never a speed.

Operations of the loop body that become a kernel are counted by name: fusions, products, copies, custom calls, slices,
reductions. Views and tuples are free, and so are a TPU's operations on single numbers, which its scalar unit does.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wavejax.generation import encode_conditioning, init_state, pack, run_block, uniforms
from wavejax.models.wavenet import WaveNet, initial_params
from wavejax.models.wavenet_presets import get_preset

PRESETS = ("nv-wavenet-20", "speech-16k")
DTYPES = ("float32", "bfloat16")
BLOCK = 256

# Of an NVIDIA H100 SXM5 80 GB, as XLA describes its targets (a GpuTargetConfigProto in text form).
_H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98 threads_per_warp: 32
  threads_per_block_limit: 1024 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  l2_cache_size: 52428800 device_memory_size: 84942979072 memory_bandwidth: 3352320000000
  driver_version: "13.0.0" runtime_version: "13.0.0" compile_time_toolkit_version: "13.0.0" dnn_version: "9.10.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Something to compile for."""

    platform: str
    packages: tuple[str, ...] = ()
    """What its compiler consists of."""
    topology: dict[str, Any] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of the compiler."""


TARGETS = {
    # What is counted stands before machine code is made, so little effort is spent on that.
    "cpu": Target(platform="cpu", options={"xla_backend_optimization_level": 0}),
    "h100": Target(
        platform="gpu",
        packages=("jax-cuda13-plugin", "jax-cuda13-pjrt", "nvidia-cuda-nvcc", "nvidia-nvvm"),
        topology={"platform": "cuda", "topology_name": "", "target_config": _H100, "topology": "1x1x1"},
    ),
    "v5e": Target(
        platform="tpu",
        packages=("libtpu",),
        topology={"platform": "tpu", "topology_name": "v5e:1x1", "chips_per_host_bounds": (1, 1, 1)},
    ),
}


def missing(target: str) -> list[str]:
    """Packages of the target's compiler that are not installed."""
    absent = []
    for package in TARGETS[target].packages:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            absent.append(package)
    return absent


def compile_block(target: str, preset: str, *, batch: int, dtype: str) -> str:
    """The optimised program of `run_block` for the preset, as the target's compiler prints it."""
    config = get_preset(preset)
    model = WaveNet(config, dtype=jnp.dtype(dtype))

    def first(key: jax.Array) -> tuple[Any, ...]:
        decoder = pack(model, initial_params(model, key), jnp.dtype(dtype), platform=TARGETS[target].platform)
        frames = jnp.zeros((batch, BLOCK // (model.hop_length or BLOCK) + 2, model.local_channels), jnp.float32)
        conditioning = encode_conditioning(decoder, frames if model.hop_length else None)
        state = init_state(decoder, conditioning, batch_size=batch)
        noise = uniforms(state.keys, state.position, BLOCK, model.distribution.noise_size)
        return decoder, state, conditioning, noise, jnp.int32(BLOCK)

    arguments = jax.eval_shape(first, jax.random.key(0))
    if TARGETS[target].topology:
        device = topologies.get_topology_desc(**TARGETS[target].topology).devices[0]
        sharding = NamedSharding(Mesh(np.asarray([device]), ("device",)), PartitionSpec())
        arguments = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), arguments
        )
    return str(jax.jit(run_block).lower(*arguments).compile(TARGETS[target].options).as_text())


_FREE = {"get-tuple-element", "parameter", "constant", "tuple", "bitcast", "after-all", "partition-id"}
_SECOND_HALVES = {"copy-done", "async-done", "fusion-done"}


def count_kernels(program: str) -> Counter[str]:
    """Operations of the program's loop body that become kernels, by name."""
    computations = _computations(program)
    bodies = set(re.findall(r"body=%?([\w.\-]+)", program))
    if len(bodies) != 1:
        raise ValueError(f"expected a program with one loop, got {len(bodies)}: {sorted(bodies)}")
    counts: Counter[str] = Counter()
    for line in computations[bodies.pop()]:
        shape, name = _operation(line)
        on_the_scalar_unit = re.match(r"\w+\[\]\{.*S\(6\)", shape) is not None
        if name and name not in _FREE | _SECOND_HALVES and not on_the_scalar_unit:
            counts[name] += 1
    return counts


def _computations(program: str) -> dict[str, list[str]]:
    """Lines of each computation of a program in HLO text."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in program.splitlines():
        start = re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line)
        if start:
            lines = found[start.group(1)] = []
        elif line.startswith("  "):
            lines.append(line)
    return found


def _operation(line: str) -> tuple[str, str]:
    """(shape, name) of one instruction; two empty strings where the line is none."""
    start = re.match(r"\s*(?:ROOT )?%?[\w.\-]+ = ", line)
    if start is None:
        return "", ""
    rest, depth = line[start.end() :], 0
    for place, letter in enumerate(rest):  # the shape ends at the first space outside brackets
        depth += (letter in "([{") - (letter in ")]}")
        if letter == " " and depth == 0:
            return rest[:place], rest[place + 1 :].partition("(")[0]
    return "", ""


def measure(target: str, preset: str, *, batch: int, dtype: str) -> dict[str, Any]:
    """One row of the table."""
    counts = count_kernels(compile_block(target, preset, batch=batch, dtype=dtype))
    return {
        "target": target,
        "preset": preset,
        "dtype": dtype,
        "batch": batch,
        "layers": get_preset(preset).num_layers,
        "kernels": sum(counts.values()),
        "by_name": dict(counts.most_common()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", choices=sorted(TARGETS), default=list(TARGETS))
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    arguments = parser.parse_args()
    # The process computes on the CPU whatever is installed: the accelerators' compilers are only asked to compile.
    jax.config.update("jax_platforms", "cpu")
    rows = []
    print(f"{'target':<8}{'preset':<16}{'dtype':<10}{'batch':>6}{'layers':>8}{'kernels a step':>16}")
    for target in arguments.targets:
        if absent := missing(target):
            print(f"{target:<8}left out, not installed: {', '.join(absent)} (extra `aot`)")
            continue
        for preset in arguments.presets:
            for dtype in arguments.dtypes:
                row = measure(target, preset, batch=arguments.batch, dtype=dtype)
                rows.append(row)
                names = ", ".join(f"{count} {name}" for name, count in row["by_name"].items())
                print(
                    f"{target:<8}{preset:<16}{dtype:<10}{row['batch']:>6}{row['layers']:>8}{row['kernels']:>16}"
                    f"  ({names})",
                    flush=True,
                )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
