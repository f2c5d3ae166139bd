"""Memory that is freed stays with the process: the arrays of a training step are not asked of the system each time.

glibc gives large blocks back to the system as soon as they are freed. A training step on a CPU frees and allocates
gigabytes, and the system clears each page of them anew: a third of the time where it was measured (docs/results.md).
"""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Parameters of glibc's mallopt, from its malloc.h."""
_SETTINGS = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
"""Large blocks are in the heap too, and it is never made smaller."""
VARIABLES = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Beginnings of environment variables by which users say themselves how memory is allocated."""
_MADV_HUGEPAGE = 14
_HUGE_PAGE = 2**21

_kept = [False]


def keep_freed_memory(*, one_heap: bool = True) -> bool:
    """Let this process keep what it has freed, for what it allocates next. Call it before JAX is imported.

    A thread that has a heap of its own gives large blocks back as before.

    The process then holds as much memory as it needed at its peak, and somewhat more where holes are left in its heap.

    Args:
        one_heap: no thread gets a heap of its own. A training wants it: its threads allocate large arrays. Synthesis
            was slower with it (docs/results.md).

    Returns:
        Whether it does: False without glibc, and where one of the environment's `VARIABLES` is set.
    """
    if not sys.platform.startswith("linux") or any(name.startswith(VARIABLES) for name in os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = {**_SETTINGS, **({_ARENA_MAX: 1} if one_heap else {})}
    done = [library.mallopt(parameter, value) == 1 for parameter, value in settings.items()]
    _kept[0] = all(done)
    if _kept[0]:
        _ask_for_huge_pages(library)
    return _kept[0]


def _ask_for_huge_pages(library: ctypes.CDLL) -> None:
    """Let the heap, up to half of the machine's memory, have pages of 2 MiB where Linux gives them to those who ask.

    The addresses are taken and given back to the heap, which keeps them; memory is used where something is stored.
    """
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    library.malloc.argtypes, library.malloc.restype = (ctypes.c_size_t,), ctypes.c_void_p
    library.madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    library.free.argtypes = (ctypes.c_void_p,)
    address = library.malloc(size)
    if address:
        first = -(-address // _HUGE_PAGE) * _HUGE_PAGE
        library.madvise(first, address + size - first, _MADV_HUGEPAGE)
        library.free(address)


def keeps_freed_memory() -> bool:
    """Whether `keep_freed_memory` has been called in this process, and could do it."""
    return _kept[0]


__all__ = ["keep_freed_memory", "keeps_freed_memory"]
