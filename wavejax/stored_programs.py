"""Compiled programs that the next command loads instead of tracing, lowering and compiling the function again.

JAX's own cache of compiled programs is asked with the lowered program, so a function is traced in every process, which
takes as long as the rest of a short command. Here a program's name is what its function depends on: an identity that
the caller states, the shapes of its arguments, and the source of this package. So it is only for functions of this
package. Programs are stored where `wavejax.compilation_cache` stores those of JAX; where that is not in use, this is
`jax.jit`.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from wavejax import compilation_cache

_SETTINGS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_disable_jit")


class StoredProgram:
    """`jax.jit(function)`, whose compiled programs the next process finds again.

    Args:
        function: of this package and of nothing that `identity` does not tell; its arguments are trees of arrays.
        identity: what the program depends on besides its arguments, for example the repr of a model's configuration.
        options: gives the `compiler_options` of XLA; asked only when something is compiled.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        identity: str,
        options: Callable[[], dict[str, Any] | None] = lambda: None,
    ) -> None:
        self._function, self._identity, self._options = function, identity, options
        self._programs: dict[Any, Any] = {}

    @functools.cached_property
    def _jitted(self) -> Any:
        import jax

        return jax.jit(self._function, compiler_options=self._options())

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        import jax

        store, config = compilation_cache.serving_jax(), cast(Any, jax.config)
        if store is None or jax.process_count() > 1 or config.jax_disable_jit or config.jax_default_device:
            return self._jitted(*arguments)
        leaves, tree = jax.tree.flatten(arguments)
        key = tree, tuple((leaf.shape, leaf.dtype.name) for leaf in leaves)
        if key in self._programs:
            return self._programs[key](*arguments)
        name = _name(self._identity, f"{key}")
        with contextlib.suppress(Exception):  # of any layer, where it is in another version's form
            program = _loaded(store.get(name))
            result = jax.block_until_ready(program(*arguments))
            self._programs[key] = program
            return result
        with compilation_cache.passed_over():
            compiled = self._programs[key] = self._jitted.lower(*arguments).compile()
        with contextlib.suppress(Exception):  # a platform, or a tree, that cannot be serialised
            store.put(name, _serialized(compiled))
        return compiled(*arguments)


def _loaded(stored: bytes | None) -> Any:
    """A program from the store, which runs on the first device. Raises LookupError where there is none."""
    import jax
    from jax.experimental import serialize_executable

    if stored is None:
        raise LookupError
    payload, given, returned = pickle.loads(stored)
    return serialize_executable.deserialize_and_load(payload, given, returned, execution_devices=jax.devices()[:1])


def _serialized(program: Any) -> bytes:
    from jax.experimental import serialize_executable

    return pickle.dumps(serialize_executable.serialize(program))


def _name(identity: str, forms: str) -> str:
    import jax

    device = jax.devices()[0]
    told = [identity, forms, _source(), device.platform, device.device_kind]
    told += [f"{name}={getattr(jax.config, name, None)}" for name in _SETTINGS]
    return "program-" + hashlib.sha256("\n".join(told).encode()).hexdigest()


@functools.cache
def _source() -> str:
    """Changes with each change of this package's files, and with the version of flax."""
    root = Path(__file__).parent
    found = sorted((str(path.relative_to(root)), path.stat()) for path in root.rglob("*.py"))
    files = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in found]
    return hashlib.sha256("\n".join([importlib.metadata.version("flax"), *files]).encode()).hexdigest()
