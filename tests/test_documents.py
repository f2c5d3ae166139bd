"""Logs line by line: what is no object is skipped, and no line, FIFO or depth of nesting stops the reader."""

import json
import os
from pathlib import Path

import pytest

from wavejax.cli.checkpoints import _logged_metrics
from wavejax.cli.describing import _last_metrics
from wavejax.documents import Malformed, NotRegular, parse_json, read_bytes, read_records
from wavejax.limits import DEEPEST_NESTING, MOST_LINE_BYTES
from wavejax.supervision.incidents import Incidents
from wavejax.training.loggers import JsonLinesLogger

LINES = [
    '{"step": 1, "loss": 2.0}',
    "7",
    "null",
    '"step"',
    "[1, 2]",
    '{"step": "two", "loss": [1]}',
    "[" * 100_000,
    '{"step": 1' + "0" * 5000 + "}",
    "x" * (3 * MOST_LINE_BYTES),
    '{"step": 3, "loss": 1.5, "validation/loss": null}',
    '{"step": 4, "lo',
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(LINES))
    return path


def test_every_object_of_a_log_is_read_and_nothing_else(log: Path) -> None:
    assert [record.get("step") for record in read_records(log)] == [1, "two", 3]
    assert _last_metrics(log) == [("metrics", "step 3, loss 1.5")]
    assert _logged_metrics(log, 3) == {"loss": 1.5}
    JsonLinesLogger(log).start(2)
    assert log.read_text() == LINES[0] + "\n"
    assert list(read_records(log.with_name("none.jsonl"))) == []


def test_a_log_that_is_a_fifo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    os.mkfifo(path)
    for read in (lambda: list(read_records(path)), lambda: JsonLinesLogger(path).start(1), lambda: _last_metrics(path)):
        with pytest.raises(NotRegular, match=r"metrics\.jsonl is a FIFO, not a regular file"):
            read()


def test_incidents_of_another_form_are_no_news(tmp_path: Path) -> None:
    path = tmp_path / "incidents"
    good = {"number": 2, "process": "a", "what": "ended"}
    others = [7, None, {"number": "x", "process": "a", "what": "b"}, {"number": 3, "of": "another kind"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*others, good]))
    assert [incident.number for incident in Incidents(path, "b")._read()] == [2]


def test_json_is_bounded_in_depth_and_size(tmp_path: Path) -> None:
    deep = "[" * DEEPEST_NESTING + "]" * DEEPEST_NESTING
    assert parse_json(deep)
    for text in (f"[{deep}]", "[" * 10**6, '{"a":' * 10**6):
        with pytest.raises(Malformed, match="nested deeper than 64 levels"):
            parse_json(text)
    path = tmp_path / "large"
    path.write_bytes(b"x" * 100)
    assert len(read_bytes(path, 100)) == 100
    with pytest.raises(Malformed, match="larger than the 99 bytes that such a file may have"):
        read_bytes(path, 99)
