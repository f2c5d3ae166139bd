"""How a Tacotron 2 learns: mel spectrogram and gate of each step, given the frames before it; attention is guided."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from wavejax.experiments.autoregressive.learner import merged_params
from wavejax.experiments.family import Figures, Learner
from wavejax.experiments.learning import one_loss_learner
from wavejax.losses.attention import (
    aligned_attention,
    attention_near,
    gate_loss,
    guided_attention,
    places_of_steps,
)
from wavejax.models.tacotron2 import Spoken, initial_tacotron2_params
from wavejax.nn.masking import sequence_mask
from wavejax.nn.normalization import initial_statistics, overlaid
from wavejax.nn.parameters import count_parameters
from wavejax.parallel import sum_over_devices
from wavejax.tasks.speaker.learner import speaker_figures
from wavejax.tasks.speaker.tacotron_config import TacotronConfig, TacotronLossConfig
from wavejax.training import TrainState, create_train_state
from wavejax.types import Params

Batch = Mapping[str, Array]
_PRENET, _TEACHER, _DROPOUT = range(3)
"""Streams of a row's key."""
_FADING = 0.1
"""Part of attention near its symbols over which the guides fade out."""
_MEMORY = 0.05
"""What a step counts in the running mean of how near attention is."""


def param_shapes(config: Any) -> Any:
    """Shapes of the model's parameters, batch statistics included."""
    return jax.eval_shape(lambda: initial_tacotron2_params(config.model.build(), jax.random.key(0)))


def tacotron_loss(config: TacotronConfig, *, quiet: bool = False) -> Any:
    """The loss, a `LossFn` over batches of `TacotronData`; an utterance counts by its frames.

    `quiet` is for held-out utterances: without dropout, but that of the prenet, and without guides.
    """
    model, weights = config.model.build(dtype=jnp.dtype(config.training.dtype)), config.losses

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Key[Array, " rows"]) -> tuple[Any, ...]:
        target = jnp.maximum(batch["features"], jnp.float32(weights.quietest))
        streams = [jax.vmap(lambda key, number=number: jax.random.fold_in(key, number))(keys) for number in range(3)]
        size = (config.model.num_steps(target.shape[1]), config.model.noise_size)
        noise = jax.vmap(lambda key: jax.random.uniform(key, size))(streams[_PRENET])
        teacher = target if quiet else _with_gaps(target, streams[_TEACHER], config)
        variables = {"params": overlaid(params, model_state["statistics"])}
        read = (batch["labels"], batch["num_labels"], teacher, batch["num_frames"], noise)
        dropout, mutable = (None, []) if quiet else (streams[_DROPOUT], ["statistics"])
        spoken: Any = model.apply(variables, *read, dropout, mutable=mutable)
        said, changed = spoken
        parts, seen = _parts(config, said, target, batch)
        guides = jnp.float32(0) if quiet else _guides(weights, model_state["near"])
        weight = batch["num_frames"].astype(jnp.float32)
        sums = {name: jnp.sum(part * weight) for name, part in parts.items()}
        factors = {"aligned": weights.aligned * guides, "guided": weights.guided * guides}
        total = sum(
            (jnp.asarray(factors.get(name, getattr(weights, name)), jnp.float32) * part for name, part in sums.items()),
            jnp.float32(0),
        )
        everyone = jnp.sum(weight)
        sums |= {name: jnp.sum(value * weight) for name, value in seen.items()}
        if not quiet:
            share = sum_over_devices(sums["near"]) / jnp.maximum(sum_over_devices(everyone), jnp.float32(1))
            model_state = {**model_state, **changed}
            model_state["near"] = model_state["near"] + jnp.float32(_MEMORY) * (share - model_state["near"])
        return total, everyone, model_state, sums

    return loss_fn


def _with_gaps(mel: Array, keys: Array, config: TacotronConfig) -> Array:
    """Frames of which some are what the network reads as zeros."""
    if not config.losses.teacher_dropout:
        return mel
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - config.losses.teacher_dropout, (mel.shape[1], 1)))(keys)
    return jnp.where(kept, mel, jnp.float32(config.model.offset))


def _guides(weights: TacotronLossConfig, near: Array) -> Float[Array, ""]:
    """What the guides weigh, 0 to 1, where attention has lately been so near to its symbols."""
    return jnp.clip((jnp.float32(weights.held) - near) / jnp.float32(_FADING), 0, 1)


def _parts(
    config: TacotronConfig, said: Spoken, target: Array, batch: Batch
) -> tuple[dict[str, Float[Array, " rows"]], dict[str, Float[Array, " rows"]]]:
    """Of each row the parts of the loss, and what else is measured.

    That is: "near", the part of attention within one symbol of the one that is heard; "apart", the mean absolute
    difference of the finished mel spectrogram in nats.
    """
    weights, scale = config.losses, jnp.float32(config.model.scale)
    errors = [(mel - target) * scale for mel in (said.draft, said.mel)]
    frames = sequence_mask(batch["num_frames"], target.shape[1]).astype(jnp.float32)

    def mean(values: Array) -> Array:
        counted = jnp.maximum(jnp.sum(frames, axis=1), jnp.float32(1))
        return jnp.sum(jnp.mean(values, axis=-1) * frames, axis=1) / counted

    where = places_of_steps(batch["durations"], said.attention.shape[1], config.model.frames_per_step)
    steps = said.num_steps
    parts = {
        "mel": mean(jnp.abs(errors[0])) + mean(jnp.abs(errors[1])),
        "mel_squared": mean(jnp.square(errors[0])) + mean(jnp.square(errors[1])),
        "gate": gate_loss(said.gates, steps, weights.last_gate),
        "aligned": aligned_attention(said.attention, where, steps),
        "guided": guided_attention(said.attention, steps, batch["num_labels"], weights.guided_width),
    }
    apart = mean(jnp.abs(errors[1])) / scale
    return parts, {"near": attention_near(said.attention, where, steps), "apart": apart}


def tacotron_learner(config: Any) -> Learner:
    """The learner of an experiment."""
    optimizer, model = config.optimizer.build(), config.model.build()

    def start(params: Params, statistics: Any, key: PRNGKeyArray) -> TrainState:
        state = {"statistics": jax.tree.map(jnp.array, statistics), "near": jnp.zeros((), jnp.float32)}
        return create_train_state(params, optimizer, key=key, model_state=state)

    def init(key: PRNGKeyArray) -> TrainState:
        params = initial_tacotron2_params(model, jax.random.fold_in(key, 0))
        return start(params, initial_statistics(params), jax.random.fold_in(key, 1))

    def adopt(state: TrainState, given: Params, where: str) -> TrainState:
        """The given statistics go on as running ones; in the parameters, where nothing moves them, they stay fresh."""
        params = merged_params(state.params, given, where, new=())
        return start(overlaid(params, initial_statistics(state.params)), initial_statistics(params), state.key)

    quiet = tacotron_loss(config, quiet=True)
    return one_loss_learner(config, tacotron_loss(config), quiet, init=init, adopt=adopt)


def figures(config: Any) -> Figures:
    """Figures of an experiment; those of a step are means over the shapes of batches."""
    model, shapes, rows = config.model, param_shapes(config), config.training.batch_size
    return speaker_figures(
        config,
        count_parameters(shapes) - count_parameters(initial_statistics(shapes)),
        lambda frames: (rows, model.attention_units + model.encoder_channels, 4 * model.decoder_units),
        text=f", read as {config.reads}",
    )


__all__ = ["figures", "param_shapes", "tacotron_learner", "tacotron_loss"]
