"""Topologies to compile for without the devices: TPU slices and GPU servers. The compilers run anywhere (extra `aot`).

    topology = get_topology("v5e:16x16")
    strategy = get_strategy("spmd", topology.devices())
    compiled = strategy.lower(step, state, batch).compile()     # the vendor's own compiler; nothing is computed

`v5e:16x16` is a TPU generation and the shape of the slice in chips; `h100x8` is a number of GPUs, 8 per server.
"""

import importlib.metadata
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
from jax.experimental import topologies

from wavejax.extras import MissingExtra

GIB = 2**30
SEVERAL_PROCESSES = "ALLOW_MULTIPLE_LIBTPU_LOAD"
"""Environment variable that lets several processes load libtpu at once."""


@dataclass(frozen=True, kw_only=True)
class Chip:
    """The compiler's view of one accelerator."""

    name: str
    platform: Literal["tpu", "gpu"]
    packages: tuple[str, ...]
    """The packages of its compiler."""
    memory_bytes: int
    """The part of its memory that a program may use."""
    memory_note: str
    dimensions: int
    """Number of dimensions of a slice's shape."""


_TPU = ("libtpu",)
_CUDA = ("jax-cuda13-plugin", "jax-cuda13-pjrt", "nvidia-cuda-nvcc", "nvidia-nvvm")
_OF_LIBTPU = "what libtpu leaves to programs"

# XLA's target description of an NVIDIA H100 SXM5 80 GB (a GpuTargetConfigProto in text form).
_H100_MEMORY = 84_942_979_072
_H100 = f"""
gpu_device_info {{
  cuda_compute_capability {{ major: 9 feature_extension: ACCELERATED_FEATURES }}
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98 threads_per_warp: 32
  threads_per_block_limit: 1024 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  l2_cache_size: 52428800 device_memory_size: {_H100_MEMORY} memory_bandwidth: 3352320000000
  driver_version: "13.0.0" runtime_version: "13.0.0" compile_time_toolkit_version: "13.0.0" dnn_version: "9.10.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def _tpu(name: str, gib: float, dimensions: int) -> Chip:
    return Chip(
        name=name,
        platform="tpu",
        packages=_TPU,
        memory_bytes=int(gib * GIB),
        memory_note=_OF_LIBTPU,
        dimensions=dimensions,
    )


CHIPS = {
    # GiB as stated by libtpu 0.0.42 when a program does not fit; `tests/parallel/test_topologies.py` checks them.
    "v4": _tpu("v4", 30.75, 3),
    "v5e": _tpu("v5e", 15.75, 2),
    "v5p": _tpu("v5p", 95.74, 3),
    "v6e": _tpu("v6e", 31.25, 2),
    "h100": Chip(
        name="h100",
        platform="gpu",
        packages=_CUDA,
        memory_bytes=int(0.75 * _H100_MEMORY),
        memory_note="the 75 % of 79.1 GiB that JAX takes by default (XLA_PYTHON_CLIENT_MEM_FRACTION)",
        dimensions=1,
    ),
}
"""Chips by name; a v4 or v5p chip's two cores are one device."""


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Devices to compile for; made by `get_topology`."""

    name: str
    chip: Chip
    shape: tuple[int, ...]
    """Chips along each dimension of a TPU slice; the number of GPUs."""

    @property
    def num_devices(self) -> int:
        """Chips, each of which is one device."""
        return math.prod(self.shape)

    def missing_packages(self) -> tuple[str, ...]:
        """Packages of the chip's compiler that are not installed."""
        absent = []
        for package in self.chip.packages:
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                absent.append(package)
        return tuple(absent)

    def devices(self) -> Sequence[jax.Device]:
        """Compile-only devices, ordered by process. Computations still run on the devices that exist.

        Raises:
          MissingExtra: the compiler is not installed.
          ValueError: the compiler knows no slice of this shape.
          RuntimeError: another process uses libtpu, which by default only one process may use at a time.
        """
        if absent := self.missing_packages():
            raise MissingExtra(
                f"compiling for {self.name} needs {', '.join(absent)}: pip install 'wavejax-audio[aot]'",
                name=absent[0],
            )
        try:
            return list(topologies.get_topology_desc(**self._description()).devices)
        except jax.errors.JaxRuntimeError as error:
            if "INVALID_ARGUMENT" in str(error):
                raise ValueError(f"{self.name}: the compiler knows no such slice ({_first_line(error)})") from error
            if "lockfile" in str(error):
                raise RuntimeError(
                    f"compiling for {self.name}: another process uses libtpu, or one that died has left its lock file; "
                    f"set {SEVERAL_PROCESSES}=1, which harms nothing where no TPU is used ({_first_line(error)})"
                ) from error
            raise

    def _description(self) -> dict[str, Any]:
        if self.chip.platform == "gpu":
            (count,) = self.shape
            # Slices x hosts x devices of a host.
            layout = f"1x1x{count}" if count <= 8 else f"1x{count // 8}x8"
            return {"platform": "cuda", "topology_name": "", "target_config": _H100, "topology": layout}
        description: dict[str, Any] = {
            "platform": "tpu",
            "topology_name": f"{self.chip.name}:{'x'.join(map(str, self.shape))}",
        }
        if self.num_devices == 1:
            description["chips_per_host_bounds"] = (1, 1, 1)
        if self.chip.name == "v4":
            description["chip_config_name"] = "megacore"
        return description


def get_topology(name: str) -> Topology:
    """The topology with a name such as `v5e:16x16`, `v5p:4x4x4` or `h100x8`.

    Raises:
      ValueError: unknown chip or shape; the message shows valid names.
    """
    examples = f"names look like v5e:16x16, v6e:2x4, v5p:4x4x4, v4:2x2x4, h100x8; chips are {', '.join(CHIPS)}"
    tpu, gpu = re.fullmatch(r"(v\w+):(\d+(?:x\d+)*)", name), re.fullmatch(r"(h100)x(\d+)", name)
    found = tpu or gpu
    if found is None or found.group(1) not in CHIPS:
        raise ValueError(f"there is no topology {name!r}: {examples}")
    chip, shape = CHIPS[found.group(1)], tuple(map(int, found.group(2).split("x")))
    if len(shape) != chip.dimensions or 0 in shape:
        expected = f"{chip.dimensions} dimension(s) of 1 or more"
        raise ValueError(f"a slice of {chip.name} has {expected}, not {name!r}: {examples}")
    if chip.platform == "gpu" and shape[0] > 8 and shape[0] % 8:
        raise ValueError(f"{name!r} does not fill its servers: more than 8 GPUs come in eights")
    return Topology(name=name, chip=chip, shape=shape)


class CompilerFailed(ValueError):
    """The vendor's compiler itself failed on a program."""


class DoesNotFit(Exception):
    """The compiler refused a program because it needs more memory than the device has."""


class MemoryUse(NamedTuple):
    """Memory use of a compiled program, in bytes on each device."""

    arguments: int
    """The state and this device's rows."""
    peak: int
    """Peak use: arguments, outputs that do not reuse their memory, temporaries and the program itself."""


def compile_lowered(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Compiles a lowered program for its devices.

    Raises:
      DoesNotFit: the program needs too much memory; the message is the compiler's.
      CompilerFailed: any other failure; the message is its first line, and what may help.
    """
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower():
            raise DoesNotFit(_first_line(error)) from error
        raise CompilerFailed(
            f"the compiler itself fails on this program: {_first_line(error)}. Try another number of rows a device "
            "(--rows-per-device); of CUDA's with XLA_FLAGS=--xla_gpu_enable_triton_gemm=false"
        ) from error


def memory_use(compiled: jax.stages.Compiled) -> MemoryUse:
    """The memory that a compiled program uses on each device, according to the compiler.

    Compilers differ in what they count as peak, so the peak is the larger of their figure and the sum of its parts.
    """
    analysis: Any = compiled.memory_analysis()
    arguments = int(analysis.argument_size_in_bytes)
    parts = arguments + analysis.output_size_in_bytes - analysis.alias_size_in_bytes + analysis.temp_size_in_bytes
    peak = max(analysis.peak_memory_in_bytes, parts) + analysis.generated_code_size_in_bytes
    return MemoryUse(arguments, int(peak))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
