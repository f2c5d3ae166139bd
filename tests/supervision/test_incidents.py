"""What supervisors tell each other: one incident is one number, however many notice it."""

import json
from pathlib import Path

import pytest

from wavejax.supervision import incidents as module
from wavejax.supervision.incidents import Incidents


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)


def test_a_failure_is_news_to_the_others_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "restarts.jsonl"
    one, other, third = (Incidents(path, name) for name in ("0", "1", "2"))
    assert one.news() is None
    assert one.report("it was killed") is None
    assert one.news() is None  # its own
    news = other.news()
    assert (news.number, news.process, news.what, news.code) == (1, "0", "it was killed", None)
    assert other.news() is None
    # The third finds its own process dead before it has heard of the first's: the same incident.
    assert third.report("it lost its peer").process == "0"
    assert (one.news(), other.news()) == (None, None)
    assert other.report("it was killed, too") is None
    assert (one.news().number, third.news().number) == (2, 2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["number"], line["process"]) for line in lines] == [(1, "0"), (1, "2"), (2, "1")]
    assert lines[0]["time"] > 1.7e9


def test_the_end_of_the_job_is_news_even_after_the_same_incident(tmp_path: Path) -> None:
    one, other = (Incidents(tmp_path / "restarts.jsonl", name) for name in ("0", "1"))
    one.report("it failed")
    other.report("it failed")
    other.report("its supervisor gave up", 137)
    news = one.news()
    assert (news.process, news.what, news.code) == ("1", "its supervisor gave up", 137)
    late = Incidents(tmp_path / "restarts.jsonl", "0")  # the job is started again: the past is no news
    assert late.news() is None
    other.report("it ended", 0)
    one.report("and so did this", 0)
    assert late.news().code == 0


def test_a_file_that_cannot_be_read_or_written_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "restarts.jsonl"
    path.write_text('{"number": 4, "process": "0", "what": "x"}\n{"number": 5, "pro\n[]\n')
    incidents = Incidents(path, "1")
    path.write_bytes(
        b'\xff\xfe{"number": 7, "process": "0", "what": "y"}\n{"number": 6, "process": "0", "what": "z"}\n'
    )
    assert incidents.news().number == 6
    path.unlink()
    path.mkdir()
    assert incidents.news() is None
    assert incidents.report("it failed") is None
