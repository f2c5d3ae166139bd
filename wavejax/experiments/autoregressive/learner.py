"""How a model that predicts the next sample learns: likelihood of crops, in bits per sample."""

import functools
import math
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from wavejax.experiments.autoregressive.config import AutoregressiveConfig
from wavejax.experiments.family import Figures, Learner
from wavejax.experiments.learning import one_loss_learner
from wavejax.experiments.metadata import ExperimentError
from wavejax.nn.normalization import initial_statistics, overlaid
from wavejax.nn.parameters import count_parameters, initial_params
from wavejax.training import TrainState, create_train_state
from wavejax.types import LossFn, Params

_GROWS = "speaker_embedding"
"""The table with one row a speaker: it may be longer than the one that a training starts from."""
_OF_SPEAKERS = (_GROWS, "global_kernel", "global_bias")
"""Parts of parameters' names that a model without speakers does not have."""


def crop_loss(config: AutoregressiveConfig) -> Any:
    """The training loss, bits per scored sample: a `LossFn` over batches of `CropData`.

    The first sample of a crop only serves the pre-emphasis of the second.
    """
    model = config.model.build(dtype=jnp.dtype(config.training.dtype))
    shape = config.crop_shape

    def loss_fn(
        params: Params, model_state: Any, batch: Mapping[str, Array], keys: Array | None
    ) -> tuple[Array, Array, Any, dict[str, Array]]:
        values = model.coding.encode(batch["waveform"])[:, 1:]
        outputs, changed = model.apply(
            {"params": overlaid(params, model_state.get("statistics", {}))},
            values[:, :-1],
            batch["local_conditioning"] if config.is_conditioned else None,
            batch["speaker"] if model.num_speakers else None,
            first=config.first_predicted,
            scored=shape.length,
            keys=keys,
            mutable=["statistics"],
            **config.modes,
        )
        log_prob = model.distribution.log_prob(outputs, values[:, -shape.length :])
        mask = batch["mask"]
        bits = jnp.where(mask, log_prob * jnp.float32(-1.0 / math.log(2.0)), jnp.float32(0.0))
        return jnp.sum(bits), jnp.sum(mask.astype(jnp.float32)), {**model_state, **changed}, {}

    return loss_fn


def quiet(loss_fn: Any) -> Any:
    """The loss without dropout and noise: its examples get no keys."""

    def quiet_loss(params: Any, model_state: Any, batch: Any, keys: Any) -> Any:
        del keys
        return loss_fn(params, model_state, batch, None)

    return quiet_loss


def crop_learner(config: Any) -> Learner:
    """The learner of an experiment whose model predicts the next sample."""
    return likelihood_learner(config, crop_loss(config))


def likelihood_learner(config: Any, loss_fn: LossFn, *, new: Collection[str] = _OF_SPEAKERS) -> Learner:
    """The learner of an experiment whose model predicts the next value, by its loss.

    Args:
        config: has `model`, `optimizer` and `training`.
        loss_fn: see `crop_loss`.
        new: parts of the names of parameters that the ones which a training starts from may lack.
    """
    model, optimizer = config.model.build(), config.optimizer.build()

    def init(key: PRNGKeyArray) -> TrainState:
        params = initial_params(model, jax.random.fold_in(key, 0))
        statistics = initial_statistics(params)
        state = {"statistics": statistics} if statistics else {}
        return create_train_state(params, optimizer, key=jax.random.fold_in(key, 1), model_state=state)

    def adopt(state: TrainState, given: Params, where: str) -> TrainState:
        params = merged_params(state.params, given, where, new=new)
        return create_train_state(params, optimizer, key=state.key, model_state=_adopted(state.model_state, params))

    return one_loss_learner(config, loss_fn, quiet(loss_fn), init=init, adopt=adopt)


def _adopted(model_state: Any, params: Params) -> Any:
    """Running statistics as the parameters, over which they were laid, have them."""

    def pick(kept: Any, given: Any) -> Any:
        return {name: pick(value, given[name]) for name, value in kept.items()} if isinstance(kept, Mapping) else given

    return {name: pick(tree, params) for name, tree in model_state.items()}


def merged_params(fresh: Any, given: Params, where: str, *, new: Collection[str] = _OF_SPEAKERS) -> Any:
    """`given` in the tree of `fresh`; the table of speakers may be longer than the one given.

    Parameters that are not given stay fresh where their names have one of the parts `new`.

    Raises ExperimentError, which names the leaf, where they do not fit.
    """
    flat = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(given)}

    def choose(path: Any, leaf: Any) -> Any:
        name = jax.tree_util.keystr(path)
        old = flat.pop(name, None)
        if old is None and any(part in name for part in new):
            return leaf
        if old is None or old.shape[1:] != leaf.shape[1:] or (_GROWS not in name and old.shape != leaf.shape):
            found = "nothing" if old is None else old.shape
            raise ExperimentError(f"{where} does not fit the model: {name} should be {leaf.shape}, it holds {found}")
        rows = min(old.shape[0], leaf.shape[0]) if old.ndim else 0
        return leaf.at[:rows].set(old[:rows]) if old.shape != leaf.shape else jnp.asarray(old)

    merged = jax.tree_util.tree_map_with_path(choose, fresh)
    if flat:
        raise ExperimentError(f"{where} has parameters that this model has no place for: {sorted(flat)[:5]}")
    return merged


@functools.lru_cache(maxsize=8)
def crop_param_shapes(config: Any) -> Any:
    """Shapes of the model's parameters, kept for those who load a model again: not to be changed."""
    return jax.eval_shape(lambda: initial_params(config.model.build(), jax.random.key(0)))


def crop_figures(config: Any) -> Figures:
    """Figures of an experiment whose model predicts the next sample."""
    shapes = crop_param_shapes(config)
    model, spec, shape = config.model, config.spec, config.crop_shape
    milliseconds = 1000.0 * model.receptive_field / spec.sample_rate
    coding = model.coding
    return Figures(
        parameters=count_parameters(shapes) - count_parameters(initial_statistics(shapes)),  # those that are trained
        macs_per_unit=model.macs_per_sample,
        unit="samples",
        units_per_second=float(spec.sample_rate),
        units_per_step=config.training.batch_size * config.data.crop_length,
        row_units=config.data.crop_length,
        overhead=(shape.history + shape.length) / shape.length,
        product=model.typical_product(config.training.batch_size, shape.history + shape.length),
        size=model.size,
        rows=(
            ("receptive field", f"{milliseconds:.1f} ms ({model.receptive_field} samples)"),
            (
                "output",
                f"{type(model.distribution).__name__}; {coding.kind}, {coding.num_classes} classes, pre-emphasis "
                f"{coding.pre_emphasis}",
            ),
            (
                "features",
                f"{spec.name}: {spec.sample_rate} Hz, hop {spec.hop_length}, {spec.num_channels} channels"
                + ("" if config.is_conditioned else " (not used: the model reads none)"),
            ),
            *((("speaker ids", str(model.num_speakers)),) if model.num_speakers else ()),
        ),
    )
