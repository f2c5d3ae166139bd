"""Optimizers and learning-rate schedules, described by one frozen config."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

if TYPE_CHECKING:
    import optax


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam or AdamW with a schedule and clipping.

    All schedules but Noam's rise linearly over the first `warmup_steps` updates. With s the update's number from 0:

    - `constant`: learning_rate.
    - `cosine`: half a cosine from learning_rate, after the warm-up, to end_learning_rate at `decay_steps`, then flat
      (Loshchilov and Hutter 2017, without restarts).
    - `noam`: learning_rate * min((s+1)/warmup_steps, sqrt(warmup_steps/(s+1))), whose peak is learning_rate
      (Vaswani et al. 2017, section 5.3).
    - `step`: learning_rate * step_factor ** floor(s / step_size), not below end_learning_rate.

    Attributes:
      optimizer: `adam` (Kingma and Ba 2015) or `adamw` (Loshchilov and Hutter 2019).
      learning_rate: peak learning rate.
      schedule: see above.
      warmup_steps: updates of the linear rise; 0 for none. Noam needs at least 1.
      decay_steps: update at which the cosine ends, warm-up included; None for other schedules.
      end_learning_rate: where the cosine ends, and the floor of `step`.
      step_size: updates between two falls of `step`; None for other schedules.
      step_factor: what each fall of `step` multiplies by, in (0, 1].
      betas: decay rates of the first and second moment, in [0, 1).
      epsilon: added to the root of the second moment.
      weight_decay: decoupled weight decay on every parameter; needs `adamw`.
      clip_norm: gradients are scaled down to this global norm; None leaves them.
    """

    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "noam", "step"] = "constant"
    warmup_steps: int = 0
    decay_steps: int | None = None
    end_learning_rate: float = 0.0
    step_size: int | None = None
    step_factor: float = 0.5
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        def require(condition: bool, name: str, expected: str) -> None:
            if not condition:
                raise ValueError(f"{name}={getattr(self, name)!r} must be {expected}")

        require(self.optimizer in ("adam", "adamw"), "optimizer", "'adam' or 'adamw'")
        require(self.schedule in _SCHEDULES, "schedule", "one of " + ", ".join(map(repr, _SCHEDULES)))
        require(0 < self.learning_rate <= 1000, "learning_rate", "above 0 and at most 1000")
        require(self.warmup_steps >= 0, "warmup_steps", "0 or more")
        require(0 <= self.end_learning_rate <= self.learning_rate, "end_learning_rate", "in [0, learning_rate]")
        require(0 < self.step_factor <= 1, "step_factor", "in (0, 1]")
        require(all(0 <= b < 1 for b in self.betas) and len(self.betas) == 2, "betas", "two numbers in [0, 1)")
        require(_is_finite_above(self.epsilon, 0), "epsilon", "finite and above 0")
        require(self.clip_norm is None or _is_finite_above(self.clip_norm, 0), "clip_norm", "above 0, or None")
        require(self.weight_decay >= 0, "weight_decay", "0 or more")
        require(not self.weight_decay or self.optimizer == "adamw", "weight_decay", "0 unless optimizer is 'adamw'")
        if self.schedule == "cosine":
            expected = f"above warmup_steps={self.warmup_steps} for the cosine schedule"
            require(self.decay_steps is not None and self.decay_steps > self.warmup_steps, "decay_steps", expected)
        if self.schedule == "noam":
            require(self.warmup_steps >= 1, "warmup_steps", "1 or more for the Noam schedule")
        if self.schedule == "step":
            expected = "1 or more for the step schedule"
            require(self.step_size is not None and self.step_size >= 1, "step_size", expected)

    def learning_rate_at(self, step: Int[Array, "*shape"] | int) -> Float[Array, "*shape"]:
        """The learning rate, float32, of the update that follows `step` completed updates."""
        count = jnp.asarray(step).astype(jnp.float32)
        warmup = jnp.float32(max(self.warmup_steps, 1))
        rise = jnp.minimum((count + 1) / warmup, 1) if self.warmup_steps else jnp.ones_like(count)
        return _SCHEDULES[self.schedule](self, count, rise)

    def build(self) -> "optax.GradientTransformation":
        """The optax transformation: clipping, moments, weight decay, learning rate."""
        import optax  # here, because every model's configuration holds one of these, and only training builds it

        parts = [] if self.clip_norm is None else [optax.clip_by_global_norm(self.clip_norm)]
        parts.append(optax.scale_by_adam(b1=self.betas[0], b2=self.betas[1], eps=self.epsilon))
        if self.weight_decay:
            parts.append(optax.add_decayed_weights(self.weight_decay))
        parts.append(optax.scale_by_learning_rate(self.learning_rate_at))
        return optax.chain(*parts)


def _is_finite_above(value: float, low: float) -> bool:
    return math.isfinite(value) and value > low


def _constant(config: OptimizerConfig, count: Array, rise: Array) -> Array:
    return rise * config.learning_rate


def _cosine(config: OptimizerConfig, count: Array, rise: Array) -> Array:
    length = (config.decay_steps or 0) - config.warmup_steps
    fraction = jnp.clip((count - config.warmup_steps) / length, 0, 1)
    height = config.learning_rate - config.end_learning_rate
    return rise * (config.end_learning_rate + 0.5 * height * (1 + jnp.cos(math.pi * fraction)))


def _noam(config: OptimizerConfig, count: Array, rise: Array) -> Array:
    return config.learning_rate * jnp.minimum(rise, jnp.sqrt(config.warmup_steps / (count + 1)))


def _step(config: OptimizerConfig, count: Array, rise: Array) -> Array:
    falls = jnp.floor(count / (config.step_size or 1))
    return rise * jnp.maximum(config.learning_rate * config.step_factor**falls, config.end_learning_rate)


_SCHEDULES: dict[str, Callable[[OptimizerConfig, Array, Array], Array]] = {
    "constant": _constant,
    "cosine": _cosine,
    "noam": _noam,
    "step": _step,
}
