"""Checks that JSON has the types of a manifest: an untrusted file may hold anything, and the reader relies on them."""

import itertools
from collections.abc import Mapping
from typing import Any

_COUNTS = ("speaker", "num_samples", "num_frames", "shard", "index")
_TEXTS = ("id", "transcript", "split", "source", "source_sha256")


def check_types(content: Mapping[str, Any]) -> None:
    """Raises ValueError if the JSON has other types than a manifest, and KeyError if a field is missing."""
    _checked(content["speakers"], str, "speakers")
    _checked(content["shards"], list, "shards")
    for name, count in content["shards"]:
        # A shard lies in the corpus' own folder; an untrusted manifest must not make us read any other file.
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise ValueError(f"the shard {name!r} is no plain file name; shards lie beside the manifest")
        if _checked([count], int, f"records of the shard {name!r}") < [0]:
            raise ValueError(f"the shard {name!r} holds {count} records")
    utterances = _checked(content["utterances"], dict, "utterances")
    for field in _COUNTS:
        values = _checked([entry[field] for entry in utterances], int, field)
        if values and min(values) < 0:
            raise ValueError(f"{field} of the utterance {utterances[values.index(min(values))]['id']!r} is below 0")
    for field in _TEXTS:
        _checked([entry[field] for entry in utterances], str, field)
    for entry in utterances:
        edges = [*itertools.chain.from_iterable(entry["active_runs"])]
        if {*map(type, edges)} - {int} or sorted(edges) != edges or (edges and edges[0] < 0):
            raise ValueError(f"active_runs of the utterance {entry['id']!r} are no rising pairs of blocks")


def _checked(values: Any, kind: type, what: str) -> Any:
    """The values of a list, all of exactly one type: JSON's true does not count as a number."""
    if not isinstance(values, list) or {type(value) for value in values} - {kind}:
        wrong = next((v for v in values if type(v) is not kind), None) if isinstance(values, list) else values
        raise ValueError(f"{what} must be {kind.__name__} values, got {wrong!r:.60}")
    return values
