"""Latencies of printed words."""

import pytest

from wavejax.evaluation.latency import PrintedWord, latency


def test_medians_and_what_is_never_final() -> None:
    words = [(PrintedWord("a", 1.1, 1.3), 1.0), (PrintedWord("b", 2.2, 2.5), 2.0), (PrintedWord("c", 3.3, None), 3.0)]
    found = latency(words, "the corpus' alignments")
    assert found is not None
    assert found.shown == pytest.approx((200, 290))
    assert found.final == pytest.approx((400, 490))
    assert (found.words, found.never_final) == (3, 1)
    assert str(found) == (
        "word shown: median 200 ms, 95 % within 290 ms; final: median 400 ms, 95 % within 490 ms (3 words, 1 of them "
        "final only at the end; ends of words: the corpus' alignments)"
    )
    assert found.to_json()["final_ms"] == found.final
    last = latency(words[2:], "x")
    assert last is not None
    assert last.final is None
    assert "final: never" in str(last)
    assert latency([], "x") is None
