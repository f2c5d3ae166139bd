"""Kernels per generated sample of the decode block, compiled ahead of time for accelerators that need not be there.

    python -m benchmarks.kernels [--targets cpu h100 v5e] [--presets nv-wavenet-20 speech-16k] [--batch 8] [--json OUT]

On an accelerator one step of a small network costs about as many kernel launches as its loop body holds, so their
number is what restructuring has to bring down. The compilers are the vendors' own (extra `aot`; `cpu` needs nothing),
and what is printed is read off their programs: a count, never a speed.

Operations of the loop body that become a kernel are counted by name: fusions, products, copies, custom calls, slices,
reductions. Views and tuples are free, and so are a TPU's operations on single numbers, which its scalar unit does.
"""

import argparse
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.harness import check_json
from wavejax import atomic
from wavejax.generation import encode_conditioning, init_state, pack, run_block, uniforms
from wavejax.models.wavenet import WaveNet
from wavejax.models.wavenet_presets import get_preset
from wavejax.nn.parameters import initial_params
from wavejax.parallel.hlo import computations, loop_bodies, operation
from wavejax.parallel.topologies import SEVERAL_PROCESSES, Topology, get_topology

PRESETS = ("nv-wavenet-20", "speech-16k")
DTYPES = ("float32", "bfloat16")
BLOCK = 256

TARGETS: dict[str, Topology | None] = {
    "cpu": None,
    "h100": get_topology("h100x1"),
    "v5e": get_topology("v5e:1x1"),
}
"""Something to compile for: a topology of one device, or this machine."""

# What is counted stands before a CPU's machine code is made, so little effort is spent on that.
OPTIONS: dict[str, dict[str, Any]] = {"cpu": {"xla_backend_optimization_level": 0}}


def missing(target: str) -> tuple[str, ...]:
    """Packages of the target's compiler that are not installed."""
    topology = TARGETS[target]
    return () if topology is None else topology.missing_packages()


def compile_block(target: str, preset: str, *, batch: int, dtype: str) -> str:
    """The optimised program of `run_block` for the preset, as the target's compiler prints it."""
    config, topology = get_preset(preset), TARGETS[target]
    model = WaveNet(config, dtype=jnp.dtype(dtype))
    platform = "cpu" if topology is None else topology.chip.platform

    def first(key: jax.Array) -> tuple[Any, ...]:
        decoder = pack(model, initial_params(model, key), jnp.dtype(dtype), platform=platform)
        frames = jnp.zeros((batch, BLOCK // (model.hop_length or BLOCK) + 2, model.local_channels), jnp.float32)
        conditioning = encode_conditioning(decoder, frames if model.hop_length else None)
        state = init_state(decoder, conditioning, batch_size=batch)
        noise = uniforms(state.keys, state.position, BLOCK, model.distribution.noise_size)
        return decoder, state, conditioning, noise, jnp.int32(BLOCK)

    arguments = jax.eval_shape(first, jax.random.key(0))
    if topology is not None:
        sharding = NamedSharding(Mesh(np.asarray(topology.devices()), ("device",)), PartitionSpec())
        arguments = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), arguments
        )
    return str(jax.jit(run_block).lower(*arguments).compile(OPTIONS.get(target)).as_text())


_FREE = {"get-tuple-element", "parameter", "constant", "tuple", "bitcast", "after-all", "partition-id"}
_SECOND_HALVES = {"copy-done", "async-done", "fusion-done"}


def count_kernels(program: str) -> Counter[str]:
    """Operations of the program's loop body that become kernels, by name."""
    bodies = loop_bodies(program)
    if len(bodies) != 1:
        raise ValueError(f"expected a program with one loop, got {len(bodies)}: {sorted(bodies)}")
    counts: Counter[str] = Counter()
    for line in computations(program)[bodies.pop()]:
        shape, name = operation(line)
        on_the_scalar_unit = re.match(r"\w+\[\]\{.*S\(6\)", shape) is not None
        if name and name not in _FREE | _SECOND_HALVES and not on_the_scalar_unit:
            counts[name] += 1
    return counts


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
    check_json(arguments.json)
    # The process computes on the CPU whatever is installed: the accelerators' compilers are only asked to compile.
    jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault(SEVERAL_PROCESSES, "1")
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
        atomic.write_json(arguments.json, rows, indent=2)


if __name__ == "__main__":
    main()
