"""XLA compiler options where compiling takes longer than running."""

import functools
from typing import Any

import jax


def run_once_options() -> dict[str, int] | None:
    """`compiler_options` for a program that runs about once: on a CPU, optimising many small kernels takes far longer
    than running them unoptimised."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


@functools.cache
def quick_options(*, once: bool = False) -> dict[str, Any] | None:
    """`compiler_options` for a program that someone waits for: on a CPU, XLA's older emitter of fused loops compiles a
    speaker's and a vocoder's programs in 0.7 of the time, and they run as fast. None where XLA does not have it.

    A program that runs `once` an utterance is not optimised either, which is 0.3 of its time.
    """
    if jax.default_backend() != "cpu":
        return None
    options = {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0.0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        options = {}
    return {**options, **((run_once_options() or {}) if once else {})} or None
