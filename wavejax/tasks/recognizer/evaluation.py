"""`wavejax evaluate` and `wavejax doctor` of a recogniser."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np

from wavejax.decoding import NGrams, Search
from wavejax.evaluation.boundaries import Boundaries, boundaries, distances
from wavejax.evaluation.conditions import degraded
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.evaluation.recognition import Reading, RecognitionReport
from wavejax.evaluation.recognition_peers import Read, pocketsphinx, pocketsphinx_version
from wavejax.experiments.metadata import ExperimentError
from wavejax.ranges import AT_LEAST_NONE, Range, as_option, check_ranges
from wavejax.tasks.recognizer.data import RecognizerData
from wavejax.tasks.recognizer.language import (
    HELD_OUT,
    Words,
    corpus_sentences,
    own_language_model,
    read_language_model,
    refuse_known,
)
from wavejax.tasks.recognizer.latency import measure_latency
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.recognizer.recordings import (
    Spoken,
    alignments_of,
    opened,
    readable,
    recordings_of,
    spread,
    voice_recordings,
)
from wavejax.tasks.recognizer.transcripts import aligned

_GOOD_LETTER_ERROR = 0.3
_SILENT_SECONDS = 2.0
_PIECE = 1600
"""Samples of a piece, where the doctor streams."""

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class RecognitionOptions:
    """Error rates of a recogniser by letters and by words with 95 % intervals of a bootstrap over recordings, without a
    language model, and with one on request. Two controls: texts shuffled among the recordings (an error near 100 %),
    and sounds in which nothing is said (nothing is read). A model of phonemes is held against the phones of the corpus'
    alignments, and its own alignments against their times; a causal model's words are timed in the stream. Choose
    checkpoints on --split validation and score test once.
    """

    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with wavejax."""
    split: Split = "test"
    """Part of the corpus; it should not have been trained on."""
    at_most: Annotated[int, AT_LEAST_NONE] = 0
    """Above 0: judge only this number of recordings (and of each voice), evenly spread."""
    conditions: tuple[Literal["noise-20", "noise-10", "telephone", "room"], ...] = ()
    """Read the recordings under these conditions as well: pink noise 20 or 10 dB below them, a telephone, the echo of a
    room."""
    voices: tuple[Path, ...] = ()
    """Folders of other voices with transcripts (metadata.csv and wavs/, or made by `wavejax prepare`), judged in rows
    of their own."""
    lm: Path | None = None
    """Read everything with this language model as well, instead of the model's own: an ARPA file, or a text (NAME.txt)
    with a sentence on each line. One that knows a sentence that is judged is refused; `wavejax language-model` makes
    one that does not."""
    beam: Annotated[int, Range(0, 1000)] = 0
    """Also read everything with a beam that keeps this number of texts. By default 16 with a language model; where a
    speller and CTC read together, 32 with one and 8 without."""
    lm_weight: Annotated[float, Range(0, 100)] = Search.weight
    """What the language model counts."""
    word_bonus: Annotated[float, Range(-100, 100)] = Search.word_bonus
    """With a language model: added for each word, which makes up for what the language model takes."""
    new_word: Annotated[float, Range(-1000, 0)] = Search.new_word
    """With a language model: added for each word that it does not know (the natural log of a probability). 0 lets
    new words be as they are heard; -20 hardly writes any."""
    peers: tuple[Literal["pocketsphinx"], ...] = ()
    """Let this recogniser read the same with its own language model, and under the recogniser's as well."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Recognizer, say: Callable[[str], None]) -> RecognitionReport:
        """Read."""
        data = opened(product, self.corpus)
        voices = self._voices(product)
        others, facts = self._others(product, data, voices)
        report = judge_recognizer(
            product,
            data,
            self.split,
            at_most=self.at_most,
            name=self.corpus,
            conditions=self.conditions,
            voices={name: spread(spoken, self.at_most) for name, spoken in voices.items()},
            others=others,
            say=say,
        )
        return dataclasses.replace(report, facts={**report.facts, **facts})

    def _voices(self, product: Recognizer) -> dict[str, list[Spoken]]:
        """All their recordings, by the names of their rows."""
        names = [folder.resolve().name for folder in self.voices]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ExperimentError(f"two folders of --voices are called {twice[0]!r}: give each voice once, by its name")
        return {
            f"another voice: {name}": voice_recordings(product, folder)
            for name, folder in zip(names, self.voices, strict=True)
        }

    def _others(
        self, product: Recognizer, data: RecognizerData, voices: Mapping[str, Sequence[Spoken]]
    ) -> tuple[dict[str, Read], dict[str, str]]:
        """Who else reads, by name, and what the report says of them."""
        others, facts = dict[str, Read](), dict[str, str]()
        path = own_language_model(product.folder) if self.lm is None else self.lm
        try:
            ngrams = None if path is None else self._language_model(path, product, data, voices)
        except ExperimentError as known:
            if self.lm is not None:
                raise
            path = ngrams = None
            facts["own language model"] = f"not used: {known}"
        search = product.searched(
            ngrams,
            self.beam or None,
            weight=self.lm_weight,
            word_bonus=self.word_bonus,
            new_word=self.new_word,
        )
        if search.width:
            product.transcribe(np.zeros(0, np.float32), search)  # refuses what the model cannot do, before it reads
            name = f"beam {search.width}" + (f", {path.name}" if path is not None else "")
            others[name] = lambda waveform, rate: product.transcribe(waveform, search).text
            facts["search"] = name
            if ngrams is not None:
                facts["search"] += (
                    f": weight {self.lm_weight:g}, word bonus {self.word_bonus:g}, new word {self.new_word:g}"
                )
        if self.peers:
            if product.text.phonemic or product.text.language != "en":
                raise ExperimentError(
                    f"pocketsphinx reads English words, but {product.config.name} writes {product.text.name}: leave "
                    "--peers out"
                )
            facts["peer"] = f"pocketsphinx {pocketsphinx_version()}, its own acoustic model"
            others["pocketsphinx"] = pocketsphinx()
            if path is not None and ngrams is not None:
                others[f"pocketsphinx, {path.name}"] = pocketsphinx(ngrams.to_arpa())
        return others, facts

    def _language_model(
        self, path: Path, product: Recognizer, data: RecognizerData, voices: Mapping[str, Sequence[Spoken]]
    ) -> NGrams:
        """Raises ExperimentError where it knows what is judged."""
        ngrams = read_language_model(path, product.text)
        held_out, honest = _sentences(product, data, voices, self.corpus)
        refuse_known(path, ngrams, product.text, held_out, honest)
        return ngrams


def _sentences(
    product: Recognizer, data: RecognizerData, voices: Mapping[str, Sequence[Spoken]], name: str
) -> tuple[dict[Words, str], list[Words]]:
    """(sentences that no language model may know -> where they stand, training transcripts without them)."""
    held_out: dict[Words, str] = {}
    for split in HELD_OUT:
        held_out |= dict.fromkeys(corpus_sentences(data.corpus, product.text, (split,)).kept, f"{split} of {name}")
    for voice, spoken in voices.items():
        held_out |= {tuple(each.said.split()): voice for each in spoken}
    return held_out, list(corpus_sentences(data.corpus, product.text, ("train",), held_out).kept)


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


def judge_recognizer(
    recognizer: Recognizer,
    data: RecognizerData,
    split: str,
    *,
    at_most: int = 0,
    name: str = "",
    conditions: Sequence[str] = (),
    voices: Mapping[str, Sequence[Spoken]] = MappingProxyType({}),
    others: Mapping[str, Read] = MappingProxyType({}),
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
        voices: other recordings that are read as they are, by the name of the row.
        others: who reads the same under every condition, by the name of the row: a search, or another recogniser.
        say: is told what is being done.

    Raises ExperimentError: no recording of the split has a text in the recogniser's symbols.
    """
    said = recordings_of(recognizer, data, split, at_most)
    unread = len(data.corpus.indices(split)) - len(readable(recognizer, data, split))
    say(f"reading {len(said)} recordings")
    readings, seconds = [], 0.0
    for each in said:
        waveform = each.load()
        recognizer.compile(len(waveform))
        start = time.perf_counter()
        text = recognizer.transcribe_greedily(waveform).text
        seconds += time.perf_counter() - start
        readings.append(_reading(recognizer, each, waveform, text))
    worse = {"": tuple(readings)}
    for condition in conditions:
        say(f"reading them under the condition {condition}")
        sounds = [degraded(each.waveform, each.sample_rate, condition, each.id) for each in readings]
        worse[condition] = tuple(_read_all(recognizer, said, sounds))
    for voice, spoken in voices.items():
        say(f"reading {len(spoken)} recordings of {voice}")
        worse[voice] = tuple(_read_all(recognizer, spoken, [each.load() for each in spoken]))
    beside: dict[str, dict[str, tuple[Reading, ...]]] = {}
    for other, read in others.items():
        say(f"the same, read by {other}")
        beside[other] = {condition: _read_by(read, each) for condition, each in worse.items()}
    words = recognizer.config.model.causal and not recognizer.text.phonemic
    if words:
        say("reading them as streams")
    left_out = f"; {unread} without a text that it could write" if unread else ""
    facts = {
        "system": recognizer.config.name + ("" if recognizer.step is None else f", step {recognizer.step}"),
        "recordings": f"{len(said)} of {split} of {name or 'the corpus'}{left_out}",
        "reading": f"{recognizer.greedily}; no language model",
    }
    return RecognitionReport(
        readings=worse.pop(""),
        silence=_silence(recognizer),
        seconds=seconds,
        conditions=worse,
        others=beside,
        boundaries=_boundaries(recognizer, data, readings),
        latency=measure_latency(recognizer, readings, alignments_of(data)) if words else None,
        facts=facts,
    )


def _reading(recognizer: Recognizer, spoken: Spoken, waveform: np.ndarray, text: str) -> Reading:
    return Reading(
        id=spoken.id,
        said=spoken.said,
        read=text,
        waveform=waveform,
        sample_rate=recognizer.sample_rate,
        phonemic=recognizer.text.phonemic,
    )


def _read_all(recognizer: Recognizer, said: Sequence[Spoken], sounds: Sequence[np.ndarray]) -> list[Reading]:
    return [
        _reading(recognizer, each, sound, recognizer.transcribe_greedily(sound).text)
        for each, sound in zip(said, sounds, strict=True)
    ]


def _read_by(read: Read, readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """What another one reads in the same sounds."""
    return tuple(dataclasses.replace(each, read=read(each.waveform, each.sample_rate)) for each in readings)


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
    return {name: recognizer.transcribe_greedily(sound).text for name, sound in sounds.items()}
