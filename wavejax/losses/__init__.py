"""Losses of waveforms and of opinions about them; a loss never sees a model.

Each returns one number per example, [B] float32; `weighted_sums` makes of them the sums that a training step adds up
over devices and accumulation steps before it divides.
"""

from wavejax.losses.adversarial import (
    Adversary,
    accuracy,
    discriminator_loss,
    feature_matching,
    generator_loss,
)
from wavejax.losses.periodicity import autocorrelation_l1
from wavejax.losses.spectral import (
    RESOLUTIONS,
    RESOLUTIONS_16K,
    Resolution,
    StftLosses,
    mel_l1,
    multi_resolution_stft,
    stft_losses,
    weighted_sums,
)

__all__ = [
    "RESOLUTIONS",
    "RESOLUTIONS_16K",
    "Adversary",
    "Resolution",
    "StftLosses",
    "accuracy",
    "autocorrelation_l1",
    "discriminator_loss",
    "feature_matching",
    "generator_loss",
    "mel_l1",
    "multi_resolution_stft",
    "stft_losses",
    "weighted_sums",
]
