"""Compiles the kernels' Python to machine code, which is cached on disk between processes."""

import atexit
import contextlib
import ctypes
import functools
import hashlib
import importlib
import inspect
import io
import logging
import os
import tempfile
import threading
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wavejax import compilation_cache
from wavejax.caching import SealedStore
from wavejax.extras import require_extra
from wavejax.generation.cpu import kernels, vectors

_LOGGER = logging.getLogger(__name__)

CALLED = ("gated", "draw_class", "exp")
"""Kernels besides `run` that tests call from Python."""
Weights = Literal["float32", "bfloat16", "int8"]
_PACKED_TYPES = {"float32": np.float32, "bfloat16": np.uint32, "int8": np.int8}


@functools.cache
def lanes() -> int:
    """Number of float32 in a vector: 16 if the processor has AVX-512, else 8 (LLVM splits vectors if necessary)."""
    llvm = require_extra("llvmlite.binding", "cpu", "the cpu backend")
    return 16 if llvm.get_host_cpu_features().get("avx512bw") else 8


@functools.cache
def numba_trouble() -> str | None:
    """Why the installed numba cannot compile the kernels here; None if it can."""
    try:
        numba = importlib.import_module("numba")
    except (ImportError, AttributeError, OSError) as error:  # built for another numpy, or its LLVM cannot be loaded
        said = str(error).strip().splitlines() or [type(error).__name__]
        return f"cannot import numba ({said[0]}): pip install --upgrade 'wavejax-audio[cpu]'"
    if numba.config.DISABLE_JIT:
        return "needs numba's compiler, which NUMBA_DISABLE_JIT switches off: unset that"
    return None


@functools.cache
def note_scan(trouble: str) -> None:
    """Reports, once, that generation is slower than it could be."""
    _LOGGER.warning("generating with backend 'scan', which is slower here: backend 'cpu' %s", trouble)


@functools.cache
def compiled(weights: Weights) -> dict[str, Callable]:
    """The kernels by name, for weights of this type: compiled on the first call, or loaded from a cache on disk.

    The cache is the folder of `wavejax.compilation_cache` if one is in use, else numba's own cache.
    """
    numba = require_extra("numba", "cpu", "the cpu backend")
    # numba checks only the function's own file for changes, so the cached name holds a hash of all source files.
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
            store = None if numba.config.CACHE_DIR else compilation_cache.active()  # the user's own folder has priority
            if store is None:
                space[name] = _cached(numba, clone, options)
            else:
                space[name] = _kept(numba, clone, options, store, f"{version}-{weights}-{lanes()}", weights)
        else:
            space[name] = numba.njit(no_cpython_wrapper=name not in CALLED, no_cfunc_wrapper=True, **options)(clone)
        if name in ("product_float", "product_int8"):
            space["product"] = space["product_int8" if weights == "int8" else "product_float"]
    return {function.__name__: space[function.__name__] for function in kernels.KERNELS}


def _cached(numba: Any, function: Callable, options: dict[str, Any]) -> Callable:
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba can write neither beside the source nor to the user's cache
        return numba.njit(**options)(function)


def _kept(
    numba: Any, function: Callable, options: dict[str, Any], store: SealedStore, name: str, weights: Weights
) -> Callable:
    """Compiles `function` immediately, for the only signature that `CpuBackend` calls.

    numba unpickles and runs whatever is in its cache. So its cache is a private folder of this process, with only
    verified files from the store.
    """
    place = hashlib.sha256(str(Path(kernels.__file__).resolve()).encode()).hexdigest()[:8]  # numba's names contain it
    name = f"numba-{name}-{place}"
    try:
        scratch = tempfile.TemporaryDirectory(prefix="wavejax-")
    except OSError:
        return _cached(numba, function, options)
    with scratch as folder:
        _unpack(store.get(name), Path(folder))
        with _numba_keeps_in(numba, folder):
            dispatcher = numba.njit(cache=True, **options)(function)
            try:
                dispatcher.compile(signature(numba, weights))
            except OSError:  # the folder for temporary files is full
                dispatcher = numba.njit(**options)(function)
                dispatcher.compile(signature(numba, weights))
        if not sum(dispatcher.stats.cache_hits.values()):
            store.put(name, _packed(Path(folder)))
    dispatcher.disable_compile()  # the folder is gone, and a call with other types would be a mistake
    return dispatcher


@contextlib.contextmanager
def _numba_keeps_in(numba: Any, folder: str) -> Iterator[None]:
    """Sets numba's cache folder, and the LLVM optimisation level that makes the first call fastest.

    The kernels are already written with vectors: level 3 makes them no faster than level 1, and takes a tenth more
    time. A NUMBA_OPT set by the user has priority.
    """
    config = numba.config
    before = config.CACHE_DIR, config.OPT
    config.CACHE_DIR = folder
    if "NUMBA_OPT" not in os.environ:
        config.OPT = type(config.OPT)(1)
    try:
        yield
    finally:
        config.CACHE_DIR, config.OPT = before


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return buffer.getvalue()


def _unpack(archive: bytes | None, folder: Path) -> None:
    if archive is not None:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            files.extractall(folder)


def signature(numba: Any, weights: Weights) -> tuple[Any, ...]:
    """The types of `run`'s arguments; they are the same for all models with weights of one type."""

    def array(dimensions: int, dtype: Any = np.float32) -> np.ndarray:
        return np.zeros((0,) * dimensions, dtype)

    def given(dimensions: int) -> np.ndarray:
        view = array(dimensions)
        view.flags.writeable = False
        return view

    one = np.float32(1)
    packed = kernels.Packed(
        weights=array(1, _PACKED_TYPES[weights]),
        scales=array(1),
        matrices=array(2, np.int64),
        table=array(3),
        residual_bias=array(2),
        skip_bias=array(1),
        tail_bias=array(2),
        dilations=array(1, np.int64),
        starts=array(1, np.int64),
        levels=array(1),
        scalars=array(1),
        tilt=array(2),
    )
    hints = inspect.get_annotations(kernels.Sizes)
    ones: Any = {name: kind(1) for name, kind in hints.items()}
    sizes = kernels.Sizes(**ones)
    cache = kernels.Cache(ring=array(3), phase=array(1, np.int64), history=array(2), value=array(1), memory=array(1))
    job = kernels.Job(
        gates=given(5),
        local=given(4),
        tail=given(4),
        temperature=given(2),
        noise=given(3),
        floor=one,
        start=1,
        given=given(2),
        values=array(2),
        waveform=array(2),
        outputs=array(3),
    )
    return tuple(numba.typeof(argument) for argument in (packed, sizes, cache, job, 1, 1))


@functools.cache
def ahead(weights: Weights) -> "Ahead":
    """Starts to compile the kernels for weights of this type, unless that has already started."""
    return Ahead(weights)


class Ahead:
    """Compiles the kernels in a thread while XLA compiles something else: both compilers let other Python threads run.

    Args:
      weights: as for `compiled`.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._compile, name="wavejax kernels", daemon=True)
        self._thread.start()
        atexit.register(self._abandon)

    def result(self) -> dict[str, Callable]:
        """Waits, and returns the result of `compiled`. Raises what compiling raised."""
        self._thread.join()
        atexit.unregister(self._abandon)
        if self._error is not None:
            raise self._error
        return compiled(self._weights)

    def _compile(self) -> None:
        try:
            if (trouble := numba_trouble()) is not None:
                raise ValueError(f"backend 'cpu' {trouble}, or use backend='scan'")
            numba = require_extra("numba", "cpu", "the cpu backend")
            run: Any = compiled(self._weights)["run"]
            if not run.signatures:
                run.compile(signature(numba, self._weights))
        except BaseException as error:
            self._error = error

    def _abandon(self) -> None:
        """Called when the program ends early, e.g. after Ctrl-C: no thread may be in the compiler when it exits."""
        if self._thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(SystemExit)
            )
            self._thread.join()
