"""How a model of whole windows learns: spectral losses, and against discriminators if the experiment has some."""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from wavejax.audio.feature_spec import LOG_FACTORS, FeatureSpec
from wavejax.experiments.autoregressive.learner import merged_params
from wavejax.experiments.family import Figures, Learner
from wavejax.experiments.learning import one_loss_learner
from wavejax.experiments.parallel.config import ParallelConfig
from wavejax.experiments.parallel.data import is_taught_pitch
from wavejax.losses import (
    RESOLUTIONS,
    RESOLUTIONS_16K,
    accuracy,
    autocorrelation_l1,
    discriminator_loss,
    feature_matching,
    generator_loss,
    mel_l1,
    multi_resolution_stft,
    weighted_sums,
)
from wavejax.losses.pitch import pitch_loss
from wavejax.nn.discriminators import DiscriminatorsConfig, Opinions
from wavejax.nn.parallel import initial_parallel_params
from wavejax.nn.parameters import count_parameters
from wavejax.training import TrainState, create_train_state
from wavejax.training.players import TwoPlayerLoss
from wavejax.training.two_player import create_two_player_state, make_two_player_eval_step, make_two_player_step
from wavejax.types import Params

_EDGE = 3
"""Frames at both ends of an example whose F0 the tracker does not know well."""

Outputs = dict[str, Any]
Batch = Mapping[str, Array]


class Spoken:
    """The model's part: what it makes of a batch, and how near that is to the recordings."""

    def __init__(self, config: ParallelConfig) -> None:
        self.config = config
        self.taught_pitch = is_taught_pitch(config)
        self.model = config.model.build(dtype=jnp.dtype(config.training.dtype))

    def __call__(self, params: Params, batch: Batch, keys: Key[Array, "rows"] | None) -> Outputs:
        """The model's sound and the recordings', "fake" and "real" [B, T], of varied gain where there are keys."""
        config, window, real = self.config, batch["local_conditioning"], batch["waveform"]
        gain = jnp.ones((window.shape[0],), jnp.float32)
        if keys is not None and config.data.gain_db:
            drawn = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 1), (), jnp.float32, -1, 1))(keys)
            gain = jnp.exp(drawn * jnp.float32(config.data.gain_db * math.log(10.0) / 20))
            window = louder(window, gain, config.spec)
        noise, frames = None, window.shape[:2]
        if self.model.noise_size:
            size = (frames[1], self.model.noise_size)
            row_keys = jax.random.split(jax.random.key(0), frames[0]) if keys is None else keys
            noise = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 2), size))(row_keys)
        speaker = batch["speaker"] if config.model.num_speakers else None
        variables, ones = {"params": params}, jnp.ones(frames, jnp.float32)
        fake = self.model.apply(variables, window, noise, ones, speaker, method="synthesize")
        # Past a recording's end both are silent.
        heard = batch["mask"].astype(jnp.float32)
        outputs = {"fake": fake.astype(jnp.float32) * heard, "real": real * heard * gain[:, None]}
        if self.taught_pitch:
            outputs["pitch"] = self.model.apply(variables, window, method="pitch_of")
        return outputs

    def losses(self, outputs: Outputs, batch: Batch) -> tuple[Float[Array, " rows"], dict[str, Array]]:
        """The generator's own loss of each example, and its parts as sums over those that count."""
        weights, spec = self.config.losses, self.config.spec
        real, fake = outputs["real"], outputs["fake"]
        parts: dict[str, Array] = {"mel": mel_l1(real, fake, spec)}
        total = jnp.float32(weights.mel) * parts["mel"]
        if weights.stft:
            stft = multi_resolution_stft(real, fake, RESOLUTIONS_16K if spec.sample_rate <= 16_000 else RESOLUTIONS)
            parts["stft"] = stft.total
            total = total + jnp.float32(weights.stft) * stft.total
        if weights.autocorrelation:
            parts["autocorrelation"] = autocorrelation_l1(real, fake, spec.sample_rate)
            total = total + jnp.float32(weights.autocorrelation) * parts["autocorrelation"]
        if self.taught_pitch:
            parts["pitch"] = self._pitch(outputs, batch)
            total = total + jnp.float32(weights.pitch) * parts["pitch"]
        counted = counts(batch)
        return total, {name: weighted_sums(part, counted)[0] for name, part in parts.items()}

    def _pitch(self, outputs: Outputs, batch: Batch) -> Float[Array, " rows"]:
        heard, reach = outputs["pitch"], (batch["local_conditioning"].shape[1] - outputs["pitch"].voicing.shape[1]) // 2
        first, count = self.model.lookback - reach + _EDGE, self.config.num_frames - 2 * _EDGE
        rows = slice(first, first + count)
        target = batch["pitch"][:, _EDGE : _EDGE + count]
        candidates = self.model.pitch_candidates
        return pitch_loss(heard.scores[:, rows], heard.voicing[:, rows], candidates, target)


def counts(batch: Batch) -> Array:
    """What an example counts, [rows]: the part of it that its recording fills."""
    return jnp.mean(batch["mask"].astype(jnp.float32), axis=1)


def louder(
    frames: Float[Array, "rows frames channels"], gain: Float[Array, " rows"], spec: FeatureSpec
) -> Float[Array, "rows frames channels"]:
    """Features of the same sound times `gain`, exact but for values at the spec's floor, which stay there."""
    factor = LOG_FACTORS[spec.log_base] * (2.0 if spec.power == 2 else 1.0)
    scale = jnp.broadcast_to(jnp.asarray(spec.scale, jnp.float32), frames.shape[-1:])
    offset = jnp.broadcast_to(jnp.asarray(spec.offset, jnp.float32), frames.shape[-1:])
    lowest = offset + scale * jnp.float32(LOG_FACTORS[spec.log_base]) * jnp.log(jnp.float32(spec.floor))
    moved = frames + scale[None, None] * jnp.float32(factor) * jnp.log(gain)[:, None, None]
    return jnp.where(frames <= lowest[None, None], frames, jnp.maximum(moved, lowest[None, None]))


def window_learner(config: Any) -> Learner:
    """The learner of an experiment: of one player, or of two where it has discriminators."""
    return _alone(config) if config.discriminators is None else _against(config, config.discriminators)


def _alone(config: ParallelConfig) -> Learner:
    spoken, optimizer = Spoken(config), config.optimizer.build()

    def loss_fn(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Array, Array, Any, Any]:
        losses, parts = spoken.losses(spoken(params, batch, keys), batch)
        return *weighted_sums(losses, counts(batch)), model_state, parts

    def quiet(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Array, Array, Any, Any]:
        del keys
        return loss_fn(params, model_state, batch, None)

    def init(key: PRNGKeyArray) -> TrainState:
        params = initial_parallel_params(spoken.model, jax.random.fold_in(key, 0))
        return create_train_state(params, optimizer, key=jax.random.fold_in(key, 1))

    def adopt(state: TrainState, given: Params, where: str) -> TrainState:
        return create_train_state(merged_params(state.params, given, where), optimizer, key=state.key)

    return one_loss_learner(config, loss_fn, quiet, init=init, adopt=adopt)


def two_player_loss(config: ParallelConfig, judges: DiscriminatorsConfig, *, quiet: bool = False) -> TwoPlayerLoss:
    """The generator's own losses and what the discriminators say, and theirs.

    `quiet` is for held-out examples: nothing is varied, and the generator's metrics also say how well the
    discriminators do.
    """
    spoken, weights, opinions = Spoken(config), config.losses, judges.build()
    adversary, judged = weights.adversary, _judged_samples(config)

    def heard(params: Params, outputs: Outputs) -> tuple[Opinions, Opinions]:
        """What they say of the recordings and of what the model made."""
        said: list[Any] = [opinions.apply({"params": params}, outputs[name][:, judged]) for name in ("real", "fake")]
        return said[0], said[1]

    def forward(params: Params, model_state: Any, batch: Batch, keys: Any) -> tuple[Outputs, Any]:
        return spoken(params, batch, None if quiet else keys), model_state

    def generator(params: Params, outputs: Outputs, batch: Batch, keys: Any, weight: Array) -> tuple[Any, ...]:
        del keys
        own, parts = spoken.losses(outputs, batch)
        real, fake = heard(params, outputs)
        said = {"adversarial": generator_loss(fake.logits, adversary)}
        said["feature_matching"] = feature_matching(real.features, fake.features)
        total = own + weight * sum(jnp.float32(getattr(weights, name)) * part for name, part in said.items())
        if quiet:
            said["judges_loss"] = discriminator_loss(real.logits, fake.logits, adversary)
            said["judges_accuracy"] = accuracy(real.logits, fake.logits, adversary)
        counted = counts(batch)
        parts |= {name: weighted_sums(part, counted)[0] for name, part in said.items()}
        return *weighted_sums(total, counted), parts

    def discriminator(params: Params, outputs: Outputs, batch: Batch, keys: Any) -> tuple[Any, ...]:
        del keys
        real, fake = heard(params, outputs)
        counted = counts(batch)
        loss = discriminator_loss(real.logits, fake.logits, adversary)
        right = weighted_sums(accuracy(real.logits, fake.logits, adversary), counted)[0]
        return *weighted_sums(loss, counted), {"accuracy": right}

    return TwoPlayerLoss(forward=forward, generator=generator, discriminator=discriminator)


def _judged_samples(config: ParallelConfig) -> slice:
    """Those of an example that the discriminators hear."""
    count = config.training.judged_frames or config.num_frames
    first = (config.num_frames - count) // 2
    return slice(first * config.spec.hop_length, (first + count) * config.spec.hop_length)


def _against(config: ParallelConfig, judges: DiscriminatorsConfig) -> Learner:
    model, training = config.model.build(), config.training
    optimizer, their_optimizer = config.optimizer.build(), config.discriminator_optimizer.build()
    loss = two_player_loss(config, judges)

    def init(key: PRNGKeyArray) -> TrainState:
        params = initial_parallel_params(model, jax.random.fold_in(key, 0))
        theirs = _opinions_params(judges, config, jax.random.fold_in(key, 2))
        return create_two_player_state(params, theirs, optimizer, their_optimizer, key=jax.random.fold_in(key, 1))

    def adopt(state: TrainState, given: Params, where: str) -> TrainState:
        params = merged_params(state.params["generator"], given, where)
        return create_two_player_state(params, state.params["discriminator"], optimizer, their_optimizer, key=state.key)

    step = make_two_player_step(
        loss,
        optimizer,
        their_optimizer,
        adversarial_start=training.adversarial_start,
        share_forward=training.accumulation_steps == 1,
        simultaneous=training.simultaneous,
        ema_decay=training.ema_decay,
        accumulation_steps=training.accumulation_steps,
        generator_learning_rate=config.optimizer.learning_rate_at,
        discriminator_learning_rate=config.discriminator_optimizer.learning_rate_at,
    )
    evaluate = make_two_player_eval_step(two_player_loss(config, judges, quiet=True), adversarial_weight=0.0)
    return Learner(init=init, step=step, evaluate=evaluate, adopt=adopt)


@functools.lru_cache(maxsize=8)
def window_param_shapes(config: Any) -> Any:
    """Shapes of the model's parameters, kept for those who load a model again: not to be changed."""
    return jax.eval_shape(lambda: initial_parallel_params(config.model.build(), jax.random.key(0)))


def window_figures(config: Any) -> Figures:
    """Figures of an experiment."""
    model, spec = config.model, config.spec
    frames_a_second = spec.sample_rate / spec.hop_length
    window = model.lookback + config.num_frames + model.lookahead
    return Figures(
        parameters=count_parameters(window_param_shapes(config)),
        macs_per_unit=model.macs_per_frame,
        unit="frames",
        units_per_second=frames_a_second,
        units_per_step=config.training.batch_size * config.num_frames,
        row_units=config.num_frames,
        overhead=window / config.num_frames,
        product=model.typical_product(config.training.batch_size * window),
        size=model.size,
        rows=(
            ("look-ahead", f"{1000 * model.lookahead / frames_a_second:.1f} ms ({model.lookahead} frames)"),
            ("features", f"{spec.name}: {spec.sample_rate} Hz, hop {spec.hop_length}, {spec.num_channels} channels"),
            *_discriminators_row(config),
        ),
    )


def _discriminators_row(config: ParallelConfig) -> tuple[tuple[str, str], ...]:
    judges = config.discriminators
    if judges is None:
        return ()
    count = count_parameters(jax.eval_shape(lambda: _opinions_params(judges, config, jax.random.key(0))))
    return (("discriminators", f"{count:,} parameters, in training alone"),)


def _opinions_params(judges: DiscriminatorsConfig, config: ParallelConfig, key: PRNGKeyArray) -> Params:
    silence = jnp.zeros((1, config.data.crop_length), jnp.float32)
    params: Params = judges.build().init(key, silence)["params"]
    return params
