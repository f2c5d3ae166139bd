"""Is the installation sound? Versions, devices, extras, and a tiny model that must speak the same way twice."""

import importlib.metadata
import importlib.util
import platform

import jax

import wavejax
from wavejax.evaluation.findings import Finding
from wavejax.generation.cpu.compiling import numba_trouble
from wavejax.generation.self_check import speaks_alike
from wavejax.parallel.platforms import platform_trouble

EXTRAS = {
    "train": ("grain", "array_record", "tensorboardX"),
    "plot": ("matplotlib",),
    "eval": ("librosa",),
    "cpu": ("numba",),
    "corpora": ("av",),
}
"""Packages that each extra of the distribution brings, as they are imported."""


def check_installation() -> list[Finding]:
    """Versions, devices, extras, and a tiny model that must speak the same way whole and in blocks."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "flax", "optax", "numpy"))
    words = f"wavejax {wavejax.__version__}, Python {platform.python_version()}, {versions}"
    findings = [Finding(check="versions", verdict="note", words=words)]
    trouble = platform_trouble()
    if trouble is not None:
        return [*findings, Finding(check="devices", verdict="bad", words=trouble)]
    devices = jax.devices()
    kinds = f"{len(devices)} x {devices[0].device_kind}" if len(devices) > 1 else devices[0].device_kind
    findings.append(Finding(check="devices", verdict="note", words=f"{jax.default_backend()}: {kinds}"))
    for extra, packages in EXTRAS.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        words = f"the extra {extra} is installed"
        if missing:
            words = f"without the extra {extra} ({', '.join(missing)}): pip install 'wavejax-audio[{extra}]'"
        elif extra == "cpu" and (trouble := numba_trouble()) is not None:
            words += f", but backend 'cpu' {trouble}"
        findings.append(Finding(check="extras", verdict="note", words=words))
    return [*findings, _check_speech()]


def _check_speech() -> Finding:
    if not speaks_alike():
        words = "a tiny model does not speak the same way whole and in blocks: this jax does not compute what it should"
        return Finding(check="generation", verdict="bad", words=words)
    return Finding(check="generation", verdict="good", words="a tiny model speaks, whole and in blocks alike")
