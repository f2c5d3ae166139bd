"""XLA compiler options for programs that run only once."""

import jax


def run_once_options() -> dict[str, int] | None:
    """`compiler_options` for a program that runs about once: on a CPU, optimising many small kernels takes far longer
    than running them unoptimised."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
