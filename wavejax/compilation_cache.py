"""Caches compiled programs of XLA and numba in the user's cache folder, from one command to the next.

The cache is off unless requested, as by the command line: a library must not write into its importer's home folder.
JAX's own folder of compiled programs is not enough: it does not detect a damaged entry, its size is bounded only with
another package, and a killed writer leaves half an entry forever. So JAX gets our store, at the only place where it
opens one (`jax._src.compilation_cache.get_file_cache`). A JAX version without that place compiles each time.
"""

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wavejax.caching import CACHE, SealedStore, cache_root

SWITCH = "WAVEJAX_COMPILATION_CACHE"
"""Environment variable: if "off", XLA compiles anew in every command, and numba uses its own cache."""

MAX_BYTES = 512 << 20

_LOGGER = logging.getLogger(__name__)
_SECTION_PACKAGES = ("jax", "jaxlib", "numba", "llvmlite")
_SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,  # many small programs add up to seconds
    "jax_persistent_cache_enable_xla_caches": "none",  # XLA's own files in the folder would be unchecked and unbounded
}
_active: SealedStore | None = None
_serves_jax = False
_passed_over = threading.local()


def active() -> SealedStore | None:
    """The store of compiled programs, or None if none is in use."""
    return _active


def serving_jax() -> SealedStore | None:
    """The store, if JAX's compiled programs are in it; None where JAX has its own, or none."""
    return _active if _serves_jax else None


@contextlib.contextmanager
def passed_over() -> Iterator[None]:
    """Inside the block this thread's programs are compiled, whether they were before or not, and not stored: what JAX
    has loaded from its cache cannot be serialised again (jaxlib 0.10 loses its kernels)."""
    _passed_over.is_on = True
    try:
        yield
    finally:
        _passed_over.is_on = False


@contextlib.contextmanager
def in_use() -> Iterator[SealedStore | None]:
    """Inside the block, programs that were compiled before are loaded instead of compiled; yields the store.

    The user's own settings have priority: if `jax_compilation_cache_dir` is set, JAX uses its own cache there; if the
    environment variable `SWITCH` is "off", or the user has no home folder, there is no cache.
    """
    global _active
    store, before = _opened(), _active
    if store is None:
        yield None
        return
    _active = store
    try:
        with _jax_keeps_in(store):
            yield store
    finally:
        _active = before


def _opened() -> SealedStore | None:
    if os.environ.get(SWITCH, "").lower() in ("off", "0"):
        return None
    try:
        root = cache_root() / "compiled"
    except RuntimeError:
        _LOGGER.warning(
            "the user has no home to keep compiled programs in: set %s to a folder, or %s=off", CACHE, SWITCH
        )
        return None
    return SealedStore(root, section(), max_bytes=MAX_BYTES)


def section() -> str:
    """The sub-folder's name for these versions of Python and of the compilers and this kind of processor.

    JAX's own keys include its version but not the processor's instructions, and machines may share a home folder.
    """
    versions = [f"{name} {_version(name)}" for name in _SECTION_PACKAGES]
    told = "\n".join([*versions, sys.version, platform.system(), _processor()])
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    return f"jax-{_version('jax')}-{sys.implementation.cache_tag}-{platform.machine()}-{digest}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    """A description of the processor that distinguishes its instruction set from others."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU part")
    return "\n".join(
        dict.fromkeys(line for line in lines if line.partition("\t")[0].partition(":")[0].strip() in wanted)
    )


class _JaxStore:
    """A `SealedStore` with JAX's interface (`jax._src.compilation_cache_interface.CacheInterface`)."""

    def __init__(self, store: SealedStore) -> None:
        self._store, self._path = store, store.folder

    def get(self, key: str) -> bytes | None:
        return self._store.get(key) if _is_asked() else None

    def put(self, key: str, value: bytes) -> None:
        if _is_asked():
            self._store.put(key, value)


def _is_asked() -> bool:
    """Whether this is the only process (of several that compile together, none may skip a step the others wait for),
    and the cache is not `passed_over`."""
    import jax

    return jax.process_count() == 1 and not getattr(_passed_over, "is_on", False)


@contextlib.contextmanager
def _jax_keeps_in(store: SealedStore) -> Iterator[None]:
    global _serves_jax
    import jax
    from jax.experimental.compilation_cache import compilation_cache as public

    config: Any = jax.config
    asked, private = _place_to_ask()
    if asked is None or config.jax_compilation_cache_dir or not config.jax_enable_compilation_cache:
        yield
        return
    settings = {"jax_compilation_cache_dir": str(store.folder), **_SETTINGS}
    before = {name: getattr(config, name) for name in settings}
    private.get_file_cache = lambda path: (_JaxStore(store), path)
    try:
        for name, value in settings.items():
            config.update(name, value)
        _serves_jax = True
        yield
    finally:
        _serves_jax = False
        for name, value in before.items():
            config.update(name, value)
        private.get_file_cache = asked
        public.reset_cache()  # JAX has opened the store meanwhile


def _place_to_ask() -> tuple[Callable[[str], Any] | None, Any]:
    """JAX's function that opens the cache of a folder, and the module that defines it."""
    try:
        from jax._src import compilation_cache
    except ImportError:
        return None, None
    return getattr(compilation_cache, "get_file_cache", None), compilation_cache
