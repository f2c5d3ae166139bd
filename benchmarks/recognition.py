"""How fast a recogniser reads: features, network, greedily, with a beam, with a language model; beside pocketsphinx.

Times real time, one recording after the other, compiled beforehand; `--voice` names a trained recogniser, `--corpus`
recordings in its language. A beam is judged on what a trained network gives: on random probabilities it follows texts
that no recording has. The language model is made of the training transcripts, or given (`--lm`: an ARPA file or a
text). pocketsphinx (`--peers`, the extra `judges`) reads the same recordings with its own English model and its
defaults. For the figures of one core pin the process to one (`taskset -c 0`).
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Case, Keep, WrongResult, forget, measure, result
from wavejax.decoding import Search, beam_search, build_ngrams, greedy
from wavejax.extras import require_extra
from wavejax.losses.sequence import ctc_loss
from wavejax.tasks.families import load
from wavejax.tasks.recognizer.language import read_language_model
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.recognizer.recordings import opened, readable

WIDTH = 16
_LOST = 0.02
"""Nats a frame of a text's probability that a beam may leave out: paths that it has dropped."""


def run(
    *,
    voice: str,
    corpus: str = "embedded",
    peers: Sequence[str] = (),
    lm: str | None = None,
    quick: bool = False,
    repeats: int = 5,
    seconds: float = 60.0,
    keep: Keep = forget,
) -> dict[str, Any]:
    """Measure a trained recogniser on the first recordings of the validation split, of `seconds` together."""
    recognizer = load(voice, kind=Recognizer)
    data = opened(recognizer, corpus)
    positions = list(readable(recognizer, data, "validation"))
    waveforms, total = list[np.ndarray](), 0.0
    for position in positions:
        if total < (5.0 if quick else seconds):
            waveforms.append(data.corpus.utterance(position).waveform)
            total += len(waveforms[-1]) / recognizer.sample_rate
    if lm is None:
        ngrams = build_ngrams([said.split() for said in readable(recognizer, data, "train").values()])
    else:
        ngrams = read_language_model(Path(lm), recognizer.text)
    cases = make_cases(recognizer, waveforms, Search(width=WIDTH, ngrams=ngrams), voice)
    if peers:
        cases.append(_pocketsphinx(waveforms, recognizer.sample_rate))
    rows = measure(cases, repeats=2 if quick else repeats)
    figures = result("recognition", rows, [f"{len(waveforms)} recordings, {total:.1f} s"])
    keep(figures)
    return figures


def make_cases(recognizer: Recognizer, waveforms: Sequence[np.ndarray], search: Search, voice: str) -> list[Case]:
    """Each part of the work, and all of it."""
    seconds = sum(len(waveform) for waveform in waveforms) / recognizer.sample_rate
    features = [recognizer.features(waveform) for waveform in waveforms]
    lattices = [recognizer.log_probs(each) for each in features]
    scorer = search.scorer(recognizer.text)

    def case(what: str, work: Callable[[], Any], check: Callable[[], dict[str, Any]]) -> Case:
        return Case(labels={"model": voice, "what": what}, run=work, work=seconds, check=check, unit="times real time")

    def finite() -> dict[str, Any]:
        if not all(np.allclose(np.logaddexp.reduce(each, axis=1), 0, atol=1e-3) for each in lattices):
            raise WrongResult(f"{voice}: the probabilities of a frame do not sum to 1")
        return {"frames": sum(map(len, lattices))}

    return [
        case("features", lambda: [recognizer.features(each) for each in waveforms], finite),
        case("network", lambda: [recognizer.log_probs(each) for each in features], finite),
        case(
            "greedy, all of it",
            lambda: [recognizer.transcribe_greedily(each) for each in waveforms],
            lambda: check_greedy(lattices),
        ),
        case(
            f"beam {WIDTH} alone",
            lambda: [beam_search(each, width=WIDTH) for each in lattices],
            lambda: check_beam(lattices),
        ),
        case(
            f"beam {WIDTH} and language model alone",
            lambda: [beam_search(each, width=WIDTH, scorer=scorer) for each in lattices],
            lambda: check_beam(lattices),
        ),
        case(
            f"beam {WIDTH} and language model, all of it",
            lambda: [recognizer.transcribe(each, search) for each in waveforms],
            lambda: check_beam(lattices),
        ),
    ]


def check_greedy(lattices: Sequence[np.ndarray]) -> dict[str, Any]:
    """Raises WrongResult where a reading is not what a plain loop reads."""
    for each in lattices:
        expected = [label for label, _ in itertools.groupby(np.argmax(each, axis=1).tolist()) if label]
        if [spike.label for spike in greedy(each)] != expected:
            raise WrongResult("the most probable labels are not those of a plain loop")
    return {"lattices": len(lattices)}


def check_beam(lattices: Sequence[np.ndarray]) -> dict[str, Any]:
    """Raises WrongResult where a beam's text has not the probability that the CTC recursion gives it, or a lower one
    than the text that is read greedily."""
    lost = 0.0
    for each in lattices:
        best = beam_search(each, width=WIDTH)[0]
        whole, first = (likelihood(each, labels) for labels in (best.labels, [spike.label for spike in greedy(each)]))
        lost = max(lost, whole - best.log_prob)
        if not (-1e-3 <= whole - best.log_prob <= _LOST * len(each) and whole >= first - _LOST * len(each)):
            raise WrongResult(
                f"a beam gives its text {best.log_prob:.3f} nats, the recursion {whole:.3f}, and the text that is read "
                f"greedily {first:.3f}"
            )
    return {"lattices": len(lattices), "lost_nats": lost}


def likelihood(log_probs: np.ndarray, labels: Sequence[int]) -> float:
    """Log of the probability of all paths that read these labels."""
    if not labels:
        return float(np.sum(log_probs[:, 0]))
    counts = np.asarray([len(log_probs)], np.int32), np.asarray([len(labels)], np.int32)
    return -float(ctc_loss(log_probs[None], counts[0], np.asarray([labels], np.int32), counts[1]).loss[0])


def _pocketsphinx(waveforms: Sequence[np.ndarray], sample_rate: int) -> Case:
    """pocketsphinx with its own English model."""
    package = require_extra("pocketsphinx", "judges", "the peer's reading")
    decoder = package.Decoder(samprate=float(sample_rate), loglevel="FATAL")
    heard: list[str] = []

    def read() -> None:
        heard.clear()
        for waveform in waveforms:
            decoder.start_utt()
            decoder.process_raw((waveform * 32767).astype("<i2").tobytes(), no_search=False, full_utt=True)
            decoder.end_utt()
            heard.append("" if decoder.hyp() is None else decoder.hyp().hypstr)

    def check() -> dict[str, Any]:
        if not any(heard):
            raise WrongResult("pocketsphinx has read nothing")
        return {"words": sum(len(each.split()) for each in heard)}

    seconds = sum(len(waveform) for waveform in waveforms) / sample_rate
    labels = {"model": "pocketsphinx", "what": "its own model and search, all of it"}
    return Case(labels=labels, run=read, work=seconds, check=check, unit="times real time")
