"""Adversarial losses against plain numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.losses import accuracy, discriminator_loss, feature_matching, generator_loss

RNG = np.random.default_rng(0)
SHAPES = [(2, 7), (2, 3, 5), (2, 4, 3, 1)]
REAL, FAKE = ([RNG.normal(size=shape).astype(np.float32) for shape in SHAPES] for _ in range(2))


def per_example(terms: list[np.ndarray]) -> np.ndarray:
    return np.asarray([sum(term[row].mean() for term in terms) for row in range(2)])


EXPECTED = {
    "least_squares": (
        per_example([(r - 1) ** 2 for r in REAL]) + per_example([f**2 for f in FAKE]),
        per_example([(f - 1) ** 2 for f in FAKE]),
    ),
    "hinge": (
        per_example([np.maximum(0, 1 - r) for r in REAL]) + per_example([np.maximum(0, 1 + f) for f in FAKE]),
        per_example([np.maximum(0, 1 - f) for f in FAKE]),
    ),
}


@pytest.mark.parametrize("adversary", sorted(EXPECTED))
def test_losses_are_the_papers_formulas(adversary: str) -> None:
    real, fake = [jnp.asarray(x) for x in REAL], [jnp.asarray(x) for x in FAKE]
    of_discriminator, of_generator = EXPECTED[adversary]
    np.testing.assert_allclose(discriminator_loss(real, fake, adversary), of_discriminator, rtol=1e-5)
    np.testing.assert_allclose(generator_loss(fake, adversary), of_generator, rtol=1e-5)
    border = {"least_squares": 0.5, "hinge": 0.0}[adversary]
    right = per_example([r > border for r in REAL]) + per_example([f < border for f in FAKE])
    np.testing.assert_allclose(accuracy(real, fake, adversary), right / 6, rtol=1e-6)


def test_feature_matching_and_its_gradients() -> None:
    real = [[jnp.asarray(x) for x in REAL[:2]], [jnp.asarray(REAL[2])]]
    fake = [[jnp.asarray(x) for x in FAKE[:2]], [jnp.asarray(FAKE[2])]]
    expected = per_example([np.abs(r - f) for r, f in zip(REAL, FAKE, strict=True)])
    np.testing.assert_allclose(feature_matching(real, fake), expected, rtol=1e-5)
    to_real, to_fake = jax.grad(lambda r, f: jnp.sum(feature_matching(r, f)), argnums=(0, 1))(real, fake)
    assert all(not leaf.any() for leaf in jax.tree.leaves(to_real))
    assert all(leaf.any() for leaf in jax.tree.leaves(to_fake))
    same = jax.grad(lambda f: jnp.sum(feature_matching(real, f)))(real)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(same))


@pytest.mark.parametrize("adversary", sorted(EXPECTED))
def test_losses_are_float32_and_pull_the_right_way(adversary: str) -> None:
    logits = [jnp.zeros((1, 3), jnp.bfloat16)]

    def of_generator(fake: list) -> jax.Array:
        return generator_loss(fake, adversary)[0]

    def of_discriminator(real: list, fake: list) -> jax.Array:
        return discriminator_loss(real, fake, adversary)[0]

    assert of_generator(logits).dtype == of_discriminator(logits, logits).dtype == jnp.float32
    assert (jax.grad(of_generator)(logits)[0] < 0).all()
    half = [jnp.full((1, 3), 0.25)]
    to_real, to_fake = jax.grad(of_discriminator, argnums=(0, 1))(half, half)
    assert (to_real[0] < 0).all()
    assert (to_fake[0] > 0).all()


def test_wrong_arguments_are_named() -> None:
    real, fake = [jnp.asarray(x) for x in REAL], [jnp.asarray(x) for x in FAKE]
    with pytest.raises(ValueError, match="need the same outputs, one or more, got 3 and 2"):
        discriminator_loss(real, fake[:2])
    with pytest.raises(ValueError, match="need the same outputs, one or more, got 0 and 0"):
        generator_loss([])
    with pytest.raises(ValueError, match=r"feature map 1 of discriminator 0 has shape \(2, 3, 5\) .* \(2, 3, 4\)"):
        feature_matching([real[:2]], [[fake[0], fake[1][..., :4]]])
