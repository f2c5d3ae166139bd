"""Refuses to generate in a process that was forked after JAX began to compute: it would hang forever.

`os.fork` copies the memory and one thread. XLA's and numba's threads hold locks and take work in the parent only, so
the first computation in the child never ends. The drivers remember the process in which they first ran.
"""

import os

_first: list[int] = []


def refuse_after_fork() -> None:
    """Remembers the process that generates first; raises RuntimeError in a process that was later forked from it.

    A process that was forked before anything was generated, or started by spawn or forkserver, may generate.
    """
    this = os.getpid()
    if not _first:
        _first.append(this)
    elif _first[0] != this:
        raise RuntimeError(
            f"process {this} was forked from {_first[0]} after that had generated, and would wait for ever for threads "
            "that a fork does not copy: start workers by spawn (multiprocessing.get_context('spawn')), or fork before "
            "the first sound is made"
        )


__all__ = ["refuse_after_fork"]
