"""The categorical distribution over classes, e.g. mu-law codes (WaveNet, arXiv 1609.03499, section 2.2)."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from wavejax.distributions.arguments import as_class, as_float32, check_draw
from wavejax.distributions.inverse_cdf import at_class, draw_class, draw_mode


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """Softmax over `num_classes` classes; the network's output is the logits.

    Attributes:
      num_classes: at least 2.
    """

    num_classes: int = 256

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(f"num_classes is {self.num_classes}; a categorical distribution needs 2 or more classes")

    @property
    def noise_size(self) -> int:
        """1: the uniform at which the cumulative distribution is inverted."""
        return 1

    @property
    def output_size(self) -> int:
        """One logit per class."""
        return self.num_classes

    def log_prob(self, output: Float[Array, "*batch channels"], value: Num[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Natural log of the class's probability, float32; -inf for a value outside the classes.

        Raises:
          ValueError: `output` does not have `output_size` channels.
          TypeError: `value` is not an integer.
        """
        return class_log_prob(as_float32(output, self), as_class(value, self))

    def sample(
        self,
        output: Float[Array, "*batch channels"],
        noise: Float[Array, "*batch noise"],
        temperature: Float[Array, "..."] | float = 1.0,
        probability_floor: float = 0.0,
    ) -> Int[Array, "*batch"]:
        """A class drawn from softmax(output / temperature) by inverse CDF, int32.

        Args:
          output: logits.
          noise: one uniform in (0, 1) per draw.
          temperature: broadcastable to the result; 0 gives exactly `mode` for any noise.
          probability_floor: static; classes with a lower probability (at that temperature) are never drawn, and the
            rest are renormalised; the most probable class is always kept.

        Raises:
          ValueError: wrong number of channels or uniforms, or a floor outside [0, 1).
        """
        check_draw(self, noise, probability_floor, 1.0)
        return draw_class(as_float32(output, self), noise[..., 0].astype(jnp.float32), temperature, probability_floor)

    def mode(self, output: Float[Array, "*batch channels"]) -> Int[Array, "*batch"]:
        """The most probable class, int32; the first one if several are equal."""
        return draw_mode(as_float32(output, self))


def class_log_prob(logits: Float[Array, "*batch classes"], value: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
    """log softmax(logits)[value] in float32; -inf for a value outside [0, classes)."""
    is_class = (value >= 0) & (value < logits.shape[-1])
    log_prob = at_class(logits, value) - jax.nn.logsumexp(logits, axis=-1)
    return jnp.where(is_class, log_prob, -jnp.inf)
