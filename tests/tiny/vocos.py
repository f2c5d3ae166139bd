"""Parallel vocoders small enough to train in a test."""

import dataclasses
from typing import Any

from wavejax.nn.discriminators import DiscriminatorsConfig, PeriodsConfig, SpectrogramsConfig
from wavejax.tasks.families import preset

EPSILON = 1e-2
"""Of Adam: with the usual one a gradient that is nothing but rounding moves a parameter as far as any other."""


def tiny_vocos(**changes: Any) -> Any:
    """The experiment with a network of two thin blocks and examples of 12 frames, without the loss of log magnitudes.

    The gradient of a logarithm is large at bins that are all but silent: there rounding of the waveform (1e-5, its
    phases have 24 bits) changes the whole gradient by 5 %, and no two ways of cutting a batch agree.
    """
    config = preset("harmonic-vocos-16k")
    model = dataclasses.replace(config.model, channels=12, hidden_channels=16, num_blocks=2, pitch_channels=6)
    return dataclasses.replace(
        config,
        model=model,
        data=dataclasses.replace(config.data, crop_length=12 * model.hop_length),
        optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-3, warmup_steps=0, epsilon=EPSILON),
        training=dataclasses.replace(config.training, audio_seconds=0.2),
        losses=dataclasses.replace(config.losses, stft=0.0),
        **changes,
    )


JUDGES = DiscriminatorsConfig(
    periods=PeriodsConfig(periods=(2,), channels=(4, 4)),
    scales=None,
    spectrograms=SpectrogramsConfig(resolutions=((64, 16, 64),), channels=2),
)
"""The smallest discriminators: one period, one spectrogram."""


def tiny_published_vocos() -> Any:
    """The published Vocos's experiment, thin, on the features of the recordings that ship."""
    return _tiny("vocos-24k", channels=8, hidden_channels=8, num_blocks=1, local_channels=80, hop_length=200, n_fft=800)


def tiny_hifi_gan() -> Any:
    """HiFi-GAN's experiment, with two stages, on the features of the recordings that ship."""
    return _tiny(
        "hifi-gan-v2", initial_channels=8, rates=(20, 10), rate_kernels=(40, 20), kernels=(3,), dilations=((1, 2),)
    )


def _tiny(name: str, **sizes: Any) -> Any:
    config, speech = preset(name), preset("speech-16k")
    centred = {"padding": "same"} if hasattr(config.model, "padding") else {}  # as the features of the recordings are
    model = dataclasses.replace(config.model, **sizes, **centred)
    return dataclasses.replace(
        config,
        model=model,
        spec=speech.spec,
        data=dataclasses.replace(config.data, crop_length=12 * model.hop_length),
        optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-3, epsilon=EPSILON),
        discriminator_optimizer=dataclasses.replace(config.discriminator_optimizer, epsilon=EPSILON),
        training=dataclasses.replace(config.training, audio_seconds=0.2),
        discriminators=JUDGES,
    )
