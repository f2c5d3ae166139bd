"""Memory that is freed stays with the process: the arrays of a training step are not asked of the system each time.

glibc gives large blocks back to the system as soon as they are freed. A training step on a CPU frees and allocates
gigabytes, and the system clears each page of them anew: a third of the time where it was measured (docs/results.md).
"""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Parameters of glibc's mallopt, from its malloc.h."""
_SETTINGS = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
"""One heap, large blocks in it too, and never made smaller."""
VARIABLES = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
"""Beginnings of environment variables by which users say themselves how memory is allocated."""

_kept = [False]


def keep_freed_memory() -> bool:
    """Let this process keep what it has freed, for what it allocates next. Call it before JAX is imported.

    A thread that runs already may have a heap of its own, from which large blocks go back as before.

    The process then holds as much memory as it needed at its peak, and somewhat more where holes are left in its heap.

    Returns:
        Whether it does: False without glibc, and where one of the environment's `VARIABLES` is set.
    """
    if not sys.platform.startswith("linux") or any(name.startswith(VARIABLES) for name in os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "gnu_get_libc_version"):
        return False
    done = [library.mallopt(parameter, value) == 1 for parameter, value in _SETTINGS.items()]
    _kept[0] = all(done)
    return _kept[0]


def keeps_freed_memory() -> bool:
    """Whether `keep_freed_memory` has been called in this process, and could do it."""
    return _kept[0]


__all__ = ["keep_freed_memory", "keeps_freed_memory"]
