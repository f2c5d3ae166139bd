"""Batch normalisation (Ioffe & Szegedy 2015, arXiv 1502.03167) whose statistics are leaves of the parameters.

So inference needs nothing but the parameters. Training does not write into the parameters: the running statistics are
in the flax collection "statistics", under the paths of the same leaves in "params". After training, use or export
`overlaid(params, statistics)`.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from wavejax.parallel import mean_over_devices, sum_over_devices
from wavejax.types import Params

_STATISTICS = ("mean", "variance")


class BatchNorm(nn.Module):
    """Normalises each channel of [B, T, C] by its mean and variance over batch and time, then scales and shifts it.

    In inference (`training=False`) these are the running statistics: from the collection "statistics" if it is given,
    else the parameters `mean` and `variance`. In training they are the batch's own, over all devices. If "statistics"
    is mutable, its new values are (1 - momentum) * old + momentum * batch's, where the variance has the divisor n - 1
    (torch's). No gradient reaches `mean` and `variance`, but weight decay would change them: exclude them from it.
    """

    channels: int
    momentum: float = 0.1
    """Weight of the batch's statistics in the new running statistics."""
    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32
    """Type of the result; the arithmetic is float32."""

    def setup(self) -> None:
        """Declare the parameters."""
        shape, ones, zeros = (self.channels,), nn.initializers.ones, nn.initializers.zeros
        self.scale, self.bias = self.param("scale", ones, shape), self.param("bias", zeros, shape)
        self.mean, self.variance = self.param("mean", zeros, shape), self.param("variance", ones, shape)

    def __call__(
        self,
        x: Float[Array, "batch time channels"],
        training: bool = False,
        valid: Bool[Array, "batch time"] | None = None,
    ) -> Float[Array, "batch time channels"]:
        """Normalise; in `training` the statistics are those of x, or of its places that are `valid`."""
        x = x.astype(jnp.float32)
        mean, variance = (
            lax.stop_gradient(self.get_variable("statistics", name, getattr(self, name)).astype(jnp.float32))
            for name in _STATISTICS
        )
        if training:
            running = mean, variance
            count, mean, variance = _moments(x) if valid is None else _moments_where(x, valid)
            self._remember(running, (mean, variance * count / jnp.maximum(count - 1, 1)))
        factor = self.scale.astype(jnp.float32) * lax.rsqrt(variance + jnp.float32(self.epsilon))
        normal = (x - mean[None, None]) * factor[None, None] + self.bias.astype(jnp.float32)[None, None]
        return normal.astype(self.dtype)

    def _remember(self, running: tuple[Array, Array], batch: tuple[Array, Array]) -> None:
        if self.is_initializing() or not self.is_mutable_collection("statistics"):
            return
        share = jnp.float32(self.momentum)
        for name, old, new in zip(_STATISTICS, running, batch, strict=True):
            self.put_variable("statistics", name, (1 - share) * old + share * lax.stop_gradient(new))


def _moments(x: Array) -> tuple[Array, Array, Array]:
    """Number of places of all devices, mean and variance of each channel."""
    count = sum_over_devices(jnp.float32(x.shape[0] * x.shape[1]))
    mean = mean_over_devices(jnp.mean(x, axis=(0, 1)))
    return count, mean, mean_over_devices(jnp.mean(jnp.square(x - mean[None, None]), axis=(0, 1)))


def _moments_where(x: Array, valid: Array) -> tuple[Array, Array, Array]:
    """The same of the valid places alone; devices may hold different numbers of them."""
    kept = valid[..., None].astype(jnp.float32)
    count = sum_over_devices(jnp.sum(kept))
    divisor = jnp.maximum(count, 1)
    mean = sum_over_devices(jnp.sum(x * kept, axis=(0, 1))) / divisor
    squares = jnp.square(x - mean[None, None]) * kept
    return count, mean, sum_over_devices(jnp.sum(squares, axis=(0, 1))) / divisor


def initial_statistics(params: Params) -> dict[str, Any]:
    """The collection "statistics" before the first step: the statistics of every `BatchNorm` in a parameter tree.

    Start training from these, so that the state has the same structure before and after the first step. Empty if the
    model has no `BatchNorm`.
    """
    if set(params) == {"scale", "bias", *_STATISTICS}:
        return {name: params[name] for name in _STATISTICS}
    inner = {name: initial_statistics(part) for name, part in params.items() if isinstance(part, Mapping)}
    return {name: part for name, part in inner.items() if part}


def overlaid(params: Params, statistics: Mapping[str, Any]) -> Params:
    """The parameters with the running statistics in their places, for inference and export.

    Args:
        params: parameters of the model.
        statistics: the collection "statistics" that training returned; if it is empty, `params` is returned unchanged.

    Raises:
        ValueError: a statistic has no leaf in `params`, or another shape.
    """
    return _laid_over(params, statistics, "")


def _laid_over(params: Params, statistics: Mapping[str, Any], path: str) -> Params:
    if not statistics:
        return params
    result = dict(params)
    for name, given in statistics.items():
        where = f"{path}/{name}" if path else name
        own = params.get(name)
        if isinstance(given, Mapping) and isinstance(own, Mapping):
            result[name] = _laid_over(own, given, where)
        elif _kind(given) != _kind(own) or isinstance(given, Mapping):
            raise ValueError(
                f"the statistics hold {where} ({_kind(given)}), but the parameters have {_kind(own)} there: they are "
                "of different models"
            )
        else:
            result[name] = given
    return result


def _kind(leaf: Any) -> str:
    if leaf is None:
        return "nothing"
    return "a group" if isinstance(leaf, Mapping) else f"shape {leaf.shape}"
