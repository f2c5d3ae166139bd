"""`wavejax evaluate` of a vocoder: bits per sample, and copy-synthesis beside anchors."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import numpy as np

from wavejax.data import Corpus
from wavejax.data.corpus import Utterance
from wavejax.evaluation.anchors import DEFAULT_ANCHORS
from wavejax.evaluation.comparison import Comparison, System
from wavejax.evaluation.judged import Judged
from wavejax.evaluation.listening import ceiling_system, judge_voice, named_judges, spoken_systems
from wavejax.evaluation.selection import Selection, select
from wavejax.experiments.autoregressive.data import named_corpus
from wavejax.experiments.autoregressive.product import facts_of
from wavejax.experiments.autoregressive.scoring import score_report
from wavejax.ranges import AT_LEAST_NONE, ROWS, TEMPERATURE, Range, as_option, check_ranges
from wavejax.tasks.vocoder.product import SampleVocoder, Vocoder


@dataclass(frozen=True, kw_only=True)
class ListeningOptions:
    """Copy-synthesis: the vocoder speaks the recordings from their features, once per seed, all of which are scored;
    metrics of the signal and every judge that is installed listen, level-matched. Intervals are 95 % ones of a paired
    bootstrap over utterances; "!" marks what lies beyond its bar. Choose checkpoints and temperatures on --split
    validation and score test once.
    """

    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with wavejax."""
    split: Literal["train", "validation", "test"] = "test"
    utterances: str | None = None
    """A list of what to judge: a file {"test": [ids], ...}, or the name of a shipped one. Default: the shipped list of
    this corpus if there is one, else all of the split that last a second."""
    at_most: Annotated[int, AT_LEAST_NONE] = 0
    """Above 0: judge only this number of utterances, evenly spread over the list."""
    seeds: Annotated[int, Range(1, 1000)] = 1
    """Readings, of seeds 0, 1, ..."""
    temperature: Annotated[tuple[float, ...], TEMPERATURE] = ()
    """Several make several systems. Default: what the voice was exported with, or 1."""
    judges: tuple[str, ...] = ("installed",)
    """Names from distillmos, p808, pesq, estoi, phonemes, words, speaker; "none": metrics of the signal alone."""
    anchors: tuple[str, ...] = DEFAULT_ANCHORS
    """Also: mu-law-9, mu-law-10, mu-law-8-emphasis, mu-law-9-emphasis, mu-law-10-emphasis, low-pass-4k."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Vocoder, say: Callable[[str], None]) -> Judged:
        """Speak and listen."""
        corpus = named_corpus(self.corpus, product.spec)
        selection = select(corpus, self.split, self.utterances, self.at_most)
        temperatures = self.temperature or (product.config.temperature,)
        comparison = judge_vocoder(
            product,
            corpus,
            selection,
            temperatures=temperatures,
            num_seeds=self.seeds,
            judges=named_judges(self.judges),
            anchors=self.anchors,
            say=say,
        )
        facts = facts_of(product, f"{self.corpus}: {selection.chosen}", range(self.seeds), temperatures)
        return Judged(comparison=comparison, facts=facts)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ListeningOptions):
    """Two views of a vocoder. Bits per sample: it hears the recording and is asked for each next sample; beside
    baselines over the same classes. Copy-synthesis: it speaks the recordings from their features, once per seed, all of
    which are scored; metrics of the signal and every judge that is installed listen, level-matched. Intervals are 95 %
    ones of a paired bootstrap over utterances; "!" marks what lies beyond its bar. Choose checkpoints and temperatures
    on --split validation and score test once.
    """

    seeds: Annotated[int, Range(0, 1000)] = 3
    """Readings, of seeds 0, 1, ...; 0: bits per sample alone."""
    batch_size: Annotated[int, ROWS] = 8
    """Crops scored at a time for the bits."""

    def __call__(self, product: Vocoder, say: Callable[[str], None]) -> Judged:
        """Score and, unless `seeds` is 0, speak and listen."""
        scored = cast(SampleVocoder, product)  # its card has this evaluator
        bits = score_report(scored, named_corpus(self.corpus, product.spec), self.split, batch_size=self.batch_size)
        return dataclasses.replace(super().__call__(product, say), bits=bits) if self.seeds else Judged(bits=bits)


def judge_vocoder(
    vocoder: Vocoder,
    corpus: Corpus,
    selection: Selection,
    *,
    temperatures: tuple[float, ...] = (1.0,),
    num_seeds: int = 3,
    judges: tuple[str, ...] | None = None,
    anchors: tuple[str, ...] = DEFAULT_ANCHORS,
    say: Callable[[str], None] = lambda said: None,
) -> Comparison:
    """A vocoder's readings of the selection beside anchors of the same recordings, see `judge_voice`.

    The ceiling of the vocoder's coding, where it has one, stands before its readings. The seed is that of
    `wavejax vocode --seed`, so that any reading can be made again.
    """

    def speak(utterance: Utterance, temperature: float, seed: int) -> np.ndarray:
        speaker = corpus.speakers[utterance.speaker] if vocoder.config.model.num_speakers else None
        mel = vocoder.mel(utterance.waveform)
        return np.asarray(vocoder(mel, seed=seed, temperature=temperature, speaker=speaker), np.float32)

    def systems() -> list[System]:
        rate, ceiling = vocoder.sample_rate, []
        if isinstance(vocoder, SampleVocoder):
            ceiling = [ceiling_system(selection.utterances, vocoder.config.model.coding, rate)]
        spoken = spoken_systems(
            "voice", selection.utterances, speak, rate, temperatures=temperatures, num_seeds=num_seeds, say=say
        )
        return [*ceiling, *spoken]

    return judge_voice(corpus, selection, vocoder.spec, systems, judges=judges, anchors=anchors, say=say)
