"""Checks whether JAX can start the platforms that it was told to use."""

import os
from typing import Any

import jax


def platform_trouble() -> str | None:
    """One sentence on why JAX cannot start the platforms in JAX_PLATFORMS; None if it can.

    JAX itself raises an AssertionError without a cause, or a RuntimeError, wherever a device is first requested. If no
    platform is named, JAX uses what it finds, and there is always a CPU.
    """
    config: Any = jax.config
    asked = config.jax_platforms
    if not asked:
        return None
    try:
        jax.devices()
    except (AssertionError, RuntimeError) as error:
        said = str(error).partition(" (set JAX_PLATFORMS=")[0].strip().splitlines()  # its own advice comes last
        reason = f" ({said[0].rstrip('.')})" if said else ""
        where = "JAX_PLATFORMS" if os.environ.get("JAX_PLATFORMS") == asked else "jax_platforms"
        return (
            f"JAX cannot start {asked!r}, which {where} asks for{reason}: set {where}=cpu, leave it unset for the best "
            "that is there, or install what the device needs (pip install 'wavejax-audio[cuda]', or [tpu])"
        )
    return None
