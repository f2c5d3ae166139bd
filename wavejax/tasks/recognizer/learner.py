"""How a recogniser learns: CTC on masked utterances, in nats per letter."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.decoding import greedy_errors
from wavejax.experiments.family import Figures, Learner
from wavejax.experiments.learning import check_fits, one_loss_learner
from wavejax.experiments.utterances import utterance_figures
from wavejax.losses.sequence import aligned_cross_entropy, consistency, ctc_loss, updated_prior
from wavejax.nn.masking import sequence_mask
from wavejax.nn.parameters import count_parameters, initial_recognizer_params
from wavejax.nn.spec_augment import spec_augment
from wavejax.tasks.recognizer.config import RecognizerConfig
from wavejax.training import TrainState, create_train_state
from wavejax.types import Params

_LOG = logging.getLogger(__name__)

Batch = Mapping[str, Array]


def param_shapes(config: Any) -> Any:
    """Shapes of the model's parameters."""
    return jax.eval_shape(lambda: initial_recognizer_params(config.model.build(), jax.random.key(0)))


def augmented(config: RecognizerConfig, batch: Batch, keys: Any, fill: float) -> Array:
    """The features of a batch as a training step sees them."""
    spec = config.spec if isinstance(config.spec, FeatureSpec) else None
    return spec_augment(batch["features"], batch["num_frames"], keys, config.augment, fill, spec)


def recognition_loss(config: RecognizerConfig) -> Any:
    """The training loss: a `LossFn` over batches of `RecognizerData`; utterances count by their letters.

    Those that have fewer frames than their labels need count nothing. With `losses.consistency` both masked views of an
    utterance are read, and the loss is the mean of both. With `losses.alignment` frames of known symbols count, too.
    """
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))
    weights = config.losses

    def view(params: Params, batch: Batch, keys: Any, number: int) -> Array:
        own = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
        features = augmented(config, batch, own, model.fill)
        log_probs: Array = model.apply({"params": params}, features, batch["num_frames"], own)
        return log_probs

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Any, ...]:
        frames = model.output_frames(batch["num_frames"])
        views = [view(params, batch, keys, number) for number in range(2 if weights.consistency else 1)]
        prior = model_state.get("log_prior")
        given = (frames, batch["labels"], batch["num_labels"])
        losses = [ctc_loss(each, *given, log_prior=prior, prior_strength=weights.prior_strength) for each in views]
        loss = sum((each.loss for each in losses[1:]), losses[0].loss) / jnp.float32(len(losses))
        valid = sequence_mask(frames, views[0].shape[1])
        metrics = {"ctc": jnp.sum(loss)}
        if weights.consistency:
            apart = consistency(views[0], views[1], valid) * losses[0].weight
            metrics["consistency"] = jnp.sum(apart)
            loss = loss + jnp.float32(weights.consistency) * apart
        if weights.alignment:
            times = batch["labels"], batch["starts"], batch["ends"], batch["num_labels"]
            frame_losses = [aligned_cross_entropy(each, *times) for each in views]
            aligned = losses[0].weight * sum(frame_losses[1:], frame_losses[0]) / jnp.float32(len(views))
            metrics["alignment"] = jnp.sum(aligned)
            loss = loss + jnp.float32(weights.alignment) * aligned
        if prior is not None:
            updated = updated_prior(prior, views[0], valid, momentum=weights.prior_momentum)
            model_state = {**model_state, "log_prior": updated}
        return jnp.sum(loss), _letters(losses[0].weight, batch), model_state, metrics

    return loss_fn


def _letters(weight: Array, batch: Batch) -> Array:
    return jnp.sum(weight * batch["num_labels"].astype(jnp.float32))


def held_out_loss(config: RecognizerConfig) -> Any:
    """The plain CTC loss of unmasked utterances, and the letter error of reading them greedily."""
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Any, ...]:
        del keys
        log_probs = model.apply({"params": params}, batch["features"], batch["num_frames"])
        given = (model.output_frames(batch["num_frames"]), batch["labels"], batch["num_labels"])
        losses = ctc_loss(log_probs, *given)
        errors = jnp.sum(losses.weight * greedy_errors(log_probs, *given))
        return jnp.sum(losses.loss), _letters(losses.weight, batch), model_state, {"letter_error": errors}

    return loss_fn


def recognizer_learner(config: Any) -> Learner:
    """The learner of an experiment with CTC."""
    count, state = config.model.num_classes, {}
    if config.losses.prior_strength:
        state["log_prior"] = np.full((count,), -np.log(count), np.float32)
    return learner_of(config, recognition_loss(config), held_out_loss(config), state)


def learner_of(
    config: Any,
    loss: Any,
    held_out: Any,
    model_state: Mapping[str, Any] | None = None,
    adapted: Callable[[Params, Params], tuple[Params, list[str]]] | None = None,
) -> Learner:
    """The learner of an experiment.

    Args:
        config: the experiment.
        loss: of training.
        held_out: that of held-out batches.
        model_state: what state the first one has.
        adapted: (own parameters, those of another model) -> (parameters to start with, which of them begin anew);
            None: all but a last layer of other symbols.
    """
    optimizer = config.optimizer.build()

    def start(params: Params, key: PRNGKeyArray) -> TrainState:
        state = jax.tree.map(jnp.asarray, dict(model_state or {}))
        return create_train_state(params, optimizer, key=key, model_state=state)

    def init(key: PRNGKeyArray) -> TrainState:
        params = initial_recognizer_params(config.model.build(), jax.random.fold_in(key, 0))
        return start(params, jax.random.fold_in(key, 1))

    def adopt(state: TrainState, given: Params, where: str) -> TrainState:
        given, anew = (adapted or _with_own_head)(state.params, given)
        if anew:
            _LOG.info("%s is of another kind or writes other symbols: %s begin anew", where, " and ".join(anew))
        check_fits(state.params, given, where)
        return start(jax.tree.map(jnp.asarray, given), state.key)

    return one_loss_learner(config, loss, held_out, init=init, adopt=adopt)


def _with_own_head(own: Params, given: Params) -> tuple[Params, list[str]]:
    if "listener" in given and "listener" not in own:
        given = given["listener"]  # of a speller: a recogniser of CTC by itself
    anew = heads_of(own, given)
    return {**given, **{name: own[name] for name in anew}}, anew


def heads_of(own: Params, given: Params) -> list[str]:
    """Parameters by symbols that begin anew, because the other model writes another number of them."""

    def without_symbols(name: str, leaf: Any) -> tuple[int, ...]:
        return tuple(leaf.shape[1:] if name == "embedding" else leaf.shape[:-1])

    return [
        name
        for name in ("output_kernel", "output_bias", "embedding")
        if name in given
        and name in own
        and without_symbols(name, given[name]) == without_symbols(name, own[name])
        and given[name].shape != own[name].shape
    ]


def figures(config: Any) -> Figures:
    """Figures of an experiment; those of a step are means over the shapes of batches."""
    model = config.model
    return utterance_figures(
        config,
        parameters=count_parameters(param_shapes(config)),
        macs_per_frame=model.macs_per_frame,
        product=model.typical_product,
        text=f", {''.join(config.text.symbols).strip()}",
        last=("streams", "yes" if model.causal else "no: it hears a whole utterance before it reads"),
    )
