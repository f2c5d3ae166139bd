"""What two players say of each other: least squares or hinge, and the matching of a discriminator's features.

`real` and `fake` are the outputs of several discriminators: one array of logits each, [B, ...], of any shapes. A loss
is the mean over an array's positions, summed over the discriminators as in HiFi-GAN (Kong et al. 2020, arXiv
2010.05646, section 2.4); divide by their number for the mean that Vocos takes. Everything is float32.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Adversary = Literal["least_squares", "hinge"]
"""`least_squares`: Mao et al. 2017 (arXiv 1611.04076), real is 1 and fake is 0. `hinge`: Lim & Ye 2017 (arXiv
1705.02894) for the discriminator, and for the generator max(0, 1 - D(fake)) as in EnCodec (Défossez et al. 2022, arXiv
2210.13438, section 3.4)."""

_THRESHOLD = {"least_squares": 0.5, "hinge": 0.0}


def discriminator_loss(
    real: Sequence[Array], fake: Sequence[Array], adversary: Adversary = "least_squares"
) -> Float[Array, " batch"]:
    """Loss of the discriminators, [B] float32.

    Least squares: (D(real) - 1)^2 + D(fake)^2; hinge: max(0, 1 - D(real)) + max(0, 1 + D(fake)).

    Raises:
        ValueError: no logits, lists of different lengths, or an unknown adversary.
    """
    _check(adversary, real, fake)
    one = jnp.float32(1)
    if adversary == "hinge":
        return _total([jax.nn.relu(one - r) for r in _float32(real)] + [jax.nn.relu(one + f) for f in _float32(fake)])
    return _total([jnp.square(r - one) for r in _float32(real)] + [jnp.square(f) for f in _float32(fake)])


def generator_loss(fake: Sequence[Array], adversary: Adversary = "least_squares") -> Float[Array, " batch"]:
    """Adversarial loss of the generator, [B] float32: (D(fake) - 1)^2, or max(0, 1 - D(fake))."""
    _check(adversary, fake, fake)
    one = jnp.float32(1)
    if adversary == "hinge":
        return _total([jax.nn.relu(one - f) for f in _float32(fake)])
    return _total([jnp.square(f - one) for f in _float32(fake)])


def feature_matching(real: Sequence[Sequence[Array]], fake: Sequence[Sequence[Array]]) -> Float[Array, " batch"]:
    """Mean absolute difference of feature maps, summed over layers and discriminators, [B] float32.

    HiFi-GAN's equation 4 (Larsen et al. 2016, arXiv 1512.09300); its weight there is 2. No gradient reaches the real
    features.

    Args:
        real, fake: for each discriminator its feature maps [B, ...], of one shape in both.

    Raises:
        ValueError: no feature maps, or not the same ones on both sides.
    """
    pairs = []
    for index, (theirs, ours) in enumerate(_paired(real, fake)):
        for layer, (r, f) in enumerate(_paired(theirs, ours)):
            if r.shape != f.shape:
                raise ValueError(
                    f"feature map {layer} of discriminator {index} has shape {r.shape} for real and {f.shape} for fake "
                    "sound: give both crops of one length"
                )
            pairs.append((jax.lax.stop_gradient(r), f))
    real_maps, fake_maps = _float32([r for r, _ in pairs]), _float32([f for _, f in pairs])
    return _total([jnp.abs(r - f) for r, f in zip(real_maps, fake_maps, strict=True)])


def accuracy(
    real: Sequence[Array], fake: Sequence[Array], adversary: Adversary = "least_squares"
) -> Float[Array, " batch"]:
    """Share of an example's logits that lie on the right side, [B]: the mean over discriminators of real and fake.

    0.5 is guessing. On held-out recordings well below the accuracy on training ones, a discriminator has learnt the
    latter by heart.
    """
    _check(adversary, real, fake)
    border = jnp.float32(_THRESHOLD[adversary])
    right = [(r > border).astype(jnp.float32) for r in _float32(real)]
    right += [(f < border).astype(jnp.float32) for f in _float32(fake)]
    return _total(right) / jnp.float32(len(right))


def _float32(arrays: Sequence[Array]) -> list[Array]:
    return [array.astype(jnp.float32) for array in arrays]


def _total(terms: Sequence[Array]) -> Float[Array, " batch"]:
    """Sum over terms of each one's mean over all axes but the first."""
    means = [jnp.mean(term.reshape(term.shape[0], -1), axis=1) for term in terms]
    return jnp.sum(jnp.stack(means), axis=0)


def _paired(real: Sequence[Any], fake: Sequence[Any]) -> list[tuple[Any, Any]]:
    if not real or len(real) != len(fake):
        raise ValueError(
            f"real and fake need the same outputs, one or more, got {len(real)} and {len(fake)}: give what one set of "
            "discriminators says of both"
        )
    return list(zip(real, fake, strict=True))


def _check(adversary: str, real: Sequence[Array], fake: Sequence[Array]) -> None:
    if adversary not in get_args(Adversary):
        raise ValueError(f"adversary must be one of {', '.join(map(repr, get_args(Adversary)))}, got {adversary!r}")
    _paired(real, fake)
