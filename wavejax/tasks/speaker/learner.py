"""How a speaker learns: the mel spectrogram, and how long, how high and how loud each symbol is."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from wavejax.experiments.family import Figures, Learner
from wavejax.experiments.learning import check_fits, one_loss_learner
from wavejax.experiments.utterances import utterance_figures
from wavejax.models.parallel_speaker import Melody, ParallelSpeaker, Prosody, initial_speaker_params
from wavejax.nn.masking import sequence_mask
from wavejax.nn.parameters import count_parameters
from wavejax.tasks.speaker.config import SpeakerConfig
from wavejax.training import TrainState, create_train_state
from wavejax.types import Params

_LOG = logging.getLogger(__name__)

Batch = Mapping[str, Array]
_FRAMES_PER_SYMBOL = 6
"""Of English at 80 frames a second, for the figures."""


def param_shapes(config: Any) -> Any:
    """Shapes of the model's parameters."""
    return jax.eval_shape(lambda: initial_speaker_params(config.model.build(), jax.random.key(0)))


def speaking_loss(config: SpeakerConfig, *, quiet: bool = False) -> Any:
    """The loss, a `LossFn` over batches of `SpeakerData`; an utterance counts by its frames.

    `quiet` is for held-out utterances: without dropout.
    """
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))
    weights = config.losses

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Key[Array, " rows"]) -> tuple[Any, ...]:
        variables = {"params": params}
        target = jnp.maximum(batch["features"], jnp.float32(weights.quietest))
        durations, num_frames = batch["durations"], target.shape[1]
        given, melody = recorded_manner(model, batch, target)
        speaker = batch["speaker"] if config.model.num_speakers else None
        said: Any = model.apply(
            variables,
            batch["labels"],
            batch["num_labels"],
            durations,
            given,
            melody,
            speaker,
            None if quiet else keys,
        )
        predicted, sung, mel = said
        frames = sequence_mask(batch["num_frames"], num_frames)
        symbols = sequence_mask(batch["num_labels"], durations.shape[1])
        parts = _mel_parts(mel, target, frames) | _melody_parts(sung, melody, frames)
        parts |= _prosody_parts(predicted, given, symbols, durations > 0)
        weight = batch["num_frames"].astype(jnp.float32)
        sums = {name: jnp.sum(part * weight) for name, part in parts.items()}
        total = sum((jnp.float32(getattr(weights, name)) * part for name, part in sums.items()), jnp.float32(0))
        return total, jnp.sum(weight), model_state, sums

    return loss_fn


def recorded_manner(model: ParallelSpeaker, batch: Batch, mel: Array) -> tuple[Prosody, Melody]:
    """How the symbols and the frames of recordings are said; `mel` is theirs, not below `losses.quietest`."""
    pitch, durations, f0 = batch["pitch"], batch["durations"], batch["f0"]
    prosody = Prosody(
        log_durations=jnp.log1p(durations.astype(jnp.float32)),
        log_pitch=model.to_units(pitch),
        voicing=(pitch > 0).astype(jnp.float32),
        energy=model.energy_of(mel, durations),
    )
    return prosody, Melody(model.to_units(f0), (f0 > 0).astype(jnp.float32))


def _mel_parts(mel: Array, target: Array, frames: Array) -> dict[str, Float[Array, " rows"]]:
    error = mel - target
    return {"mel": _mean(jnp.abs(error), frames), "mel_squared": _mean(jnp.square(error), frames)}


def _melody_parts(predicted: Melody, given: Melody, frames: Array) -> dict[str, Float[Array, " rows"]]:
    voiced = frames & (given.voicing > 0)
    return {
        "melody": _mean(jnp.abs(predicted.log_pitch - given.log_pitch), voiced),
        "frame_voicing": _mean(_binary(predicted.voicing, given.voicing), frames),
    }


def _binary(logits: Array, truth: Array) -> Array:
    """Cross-entropies, nats."""
    return jax.nn.softplus(logits) - truth * logits


def _prosody_parts(predicted: Prosody, given: Prosody, symbols: Array, heard: Array) -> dict[str, Array]:
    """Of each row, means over its symbols; the pitch counts where there is one, energy where the symbol is heard."""
    voiced = symbols & (given.voicing > 0)
    return {
        "duration": _mean(jnp.square(predicted.log_durations - given.log_durations), symbols),
        "pitch": _mean(jnp.square(predicted.log_pitch - given.log_pitch), voiced),
        "voicing": _mean(_binary(predicted.voicing, given.voicing), symbols & heard),
        "energy": _mean(jnp.square(predicted.energy - given.energy), symbols & heard),
    }


def _mean(values: Array, mask: Array) -> Float[Array, " rows"]:
    """The mean of each row where the mask is True; 0 where it is nowhere."""
    per_place = jnp.mean(values, axis=-1) if values.ndim == 3 else values
    kept = mask.astype(jnp.float32)
    return jnp.sum(per_place * kept, axis=1) / jnp.maximum(jnp.sum(kept, axis=1), jnp.float32(1))


def speaker_learner(config: Any) -> Learner:
    """The learner of an experiment."""
    optimizer, model = config.optimizer.build(), config.model.build()

    def init(key: PRNGKeyArray) -> TrainState:
        params = initial_speaker_params(model, jax.random.fold_in(key, 0))
        return create_train_state(params, optimizer, key=jax.random.fold_in(key, 1))

    def adopt(state: TrainState, given: Params, where: str) -> TrainState:
        own = state.params["symbols"]
        if jnp.shape(own["table"]) != jnp.shape(given["symbols"]["table"]):
            _LOG.info("%s reads other symbols: what stands for each of them begins anew", where)
            given = {**given, "symbols": own}
        check_fits(state.params, given, where)
        return create_train_state(jax.tree.map(jnp.asarray, given), optimizer, key=state.key)

    quiet = speaking_loss(config, quiet=True)
    return one_loss_learner(config, speaking_loss(config), quiet, init=init, adopt=adopt)


def figures(config: Any) -> Figures:
    """Figures of an experiment; those of a step are means over the shapes of batches."""
    model = config.model
    return speaker_figures(
        config,
        count_parameters(param_shapes(config)),
        lambda frames: (frames, model.decoder_channels, model.decoder_hidden_channels),
    )


def speaker_figures(
    config: Any, parameters: int, product: Callable[[int], tuple[int, int, int]], text: str = ""
) -> Figures:
    """Figures of a speaker's experiment; arguments as `utterance_figures`."""
    return utterance_figures(
        config,
        parameters=parameters,
        macs_per_frame=config.model.macs_per_frame + config.model.macs_per_symbol // _FRAMES_PER_SYMBOL,
        product=product,
        text=text,
        last=("heard through", config.vocoder),
    )
