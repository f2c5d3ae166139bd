"""URLs of buckets, and their local cache folders."""

import os
import re
from pathlib import Path

from wavejax.caching import CACHE as CACHE
from wavejax.caching import cache_root

_URL = re.compile(r"([a-z][a-z0-9+.-]+):(?:/+(.*))?", re.IGNORECASE)  # pathlib turns "//" into "/", drops a last "/"
_OF_THIS_MACHINE = ("file", "local")


def as_url(path: str | os.PathLike[str]) -> str | None:
    """The URL without a trailing slash; None if the argument is a path.

    Raises:
      ValueError: the URL names no folder, or contains "..", "." or empty parts.
    """
    found = _URL.fullmatch(os.fspath(path))
    if found is None:
        return None
    scheme, rest = found.group(1).lower(), (found.group(2) or "").strip("/")
    if not rest or {"", ".", ".."} & set(rest.split("/")):
        raise ValueError(f"{os.fspath(path)} names no folder: give a URL such as gs://bucket/run or s3://bucket/run")
    return f"{scheme}:///{rest}" if scheme in _OF_THIS_MACHINE else f"{scheme}://{rest}"


def cache_folder(url: str, use: str) -> Path:
    """The local cache folder of a URL: ~/.cache/wavejax/USE/gs/bucket/run, or below $WAVEJAX_CACHE.

    Args:
      url: as returned by `as_url`.
      use: the purpose; each purpose has copies of its own.
    """
    scheme, rest = url.split("://")
    return cache_root() / use / scheme / rest.strip("/")


def working_folder(path: str | os.PathLike[str]) -> Path:
    """The local folder of a training: the path itself, or a URL's cache folder. Nothing is created or fetched."""
    url = as_url(path)
    return Path(path) if url is None else cache_folder(url, "runs")


def below(path: str | os.PathLike[str], name: str) -> str | Path:
    """A sub-folder of a path or a URL."""
    url = as_url(path)
    return Path(path) / name if url is None else f"{url}/{name}"
