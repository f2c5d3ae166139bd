"""Transcripts beside the recordings, one text file per recording."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from wavejax.data.discovery import FolderFiles
from wavejax.data.texts import MAX_TRANSCRIPT_BYTES, SourceError, composed, read_text, shown


def is_link_out(root: Path, link: Path, recordings: Sequence[Path]) -> bool:
    """Whether a link to a text file leads neither below `root` nor to a place that recordings are linked to.

    Users link recordings and their texts to one place: the folder of the real recordings or its parent. A link to any
    other place may have been made by the packer of a downloaded folder, to expose a private file.
    """
    target = link.resolve().parent
    if target.is_relative_to(root.resolve()):
        return False
    places = {path.resolve().parent for path in recordings}
    return target not in places and target not in {place.parent for place in places}


class Transcripts:
    """The text files of a folder, each of which belongs to a recording."""

    def __init__(self, files: FolderFiles) -> None:
        self._files = files
        self._paths = {_key(path): path for path in files.paths if path.suffix.lower() == ".txt"}
        self._taken: set[str] = set()
        self._notes: list[tuple[str, str]] = []

    def of(self, recording: Path, places: Iterable[Path]) -> str:
        """The words of the first of `places` that can be read, with single spaces; "" if there is none. Unreadable
        files are noted."""
        for key in map(_key, places):
            if key in self._paths:
                self._taken.add(key)
                if words := self._read(self._paths[key], recording):
                    return words
        return ""

    def notes(self) -> list[tuple[str, str]]:
        """(name, why it is not used) of texts that belong to no recording or cannot be read."""
        left = sorted(self._name(path) for key, path in self._paths.items() if key not in self._taken)
        if not left:
            return self._notes
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        return [*self._notes, (", ".join(left[:3]) + more, "text that lies beside no recording of its name; not used")]

    def _read(self, path: Path, recording: Path) -> str:
        if path in self._files.links and is_link_out(self._files.root, path, [recording]):
            target = shown(path.resolve())
            self._notes.append((self._name(path), f"is a link out of the folder, to {target}: it is not read"))
            return ""
        try:
            return " ".join(read_text(path, MAX_TRANSCRIPT_BYTES).split())
        except SourceError as error:
            self._notes.append((self._name(path), f"is not used as a transcript: {error}"))
            return ""

    def _name(self, path: Path) -> str:
        return path.relative_to(self._files.root).as_posix()


def _key(path: Path) -> str:
    """A key that is equal for a recording and its transcript, however accents are stored and the suffix is written."""
    return composed(os.path.splitext(path)[0])
