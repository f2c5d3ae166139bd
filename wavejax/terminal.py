"""Makes text safe to print to a terminal, and names safe to use in suggested commands.

Names of models, speakers and files may hold any characters. `printable` escapes those that a terminal would interpret
instead of showing; inside `guarded` all printed text goes through it. `quoted` makes a name one word for a shell.
"""

import contextlib
import os
import shlex
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

_KEPT = "\n\t"
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format (can reverse text direction), lone surrogates, separators
_FORMATS_OF_SCRIPTS = "\u200c\u200d\xad"  # joiners and the soft hyphen, used in words and emoji


def printable(text: str) -> str:
    """The text with every character that a terminal would interpret escaped, as in \\x1b; new lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _is_shown(character) else _written_out(character) for character in text)


def quoted(word: str | os.PathLike[str]) -> str:
    """A word quoted for a shell: unchanged if that is safe, in quotes, or (bash, zsh) as $'...' with escapes."""
    text = os.fspath(word)
    if all(_is_shown(character) and character not in _KEPT for character in text):
        return shlex.quote(text)
    escaped = "".join(
        f"\\{character}"
        if character in "\\'"
        else character
        if _is_shown(character) and character not in _KEPT
        else "".join(f"\\x{byte:02x}" for byte in _bytes_of(character))
        for character in text
    )
    return f"$'{escaped}'"


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Inside the block, text printed to standard output and standard error is made `printable`.

    Characters that the stream's encoding cannot represent are escaped, too. Bytes written to the streams' buffers, and
    rich's output, are unchanged.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Guarded(stream) if stream is not None else stream for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def unguarded() -> Iterator[None]:
    """Restores the original standard output inside `guarded`, for a program's own coloured help."""
    guard = sys.stdout
    with contextlib.redirect_stdout(guard.rich_proxied_file if isinstance(guard, _Guarded) else guard):
        yield


class _Guarded:
    """A text stream that writes `printable` text, and otherwise behaves like the original stream."""

    def __init__(self, stream: Any) -> None:
        self.rich_proxied_file = stream  # rich writes its colours and bars to this stream

    def write(self, text: str) -> int:
        shown, stream = printable(text), self.rich_proxied_file
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            stream.write(shown)
        except UnicodeEncodeError:
            stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def _is_shown(character: str) -> bool:
    if character in _KEPT or character in _FORMATS_OF_SCRIPTS:
        return True
    return unicodedata.category(character) not in _OBEYED


def _bytes_of(character: str) -> bytes:
    try:
        return os.fsencode(character)  # a lone surrogate of a file name stands for a byte
    except UnicodeEncodeError:
        return character.encode("utf-8", "surrogatepass")


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


__all__ = ["guarded", "printable", "quoted", "unguarded"]
