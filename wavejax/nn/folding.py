"""Folds weight normalisation into plain kernels, for inference."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from wavejax.types import Params

_LENGTH = "_g"


def without_weight_normalization(params: Params) -> dict[str, Any]:
    """Parameters of the same network built without weight normalisation: every `name` beside a `name_g` is replaced.

    A kernel becomes g * v / ||v||, as in `declare_kernel`. The norm is taken over all axes that g lacks: a convolution
    has one norm per output channel, HiFi-GAN's transposed convolutions one per input channel. Parameters without a
    `name_g` are returned unchanged.

    Raises:
        ValueError: a `name_g` without its `name`, or with a shape that does not match it.
    """
    return _folded(params, "")


def _folded(params: Params, path: str) -> dict[str, Any]:
    result = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            result[name] = _folded(value, f"{path}{name}/")
        elif f"{name}{_LENGTH}" in params:
            result[name] = _kernel(value, params[f"{name}{_LENGTH}"], f"{path}{name}")
        elif not name.endswith(_LENGTH):
            result[name] = value
        elif name.removesuffix(_LENGTH) not in params:
            raise ValueError(f"{path}{name} is the length of a kernel that is missing: {name.removesuffix(_LENGTH)}")
    return result


def _kernel(direction: Any, g: Any, path: str) -> Any:
    stacked = g.ndim - 1
    if g.shape != (*direction.shape[:stacked], direction.shape[-1]):
        raise ValueError(
            f"{path}_g has shape {g.shape}, but the kernel {direction.shape}: expected its leading axes and its last"
        )
    axes = tuple(range(stacked, direction.ndim - 1))
    norm = jnp.sqrt(jnp.sum(direction * direction, axis=axes, keepdims=True) + jnp.float32(1e-12))
    return direction / norm * g.reshape(norm.shape)
