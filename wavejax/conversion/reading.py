"""Weights from files of other programs: names and NumPy arrays, without running anything that a file says."""

import hashlib
import os
from collections.abc import Mapping
from types import TracebackType

import numpy as np

from wavejax.conversion.archives import Archive
from wavejax.conversion.array_files import read_npz, read_safetensors
from wavejax.conversion.source import LIMITS, RefusedFile, SourceFile, shown
from wavejax.conversion.tensors import Part
from wavejax.conversion.torch_files import LEGACY_START, read_legacy, read_zip

PREFERRED = ("", "generator", "state_dict", "model_g", "model", "net")
"""Places in which projects keep the weights that matter, the first one first."""


class WeightFile:
    """The dicts of tensors in a weight file, a context manager; tensors are read when they are asked for.

    What a file is, its content decides, not its name: `torch.save` (both forms), safetensors, .npz.

    Raises:
        RefusedFile: it is damaged, hostile, or of another kind. OSError: it cannot be opened.
    """

    format: str
    """"torch", "torch (older form)", "safetensors" or "npz"."""
    parts: Mapping[str, Part]
    """Dicts of tensors by their place in the file: "" for the file's own, or "generator", "optim/state/0"."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._source = SourceFile(path)
        try:
            self.format, self.parts = _opened(self._source)
            if not any(self.parts.values()):
                raise self._source.refused("it holds no tensors by name; save a model's state_dict()")
        except RefusedFile as error:
            self._source.close()
            name = f"{self._source.path}: "
            raise error if str(error).startswith(name) else RefusedFile(f"{name}{error}") from None
        except BaseException:
            self._source.close()
            raise

    def __enter__(self) -> "WeightFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._source.close()

    def read(self, part: str) -> dict[str, np.ndarray]:
        """All tensors of one part, in their own dtypes. Raises RefusedFile: there is none, or they are too large."""
        if part not in self.parts:
            raise self._source.refused(f"it has no part {shown(part)}; it has {self.described_parts()}")
        tensors = self.parts[part]
        total = sum(tensor.cost for tensor in tensors.values())
        # A compressed archive was compared with its expansion when it was opened.
        if self.format != "npz" and total > LIMITS.sharing * self._source.size:
            raise self._source.refused(
                f"the tensors of {shown(part)} would take {total} bytes, and the file has {self._source.size}"
            )
        return {name: tensor.read() for name, tensor in tensors.items()}

    def sha256(self) -> str:
        """Of the whole file, in hexadecimal digits."""
        digest = hashlib.sha256()
        for begin in range(0, self._source.size, 1 << 20):
            digest.update(self._source.read(begin, min(1 << 20, self._source.size - begin), "the file"))
        return digest.hexdigest()

    def described_parts(self) -> str:
        """Its parts and how many tensors each has, the largest first, for messages."""
        ordered = sorted(self.parts.items(), key=lambda item: -len(item[1]))
        listed = [f"{shown(name)} ({len(part)} tensors)" for name, part in ordered[:5]]
        return ", ".join(listed) + (f" and {len(ordered) - 5} more" if len(ordered) > 5 else "")


def read_weights(path: str | os.PathLike[str], part: str | None = None) -> dict[str, np.ndarray]:
    """Tensors by name from a `.pt`, `.pth`, `.ckpt`, `.bin`, `.safetensors` or `.npz` file.

    Args:
        path: the file.
        part: which dict of tensors, by its place in the file ("generator", "model/ema"). Default: the only one, or the
            first of `PREFERRED` that is there.

    Returns:
        Arrays in the file's own dtypes (bfloat16 as `ml_dtypes.bfloat16`) and order, in the machine's byte order.

    Raises:
        RefusedFile: the file is damaged, hostile or of another kind, or it is not clear which part is meant.
        OSError: it cannot be opened.
    """
    with WeightFile(path) as file:
        if part is None:
            choices = [*file.parts] if len(file.parts) == 1 else [name for name in PREFERRED if name in file.parts]
            if not choices:
                raise RefusedFile(f"{path}: it is not clear which part is meant; it has {file.described_parts()}")
            part = choices[0]
        return file.read(part)


def _opened(source: SourceFile) -> tuple[str, Mapping[str, Part]]:
    start = bytes(source.read(0, min(source.size, 32), "its beginning"))
    if start.startswith(b"PK"):
        archive = Archive(source)
        pickles = [name for name in archive.members if name.endswith("/data.pkl")]
        if len(pickles) > 1:
            raise source.refused("it holds several pickles of PyTorch: it is not clear which one is meant")
        if pickles:
            return "torch", read_zip(source, archive)
        if any(name.endswith(".npy") for name in archive.members):
            return "npz", read_npz(source, archive)
        raise source.refused("it is an archive without data.pkl (PyTorch) and without .npy files (NumPy)")
    if start.startswith(LEGACY_START):
        return "torch (older form)", read_legacy(source)
    if start[8:9] == b"{":
        return "safetensors", read_safetensors(source)
    raise source.refused(
        f"it begins with {shown(start[:8])}, which is none of the forms that are read: torch.save, safetensors, .npz"
    )
