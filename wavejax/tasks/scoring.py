"""How well a vocoder predicts held-out recordings, beside baselines: bits per sample of each utterance.

Everything is teacher-forced: the network hears the recording and is asked for each next sample. Bits are those of the
training loss (`make_loss`): a probability mass over the coding's classes or bins, so different models and the baselines
of `wavejax.evaluation` compare as long as their coding is the same.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from wavejax.audio.companding import SampleCoding
from wavejax.data import Corpus, validation_batches
from wavejax.data.corpus import Recorded, id_hash
from wavejax.evaluation import linear_prediction_bits, order1_bits, paired_bootstrap, unigram_bits
from wavejax.evaluation.baselines import LARGEST_TABLE
from wavejax.tasks.training import check_corpus
from wavejax.tasks.vocoder import Vocoder, make_loss
from wavejax.tasks.vocoder_config import VocoderConfig
from wavejax.types import Params

_SHORTEST_ENCODED = 2**15


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


def score(
    model: Vocoder | tuple[VocoderConfig, Params],
    corpus: Corpus,
    split: str = "test",
    *,
    mel: Literal["own", "other"] = "own",
    batch_size: int = 8,
) -> Scores:
    """Teacher-forced bits per sample of every utterance of a split.

    Args:
        model: a vocoder, or its configuration and parameters.
        corpus: at the model's sample rate and, for a conditioned model, with its features.
        split: "train", "validation" or "test".
        mel: "other" gives each utterance the features of the next one (repeated or cut to its length): a model that
            listens to its features must then do worse.
        batch_size: crops scored at a time; it changes nothing but speed and memory.

    Raises:
        ValueError: an empty split, a single utterance where another's mel is asked for, an unconditional model with
            mel="other"; SpecMismatch, TrainingError: a corpus that the model cannot read.
    """
    config, params = (model.config, model.params) if isinstance(model, Vocoder) else model
    check_corpus(config, corpus)
    if mel == "other":
        if config.model.frame_network is None:
            raise ValueError(f"{config.name} is not conditioned on features: there is no other mel to give it")
        corpus = corpus.read_from(_NextFeatures(corpus, split))
    entries = [corpus.entries[position] for position in corpus.indices(split)]
    number = {id_hash(entry.id): index for index, entry in enumerate(entries)}
    if len(number) != len(entries):
        raise ValueError(f"two utterances of the split {split!r} have ids of the same CRC-32; rename one of them")
    bits, count = np.zeros(len(entries)), np.zeros(len(entries), np.int64)
    score_rows = _row_scorer(config)
    for batch in validation_batches(corpus, split, config.crop_shape, batch_size=batch_size):
        sums, weights = (np.asarray(value, np.float64) for value in score_rows(params, batch))
        for utterance_hash, total, weight in zip(batch["id"], sums, weights, strict=True):
            if weight:
                bits[number[int(utterance_hash)]] += total
                count[number[int(utterance_hash)]] += round(weight)
    return Scores(ids=tuple(entry.id for entry in entries), bits=bits / count, num_samples=count)


def score_report(vocoder: Vocoder, corpus: Corpus, split: str = "test", *, batch_size: int = 8) -> dict[str, Any]:
    """A JSON-able report of a split: the model's bits with the right and another mel, baselines, and their intervals.

    Baselines code the same classes and are fitted on the corpus' train split (`unigram`, `order1`) or on each test
    frame itself (`linear_prediction`); a model of densities has none. Each entry of "differences" is mean, low, high of
    the 95 % paired bootstrap over utterances: low above 0 means that the model is better, luck of the draw aside.
    """
    right = score(vocoder, corpus, split, batch_size=batch_size)
    rivals: dict[str, Float[np.ndarray, ...]] = {}
    if vocoder.config.model.frame_network is not None and len(right.ids) > 1:
        rivals["other_mel"] = score(vocoder, corpus, split, mel="other", batch_size=batch_size).bits
    coding = vocoder.config.model.coding
    if coding.is_discrete:
        rivals |= _baselines(corpus, split, coding)
    weights = right.num_samples
    means = {name: float(np.average(bits, weights=weights)) for name, bits in rivals.items()}
    intervals = {}
    if len(right.ids) > 1:
        for name, bits in rivals.items():
            intervals[name] = paired_bootstrap(right.bits, bits, weights)._asdict()
    return {
        "model": vocoder.config.name,
        "step": vocoder.step,
        "split": split,
        "coding": f"{coding.kind}, {coding.num_classes} classes",
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


def encoded_utterances(corpus: Corpus, split: str, coding: SampleCoding) -> list[Int[np.ndarray, "_"]]:
    """Classes of every utterance of a split, int32 [T] each."""
    return [_encode(utterance.waveform, coding) for utterance in corpus.utterances(split)]


def _encode(waveform: Float[np.ndarray, " time"], coding: SampleCoding) -> Int[np.ndarray, " time"]:
    # Padded to a power of two: a handful of shapes, so a handful of compilations.
    size = max(_SHORTEST_ENCODED, 1 << (len(waveform) - 1).bit_length())
    return np.asarray(coding.encode(np.pad(waveform, (0, size - len(waveform)))))[: len(waveform)]


def _baselines(corpus: Corpus, split: str, coding: SampleCoding) -> dict[str, Float[np.ndarray, " utterance"]]:
    train, test = encoded_utterances(corpus, "train", coding), encoded_utterances(corpus, split, coding)
    baselines = {"unigram": unigram_bits(train, test, coding.num_classes).bits}
    if coding.num_classes <= LARGEST_TABLE:
        baselines["order1"] = order1_bits(train, test, coding.num_classes, silence=int(coding.silence)).bits
    return {**baselines, "linear_prediction": linear_prediction_bits(test, coding).bits}


class _NextFeatures:
    """The corpus' sound, each utterance of a split under the features of the next one."""

    def __init__(self, corpus: Corpus, split: str) -> None:
        positions = corpus.indices(split)
        if len(positions) < 2:
            raise ValueError(f"the split {split!r} holds one utterance: there is no other one to take a mel from")
        self._corpus = corpus
        self._next = dict(zip(positions, positions[1:] + positions[:1], strict=True))

    def load(self, position: int) -> Recorded:
        samples, own = self._corpus.load(position)
        _, other = self._corpus.load(self._next[position])
        return samples, other[np.arange(len(own)) % len(other)]


@functools.lru_cache(maxsize=4)
def _row_scorer(config: VocoderConfig) -> Any:
    """A compiled (params, batch) -> (bits [rows], scored samples [rows])."""
    loss_fn = make_loss(config)

    def score_row(params: Params, row: Mapping[str, Array]) -> tuple[Array, Array]:
        bits, weight, _, _ = loss_fn(params, None, jax.tree.map(lambda leaf: leaf[None], row), None)
        return bits, weight

    return jax.jit(jax.vmap(score_row, in_axes=(None, 0)))
