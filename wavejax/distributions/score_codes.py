"""The distribution of a voice's next code in a score: a rest, the note before held on, or a pitch that is struck."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from wavejax.distributions.arguments import as_class, as_float32, check_draw
from wavejax.distributions.categorical import class_log_prob
from wavejax.distributions.inverse_cdf import draw_class, draw_mode, per_draw

FIRST_PITCH = 2
"""Classes before the pitches: 0 rests, 1 holds."""


@dataclass(frozen=True, kw_only=True)
class ScoreCodes:
    """Softmax over a rest, a hold and pitches, whose temperature is more careful with pitches than with rhythm.

    A draw decides first whether a note is struck, then which. Where most codes hold a note, as in any score on a grid
    of short steps, a temperature below 1 would let a plain softmax hold them on and on: the music would stand still
    before it is in key. So pitches are drawn at the temperature t, and the rhythm at its square root. At 1 both are the
    network's own probabilities.

    Attributes:
      num_classes: at least 3: two and a pitch.
    """

    num_classes: int

    def __post_init__(self) -> None:
        if self.num_classes <= FIRST_PITCH:
            raise ValueError(f"num_classes is {self.num_classes}; a rest, a hold and a pitch are 3 classes or more")

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

        Errors are those of `Categorical.log_prob`.
        """
        return class_log_prob(as_float32(output, self), as_class(value, self))

    def sample(
        self,
        output: Float[Array, "*batch channels"],
        noise: Float[Array, "*batch noise"],
        temperature: Float[Array, "..."] | float = 1.0,
        probability_floor: float = 0.0,
    ) -> Int[Array, "*batch"]:
        """A class, int32; arguments and errors are those of `Categorical.sample`. 0 gives exactly `mode`."""
        check_draw(self, noise, probability_floor, 1.0)
        logits, uniform = as_float32(output, self), noise[..., 0].astype(jnp.float32)
        heat = per_draw(temperature, uniform)
        is_warm = heat > 0
        logits = jnp.where(is_warm[..., None], at_heat(logits, jnp.where(is_warm, heat, jnp.float32(1))), _cold(logits))
        return draw_class(logits, uniform, is_warm.astype(jnp.float32), probability_floor)

    def mode(self, output: Float[Array, "*batch channels"]) -> Int[Array, "*batch"]:
        """A rest, a hold or a pitch, whichever is most probable, and of the pitches the most probable, int32."""
        return draw_mode(_cold(as_float32(output, self)))


def at_heat(logits: Float[Array, "*batch classes"], heat: Float[Array, "..."]) -> Float[Array, "*batch classes"]:
    """Logits whose softmax is what a draw at these temperatures, above 0, is drawn from."""
    rhythm, pitches = _parts(logits)
    rhythm = jax.nn.log_softmax(rhythm / jnp.sqrt(heat)[..., None])
    return _joined(rhythm, jax.nn.log_softmax(pitches / heat[..., None]))


def _parts(logits: Float[Array, "*batch classes"]) -> tuple[Array, Array]:
    """Logits of resting, holding and striking, and of the pitches."""
    pitches = logits[..., FIRST_PITCH:]
    return jnp.concatenate([logits[..., :FIRST_PITCH], jax.nn.logsumexp(pitches, axis=-1, keepdims=True)], -1), pitches


def _joined(
    rhythm: Float[Array, "*batch 3"], pitches: Float[Array, "*batch pitches"]
) -> Float[Array, "*batch classes"]:
    return jnp.concatenate([rhythm[..., :FIRST_PITCH], pitches + rhythm[..., FIRST_PITCH:]], axis=-1)


def _cold(logits: Float[Array, "*batch classes"]) -> Float[Array, "*batch classes"]:
    """Logits whose largest one is the mode's."""
    rhythm, pitches = _parts(logits)
    return _joined(rhythm, pitches - jnp.max(pitches, axis=-1, keepdims=True))
