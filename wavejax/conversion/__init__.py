"""Public weights -> wavejax parameters, read without PyTorch and without running a pickle."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavejax.conversion.converting import Converted, Parity, Report, convert
    from wavejax.conversion.reading import WeightFile, read_weights
    from wavejax.conversion.rules import ConversionError
    from wavejax.conversion.source import RefusedFile

_MODULES = {
    "ConversionError": "wavejax.conversion.rules",
    "Converted": "wavejax.conversion.converting",
    "Parity": "wavejax.conversion.converting",
    "RefusedFile": "wavejax.conversion.source",
    "Report": "wavejax.conversion.converting",
    "WeightFile": "wavejax.conversion.reading",
    "convert": "wavejax.conversion.converting",
    "read_weights": "wavejax.conversion.reading",
}


def __getattr__(name: str) -> Any:
    """Reading a file needs NumPy alone: JAX is imported where something is converted."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(sorted(_MODULES))}")
    return getattr(importlib.import_module(_MODULES[name]), name)


__all__ = [
    "ConversionError",
    "Converted",
    "Parity",
    "RefusedFile",
    "Report",
    "WeightFile",
    "convert",
    "read_weights",
]
