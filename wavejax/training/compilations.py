"""Records what JAX compiles."""

import threading

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"


class CompilationWatch:
    """Inside a `with` statement, records every program that is compiled by the thread that created the watch.

    Attributes:
      names: the programs' names in order, as JAX calls them ("jit(train_step)"); clear the list to start again. A
        program loaded from a cache on disk is included, because it was not in memory either.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> "CompilationWatch":
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._hear)

    def _hear(self, event: str, duration_secs: float, **details: str | int) -> None:
        if event == _COMPILED and threading.get_ident() == self._thread:
            self.names.append(str(details.get("fun_name", "a program")))
