"""Losses of label sequences: connectionist temporal classification (CTC), consistency of two views, cross-entropy.

A loss is one number per example, [B] float32 nats, with a weight for each: 1, or 0 where the example cannot be learnt.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from wavejax.parallel import sum_over_devices

IMPOSSIBLE = -1e30
"""Log-probability of what cannot be: finite, so that differences of two of them, and gradients, are numbers."""


class SequenceLosses(NamedTuple):
    """A loss of each example and what it counts."""

    loss: Float[Array, " batch"]
    """Nats; 0 where the weight is 0."""
    weight: Float[Array, " batch"]
    """1; 0 for an example without labels or with fewer frames than its labels need."""


def frames_needed(labels: Int[Array, "batch labels"], num_labels: Int[Array, " batch"]) -> Int[Array, " batch"]:
    """The fewest frames that can carry these labels: one for each, and a blank between two that are equal."""
    place = jnp.arange(1, labels.shape[1], dtype=num_labels.dtype).reshape(1, -1)
    repeated = (labels[:, 1:] == labels[:, :-1]) & (place < num_labels[:, None])
    return num_labels + jnp.sum(repeated, axis=1, dtype=num_labels.dtype)


def ctc_loss(
    log_probs: Float[Array, "batch frames classes"],
    num_frames: Int[Array, " batch"],
    labels: Int[Array, "batch labels"],
    num_labels: Int[Array, " batch"],
    *,
    blank: int = 0,
    log_prior: Float[Array, " classes"] | None = None,
    prior_strength: float = 0.0,
) -> SequenceLosses:
    """-log of the total probability of all ways to read the labels from the frames (Graves et al. 2006, equation 8).

    With a prior each frame's log-probabilities are lowered by `prior_strength * log_prior` (Huang et al. 2024, arXiv
    2406.02560, equation 4): the blank, which is frequent, no longer takes all frames but one for each label, so labels
    begin and end where they are heard. The loss is then no likelihood and may be negative.

    The recursion runs in log space over the labels with blanks between them; what is impossible has the finite
    log-probability `IMPOSSIBLE`. `optax.ctc_loss` computes the same likelihood, but gives a pair that no path fits a
    loss of about 1e5, which this function leaves out of the sum, and has no prior.

    Args:
        log_probs: natural logs of probabilities; frames past `num_frames` are not read.
        num_frames: frames of each example; 0 leaves it out.
        labels: classes other than the blank; entries past `num_labels` are not read.
        num_labels: labels of each example; 0 leaves it out.
        blank: the class that stands for no label.
        log_prior: natural logs of how frequent each class is, constants.
        prior_strength: 0 is the plain loss; 0.2 to 0.5 are usual.
    """
    if log_prior is not None and prior_strength:
        log_probs = log_probs - log_probs.dtype.type(prior_strength) * lax.stop_gradient(log_prior)[None, None]
    total = _log_likelihood(log_probs, num_frames, labels, num_labels, blank)
    can = (num_frames >= frames_needed(labels, num_labels)) & (num_labels > 0)
    return SequenceLosses(jnp.where(can, -total, jnp.zeros_like(total)), can.astype(log_probs.dtype))


def _log_likelihood(
    log_probs: Float[Array, "batch frames classes"],
    num_frames: Int[Array, " batch"],
    labels: Int[Array, "batch labels"],
    num_labels: Int[Array, " batch"],
    blank: int,
) -> Float[Array, " batch"]:
    batch, count = labels.shape
    states = 2 * count + 1
    path = jnp.full((batch, states), blank, labels.dtype).at[:, 1::2].set(labels)
    # Two states on: from a label to the next one, if it is another; the blank between them may be left out.
    skips = jnp.zeros((batch, states), jnp.bool_).at[:, 3::2].set(labels[:, 1:] != labels[:, :-1])
    scores = jnp.take_along_axis(
        log_probs, jnp.broadcast_to(path[:, None], (batch, log_probs.shape[1], states)), axis=2
    )
    impossible = jnp.asarray(IMPOSSIBLE, log_probs.dtype)
    first = jnp.full((batch, states), impossible).at[:, 0].set(0.0)  # before frame 0: in the first blank

    def frame(alpha: Array, given: tuple[Array, Array]) -> tuple[Array, None]:
        score, position = given
        one = jnp.pad(alpha, ((0, 0), (1, 0)), constant_values=IMPOSSIBLE)[:, :-1]
        two = jnp.where(skips, jnp.pad(alpha, ((0, 0), (2, 0)), constant_values=IMPOSSIBLE)[:, :-2], impossible)
        top = jnp.maximum(jnp.maximum(alpha, one), two)
        shift = lax.stop_gradient(top)
        ways = jnp.exp(alpha - shift) + jnp.exp(one - shift) + jnp.exp(two - shift)
        new = jnp.maximum(shift + jnp.log(ways) + score, impossible)
        return jnp.where((position < num_frames)[:, None], new, alpha), None

    frames = jnp.arange(log_probs.shape[1], dtype=num_frames.dtype)
    alpha, _ = lax.scan(frame, first, (jnp.moveaxis(scores, 1, 0), frames))
    ends = jnp.stack([2 * num_labels, jnp.maximum(2 * num_labels - 1, 0)], axis=1)
    last = jnp.take_along_axis(alpha, ends, axis=1)
    return jnp.logaddexp(last[:, 0], jnp.where(num_labels > 0, last[:, 1], impossible))


def updated_prior(
    log_prior: Float[Array, " classes"],
    log_probs: Float[Array, "batch frames classes"],
    valid: Bool[Array, "batch frames"],
    *,
    momentum: float = 0.1,
    floor: float = 1e-4,
) -> Float[Array, " classes"]:
    """The running prior after a batch: the mean posterior over its valid frames, of all devices, takes its share.

    Args:
        log_prior: the prior so far, natural logs.
        log_probs: of the model.
        valid: which frames exist.
        momentum: share of the batch in the new prior.
        floor: no class is taken to be rarer than this.
    """
    counted = valid.astype(jnp.float32)
    posterior = jnp.exp(lax.stop_gradient(log_probs).astype(jnp.float32)) * counted[..., None]
    total, count = sum_over_devices((jnp.sum(posterior, axis=(0, 1)), jnp.sum(counted)))
    mean = total / jnp.maximum(count, jnp.float32(1))
    share = jnp.where(count > 0, jnp.float32(momentum), jnp.float32(0))
    return jnp.log(jnp.maximum((1 - share) * jnp.exp(log_prior) + share * mean, jnp.float32(floor)))


def consistency(
    one: Float[Array, "batch frames classes"],
    other: Float[Array, "batch frames classes"],
    valid: Bool[Array, "batch frames"],
) -> Float[Array, " batch"]:
    """How far two views of an example are from each other: half the sum of both divergences, summed over its frames.

    CR-CTC (Yao et al. 2024, arXiv 2410.05101, equation 6): each view learns from the other as it is, D(sg(other) | one)
    and D(sg(one) | other), sg holding its gradient back. Arguments are log-probabilities.
    """

    def divergence(taught: Array, teacher: Array) -> Array:
        teacher = lax.stop_gradient(teacher)
        return jnp.sum(jnp.exp(teacher) * (teacher - taught), axis=-1)

    each = divergence(one, other) + divergence(other, one)
    return jnp.asarray(0.5, each.dtype) * jnp.sum(jnp.where(valid, each, jnp.zeros_like(each)), axis=1)


def aligned_cross_entropy(
    log_probs: Float[Array, "batch frames classes"],
    labels: Int[Array, "batch labels"],
    starts: Float[Array, "batch labels"],
    ends: Float[Array, "batch labels"],
    num_labels: Int[Array, " batch"],
) -> Float[Array, " batch"]:
    """Cross-entropy of frames whose label is known, summed over an example: -log p(label) of each frame whose middle
    lies within a label's time. Frames outside of all labels count nothing.

    Args:
        log_probs: natural logs of probabilities.
        labels: classes in order; entries past `num_labels` are not read.
        starts, ends: of each label, in frames; they do not overlap.
        num_labels: of each example.
    """
    real = jnp.arange(labels.shape[1], dtype=num_labels.dtype).reshape(1, -1) < num_labels[:, None]
    middle = (jnp.arange(log_probs.shape[1], dtype=ends.dtype) + ends.dtype.type(0.5)).reshape(1, -1)
    passed = (ends[:, None] <= middle[..., None]) & real[:, None]
    place = jnp.minimum(jnp.sum(passed, axis=2, dtype=jnp.int32), labels.shape[1] - 1)
    begun = jnp.take_along_axis(starts, place, axis=1) <= middle
    within = begun & (middle < jnp.take_along_axis(ends, place, axis=1)) & jnp.take_along_axis(real, place, axis=1)
    wanted = jnp.take_along_axis(labels, place, axis=1)
    hit = jnp.take_along_axis(log_probs, wanted[..., None], axis=2)[..., 0]
    return jnp.sum(jnp.where(within, -hit, jnp.zeros_like(hit)), axis=1)


def attention_cross_entropy(
    logits: Float[Array, "batch labels classes"],
    targets: Int[Array, "batch labels"],
    num_labels: Int[Array, " batch"],
    *,
    smoothing: float = 0.0,
) -> SequenceLosses:
    """Cross-entropy of each label of a decoder that sees the labels before it, summed over an example.

    Args:
        logits: one distribution for each label, the end of the text among them.
        targets: classes; entries past `num_labels` are not read.
        num_labels: labels of each example, the end counted; 0 leaves it out.
        smoothing: part of a target's probability that all classes share (Szegedy et al. 2015, arXiv 1512.00567).
    """
    log_probs = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    hit = jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    share = jnp.float32(smoothing)
    each = -((1 - share) * hit + share * jnp.mean(log_probs, axis=-1))
    counted = jnp.arange(targets.shape[1], dtype=num_labels.dtype).reshape(1, -1) < num_labels[:, None]
    loss = jnp.sum(jnp.where(counted, each, jnp.float32(0)), axis=1)
    return SequenceLosses(loss, (num_labels > 0).astype(jnp.float32))


__all__ = [
    "IMPOSSIBLE",
    "SequenceLosses",
    "aligned_cross_entropy",
    "attention_cross_entropy",
    "consistency",
    "ctc_loss",
    "frames_needed",
    "updated_prior",
]
