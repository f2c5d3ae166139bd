"""LogisticMixture and GaussianMixture against float64 distribution functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from wavejax.distributions import GaussianMixture, LogisticMixture
from wavejax.distributions.mixtures import _log_normal_cdf

Mixture = LogisticMixture | GaussianMixture
KINDS = [(LogisticMixture, stats.logistic), (GaussianMixture, stats.norm)]
SMALLEST, LARGEST = 2.0**-24, 1 - 2.0**-24


def make_output(distribution: Mixture, logits: list[float], means: list[float], log_scales: list[float]) -> jax.Array:
    has_logits = distribution.output_size == 3 * distribution.num_mixtures
    return jnp.asarray([*(logits if has_logits else []), *means, *log_scales], jnp.float32)


def reference_masses(family: stats.rv_continuous, num_classes: int, output: np.ndarray) -> np.ndarray:
    """The masses of all bins as plain differences of the mixture's float64 distribution function."""
    logits, means, log_scales = np.split(output.astype(np.float64), 3)
    weights = np.exp(logits - special.logsumexp(logits))
    inner_edges = (np.arange(num_classes - 1) + 0.5) * 2 / (num_classes - 1) - 1
    edges = np.concatenate([[-np.inf], inner_edges, [np.inf]])
    cdf = sum(w * family.cdf((edges - m) / np.exp(s)) for w, m, s in zip(weights, means, log_scales, strict=True))
    return np.diff(cdf)


@pytest.mark.parametrize(("kind", "family"), KINDS)
@pytest.mark.parametrize("num_classes", [2, 256])
def test_masses_are_differences_of_the_distribution_function(
    kind: type[Mixture], family: stats.rv_continuous, num_classes: int
) -> None:
    distribution = kind(num_mixtures=3, num_classes=num_classes)
    output = make_output(distribution, [0.3, -1.0, 0.9], [-0.9, 0.1, 0.6], [-1.0, -4.0, -2.5])
    levels = jnp.asarray(np.arange(num_classes) * (2 / (num_classes - 1)) - 1, jnp.float32)
    scores = jax.jit(jax.vmap(lambda v: distribution.log_prob(output, v)))(levels)
    masses = np.exp(np.asarray(scores, np.float64))
    np.testing.assert_allclose(masses, reference_masses(family, num_classes, np.asarray(output)), rtol=3e-5, atol=1e-12)


@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_masses_far_from_the_mean_keep_their_precision(kind: type[Mixture], family: stats.rv_continuous) -> None:
    distribution = kind(num_mixtures=1, num_classes=65536)
    log_prob = jax.jit(distribution.log_prob)
    bin_width = 2 / 65535
    for log_scale in (-13.0, -11.5, -10.4, -10.0, -8.0, -3.0):
        output = make_output(distribution, [0.0], [0.0], [log_scale])
        scale = float(np.exp(np.float32(log_scale)))
        for bins in (0, 1, 3, 40, 1000, 30000):
            value = (bins + 0.5) * bin_width  # the levels lie half a bin off zero
            score = float(log_prob(output, jnp.float32(value)))
            # On the far side of 0 the survival function has full relative precision in float64.
            near, far = family.logsf(bins * bin_width / scale), family.logsf((bins + 1) * bin_width / scale)
            expected = near + np.log(-np.expm1(far - near))
            assert score == pytest.approx(expected, rel=2e-6, abs=2e-6), (log_scale, bins)


@pytest.mark.parametrize("kind", [LogisticMixture, GaussianMixture])
def test_a_value_counts_for_its_nearest_level_and_the_tails_for_the_ends(kind: type[Mixture]) -> None:
    distribution = kind(num_mixtures=2, num_classes=11)  # levels 0.2 apart
    output = make_output(distribution, [0.0, 1.0], [-0.3, 0.4], [-1.0, -2.0])

    log_prob = jax.jit(jax.value_and_grad(lambda value: distribution.log_prob(output, value)))

    def score(value: float) -> float:
        result, gradient = log_prob(jnp.float32(value))
        assert float(gradient) == 0
        return float(result)

    assert score(0.2) == score(0.11) == score(0.29)
    assert score(0.2) != score(0.31)
    assert score(1.0) == score(0.95) == score(1.3)
    assert score(-1.0) == score(-7.0)


@pytest.mark.parametrize("kind", [LogisticMixture, GaussianMixture])
@pytest.mark.parametrize(("dtype", "log_scale_min"), [(jnp.float32, -32.236), (jnp.bfloat16, -32.236)])
def test_scores_and_gradients_are_finite_everywhere(
    kind: type[Mixture], dtype: jnp.dtype, log_scale_min: float
) -> None:
    distribution = kind(num_mixtures=2, log_scale_min=log_scale_min)
    grid = np.array(
        np.meshgrid(
            [-1.0, -0.99997, -0.3, 0.0, 1.5e-5, 0.7, 1.0],  # values
            [-1e4, -100.0, -1.0, -0.3, 0.0, 1.5e-5, 3.05e-5, 0.7, 1.0, 30.0],  # first mean; the second is its negative
            [-100.0, -32.0, -16.0, -11.0, -10.4, -9.0, -4.0, 0.0, 5.0, 30.0, 100.0],  # log scales
            [-1e4, 0.0, 1e4],  # first logit
        )
    ).reshape(4, -1)
    values, means, log_scales, logits = grid
    outputs = jnp.asarray(np.stack([logits, 0 * logits, means, -means, log_scales, log_scales], -1), dtype)
    value = jnp.asarray(values, jnp.float32)

    def total(output: jax.Array) -> tuple[jax.Array, jax.Array]:
        scores = distribution.log_prob(output, value)
        return scores.sum(), scores

    gradients, scores = jax.jit(jax.grad(total, has_aux=True))(outputs)
    assert np.all(np.isfinite(scores))
    assert np.max(scores) <= 1e-6
    assert gradients.dtype == dtype
    assert np.all(np.isfinite(np.asarray(gradients, np.float32)))


@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_gradients_equal_central_differences(kind: type[Mixture], family: stats.rv_continuous) -> None:
    distribution = kind(num_mixtures=2, num_classes=256)
    output = np.array([0.3, -0.4, -0.2, 0.35, -3.0, -5.5])
    gradient_of = jax.jit(jax.grad(distribution.log_prob))
    # Bins of some mass only: elsewhere a difference of float64 distribution functions says nothing.
    index_of_mass = np.flatnonzero(reference_masses(family, 256, output) > 1e-7)
    assert len(index_of_mass) > 30
    steps = 1e-5 * np.eye(6)
    above = [np.log(reference_masses(family, 256, output + step)[index_of_mass]) for step in steps]
    below = [np.log(reference_masses(family, 256, output - step)[index_of_mass]) for step in steps]
    for i, index in enumerate(index_of_mass):
        gradient = gradient_of(jnp.asarray(output, jnp.float32), jnp.float32(index * 2 / 255 - 1))
        numerical = [(a[i] - b[i]) / 2e-5 for a, b in zip(above, below, strict=True)]
        np.testing.assert_allclose(np.asarray(gradient), numerical, rtol=1e-3, atol=1e-3)


def test_the_gaussian_gradient_is_that_of_the_density_when_bins_are_small() -> None:
    distribution = GaussianMixture()
    value_and_grad = jax.jit(jax.value_and_grad(distribution.log_prob))
    for z in (-30.0, -3.0, -1.0, 0.0, 0.5, 8.0):
        output = jnp.asarray([0.0, np.log(0.01)], jnp.float32)
        value = jnp.float32(0.01 * z)
        exact = (np.rint((float(value) + 1) / 2 * 65535) * 2 / 65535 - 1) / 0.01
        score, (mean, log_scale) = value_and_grad(output, value)
        assert float(score) == pytest.approx(stats.norm.logpdf(exact) + np.log(2 / 65535 / 0.01), rel=1e-5, abs=1e-5)
        assert float(mean) == pytest.approx(exact / 0.01, rel=1e-4, abs=0.02)
        assert float(log_scale) == pytest.approx(exact**2 - 1, rel=1e-4, abs=1e-3)


def test_the_log_normal_cdf_and_its_gradient() -> None:
    z = np.concatenate([-np.logspace(-3, 3, 97)[::-1], [-10, 0], np.logspace(-3, 1.1, 60)]).astype(np.float32)
    expected = special.log_ndtr(z.astype(np.float64))
    value_and_slope = jax.jit(jax.vmap(jax.value_and_grad(_log_normal_cdf)))
    value, slope = value_and_slope(z)
    np.testing.assert_allclose(np.asarray(value), expected, rtol=5e-7, atol=5e-7)
    hazard = np.exp(stats.norm.logpdf(z.astype(np.float64)) - expected)
    np.testing.assert_allclose(np.asarray(slope), hazard, rtol=5e-6, atol=1e-7)
    _, far_slope = value_and_slope(np.full(len(z), -1e18, np.float32))
    assert np.asarray(far_slope)[0] == np.float32(1e18)
    assert np.asarray(value_and_slope(np.full(len(z), 1e18, np.float32))[1])[0] == 0


@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_temperature_scales_deviations_and_so_mean_and_variance(
    kind: type[Mixture], family: stats.rv_continuous
) -> None:
    distribution = kind(num_mixtures=1)
    output = make_output(distribution, [0.0], [0.125], [-5.0])
    count = 1 << 13
    uniform = (np.arange(count) + 0.5) / count
    noise = jnp.asarray(np.stack([uniform] * distribution.noise_size, -1), jnp.float32)
    outputs = jnp.broadcast_to(output, (count, distribution.output_size))

    sample = jax.jit(distribution.sample)

    def draw(temperature: float) -> np.ndarray:
        return np.asarray(sample(outputs, noise, jnp.float32(temperature)), np.float64)

    np.testing.assert_allclose((draw(1.0) - 0.125) / np.exp(-5), family.ppf(uniform), rtol=1e-5, atol=2e-5)
    for temperature in (0.25, 0.5, 2.0):
        values = draw(temperature)
        np.testing.assert_allclose(values - 0.125, temperature * (draw(1.0) - 0.125), atol=2e-7)
        assert values.mean() == pytest.approx(0.125, abs=1e-6)
        # The grid leaves out the far ends of the tails: a few thousandths of a logistic's variance.
        assert values.var() == pytest.approx(temperature**2 * np.exp(-10) * family.var(), rel=5e-3)


@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_the_floor_cuts_components_and_tails(kind: type[Mixture], family: stats.rv_continuous) -> None:
    distribution = kind(num_mixtures=2)
    output = make_output(distribution, [float(np.log(0.02)), float(np.log(0.98))], [-0.5, 0.5], [-5.0, -5.0])
    noise = jnp.asarray([[SMALLEST, SMALLEST], [SMALLEST, 0.5], [0.5, LARGEST]], jnp.float32)
    outputs = jnp.broadcast_to(output, (3, 6))
    sample = jax.jit(distribution.sample, static_argnames="probability_floor")
    free = np.asarray(sample(outputs, noise, 1.0))
    assert free[1] == pytest.approx(-0.5, abs=1e-6)
    cut = np.asarray(sample(outputs, noise, 1.0, probability_floor=0.05))
    reach = np.exp(-5) * family.ppf(0.95)
    np.testing.assert_allclose(cut, [0.5 - reach, 0.5, 0.5 + reach], atol=1e-6)
    with pytest.raises(ValueError, match=r"probability_floor is 0\.5; .* in \[0, 0\.5\)"):
        distribution.sample(outputs, noise, 1.0, 0.5)


@pytest.mark.parametrize("kind", [LogisticMixture, GaussianMixture])
def test_samples_stay_in_range_at_any_output(kind: type[Mixture]) -> None:
    distribution = kind(num_mixtures=2, log_scale_min=-32.236)
    sample = jax.jit(distribution.sample)
    for mean, log_scale in [(0.0, 100.0), (5.0, -100.0), (-1e4, 20.0), (0.3, 0.0)]:
        output = make_output(distribution, [0.0, 1e4], [mean, mean], [log_scale, log_scale])
        for uniform in (SMALLEST, 0.5, LARGEST):
            for temperature in (0.0, 1e-30, 1.0, 10.0):
                value = float(sample(output, np.full(2, uniform, np.float32), np.float32(temperature)))
                assert -1 <= value <= 1, (mean, log_scale, uniform, temperature)
        assert float(distribution.mode(output)) == pytest.approx(np.clip(mean, -1, 1))


def test_the_smallest_scale_holds() -> None:
    log_scales = jnp.asarray([-40.0, -30.0, -16.5, -16.0, -15.5], jnp.float32)

    def scores(distribution: LogisticMixture) -> list[float]:
        def score(log_scale: jax.Array) -> jax.Array:
            return distribution.log_prob(jnp.stack([jnp.float32(0), jnp.float32(0.2), log_scale]), jnp.float32(0.5))

        return np.asarray(jax.jit(jax.vmap(score))(log_scales)).tolist()

    new = scores(LogisticMixture(num_mixtures=1))
    assert new[0] == new[1] == new[2] == new[3] < new[4]
    old = scores(LogisticMixture(num_mixtures=1, log_scale_min=-32.236))
    assert old[0] < old[1] < -1e12
    assert old[1] < old[2] < old[3]
    assert old[3:] == new[3:]


def test_sizes_and_bad_configurations() -> None:
    assert (LogisticMixture().output_size, LogisticMixture().noise_size) == (30, 2)
    assert (LogisticMixture(num_mixtures=1).output_size, LogisticMixture(num_mixtures=1).noise_size) == (3, 2)
    assert (GaussianMixture().output_size, GaussianMixture().noise_size) == (2, 1)
    assert (GaussianMixture(num_mixtures=4).output_size, GaussianMixture(num_mixtures=4).noise_size) == (12, 2)
    for kind in (LogisticMixture, GaussianMixture):
        with pytest.raises(ValueError, match="num_mixtures is 0"):
            kind(num_mixtures=0)
        with pytest.raises(ValueError, match="num_classes is 1; the grid"):
            kind(num_classes=1)
        with pytest.raises(ValueError, match="log_scale_min is -50"):
            kind(log_scale_min=-50.0)
