"""The family of recognisers that spell what a CTC recogniser's body hears."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.specs import get_spec
from wavejax.decoding import greedy_errors
from wavejax.experiments.family import Learner
from wavejax.losses.sequence import ctc_loss
from wavejax.models.attend_spell import PRESETS, AttendSpellConfig
from wavejax.ranges import Range, check_ranges
from wavejax.tasks.recognizer.card import recognizer_family
from wavejax.tasks.recognizer.config import OPTIMIZER, RecognizerConfig, in_language
from wavejax.tasks.recognizer.hybrid import HybridRecognizer
from wavejax.tasks.recognizer.learner import augmented, heads_of, learner_of
from wavejax.tasks.recognizer.listen_attend_spell import (
    SpellingLossConfig,
    held_out_spelling_loss,
    letter_error,
    spelled_cross_entropy,
)
from wavejax.text import get_text_spec
from wavejax.types import Params

Batch = Mapping[str, Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttendSpellLossConfig(SpellingLossConfig):
    """Of the cross-entropy of letters, and of CTC beside it."""

    ctc: Annotated[float, Range(0, 10)] = 0.3
    """What the CTC loss of the listener counts beside the speller's; 0: the speller alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttendSpellRecognizerConfig(RecognizerConfig):
    """Log-mel features in, letters out, one after the other."""

    family: ClassVar[str] = "attend-spell"

    model: AttendSpellConfig
    spec: FeatureSpec = get_spec("speech-16k")
    losses: AttendSpellLossConfig = AttendSpellLossConfig()
    piece_seconds: Annotated[float, Range(0, 600)] = 0.0
    """A beam reads no more at once: longer recordings are cut where they are quiet. A speller that has seen few long
    ones loses its place in them and leaves words out. 0: as long as the longest batch. To be chosen on validation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self)
        if 0 < self.piece_seconds < 1:
            raise ValueError(f"piece_seconds must be 0 or at least 1, got {self.piece_seconds}")


def attend_spell_loss(config: AttendSpellRecognizerConfig) -> Any:
    """The training loss: that of the speller and `losses.ctc` times that of CTC, in nats per letter and end.

    An utterance with fewer frames than its labels need counts in the speller's only.
    """
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))
    weights = config.losses

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Any, ...]:
        counts, labels = batch["num_frames"], batch["labels"]
        features = augmented(config, batch, keys, model.fill)
        both: Any = model.apply({"params": params}, features, counts, keys, labels, method="both")
        loss, weight = spelled_cross_entropy(both[0], batch, weights.smoothing)
        metrics = {"spelling": loss}
        if weights.ctc:
            ctc = jnp.sum(ctc_loss(both[1], model.output_frames(counts), labels, batch["num_labels"]).loss)
            metrics["ctc"] = ctc
            loss = loss + jnp.float32(weights.ctc) * ctc
        return loss, weight, model_state, metrics

    return loss_fn


def held_out_attend_spell_loss(config: AttendSpellRecognizerConfig) -> Any:
    """That of the speller, with the letter errors of writing freely and of reading the listener's CTC greedily."""
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))
    spelling = held_out_spelling_loss(config)

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Any, ...]:
        loss, weight, model_state, metrics = spelling(params, model_state, batch, keys)
        counts = batch["num_frames"]
        log_probs: Any = model.apply({"params": params}, batch["features"], counts, method="hear")
        errors = greedy_errors(log_probs, model.output_frames(counts), batch["labels"], batch["num_labels"])
        return loss, weight, model_state, {**metrics, "ctc_letter_error": letter_error(errors, batch, weight)}

    return loss_fn


def attend_spell_learner(config: Any) -> Learner:
    """The learner of an experiment. A CTC recogniser's parameters become its listener; its speller then begins anew."""
    return learner_of(config, attend_spell_loss(config), held_out_attend_spell_loss(config), adapted=with_speller)


def with_speller(own: Params, given: Params) -> tuple[Params, list[str]]:
    """(parameters to start with, what of them begins anew) from those of a speller of this kind or of a CTC recogniser.

    Where the other one writes another number of symbols, the last layers begin anew, and the embedding with them.
    """
    parts = {"listener": given, "speller": own["speller"]} if "output_kernel" in given else dict(given)
    anew = [] if "output_kernel" not in given else ["speller"]
    for part in own.keys() & parts.keys():
        names = heads_of(own[part], parts[part])
        parts[part] = {**parts[part], **{name: own[part][name] for name in names}}
        anew += [f"{part}/{name}" for name in names]
    return parts, anew


_TEXTS = {"": "letters-en", "-ru": "letters-ru"}
"""Ending of an experiment's name -> what the model writes."""


def experiment(name: str, ending: str = "") -> AttendSpellRecognizerConfig:
    """The experiment around a preset of the model."""
    config = AttendSpellRecognizerConfig(
        name=f"{name}{ending}", model=PRESETS[name], optimizer=dataclasses.replace(OPTIMIZER, learning_rate=1e-3)
    )
    changed: AttendSpellRecognizerConfig = in_language(config, get_text_spec(_TEXTS[ending]))
    return changed


_EXPERIMENTS = [experiment(name, ending) for name in PRESETS for ending in _TEXTS]

FAMILY = recognizer_family(
    config=AttendSpellRecognizerConfig,
    product=HybridRecognizer,
    learner=attend_spell_learner,
    presets={config.name: config for config in _EXPERIMENTS},
)
