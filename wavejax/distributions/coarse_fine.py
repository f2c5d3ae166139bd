"""A categorical distribution in two levels: a coarse class, then a fine class within it.

32 x 32 gives 1024 classes (10 bits) from 128 channels, half as many as a flat 256-way softmax (8 bits) needs. Two small
softmaxes instead of a large one are WaveRNN's idea (arXiv 1802.08435, section 2.2). There a second pass of the network
conditions the fine half; here a single output states the dependence, as a slope and a curvature per coarse class.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from wavejax.distributions.arguments import as_class, as_float32, check_draw
from wavejax.distributions.categorical import class_log_prob
from wavejax.distributions.inverse_cdf import at_class, draw_class, draw_mode


class _Parts(NamedTuple):
    """The network's output, float32, split into its parts."""

    coarse_logits: Float[Array, "*batch coarse"]
    fine_logits: Float[Array, "*batch fine"]
    slopes: Float[Array, "*batch coarse"]
    curvatures: Float[Array, "*batch coarse"]


@dataclass(frozen=True, kw_only=True)
class CoarseFine:
    """class = coarse_index * fine + fine_index, with p(class) = p(coarse_index) p(fine_index | coarse_index).

    The output holds, in this order, `coarse` coarse logits, `fine` base fine logits, and a slope and a curvature for
    each coarse class. With t running from -1 to 1 over the fine classes and m the mean of t^2,

        fine_logits[f | c] = base[f] + slope[c] t[f] + curvature[c] (t[f]^2 - m)

    Both levels are softmaxes, so the product sums to exactly 1. All parameters come from the network's output.

    Attributes:
      coarse: number of coarse classes, at least 2.
      fine: number of fine classes within each coarse class, at least 2.
    """

    coarse: int = 32
    fine: int = 32

    def __post_init__(self) -> None:
        if self.coarse < 2 or self.fine < 2:
            raise ValueError(f"coarse is {self.coarse} and fine is {self.fine}; each level needs 2 or more classes")

    @property
    def num_classes(self) -> int:
        """Number of classes of the value: coarse * fine."""
        return self.coarse * self.fine

    @property
    def noise_size(self) -> int:
        """2: one uniform for each level."""
        return 2

    @property
    def output_size(self) -> int:
        """3 coarse + fine: coarse logits, base fine logits, slopes, curvatures."""
        return 3 * self.coarse + self.fine

    def log_prob(self, output: Float[Array, "*batch channels"], value: Num[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Natural log of the class's probability, float32; -inf for a value outside the classes.

        Needs no array of size coarse x fine: only the value's own coarse class is expanded.

        Raises:
          ValueError: `output` does not have `output_size` channels.
          TypeError: `value` is not an integer.
        """
        parts = self._split(output)
        code = as_class(value, self)
        coarse = jnp.floor_divide(code, self.fine)
        fine_logits = self._fine_logits(parts, coarse)
        return class_log_prob(parts.coarse_logits, coarse) + class_log_prob(fine_logits, code - coarse * self.fine)

    def sample(
        self,
        output: Float[Array, "*batch channels"],
        noise: Float[Array, "*batch noise"],
        temperature: Float[Array, "..."] | float = 1.0,
        probability_floor: float = 0.0,
    ) -> Int[Array, "*batch"]:
        """A class drawn level by level, each by inverse CDF, int32.

        Args:
          output: as described in the class.
          noise: two uniforms in (0, 1) per draw, for the coarse and the fine level.
          temperature: broadcastable to the result. It divides the logits of each level: coarse from
            softmax(coarse_logits / temperature), then fine from softmax(fine_logits[. | coarse] / temperature). 0 gives
            exactly `mode` for any noise.
          probability_floor: static; within each level, classes with a lower probability (at that temperature, given the
            coarse class) are never drawn, and the rest are renormalised; the most probable class is always kept.

        Raises:
          ValueError: wrong number of channels or uniforms, or a floor outside [0, 1).
        """
        check_draw(self, noise, probability_floor, 1.0)
        parts = self._split(output)
        uniform = noise.astype(jnp.float32)
        coarse = draw_class(parts.coarse_logits, uniform[..., 0], temperature, probability_floor)
        fine = draw_class(self._fine_logits(parts, coarse), uniform[..., 1], temperature, probability_floor)
        return coarse * self.fine + fine

    def mode(self, output: Float[Array, "*batch channels"]) -> Int[Array, "*batch"]:
        """The most probable coarse class and the most probable fine class within it: draws at temperature 0, int32.

        This is the most probable class overall, unless a less probable coarse class is much more sharply peaked.
        """
        parts = self._split(output)
        coarse = draw_mode(parts.coarse_logits)
        return coarse * self.fine + draw_mode(self._fine_logits(parts, coarse))

    def _split(self, output: Float[Array, "*batch channels"]) -> _Parts:
        bounds = (self.coarse, self.coarse + self.fine, 2 * self.coarse + self.fine)
        return _Parts(*jnp.split(as_float32(output, self), bounds, axis=-1))

    def _fine_logits(self, parts: _Parts, coarse: Int[Array, "*batch"]) -> Float[Array, "*batch fine"]:
        place = np.linspace(-1, 1, self.fine, dtype=np.float32)
        bend = place**2 - np.mean(place**2)
        shape = parts.fine_logits.shape
        return (
            parts.fine_logits
            + at_class(parts.slopes, coarse)[..., None] * jnp.broadcast_to(place, shape)
            + at_class(parts.curvatures, coarse)[..., None] * jnp.broadcast_to(bend, shape)
        )
