"""Optional packages, imported at the moment they are needed (floor 0: imports nothing of wavejax)."""

import importlib
from types import ModuleType


class MissingExtra(ImportError):
    """A package of an optional extra is not installed; the message says which extra brings it."""


def require_extra(module_name: str, extra: str, purpose: str) -> ModuleType:
    """Imports an optional module and returns it.

    Args:
      module_name: what to import, e.g. `"grain"` or `"matplotlib.pyplot"`.
      extra: the extra of the distribution that installs it, e.g. `"train"`.
      purpose: what needs it, the subject of the error's sentence, e.g. `"the training input pipeline"`.

    Raises:
      MissingExtra: the package is not installed. An import error inside an installed package is passed on unchanged.
    """
    package = module_name.partition(".")[0]
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtra(
            f"{purpose} needs the package {package}: pip install 'wavejax-audio[{extra}]'", name=package
        ) from error
