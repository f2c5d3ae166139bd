"""Output distributions: the probabilities of the next value, given a network's output.

Each is a frozen, hashable dataclass (static under `jax.jit`) with `output_size`, `noise_size`, `log_prob(output,
value)`, `sample(output, noise, temperature, probability_floor)` and `mode(output)`; see `wavejax.types.Distribution`.
All of them compute in float32 whatever the output's dtype.
"""

from wavejax.distributions.categorical import Categorical
from wavejax.distributions.coarse_fine import CoarseFine
from wavejax.distributions.inverse_cdf import cdf_error, draw_class, draw_mode
from wavejax.distributions.mixtures import GaussianMixture, LogisticMixture
from wavejax.distributions.score_codes import ScoreCodes

__all__ = [
    "Categorical",
    "CoarseFine",
    "GaussianMixture",
    "LogisticMixture",
    "ScoreCodes",
    "cdf_error",
    "draw_class",
    "draw_mode",
]
