"""From the kernels' Python to machine code, kept on disk between processes."""

import functools
import hashlib
import inspect
import types
from collections.abc import Callable
from typing import Any, Literal

from wavejax.extras import require_extra
from wavejax.generation.cpu import kernels, vectors

CALLED = ("gated", "draw_class", "exp")
"""Kernels that tests call from Python, beside `run`."""
Weights = Literal["float32", "bfloat16", "int8"]


@functools.cache
def lanes() -> int:
    """float32 in a vector: 16 where the processor has AVX-512, else 8 (LLVM makes two of one where it must)."""
    llvm = require_extra("llvmlite.binding", "cpu", "the cpu backend")
    return 16 if llvm.get_host_cpu_features().get("avx512bw") else 8


@functools.cache
def compiled(weights: Weights) -> dict[str, Callable]:
    """The kernels by name, for weights of this type: compiled when first called, or read from numba's cache."""
    numba = require_extra("numba", "cpu", "the cpu backend")
    # numba compares a function's own file only: the name of what it keeps says which files went into it.
    sources = "".join(inspect.getsource(module) for module in (kernels, vectors))
    version = hashlib.sha256(sources.encode()).hexdigest()[:12]
    space: dict[str, Any] = {**vars(kernels), "LANES": lanes(), "TILE": 4 if lanes() == 16 else 2}
    space["UNIT"] = lanes() // 2 if weights == "bfloat16" else lanes()
    space |= vectors.vector_instructions(lanes())
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    for function in kernels.KERNELS:
        name = function.__name__
        clone = types.FunctionType(function.__code__, space, name)
        clone.__module__, clone.__qualname__ = kernels.__name__, f"{name}_{version}"
        if name == "run":
            space[name] = _cached(numba, clone, options)
        else:
            space[name] = numba.njit(no_cpython_wrapper=name not in CALLED, no_cfunc_wrapper=True, **options)(clone)
        if name in ("product_float", "product_int8"):
            space["product"] = space["product_int8" if weights == "int8" else "product_float"]
    return {function.__name__: space[function.__name__] for function in kernels.KERNELS}


def _cached(numba: Any, function: Callable, options: dict[str, Any]) -> Callable:
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to write to, neither beside the source nor the user's own
        return numba.njit(**options)(function)
