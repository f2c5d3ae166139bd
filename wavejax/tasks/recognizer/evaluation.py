"""`wavejax evaluate` and `wavejax doctor` of a recogniser."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from wavejax.data import Corpus
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.evaluation.recognition import Reading, RecognitionReport
from wavejax.experiments.metadata import ExperimentError
from wavejax.ranges import AT_LEAST_NONE, as_option, check_ranges
from wavejax.tasks.recognizer.data import open_utterances, transcribed_corpus
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.text import TextError

_GOOD_LETTER_ERROR = 0.3
_SILENT_SECONDS = 2.0
_PIECE = 1600
"""Samples of a piece, where the doctor streams."""

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class RecognitionOptions:
    """Error rates of a recogniser by letters and by words, without a language model, with 95 % intervals of a bootstrap
    over recordings. Two controls: texts shuffled among the recordings (an error near 100 %), and sounds in which
    nothing is said (nothing is read). Choose checkpoints on --split validation and score test once.
    """

    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with wavejax."""
    split: Split = "test"
    at_most: Annotated[int, AT_LEAST_NONE] = 0
    """Above 0: judge only this number of recordings, evenly spread."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Recognizer, say: Callable[[str], None]) -> RecognitionReport:
        """Read."""
        corpus = open_utterances(product.config, transcribed_corpus(self.corpus, product.config.spec)).corpus
        return judge_recognizer(product, corpus, self.split, at_most=self.at_most, name=self.corpus, say=say)


@dataclass(frozen=True, kw_only=True)
class RecognizerDoctorOptions:
    """Of a recogniser: are its parameters finite, does it read nothing in silence, does it read held-out recordings,
    and their own texts better than others', does it read a stream as it reads the whole.
    """

    corpus: str = "embedded"
    """Recordings to judge the model on: a folder made by `wavejax prepare`, or those that ship with wavejax."""
    split: Split = "test"
    """Part of the corpus; it should not have been trained on."""
    at_most: Annotated[int, AT_LEAST_NONE] = 8
    """Recordings that are read, evenly spread over the split; 0: all."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Recognizer) -> Iterator[Finding]:
        """Findings about the recogniser."""
        yield check_parameters(product.params)
        corpus = open_utterances(product.config, transcribed_corpus(self.corpus, product.config.spec)).corpus
        report = judge_recognizer(product, corpus, self.split, at_most=self.at_most, name=self.corpus)
        yield from diagnose(product, report)


def judge_recognizer(
    recognizer: Recognizer,
    corpus: Corpus,
    split: str,
    *,
    at_most: int = 0,
    name: str = "",
    say: Callable[[str], None] = lambda said: None,
) -> RecognitionReport:
    """Readings of a split's recordings, and of sounds in which nothing is said.

    Args:
        recognizer: which reads.
        corpus: with transcripts in its language, at its sample rate.
        split: the recordings that are read; those without a readable text are left out, and counted among the facts.
        at_most: above 0: so many recordings, evenly spread.
        name: of the corpus, for the report.
        say: is told what is being done.

    Raises ExperimentError: no recording of the split has a text in the recogniser's symbols.
    """
    said = readable(recognizer, corpus, split)
    unread = len(corpus.indices(split)) - len(said)
    positions = list(said)
    if 0 < at_most < len(positions):
        positions = [positions[round(place)] for place in np.linspace(0, len(positions) - 1, at_most)]
    say(f"reading {len(positions)} recordings")
    readings, seconds = [], 0.0
    for position in positions:
        utterance = corpus.utterance(position)
        recognizer.compile(len(utterance.waveform))
        start = time.perf_counter()
        read = recognizer.transcribe(utterance.waveform).text
        seconds += time.perf_counter() - start
        rate = recognizer.sample_rate
        reading = Reading(
            id=utterance.id, said=said[position], read=read, waveform=utterance.waveform, sample_rate=rate
        )
        readings.append(reading)
    left_out = f"; {unread} without a text that it could write" if unread else ""
    facts = {
        "system": recognizer.config.name + ("" if recognizer.step is None else f", step {recognizer.step}"),
        "recordings": f"{len(positions)} of {split} of {name or 'the corpus'}{left_out}",
        "reading": "the most probable symbol of each frame; no language model",
    }
    return RecognitionReport(readings=tuple(readings), silence=_silence(recognizer), seconds=seconds, facts=facts)


def readable(recognizer: Recognizer, corpus: Corpus, split: str) -> dict[int, str]:
    """The recordings of a split whose texts the recogniser could write: number in the corpus -> normalised text.

    Raises ExperimentError: there is none.
    """
    said = {}
    for position in corpus.indices(split):
        try:
            text = recognizer.text.normalize(corpus.entries[position].transcript)
            recognizer.text.encode(text)
        except TextError:
            continue
        if text:
            said[position] = text
    if not said:
        raise ExperimentError(
            f"no recording of {split} has a text that {recognizer.config.name} could write "
            f"({recognizer.text.name}): give a corpus with transcripts in its language"
        )
    return said


def diagnose(recognizer: Recognizer, report: RecognitionReport) -> Iterator[Finding]:
    """What a report, and a stream of its first recording, say of a recogniser's health."""
    heard = [f"{read!r} in {name}" for name, read in report.silence.items() if read]
    words = f"it reads {' and '.join(heard)}: train it on recordings with pauses" if heard else "it reads nothing in it"
    yield Finding(check="silence", verdict="bad" if heard else "good", words=words)
    error, shuffled = report.letters.interval.mean, report.shuffled
    words = f"{100 * error:.1f} % of the letters of {len(report.readings)} held-out recordings are wrong"
    good = error < _GOOD_LETTER_ERROR
    yield Finding(check="reading", verdict="good" if good else "bad", words=words + ("" if good else ": train longer"))
    if shuffled is not None:
        other = shuffled[0].interval.mean
        words = f"{100 * other:.1f} % where each recording is held against another's text"
        good = error < 0.8 * other
        tail = "" if good else ": it does not follow the sound. Train longer"
        yield Finding(check="control", verdict="good" if good else "bad", words=words + tail)
    if recognizer.config.model.causal:
        waveform = report.readings[0].waveform
        pieces = [waveform[first : first + _PIECE] for first in range(0, len(waveform), _PIECE)]
        streamed = list(recognizer.stream(pieces))[-1].text
        same = streamed == report.readings[0].read
        words = "a stream is read as the whole" if same else f"a stream is read as {streamed!r}, not as the whole is"
        yield Finding(check="stream", verdict="good" if same else "bad", words=words)


def _silence(recognizer: Recognizer) -> dict[str, str]:
    count = round(_SILENT_SECONDS * recognizer.sample_rate)
    noise = np.random.default_rng(0).normal(0, 1e-3, count).astype(np.float32)
    sounds = {"silence": np.zeros(count, np.float32), "faint noise": noise}
    return {name: recognizer.transcribe(sound).text for name, sound in sounds.items()}
