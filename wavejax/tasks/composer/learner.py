"""How a composer learns: the likelihood of the codes that are not given, in nats."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from wavejax.experiments.autoregressive.learner import crop_param_shapes, likelihood_learner
from wavejax.experiments.family import Figures, Learner
from wavejax.models.chorale import FREE
from wavejax.nn.parameters import count_parameters
from wavejax.tasks.composer.config import ComposerConfig
from wavejax.types import Params


def score_loss(config: ComposerConfig) -> Any:
    """The training loss, nats per code that is not given: a `LossFn` over batches of `ScoreData`."""
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))

    def loss_fn(
        params: Params, model_state: Any, batch: Mapping[str, Array], keys: Array | None
    ) -> tuple[Array, Array, Any, dict[str, Array]]:
        classes = batch["classes"]
        flat = classes.reshape(classes.shape[0], -1)
        heard = jnp.concatenate([jnp.full((flat.shape[0], 1), model.coding.silence, jnp.int32), flat[:, :-1]], axis=1)
        logits = model.apply({"params": params}, heard, batch["frames"], keys=keys)
        log_prob = model.distribution.log_prob(logits, flat).reshape(classes.shape)
        free = batch["frames"][:, : classes.shape[1], : classes.shape[2]] == FREE
        scored = free & batch["mask"][..., None]
        nats = jnp.where(scored, -log_prob, jnp.float32(0))
        return jnp.sum(nats), jnp.sum(scored.astype(jnp.float32)), model_state, {}

    return loss_fn


def learner(config: ComposerConfig) -> Learner:
    """The learner of a composer."""
    # Composers of before did not learn what the motion of two voices is worth.
    return likelihood_learner(config, score_loss(config), new=("motion_bias",))


def figures(config: ComposerConfig) -> Figures:
    """Figures of a composer."""
    model, rows = config.model, config.training.batch_size
    return Figures(
        parameters=count_parameters(crop_param_shapes(config)),
        macs_per_unit=model.macs_per_sample,
        unit="codes",
        units_per_step=rows * config.data.crop_steps * model.num_voices,
        row_units=config.data.crop_steps * model.num_voices,
        product=(rows, model.hidden_channels, 3 * model.hidden_channels),
        size=model.size,
        rows=(
            ("voices", ", ".join(model.voices)),
            ("grid", f"{model.steps_per_beat} steps a beat, {model.beats_per_bar} beats a bar"),
            ("pitches", f"MIDI {model.lowest} to {model.highest}" + ("" if model.holds else ", none held")),
            ("look-ahead", f"{model.lookahead} steps of the voices that are given"),
        ),
    )
