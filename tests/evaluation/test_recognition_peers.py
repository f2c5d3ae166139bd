"""Recognisers of others: what they are given, and what is said where they cannot read it."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wavejax.decoding import build_ngrams
from wavejax.evaluation.recognition_peers import pocketsphinx
from wavejax.extras import MissingExtra


class Decoder:
    """Hears the loudness of what it is given, and knows what it was made of."""

    made: list[dict[str, Any]] = []  # noqa: RUF012

    def __init__(self, **given: Any) -> None:
        if "lm" in given:
            given["lm"] = Path(given["lm"]).read_text(encoding="utf-8")
            if "broken" in given["lm"]:
                raise RuntimeError("Failed to initialize PocketSphinx")
        self.made.append(given)

    def reinit_feat(self) -> None:
        self.heard = ""

    def start_utt(self) -> None:
        pass

    def process_raw(self, data: bytes, full_utt: bool) -> None:
        samples = np.frombuffer(data, "<i2")
        self.heard = f"{len(samples)}  samples" if samples.any() else ""

    def end_utt(self) -> None:
        pass

    def hyp(self) -> Any:
        return SimpleNamespace(hypstr=self.heard) if self.heard else None


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> type[Decoder]:
    module = ModuleType("pocketsphinx")
    module.Decoder = Decoder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pocketsphinx", module)
    monkeypatch.setattr(Decoder, "made", [])
    return Decoder


def test_it_reads_with_its_own_language_model_or_a_given_one(package: type[Decoder]) -> None:
    arpa = build_ngrams([["so", "be", "it"]]).to_arpa()
    stock, given = pocketsphinx(), pocketsphinx(arpa)
    assert "lm" not in package.made[0]
    assert package.made[1]["lm"] == arpa
    sound = np.full(8_000, 0.1, np.float32)
    assert stock(sound, 16_000) == given(sound, 16_000) == "8000 samples"
    assert stock(sound, 8_000) == "16000 samples", "it hears 16000 samples a second"
    assert stock(np.zeros(800, np.float32), 16_000) == stock(np.zeros(0, np.float32), 16_000) == ""


def test_a_language_model_that_it_cannot_use_is_refused(package: type[Decoder]) -> None:
    with pytest.raises(ValueError, match=r"cannot use the language model .*: give one of order 5 or less"):
        pocketsphinx("broken")


def test_it_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingExtra, match="the peer's reading needs the package pocketsphinx"):
        pocketsphinx()
    with pytest.raises(MissingExtra, match="the peer's reading needs"):
        pocketsphinx("x")


def test_the_real_one_reads_recordings_under_a_model_of_ours() -> None:
    pytest.importorskip("pocketsphinx")
    from wavejax.data import embedded_corpus

    corpus = embedded_corpus()
    position = next(at for at, each in enumerate(corpus.entries) if each.id == "conf-leaderhasleft")
    read = pocketsphinx(build_ngrams([["the", "leader", "has", "left", "the", "conference"]]).to_arpa())
    assert "leader has left" in read(corpus.utterance(position).waveform, corpus.sample_rate)
