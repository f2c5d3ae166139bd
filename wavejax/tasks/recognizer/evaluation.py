"""`wavejax evaluate` and `wavejax doctor` of a recogniser."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from wavejax.evaluation.boundaries import Boundaries, boundaries, distances
from wavejax.evaluation.conditions import degraded
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.evaluation.recognition import Reading, RecognitionReport
from wavejax.experiments.metadata import ExperimentError
from wavejax.ranges import AT_LEAST_NONE, as_option, check_ranges
from wavejax.tasks.recognizer.data import RecognizerData, open_utterances
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.recognizer.transcripts import aligned
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
    nothing is said (nothing is read). A model of phonemes is held against the phones of the corpus' alignments, and
    its own alignments against their times. Choose checkpoints on --split validation and score test once.
    """

    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with wavejax."""
    split: Split = "test"
    at_most: Annotated[int, AT_LEAST_NONE] = 0
    """Above 0: judge only this number of recordings, evenly spread."""
    conditions: tuple[Literal["noise-20", "noise-10", "telephone"], ...] = ()
    """Read the recordings under these conditions as well: pink noise 20 or 10 dB below them, a telephone."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Recognizer, say: Callable[[str], None]) -> RecognitionReport:
        """Read."""
        data = opened(product, self.corpus)
        return judge_recognizer(
            product, data, self.split, at_most=self.at_most, name=self.corpus, conditions=self.conditions, say=say
        )


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
        data = opened(product, self.corpus)
        report = judge_recognizer(product, data, self.split, at_most=self.at_most, name=self.corpus)
        yield from diagnose(product, report)


def opened(recognizer: Recognizer, corpus: str) -> RecognizerData:
    """A corpus, by its folder or "embedded", as a recogniser reads it. Raises as `open_utterances`."""
    config = recognizer.config
    if getattr(config.losses, "alignment", 0.0):  # the corpus needs no times, as nothing is learnt from it
        config = dataclasses.replace(config, losses=dataclasses.replace(config.losses, alignment=0.0))
    return open_utterances(dataclasses.replace(config, data=dataclasses.replace(config.data, corpus=corpus)), None)


def judge_recognizer(
    recognizer: Recognizer,
    data: RecognizerData,
    split: str,
    *,
    at_most: int = 0,
    name: str = "",
    conditions: Sequence[str] = (),
    say: Callable[[str], None] = lambda said: None,
) -> RecognitionReport:
    """Readings of a split's recordings, and of sounds in which nothing is said.

    Args:
        recognizer: which reads.
        data: recordings with transcripts in its language, at its sample rate.
        split: the recordings that are read; those without a readable text are left out, and counted among the facts.
        at_most: above 0: so many recordings, evenly spread.
        name: of the corpus, for the report.
        conditions: of `wavejax.evaluation.conditions.CONDITIONS`, under which they are read as well.
        say: is told what is being done.

    Raises ExperimentError: no recording of the split has a text in the recogniser's symbols.
    """
    corpus, said = data.corpus, readable(recognizer, data, split)
    unread = len(corpus.indices(split)) - len(said)
    positions = list(said)
    if 0 < at_most < len(positions):
        positions = [positions[round(place)] for place in np.linspace(0, len(positions) - 1, at_most)]

    def read(position: int, waveform: np.ndarray) -> Reading:
        return Reading(
            id=corpus.entries[position].id,
            said=said[position],
            read=recognizer.transcribe(waveform).text,
            waveform=waveform,
            sample_rate=recognizer.sample_rate,
            phonemic=recognizer.text.phonemic,
        )

    say(f"reading {len(positions)} recordings")
    readings, seconds = [], 0.0
    for position in positions:
        waveform = corpus.utterance(position).waveform
        recognizer.compile(len(waveform))
        start = time.perf_counter()
        readings.append(read(position, waveform))
        seconds += time.perf_counter() - start
    worse: dict[str, tuple[Reading, ...]] = {}
    for condition in conditions:
        say(f"reading them under the condition {condition}")
        sounds = [degraded(each.waveform, each.sample_rate, condition, each.id) for each in readings]
        worse[condition] = tuple(read(position, sound) for position, sound in zip(positions, sounds, strict=True))
    left_out = f"; {unread} without a text that it could write" if unread else ""
    facts = {
        "system": recognizer.config.name + ("" if recognizer.step is None else f", step {recognizer.step}"),
        "recordings": f"{len(positions)} of {split} of {name or 'the corpus'}{left_out}",
        "reading": "the most probable symbol of each frame; no language model",
    }
    return RecognitionReport(
        readings=tuple(readings),
        silence=_silence(recognizer),
        seconds=seconds,
        conditions=worse,
        boundaries=_boundaries(recognizer, data, readings),
        facts=facts,
    )


def readable(recognizer: Recognizer, data: RecognizerData, split: str) -> dict[int, str]:
    """The recordings of a split whose texts the recogniser could write: number in the corpus -> normalised text.

    Raises ExperimentError: there is none.
    """
    said = {}
    for position in data.corpus.indices(split):
        try:
            text = recognizer.text.normalize(data.transcript(data.corpus.entries[position]))
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


def _boundaries(recognizer: Recognizer, data: RecognizerData, readings: Sequence[Reading]) -> Boundaries | None:
    """Of alignments of a model of phonemes, against the corpus' own; None where it has none."""
    apart = []
    for each in readings:
        labelled = data.alignments.get(each.id)
        if labelled is not None and recognizer.text.phonemic:
            found = aligned(recognizer.align(each.waveform, each.said), each.id)
            apart.append(distances(found.phones, labelled.phones))
    return boundaries(apart)


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
