"""How well a model predicts held-out recordings, beside baselines: bits per sample of each utterance.

Everything is teacher-forced: the model sees the recording and predicts each next sample. Bits measure the probability
mass of the coding's classes or bins, so different models and the baselines of `wavejax.evaluation` are comparable if
their coding is the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from wavejax.audio.companding import SampleCoding
from wavejax.data import Corpus
from wavejax.data.corpus import Recorded, id_hash
from wavejax.evaluation.baselines import LARGEST_TABLE, linear_prediction_bits, order1_bits, unigram_bits
from wavejax.evaluation.bootstrap import paired_bootstrap

_SHORTEST_ENCODED = 2**15

ScoreRows = Callable[[Mapping[str, Any]], tuple[Any, Any]]
"""A batch of crops -> (bits [rows], scored samples [rows])."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Bits of each utterance of a split, in the corpus' order."""

    ids: tuple[str, ...]
    bits: Float[np.ndarray, " utterance"]
    """Mean bits per sample of each utterance, float64."""
    num_samples: Int[np.ndarray, " utterance"]
    """Samples of each utterance, int64."""

    @property
    def mean(self) -> float:
        """Bits per sample over all samples of all utterances."""
        return float(np.average(self.bits, weights=self.num_samples))


def score_batches(score_rows: ScoreRows, batches: Iterable[Mapping[str, Any]], ids: Sequence[str]) -> Scores:
    """Bits of the utterances `ids` from batches of crops that cover them once.

    Raises ValueError if two ids have the same hash, because batches carry only the hash.
    """
    number = {id_hash(each): index for index, each in enumerate(ids)}
    if len(number) != len(ids):
        raise ValueError("two utterances of the split have ids of the same CRC-32; rename one of them")
    bits, count = np.zeros(len(ids)), np.zeros(len(ids), np.int64)
    for batch in batches:
        sums, weights = (np.asarray(value, np.float64) for value in score_rows(batch))
        for utterance_hash, total, weight in zip(batch["id"], sums, weights, strict=True):
            if weight:
                bits[number[int(utterance_hash)]] += total
                count[number[int(utterance_hash)]] += round(weight)
    return Scores(ids=tuple(ids), bits=bits / count, num_samples=count)


def score_table(
    right: Scores, rivals: Mapping[str, Float[np.ndarray, " utterance"]], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """A JSON-able report: the model's bits, those of its rivals, and their intervals.

    Each entry of "differences" is mean, low, high of the 95 % paired bootstrap over utterances: low above 0 means that
    the model is significantly better.
    """
    weights = right.num_samples
    means = {name: float(np.average(bits, weights=weights)) for name, bits in rivals.items()}
    intervals = {}
    if len(right.ids) > 1:
        for name, bits in rivals.items():
            intervals[name] = paired_bootstrap(right.bits, bits, weights)._asdict()
    return {
        **facts,
        "num_utterances": len(right.ids),
        "num_samples": int(weights.sum()),
        "bits_per_sample": {"model": right.mean, **means},
        "differences": intervals,
        "utterances": {
            name: {"num_samples": int(samples), "model": float(right.bits[i])}
            | {rival: float(bits[i]) for rival, bits in rivals.items()}
            for i, (name, samples) in enumerate(zip(right.ids, weights, strict=True))
        },
    }


_NAMES = {
    "model": "the model",
    "other_frames": "the model, another utterance's features",
    "unigram": "unigram",
    "order1": "order 1",
    "linear_prediction": "linear prediction, order 16, fitted to each frame",
}


def score_lines(report: Mapping[str, Any]) -> list[str]:
    """A report of `score_table` as lines for the terminal."""
    step = "" if report["step"] is None else f" (step {report['step']})"
    lines = [
        f"{report['model']}{step} on {report['num_utterances']} {report['split']} utterances, "
        f"{report['num_samples']:,} samples, {report['coding']}; bits per sample:"
    ]
    for name, bits in report["bits_per_sample"].items():
        difference = report["differences"].get(name)
        worse = ""
        if difference:
            worse = f"   {difference['mean']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
        lines.append(f"  {_NAMES[name]:<50} {bits:7.3f}{worse}")
    return lines


def encoded_utterances(corpus: Corpus, split: str, coding: SampleCoding) -> list[Int[np.ndarray, "_"]]:
    """Classes of every utterance of a split, int32 [T] each."""
    return [_encode(utterance.waveform, coding) for utterance in corpus.utterances(split)]


def _encode(waveform: Float[np.ndarray, " time"], coding: SampleCoding) -> Int[np.ndarray, " time"]:
    # Padded to a power of two, so that there are few shapes and few compilations.
    size = max(_SHORTEST_ENCODED, 1 << (len(waveform) - 1).bit_length())
    return np.asarray(coding.encode(np.pad(waveform, (0, size - len(waveform)))))[: len(waveform)]


def baseline_bits(corpus: Corpus, split: str, coding: SampleCoding) -> dict[str, Float[np.ndarray, " utterance"]]:
    """Bits of baselines that need little or no learning, over the same classes.

    They are fitted on the corpus' train split (`unigram`, `order1`) or on each test frame itself (`linear_prediction`).
    """
    train, test = encoded_utterances(corpus, "train", coding), encoded_utterances(corpus, split, coding)
    baselines = {"unigram": unigram_bits(train, test, coding.num_classes).bits}
    if coding.num_classes <= LARGEST_TABLE:
        baselines["order1"] = order1_bits(train, test, coding.num_classes, silence=int(coding.silence)).bits
    return {**baselines, "linear_prediction": linear_prediction_bits(test, coding).bits}


class NextFeatures:
    """The corpus' samples, but each utterance of a split has the features of the next one (repeated or cut)."""

    def __init__(self, corpus: Corpus, split: str) -> None:
        positions = corpus.indices(split)
        if len(positions) < 2:
            raise ValueError(f"the split {split!r} holds one utterance: there are no other features to give it")
        self._corpus = corpus
        self._next = dict(zip(positions, positions[1:] + positions[:1], strict=True))

    def load(self, position: int) -> Recorded:
        """The samples of an utterance and the frames of its successor."""
        samples, own = self._corpus.load(position)
        _, other = self._corpus.load(self._next[position])
        return samples, other[np.arange(len(own)) % len(other)]
