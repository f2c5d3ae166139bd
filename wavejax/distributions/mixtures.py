"""Mixtures of logistics and of Gaussians on a grid of levels in [-1, 1]; a value's score is the mass of its bin.

Sources: the discretised mixture of logistics of PixelCNN++ (arXiv 1701.05517, section 2.1), as Parallel WaveNet
(arXiv 1711.10433, section 2) uses it for 16-bit audio; the single Gaussian of ClariNet (arXiv 1807.07281, sec. 3.1).

Arithmetic is done in units of bins with the grid centred on 0. So the upper edge of a bin and the lower edge of its
neighbour are the same float32 number, and the masses add up to 1 for any scale, however small.
"""

import abc
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wavejax.distributions.arguments import as_float32, check_draw
from wavejax.distributions.inverse_cdf import at_class, draw_class, draw_mode, per_draw

# exp(20) is 5e8 times the width of the signal: larger scales make no difference, and float32 is far from overflow.
LOG_SCALE_MAX = 20.0

_LOG_SQRT_2_PI = 0.5 * math.log(2 * math.pi)
_SQRT_HALF = math.sqrt(0.5)
# Nodes and weights of the 4-point Gauss-Legendre rule on [-1/2, 1/2].
_QUADRATURE = (
    (-0.4305681557970263, 0.1739274225687269),
    (-0.1699905217924281, 0.3260725774312731),
    (0.1699905217924281, 0.3260725774312731),
    (0.4305681557970263, 0.1739274225687269),
)


@dataclass(frozen=True, kw_only=True)
class _BinnedMixture(abc.ABC):
    """The shared part of both families; a family adds its log CDF, its log mass of an interval and its quantiles."""

    num_mixtures: int = 10
    num_classes: int = 65536
    log_scale_min: float = -16.0

    def __post_init__(self) -> None:
        if self.num_mixtures < 1:
            raise ValueError(f"num_mixtures is {self.num_mixtures}; a mixture needs 1 or more components")
        if not 2 <= self.num_classes <= 2**20:
            raise ValueError(
                f"num_classes is {self.num_classes}; the grid on [-1, 1] takes 2 to {2**20} levels, those that "
                f"float32 tells apart (65536 for 16 bits)"
            )
        if not -33 <= self.log_scale_min < LOG_SCALE_MAX:
            raise ValueError(
                f"log_scale_min is {self.log_scale_min}; it is a natural logarithm in [-33, {LOG_SCALE_MAX:g}), "
                f"e.g. -16, or -32.236 (ln 1e-14)"
            )

    @property
    def _has_logits(self) -> bool:
        return True

    @property
    def noise_size(self) -> int:
        """2 uniforms, for the component and for the value within it; 1 if the output has no mixture logits."""
        return 2 if self._has_logits else 1

    @property
    def output_size(self) -> int:
        """3 num_mixtures: logit_probs, means, log_scales; 2 (mean, log_scale) for the single Gaussian."""
        return 3 * self.num_mixtures if self._has_logits else 2

    def log_prob(
        self, output: Float[Array, "*batch channels"], value: Float[Array, "*batch"]
    ) -> Float[Array, "*batch"]:
        """Natural log of the probability mass of the value's bin, float32.

        The bins are centred on `num_classes` levels from -1 to 1, 2 / (num_classes - 1) apart. A value is rounded to
        the nearest level (so it has no gradient), and the two outermost bins include the tails. The result and its
        gradients with respect to `output` are finite for means up to about 1e4 and for any log scale.

        Args:
          output: `output_size` channels.
          value: in [-1, 1].

        Raises:
          ValueError: `output` does not have `output_size` channels.
        """
        logits, means, log_scales = self._split(output)
        half = (self.num_classes - 1) / 2
        # Levels counted from the middle are integers or half-integers: they and their edges are exact in float32.
        level = jnp.clip(jnp.round((value.astype(jnp.float32) + 1) * half), 0, 2 * half)[..., None]
        width = jnp.exp(-log_scales) / half  # width of a bin, in units of the scale
        from_mean = half * means
        upper = (level - (half - 0.5) - from_mean) * width
        lower = (level - (half + 0.5) - from_mean) * width
        is_first, is_last = jnp.broadcast_to(level == 0, upper.shape), jnp.broadcast_to(level == 2 * half, upper.shape)
        mass = jnp.where(
            is_first,
            self._log_cdf(upper),
            jnp.where(is_last, self._log_cdf(-lower), self._log_interval(lower, upper, width)),
        )
        return jax.nn.logsumexp(jax.nn.log_softmax(logits, axis=-1) + mass, axis=-1)

    def sample(
        self,
        output: Float[Array, "*batch channels"],
        noise: Float[Array, "*batch noise"],
        temperature: Float[Array, "..."] | float = 1.0,
        probability_floor: float = 0.0,
    ) -> Float[Array, "*batch"]:
        """A value in [-1, 1], float32, not rounded to the grid: the component, then the value, each by inverse CDF.

        Args:
          output: `output_size` channels.
          noise: `noise_size` uniforms in (0, 1) per draw: for the component (if there are several) and for the value.
          temperature: broadcastable to the result. The component is drawn from softmax(logit_probs / temperature), and
            its scale is multiplied by the temperature. So a single component's standard deviation (before the clip to
            [-1, 1]) is proportional to the temperature. 0 gives exactly `mode` for any noise.
          probability_floor: static; components with a lower probability (at that temperature) are never drawn, but the
            most probable one is always kept. Within the component the uniform is mapped to [floor, 1 - floor], which
            cuts both tails.

        Raises:
          ValueError: wrong number of channels or uniforms, or a floor outside [0, 0.5).
        """
        check_draw(self, noise, probability_floor, 0.5)
        logits, means, log_scales = self._split(output)
        uniform = noise.astype(jnp.float32)
        heat = per_draw(temperature, uniform[..., 0])
        within = probability_floor + (1 - 2 * probability_floor) * uniform[..., -1]
        if self._has_logits:
            component = draw_class(logits, uniform[..., 0], heat, probability_floor)
            mean, log_scale = at_class(means, component), at_class(log_scales, component)
        else:
            mean, log_scale = means[..., 0], log_scales[..., 0]
        return jnp.clip(mean + heat * (jnp.exp(log_scale) * self._quantile(within)), -1, 1)

    def mode(self, output: Float[Array, "*batch channels"]) -> Float[Array, "*batch"]:
        """The mean of the component with the largest weight, clipped to [-1, 1]: draws at temperature 0, float32.

        For one component this is the most probable value; the density of a mixture may peak elsewhere.
        """
        logits, means, _ = self._split(output)
        return jnp.clip(at_class(means, draw_mode(logits)), -1, 1)

    def _split(self, output: Float[Array, "*batch channels"]) -> tuple[Array, Array, Array]:
        """Logits, means and bounded log scales in float32, each [..., num_mixtures]."""
        parts = as_float32(output, self)
        if self._has_logits:
            logits, means, log_scales = jnp.split(parts, 3, axis=-1)
        else:
            means, log_scales = jnp.split(parts, 2, axis=-1)
            logits = jnp.zeros_like(means)
        return logits, means, jnp.clip(log_scales, self.log_scale_min, LOG_SCALE_MAX)

    @abc.abstractmethod
    def _log_cdf(self, z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Log of the distribution function of the standard member of the family."""

    @abc.abstractmethod
    def _log_interval(
        self, lower: Float[Array, "*shape"], upper: Float[Array, "*shape"], width: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """Log of the standard member's mass between two points; `width` = upper - lower."""

    @abc.abstractmethod
    def _quantile(self, uniform: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Inverse distribution function of the standard member."""


@dataclass(frozen=True, kw_only=True)
class LogisticMixture(_BinnedMixture):
    """Discretised mixture of logistics; output [..., 3 num_mixtures] = logit_probs, means, log_scales.

    Attributes:
      num_mixtures: number of components.
      num_classes: levels of the grid on [-1, 1]; 65536 for 16-bit audio.
      log_scale_min: smaller log scales are raised to it. r9y9's wavenet_vocoder uses -16, earlier versions -32.236.
    """

    def _log_cdf(self, z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return -jax.nn.softplus(-z)

    def _log_interval(
        self, lower: Float[Array, "*shape"], upper: Float[Array, "*shape"], width: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - e^-(b - a)): this avoids a difference of close numbers.
        return jnp.log(-jnp.expm1(-width)) - jax.nn.softplus(-upper) - jax.nn.softplus(lower)

    def _quantile(self, uniform: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jnp.log(uniform) - jnp.log1p(-uniform)


@dataclass(frozen=True, kw_only=True)
class GaussianMixture(_BinnedMixture):
    """Gaussian or mixture of Gaussians; one component by default.

    Output [..., 2] = mean, log_scale for one component, else [..., 3 num_mixtures] = logit_probs, means, log_scales.

    Attributes:
      num_mixtures: number of components; a single one needs one uniform per draw.
      num_classes: levels of the grid on [-1, 1]; 65536 for 16-bit audio.
      log_scale_min: smaller log scales (natural log of the standard deviation) are raised to it.
    """

    num_mixtures: int = 1

    @property
    def _has_logits(self) -> bool:
        return self.num_mixtures > 1

    def _log_cdf(self, z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return _log_normal_cdf(z)

    def _log_interval(
        self, lower: Float[Array, "*shape"], upper: Float[Array, "*shape"], width: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """Quadrature of the density if it changes little over the bin, else a difference of two log CDFs."""
        centre = (lower + upper) / 2
        is_smooth = (width <= 1) & (jnp.abs(centre) * width <= 2)
        # Where a branch is not selected it gets harmless arguments, so that no gradient is 0 x infinity.
        z, step = jnp.where(is_smooth, centre, 0), jnp.where(is_smooth, width, 1)
        density = jnp.stack([math.log(weight) - (z + node * step) ** 2 / 2 for node, weight in _QUADRATURE])
        smooth = jnp.log(step) - _LOG_SQRT_2_PI + jax.nn.logsumexp(density, axis=0)
        # Reflected to the lower tail, where the distribution function keeps its relative precision.
        is_right = centre > 0
        high = jnp.where(is_smooth, 0.5, jnp.where(is_right, -lower, upper))
        low = jnp.where(is_smooth, -0.5, jnp.where(is_right, -upper, lower))
        log_high = _log_normal_cdf(high)
        # In this branch the true difference is below -0.8; only rounding far in the tail can move it closer to 0.
        difference = jnp.minimum(_log_normal_cdf(low) - log_high, -0.5)
        return jnp.where(is_smooth, smooth, log_high + jnp.log(-jnp.expm1(difference)))

    def _quantile(self, uniform: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return jax.scipy.special.ndtri(uniform)


def _log_normal_cdf(z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log of the standard normal distribution function; values and gradients are finite up to |z| of about 1e18.

    In JAX's own log_ndtr the float32 gradient overflows above |z| of a few thousand.
    """
    # Selects instead of minimum and maximum, which halve the gradient where the arguments are equal.
    is_far, is_right = z < -10, z >= 0
    right = jnp.log1p(-0.5 * jax.lax.erfc(jnp.where(is_right, z, 0) * _SQRT_HALF))
    left = jnp.log(0.5 * jax.lax.erfc(-jnp.where(is_far | is_right, -1, z) * _SQRT_HALF))
    far = jnp.where(is_far, z, -10)
    # The asymptotic series (Abramowitz and Stegun 26.2.12); the first omitted term is below 1e-7 here.
    y = 1 / far**2
    series = 1 - y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y)))
    tail = -(far**2) / 2 - jnp.log(-far) - _LOG_SQRT_2_PI + jnp.log(series)
    return jnp.where(is_far, tail, jnp.where(is_right, right, left))
