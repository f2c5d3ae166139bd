"""`wavejax evaluate` and `wavejax doctor` of a speaker: how near it comes to held-out recordings of its voice."""

import dataclasses
import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.atomic import write_text
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.evaluation.sentences import JUDGES_OF_SENTENCES, SentenceReport, english_sentences, judge_sentences
from wavejax.evaluation.spoken_words import stock_listening
from wavejax.experiments.metadata import ExperimentError
from wavejax.ranges import as_option, check_ranges
from wavejax.tasks.speaker.data import SpeakerData, open_spoken
from wavejax.tasks.speaker.learner import speaking_loss
from wavejax.tasks.speaker.lines import Line
from wavejax.tasks.speaker.listening import aligner_of, heard_through, listener_of, prosody_facts, word_times
from wavejax.tasks.speaker.product import Speaker
from wavejax.tasks.speaker.rivals import Says, hibari, piper
from wavejax.types import LossFn

Split = Literal["train", "validation", "test"]
D = TypeVar("D", bound=SpeakerData)
_GOOD_MEL = 0.8
"""Mean absolute difference of mel spectrograms, in nats, below which words can be understood."""
_GOOD_LENGTH = 0.1
"""By which all sentences together may be longer or shorter than the recordings."""
_LOOKED_AT = 8
"""Sentences that the doctor lets the speaker say."""


@dataclass(frozen=True, kw_only=True)
class SpeakingOptions:
    """Two views of a speaker. Without --corpus it says 30 plain and 20 hard sentences that ship with wavejax; judges of
    quality and a recogniser that counts wrong words listen. With --corpus: how near its mel spectrograms, durations and
    pitch come to held-out recordings of its voice; mel spectrogram and pitch with the recordings' durations given.
    Choose checkpoints on --split validation.
    """

    corpus: str | None = None
    """A folder made by `wavejax prepare`, with the times of its phones."""
    split: Split = "test"
    """Of the corpus."""
    sentences: Literal["plain", "hard", "all"] = "all"
    """Which of the sentences are said."""
    judges: tuple[str, ...] = JUDGES_OF_SENTENCES
    """Names from distillmos, p808, words, failures (words that are skipped, repeated or cut)."""
    vocoder: str | None = None
    """Listen through another vocoder than the one that the speaker names: one that ships, or a folder."""
    rivals: tuple[Literal["hibari", "piper"], ...] = ()
    """Other systems that say the same sentences, if they are installed."""
    piper_voice: Path | None = None
    """The voice of the rival piper, a file .onnx."""
    listener: str | None = None
    """A recogniser that listens for words that are skipped, repeated or cut; without it pocketsphinx does."""
    recordings: str | None = None
    """A folder made by `wavejax prepare`, whose pitch and pace stand beside the speaker's."""
    aligner: str | None = None
    """A recogniser of phonemes, with which the times of words are compared."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Speaker, say: Callable[[str], None]) -> "SpeakingReport | SentenceReport":
        """Listen, or compare. Raises ExperimentError where the vocoder does not fit."""
        if self.corpus is not None:
            if self.vocoder is not None:
                raise ExperimentError(
                    f"--corpus compares mel spectrograms, which are heard through no vocoder: leave {self.vocoder} or "
                    "the corpus out"
                )
            data = opened(open_spoken, product, self.corpus, self.split)
            say(f"comparing {len(data.utterances(self.split))} sentences")
            return compare(product, data, self.split)
        if product.language != "en":
            raise ExperimentError(
                f"the sentences that ship are English, and {product.config.name} says {product.language!r}: compare it "
                "with held-out recordings (--corpus)"
            )
        if self.vocoder is not None:
            product = heard_through(product, self.vocoder)
        clock = _Clock(product)
        systems: dict[str, Says] = {product.config.name: clock}
        systems |= {name: hibari() if name == "hibari" else piper(self.piper_voice) for name in self.rivals}
        chosen = english_sentences(None if self.sentences == "all" else self.sentences)
        listen = stock_listening if self.listener is None else functools.partial(listener_of, product, self.listener)
        aligner = None if self.aligner is None else aligner_of(product, self.aligner)
        report = judge_sentences(systems, chosen, judges=self.judges, listen=listen, say=say)
        facts = {"system": named(product), "speed": clock.speed, "first sound": clock.first_sound}
        facts |= prosody_facts(report, self.recordings)
        if aligner is not None:
            facts["times of words"] = word_times(product, aligner, [each.text for each in chosen])
        return dataclasses.replace(report, facts=facts)


class _Clock:
    """Says sentences, and knows how fast."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker, self._spoken, self._took = speaker, 0.0, 0.0
        self._waits: list[float] = []

    def __call__(self, text: str) -> tuple[np.ndarray, int]:
        self._speaker.say(text)  # so that what is timed is speaking, not compilation
        start = time.perf_counter()
        speech = self._speaker.say(text)
        self._took += time.perf_counter() - start
        self._spoken += speech.duration
        start = time.perf_counter()
        next(self._speaker.stream(text))
        self._waits.append(time.perf_counter() - start)
        return speech.waveform, speech.sample_rate

    @property
    def speed(self) -> str:
        """In words."""
        return (
            f"{self._spoken / max(self._took, 1e-9):.0f} times real time, from text to waveform, compilation left out"
        )

    @property
    def first_sound(self) -> str:
        """In words."""
        return f"{1000 * np.median(self._waits):.0f} ms after the text, median of the sentences, in Python"


def named(speaker: Speaker) -> str:
    """A speaker's name in reports."""
    return speaker.config.name + ("" if speaker.step is None else f", step {speaker.step}")


@dataclass(frozen=True, kw_only=True)
class SpeakerDoctorOptions:
    """Of a speaker: are its parameters finite, is its mel spectrogram near that of held-out recordings, do its
    sentences last as long as theirs.
    """

    corpus: str
    """A folder made by `wavejax prepare`, with the times of its phones."""
    split: Split = "validation"
    """Part of the corpus; it should not have been trained on."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Speaker) -> Iterator[Finding]:
        """Findings about the speaker."""
        finite = check_parameters(product.params)
        yield finite
        if finite.verdict == "bad":
            return
        data = opened(open_spoken, product, self.corpus, self.split)
        mel = compare(product, data, self.split).mel
        words = f"its mel spectrograms of held-out sentences differ by {mel:.2f} nats from the recordings'"
        good = mel < _GOOD_MEL
        tail = "" if good else f", where below {_GOOD_MEL} words can be understood: train longer"
        yield Finding(check="sound", verdict="good" if good else "bad", words=words + tail)
        yield length_finding(_length_ratio(product, data, self.split))


def length_finding(ratio: float) -> Finding:
    """Whether sentences last as long as their recordings; `ratio` is how long all of them last beside these."""
    words = f"its sentences last {100 * ratio:.0f} % of what the recordings last"
    good = abs(ratio - 1) < _GOOD_LENGTH
    return Finding(check="length", verdict="good" if good else "bad", words=words + ("" if good else ": train longer"))


@dataclass(frozen=True, kw_only=True)
class SpeakingReport:
    """How near a speaker comes to recordings."""

    system: str
    sentences: str
    mel: float
    """Mean absolute difference of the mel spectrograms, nats."""
    duration: float
    """Root mean square of ln((frames + 1) / (the recording's frames + 1))."""
    pitch: float
    """Root mean square error of the symbols' F0, cents."""
    voicing: float
    """Cross-entropy of voiced and unvoiced, nats per symbol."""

    def lines(self) -> Sequence[str]:
        """For the terminal."""
        return (
            f"{self.system}: {self.sentences}",
            f"mel spectrogram   {self.mel:.3f} nats mean absolute difference, the recordings' durations given",
            f"durations         {self.duration:.3f} root mean square of the log ratio",
            f"F0 of symbols     {self.pitch:.0f} cents root mean square",
            f"voicing           {self.voicing:.3f} nats per symbol",
        )

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def write(self, folder: Path) -> Path | None:
        """Writes report.json."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "report.json", json.dumps(self.to_json(), indent=1) + "\n")
        return folder / "report.json"


def compare(speaker: Speaker, data: SpeakerData, split: str) -> SpeakingReport:
    """How near a speaker comes to the recordings of a split."""
    config: Any = speaker.config
    means = held_out_means(speaker, speaking_loss(config, quiet=True), {}, data, split)
    cents = 1200 * config.model.pitch_spread / math.log(2)
    return SpeakingReport(
        system=named(speaker),
        sentences=f"{len(data.utterances(split))} sentences of {split}",
        mel=means["mel"],
        duration=math.sqrt(means["duration"]),
        pitch=cents * math.sqrt(means["pitch"]),
        voicing=means["voicing"],
    )


def _length_ratio(speaker: Speaker, data: SpeakerData, split: str) -> float:
    """How long sentences last that the speaker says, all together, beside the recordings of them."""
    listed = data.utterances(split).listed
    chosen = [listed[round(place)] for place in np.linspace(0, len(listed) - 1, min(_LOOKED_AT, len(listed)))]
    made = real = 0
    for each in chosen:
        symbols = data.alignments[data.corpus.entries[each.position].id].symbols
        made += int(speaker.durations(Line(symbols=symbols)).sum())
        real += each.num_frames
    return made / real


def held_out_means(speaker: Speaker, loss: LossFn, state: Any, data: SpeakerData, split: str) -> dict[str, float]:
    """Means over a split of what a loss measures; `state` is the model's."""
    rows = data.config.training.batch_size
    keys = jax.random.split(jax.random.key(0, impl="threefry2x32"), rows)
    measure = jax.jit(lambda params, batch: loss(params, state, batch, keys))
    params = jax.tree.map(jnp.asarray, speaker.params)
    totals: dict[str, float] = {}
    weight = 0.0
    for batch in data.held_out(split, slice(0, rows)):
        _, counted, _, sums = measure(params, batch)
        weight += float(counted)
        for name, value in sums.items():
            totals[name] = totals.get(name, 0.0) + float(value)
    return {name: value / weight for name, value in totals.items()}


def opened(open_data: Callable[..., D], speaker: Speaker, corpus: str, split: str) -> D:
    """The aligned corpus in a folder. Raises ExperimentError where the split holds nothing."""
    data = open_data(speaker.config, None, folder=corpus)
    if not data.has(split):
        raise ExperimentError(f"{corpus} has no aligned sentences in the split {split!r}: choose another --split")
    return data
