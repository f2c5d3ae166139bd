"""wavejax: models that make sound, the engine that runs them and the training that fits them, in JAX.

Importing it starts no JAX backend, changes no configuration and loads no optional package; the names below are
resolved on first use.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY_NAMES = {
    "Streamer": "wavejax.generation",
    "export": "wavejax.tasks.families",
    "generate": "wavejax.generation",
    "load": "wavejax.tasks.families",
    "preset": "wavejax.tasks.families",
    "stream": "wavejax.generation",
    "train_and_evaluate": "wavejax.tasks.families",
    "voices": "wavejax.tasks.families",
}

__all__ = [
    "Streamer",
    "__version__",
    "export",
    "generate",
    "load",
    "preset",
    "stream",
    "train_and_evaluate",
    "voices",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY_NAMES:
        raise AttributeError(
            f"module 'wavejax' has no attribute {name!r}; it offers {', '.join(sorted(_LAZY_NAMES))}, and its parts "
            f"are imported by name, e.g. `from wavejax.audio import read_audio`"
        )
    value = getattr(importlib.import_module(_LAZY_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_NAMES})
