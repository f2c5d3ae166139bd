"""Sentences that systems say, and what is reported of them."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from wavejax.evaluation import sentences as module
from wavejax.evaluation.judges import JUDGES
from wavejax.evaluation.sentences import SentenceReport, english_sentences, judge_sentences
from wavejax.evaluation.spoken_words import phones_of
from wavejax.text import read_english
from wavejax.text.phonemes import PHONEMES, without_stress


def test_the_list_holds_thirty_plain_and_twenty_hard_sentences_of_all_phonemes() -> None:
    plain, hard = english_sentences("plain"), english_sentences("hard")
    assert (len(plain), len(hard)) == (30, 20)
    assert english_sentences() == (*plain, *hard)
    assert plain[0].words == "the old bridge was closed because of heavy rain"
    assert max(len(each.words.split()) for each in hard) == 60
    said = {without_stress(p) for each in plain for word in read_english(each.text).words for p in word.phones}
    assert said == {without_stress(phoneme) for phoneme in PHONEMES}


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> SentenceReport:
    """Two systems: one at the judges' rate, one at twice it; the first is judged to be wrong in half of its words."""
    quality = dataclasses.replace(
        JUDGES["distillmos"], open=lambda items: lambda candidate: (3.0 + candidate.item / 10,)
    )
    words = dataclasses.replace(
        JUDGES["words"], open=lambda items: lambda candidate: (0.5 if candidate.item < 3 else 0.0,)
    )
    monkeypatch.setattr(module, "JUDGES", {**JUDGES, "distillmos": quality})
    monkeypatch.setattr(module, "word_error", lambda: words)
    chosen = (*english_sentences("plain")[:2], english_sentences("hard")[3])
    systems = {
        "ours": lambda text: (0.1 * np.ones(8000, np.float32), 16_000),
        "theirs": lambda text: (0.1 * np.ones(8000, np.float32), 32_000),
    }
    return judge_sentences(systems, chosen, judges=("distillmos", "words"))


def test_means_by_system_and_part(report: SentenceReport) -> None:
    assert report.systems == ("ours", "theirs")
    assert report.mean("ours", "plain", "words") == 0.5
    assert report.mean("theirs", "hard", "words") == 0.0
    assert report.mean("ours", "plain", "distillmos") == pytest.approx(3.05)
    assert math.isnan(report.mean("ours", "plain", "p808"))
    assert [len(row.waveform) for row in report.rows] == [8000] * 3 + [4000] * 3
    lines = report.lines()
    assert lines[0].split() == ["system", "sentences", "DistillMOS", "word", "error"]
    assert lines[1].split() == ["ours", "2", "plain", "3.05", "50.0", "%"]


def test_the_page_holds_every_sentence(report: SentenceReport, tmp_path: Path) -> None:
    page = report.write(tmp_path / "report")
    assert page is not None
    assert page.read_text().count("<audio") == 6
    assert "synthetic" in page.read_text()
    written = json.loads((tmp_path / "report" / "report.json").read_text())
    assert written["sentences"][2]["text"] == "No."
    assert len(list((tmp_path / "report" / "audio").iterdir())) == 6


def test_failing_words_are_counted_by_who_listens() -> None:
    chosen = english_sentences("plain")[:2]
    systems = {"ours": lambda text: (0.1 * np.ones(len(text), np.float32), 16_000)}
    heard = [*phones_of(chosen[0].words), *phones_of("bridge"), *phones_of(chosen[0].words)]
    report = judge_sentences(systems, chosen[:1], judges=("failures",), listen=lambda: lambda waveform, rate: heard)
    assert report.mean("ours", "plain", "failures") > 0
    assert report.lines()[0].split() == ["system", "sentences", "hard", "failures"]
    whole = judge_sentences(
        systems, chosen[:1], judges=("failures",), listen=lambda: lambda waveform, rate: phones_of(chosen[0].words)
    )
    assert whole.lines()[1].split() == ["ours", "1", "plain", "0.0", "%"]


def test_a_judge_that_needs_recordings_is_refused() -> None:
    with pytest.raises(
        ValueError, match="there is no judge 'pesq' of sentences: choose from distillmos, p808, words, failures"
    ):
        judge_sentences({}, (), judges=("pesq",))
