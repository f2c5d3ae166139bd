"""What a speaker id is worth: held-out bits per sample under the right id, the wrong ones, and none."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.data import Corpus
from wavejax.evaluation import paired_bootstrap
from wavejax.evaluation.bootstrap import Interval
from wavejax.experiments.autoregressive.data import corpus_for
from wavejax.experiments.autoregressive.product import SampleModel
from wavejax.experiments.autoregressive.scoring import score
from wavejax.experiments.metadata import ExperimentError


def speakers_of(product: SampleModel[Any]) -> tuple[str, ...]:
    """Names of a model's speakers in the order of their ids.

    Raises ExperimentError where it knows fewer than two by id, or the folder does not say what they are called.
    """
    count = product.config.model.num_speakers
    if count < 2:
        raise ExperimentError(
            f"{product.config.name} knows {count or 'no'} speaker{'' if count == 1 else 's'} by id: this is "
            "about models of two or more (model.num_speakers, trained on a corpus of so many)"
        )
    if len(product.speakers) != count:
        raise ExperimentError(
            f"{product.source or product.config.name} has {count} speaker ids and {len(product.speakers)} names: train "
            "it on a corpus that names them all, or export it again from the training folder"
        )
    return product.speakers


def named_corpus_for(product: SampleModel[Any], corpus: Corpus) -> Corpus:
    """The corpus with the model's ids of its speakers. Raises ExperimentError on one whom the model does not know, and
    as `speakers_of`."""
    speakers_of(product)
    return corpus_for(product, corpus)


def score_speakers(
    product: SampleModel[Any],
    corpus: Corpus,
    split: str = "validation",
    *,
    at_most: int = 0,
    batch_size: int = 8,
    say: Callable[[str], None] = lambda said: None,
) -> dict[str, Any]:
    """A JSON-able report: teacher-forced bits per sample of a split's utterances under other speaker ids.

    "right" is the utterance's own id, "wrong" the mean over all other ids, "none" the mean of all speakers' embeddings
    (a model trained with ids alone has never been without one; this is the least that it can be told). Each entry of
    "differences" is mean, low, high of the 95 % paired bootstrap over utterances of a kind minus "right". With
    features, which name the speaker themselves, little may be left for the id. `at_most` above 0 scores only so many
    utterances of each speaker, evenly spread.

    Raises:
        ExperimentError: a model without speakers, or a corpus of others; and whatever `score` refuses.
    """
    corpus, count = named_corpus_for(product, corpus), product.config.model.num_speakers
    table = product.speaker_table
    corpus = _thinned(corpus, split, at_most) if at_most else corpus

    def bits(rows: Float[np.ndarray, "speaker size"]) -> Float[np.ndarray, " utterance"]:
        scores = score(product.with_speaker_table(rows), corpus, split, batch_size=batch_size)
        names.update(zip(scores.ids, scores.num_samples.tolist(), strict=True))
        return scores.bits

    names: dict[str, int] = {}
    found: dict[str, Float[np.ndarray, ...]] = {}
    say(f"bits of {split}: the right id")
    found["right"] = bits(table)
    wrong = []
    for shift in range(1, count):
        say(f"bits of {split}: a wrong id, {shift} of {count - 1}")
        wrong.append(bits(np.roll(table, -shift, axis=0)))
    found["wrong"] = np.mean(wrong, axis=0)
    say(f"bits of {split}: no id")
    found["none"] = bits(np.broadcast_to(table.mean(axis=0), table.shape))
    return _report(product, corpus, split, names, found)


def _thinned(corpus: Corpus, split: str, at_most: int) -> Corpus:
    """Up to `at_most` utterances of each speaker of a split, evenly spread over them."""
    entries = corpus.entries
    chosen: list[int] = []
    for speaker in range(len(corpus.speakers)):
        own = [position for position in corpus.indices(split) if entries[position].speaker == speaker]
        chosen += [own[round(k)] for k in np.linspace(0, len(own) - 1, min(at_most, len(own)))]
    utterances = [corpus.utterance(position) for position in sorted(chosen)]
    return Corpus.in_memory(corpus.spec, utterances, [split] * len(utterances), corpus.speakers)


def _report(
    product: SampleModel[Any], corpus: Corpus, split: str, names: dict[str, int], found: dict[str, np.ndarray]
) -> dict[str, Any]:
    entries = [corpus.entries[position] for position in corpus.indices(split)]
    speaker = np.asarray([entry.speaker for entry in entries])
    samples = np.asarray([names[entry.id] for entry in entries])

    def summary(chosen: np.ndarray) -> dict[str, Any]:
        weights = samples[chosen]
        intervals = {}
        for kind in ("wrong", "none"):
            a, b = found["right"][chosen], found[kind][chosen]
            mean = float(np.average(b - a, weights=weights))
            whole = paired_bootstrap(a, b, weights) if len(weights) > 1 else Interval(mean, mean, mean)
            intervals[kind] = whole._asdict()
        return {
            "num_utterances": len(weights),
            "num_samples": int(weights.sum()),
            "bits_per_sample": {kind: float(np.average(each[chosen], weights=weights)) for kind, each in found.items()},
            "differences": intervals,
        }

    coding = product.config.model.coding
    return {
        "model": product.config.name,
        "step": product.step,
        "split": split,
        "coding": f"{coding.kind}, {coding.num_classes} classes",
        **summary(np.ones(len(entries), bool)),
        "speakers": {
            name: summary(speaker == number) for number, name in enumerate(corpus.speakers) if (speaker == number).any()
        },
        "utterances": {
            entry.id: {"num_samples": int(samples[i])} | {kind: float(each[i]) for kind, each in found.items()}
            for i, entry in enumerate(entries)
        },
    }


def speaker_bits_table(report: dict[str, Any]) -> str:
    """The report of `score_speakers` in lines."""
    step = "" if report["step"] is None else f" (step {report['step']})"
    lines = [
        f"{report['model']}{step} on {report['num_utterances']} {report['split']} utterances, "
        f"{report['num_samples']:,} samples, {report['coding']}; bits per sample with",
        f"{'':<14} the right id   wrong ids, minus right, 95 %          no id (mean embedding), minus right, 95 %",
    ]
    for name, each in {"all": report, **report["speakers"]}.items():
        bits, cells = each["bits_per_sample"], []
        for kind in ("wrong", "none"):
            low, high = each["differences"][kind]["low"], each["differences"][kind]["high"]
            cells.append(f"{bits[kind]:7.3f}   {bits[kind] - bits['right']:+.3f} [{low:+.3f}, {high:+.3f}]")
        lines.append(f"{name:<14} {bits['right']:12.3f}   {cells[0]:<37} {cells[1]}")
    return "\n".join(lines)
