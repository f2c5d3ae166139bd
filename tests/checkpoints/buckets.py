"""Buckets for tests: one in memory, whose operations can be watched and made to fail."""

import itertools
from collections.abc import Callable

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from wavejax.checkpoints import bucket

_COUNT = itertools.count()


class Memory:
    """A bucket in this process's memory.

    Attributes:
      url: of its folder `run/checkpoints`.
      done: what was written ("+name") and removed ("-name"), in order, names relative to the URL.
      refuse: called with each operation before it; may raise.
    """

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.root = f"/bucket{next(_COUNT)}/run"
        self.workdir, self.url = f"memory:/{self.root}", f"memory:/{self.root}/checkpoints"
        self.fs = fsspec.filesystem("memory")
        self.done: list[str] = []
        self.refuse: Callable[[str], None] = lambda operation: None

        def watched(name: str, sign: str) -> Callable:
            inner = getattr(type(self.fs), name)

            def call(fs, *arguments, **options):
                path = arguments[0] if name in ("rm_file", "pipe_file") else arguments[1]
                operation = sign + path.removeprefix(f"{self.root}/checkpoints/")
                if path.startswith(self.root):
                    self.refuse(operation)
                    self.done.append(operation)
                return inner(fs, *arguments, **options)

            return call

        for name, sign in {"put_file": "+", "pipe_file": "+", "rm_file": "-"}.items():
            patched.setattr(type(self.fs), name, watched(name, sign))
        patched.setattr(type(self.fs), "find", _objects_below)
        patched.setattr(bucket, "WAITS", (0.0, 0.0))

    def names(self) -> list[str]:
        """Names of all objects below the URL."""
        return sorted(
            name.removeprefix(f"{self.root}/checkpoints/") for name in self.fs.find(f"{self.root}/checkpoints")
        )

    def steps(self) -> list[int]:
        """Steps that count."""
        return [int(name.split("/")[0]) for name in self.names() if name.endswith("/wavejax_files.json")]

    def flip_byte(self, name: str) -> None:
        """Changes one byte in the middle of an object."""
        path = f"{self.root}/checkpoints/{name}"
        data = bytearray(self.fs.cat_file(path))
        data[len(data) // 2] ^= 0x10
        self.fs.store[path].seek(0)
        self.fs.store[path].write(bytes(data))


_FIND = MemoryFileSystem.find


def _objects_below(fs, path: str, **options) -> dict[str, dict] | list[str]:
    """All objects whose names begin as an object store compares them; earlier versions of fsspec look into folders."""
    if set(options) - {"detail"}:
        return _FIND(fs, path, **options)
    prefix = fs._strip_protocol(path).rstrip("/") + "/"
    found = {
        name: {"name": name, "size": stored.size, "type": "file"}
        for name, stored in sorted(fs.store.items())
        if name.startswith(prefix)
    }
    return found if options.get("detail") else list(found)
