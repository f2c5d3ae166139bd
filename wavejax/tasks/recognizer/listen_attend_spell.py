"""The family of recognisers whose model listens, attends and spells."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.specs import get_spec
from wavejax.decoding import edit_errors
from wavejax.experiments.family import Learner
from wavejax.losses.sequence import attention_cross_entropy
from wavejax.models.listen_attend_spell import END, PRESETS, ListenAttendSpellConfig
from wavejax.ranges import SHARE, check_ranges
from wavejax.tasks.recognizer.card import recognizer_family
from wavejax.tasks.recognizer.config import OPTIMIZER, RecognizerConfig
from wavejax.tasks.recognizer.learner import augmented, learner_of
from wavejax.tasks.recognizer.spelling import SpellingRecognizer
from wavejax.types import Params

Batch = Mapping[str, Array]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpellingLossConfig:
    """Of the cross-entropy of letters."""

    smoothing: Annotated[float, SHARE] = 0.1
    """Part of a letter's probability that all share: a model that is too sure loops."""

    def __post_init__(self) -> None:
        check_ranges(self, lambda name: f"losses.{name}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpellingRecognizerConfig(RecognizerConfig):
    """Log-mel features in, letters out, one after the other."""

    family: ClassVar[str] = "listen-attend-spell"

    model: ListenAttendSpellConfig
    spec: FeatureSpec = get_spec("speech-16k")
    losses: SpellingLossConfig = SpellingLossConfig()


def spelling_loss(config: SpellingRecognizerConfig) -> Any:
    """The training loss: cross-entropy of each letter and of the end, given the true letters before, in nats."""
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Any, ...]:
        features = augmented(config, batch, keys, model.fill)
        loss, weight = _cross_entropy(model, params, {**batch, "features": features}, keys, config.losses.smoothing)
        return loss, weight, model_state, {}

    return loss_fn


def held_out_spelling_loss(config: Any) -> Any:
    """The same of unmasked utterances without smoothing, and the letter error of writing freely."""
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Any, ...]:
        del keys
        loss, weight = _cross_entropy(model, params, batch, None, 0.0)
        written, is_written = _written(model, params, batch)
        errors = edit_errors(written, is_written, batch["labels"], batch["num_labels"])
        return loss, weight, model_state, {"letter_error": letter_error(errors, batch, weight)}

    return loss_fn


def _cross_entropy(model: Any, params: Params, batch: Batch, keys: Any, smoothing: float) -> tuple[Array, Array]:
    logits: Any = model.apply({"params": params}, batch["features"], batch["num_frames"], keys, batch["labels"])
    return spelled_cross_entropy(logits, batch, smoothing)


def spelled_cross_entropy(logits: Array, batch: Batch, smoothing: float) -> tuple[Array, Array]:
    """(sum over the batch, letters and ends in it) of logits [B, L + 1, classes] of a speller."""
    labels, counts = batch["labels"], batch["num_labels"]
    targets = jnp.pad(labels, ((0, 0), (0, 1)), constant_values=END)
    wanted = jnp.where(counts > 0, counts + 1, jnp.zeros_like(counts))
    losses = attention_cross_entropy(logits, targets, wanted, smoothing=smoothing)
    return jnp.sum(losses.loss), jnp.sum(wanted.astype(jnp.float32))


def letter_error(errors: Array, batch: Batch, weight: Array) -> Array:
    """Errors [B] per letter as a metric, which is divided by the weight; that counts the ends as well."""
    number = batch["num_labels"].astype(jnp.float32)
    counted = jnp.sum(jnp.where(number > 0, errors, jnp.zeros_like(errors)))
    return weight / jnp.maximum(jnp.sum(number), jnp.float32(1)) * counted


def _written(model: Any, params: Params, batch: Batch) -> tuple[Array, Array]:
    """([B, L] the most probable label each time, up to half as many again as the longest text has; which count)."""
    variables = {"params": params}
    memory = model.apply(variables, batch["features"], batch["num_frames"], method="listen")
    state = model.apply(variables, memory, method="initial_state")
    first = jnp.full((batch["labels"].shape[0],), END, jnp.int32)

    def letter(carry: tuple[Any, Array, Array], _: None) -> tuple[Any, tuple[Array, Array]]:
        state, label, goes_on = carry
        advanced: Any = model.apply(variables, state, label, memory, method="advance")
        state, log_probs, _ = advanced
        label = jnp.argmax(log_probs, axis=-1).astype(jnp.int32)
        goes_on &= label != END
        return (state, label, goes_on), (label, goes_on)

    start = (state, first, jnp.ones(first.shape, jnp.bool_))
    _, (labels, counted) = jax.lax.scan(letter, start, None, length=batch["labels"].shape[1] * 3 // 2)
    return jnp.moveaxis(labels, 0, 1), jnp.moveaxis(counted, 0, 1)


def spelling_learner(config: Any) -> Learner:
    """The learner of an experiment."""
    return learner_of(config, spelling_loss(config), held_out_spelling_loss(config))


FAMILY = recognizer_family(
    config=SpellingRecognizerConfig,
    product=SpellingRecognizer,
    learner=spelling_learner,
    presets={
        name: SpellingRecognizerConfig(
            name=name, model=model, optimizer=dataclasses.replace(OPTIMIZER, learning_rate=1e-3)
        )
        for name, model in PRESETS.items()
    },
)
