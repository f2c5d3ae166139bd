"""File names made from user-given names: readable, safe on every system, and distinct for distinct names."""

import hashlib
import re
from collections.abc import Iterable

MAX_LENGTH = 120
"""Most bytes of a file name without suffix; file systems allow 255, and a browser that saves a page adds some."""


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name, without suffix, for each name: runs of characters other than letters, digits, ".", "=" and "-"
    become "_".

    A few digits of the name's hash are added if two names would become equal, if they differ only in capitals (which
    some file systems ignore), or if a name is too long.
    """
    listed = list(dict.fromkeys(names))
    plain = {name: _plain(name) for name in listed}
    shared: dict[str, int] = {}
    for short in plain.values():
        shared[short.casefold()] = shared.get(short.casefold(), 0) + 1
    return {name: _marked(name, short) if shared[short.casefold()] > 1 else short for name, short in plain.items()}


def _plain(name: str) -> str:
    short = re.sub(r"[^\w.=-]+", "_", name)
    is_usable = short.strip(".") and len(short.encode()) <= MAX_LENGTH
    return short if is_usable else _marked(name, short)


def _marked(name: str, short: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = short.encode("utf-8", "ignore")[: MAX_LENGTH - 9].decode("utf-8", "ignore")
    return f"{kept.strip('.')}-{digest}"
