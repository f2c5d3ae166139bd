"""All limits for reading files of unknown origin, in one place.

Anybody may have written an exported folder, a checkpoint or a configuration. The sizes that they announce are compared
with these limits, and with the actual number of bytes, before anything is allocated or built. No published model comes
near them: a limit is about ten times the largest known value, so that it need not change as models grow.
"""

import math
from collections.abc import Mapping
from typing import Any

MOST_DOCUMENT_BYTES = 64 * 2**20
"""The largest JSON file. A model of 10,000 leaves takes 2 MB."""
MOST_MANIFEST_BYTES = 2**30
"""The largest manifest of a corpus: some 4 million utterances."""
MOST_LINE_BYTES = 2**20
"""The longest line of a log; longer lines are skipped."""
DEEPEST_NESTING = 64
"""Levels of nested lists and objects in JSON. A configuration has 6."""
LONGEST_LIST = 4096
"""Entries of a list in a configuration."""
MOST_LAYERS = 256
"""Layers or blocks that a configuration counts or lists: each is built, and compiled, one by one."""
LONGEST_RECEPTIVE_FIELD = 2**18
"""In samples: 16 seconds at 16 kHz. Generation keeps every layer's inputs for this long."""
LONGEST_CONTEXT = 4096
"""In frames: the most that a frame's conditioning may look back or ahead."""
LONGEST_HOP = 65_536
"""The longest `hop_length`, in samples."""
LARGEST_WEIGHT = 1e10
"""Absolute value of a parameter. Trained weights stay below 100, running variances of 16-bit samples below 2e9."""
MOST_SPEAKERS = 1_000_000
"""Names that a model or a corpus may list."""

LARGEST_NUMBER = 2**63 - 1
"""The largest integer that is not a size: steps, seeds, intervals."""
_LARGEST_SIZE = 2**20
_SIZES: Mapping[str, int] = {
    "sample_rate": 2_000_000,
    "n_fft": 65_536,
    "win_length": 65_536,
    "hop_length": LONGEST_HOP,
    "n_mels": 1024,
    "num_classes": 65_536,
    "num_mixtures": 1024,
    "num_speakers": MOST_SPEAKERS,
    "num_threads": 1024,
    "receptive_field": LONGEST_RECEPTIVE_FIELD,
    "dilations": LONGEST_RECEPTIVE_FIELD,
    "context": LONGEST_CONTEXT,
    "channels": 65_536,
    "blocks": MOST_LAYERS,
    "layers": MOST_LAYERS,
}
"""The largest value of a field, by the field's name or the last word of its name."""
_SIZELESS = {"training", "optimizer", "data"}
"""Parts of a configuration whose numbers do not determine the size of a model."""
_LISTS: Mapping[str, int] = {"dilations": MOST_LAYERS, "speakers": MOST_SPEAKERS}


class TooLarge(ValueError):
    """A file announces a value beyond a limit; the message names the field, its value and the limit."""


def check_sizes(config: Any, where: str = "config") -> None:
    """Refuses a configuration, parsed from JSON, with values beyond the limits.

    Integers are compared with the limit for their field's name, lists with the largest length, and every number must be
    finite. It runs before any class is constructed, because a constructor might never end with such values.

    Args:
        config: the parsed JSON.
        where: its name in errors.

    Raises:
        TooLarge: names the field.
    """
    pending: list[tuple[Any, str, str, bool]] = [(config, where, "", True)]
    while pending:
        value, path, name, sizes = pending.pop()
        if isinstance(value, Mapping):
            _check_length(value, path, LONGEST_LIST)
            for key, item in value.items():
                pending.append((item, f"{path}.{_name(key)}", key, sizes and key not in _SIZELESS))
        elif isinstance(value, list):
            _check_length(value, path, _LISTS.get(name, LONGEST_LIST))
            pending += [(item, f"{path}[{index}]", name, sizes) for index, item in enumerate(value)]
        elif isinstance(value, int) and not isinstance(value, bool):
            _check_number(value, path, name, sizes)
        elif isinstance(value, float) and not math.isfinite(value):
            raise TooLarge(f"{path} is {value}, which is no number that a configuration can mean")


def shown(value: Any, most: int = 80) -> str:
    """The `repr` of a value, truncated: a value from a file may be too long for a message."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _name(key: str) -> str:
    return key if key.isidentifier() and len(key) < 80 else shown(key)


def _check_length(value: Any, path: str, most: int) -> None:
    if len(value) > most:
        raise TooLarge(f"{path} has {len(value)} entries, more than the {most} that are read")


def _check_number(value: int, path: str, name: str, sizes: bool) -> None:
    known = _SIZES.get(name, _SIZES.get(name.rpartition("_")[2]))
    most = known if known is not None else _LARGEST_SIZE if sizes else LARGEST_NUMBER
    least = 0 if known is not None else -most
    if not least <= value <= most:
        raise TooLarge(f"{path} is {shown(value, 30)}, but a file may announce {least} to {most} there")


__all__ = [
    "DEEPEST_NESTING",
    "LARGEST_NUMBER",
    "LARGEST_WEIGHT",
    "LONGEST_CONTEXT",
    "LONGEST_HOP",
    "LONGEST_LIST",
    "LONGEST_RECEPTIVE_FIELD",
    "MOST_DOCUMENT_BYTES",
    "MOST_LAYERS",
    "MOST_LINE_BYTES",
    "MOST_MANIFEST_BYTES",
    "MOST_SPEAKERS",
    "TooLarge",
    "check_sizes",
    "shown",
]
