"""What a benchmark ran on."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wavejax import allocator

PACKAGES = ("wavejax-audio", "jax", "jaxlib", "numpy", "numba", "torch", "wavenet_vocoder", "librosa", "soxr", "grain")
VARIABLES = ("XLA_FLAGS", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that change what is measured."""


def describe_machine(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Processor, cores, memory, load, and the versions of Python and of those `packages` that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "vector_units": _vector_units(),
        "cores": count_cores(),
        **_accelerator(),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        **versions,
        "malloc": "keeps what is freed" if allocator.keeps_freed_memory() else "default",
        **{name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
    }


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_information(field: str) -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith(field):
                return line.partition(":")[2].strip()
    return ""


def _cpu_model() -> str:
    return _cpu_information("model name") or platform.processor() or platform.machine()


def _vector_units() -> list[str]:
    flags = set(_cpu_information("flags").split())
    return [name for name in ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni") if name in flags]


def _accelerator() -> dict[str, str]:
    """The device that JAX computes on where that is no CPU and JAX is in use at all."""
    jax = sys.modules.get("jax")
    if jax is None or jax.default_backend() == "cpu":
        return {}
    return {"accelerator": f"{len(jax.devices())} {jax.devices()[0].device_kind}"}


def _commit() -> str:
    """Commit of the checkout, "+" after it where files differ from it; "unknown" outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
