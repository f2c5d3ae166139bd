"""A Vocos small enough to train in a test."""

import dataclasses
from typing import Any

from wavejax.tasks.families import preset


def tiny_vocos(**changes: Any) -> Any:
    """The experiment with a network of two thin blocks and examples of 12 frames."""
    config = preset("harmonic-vocos-16k")
    model = dataclasses.replace(config.model, channels=12, hidden_channels=16, num_blocks=2, pitch_channels=6)
    return dataclasses.replace(
        config,
        model=model,
        data=dataclasses.replace(config.data, crop_length=12 * model.hop_length),
        optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-3, warmup_steps=0),
        training=dataclasses.replace(config.training, audio_seconds=0.2),
        **changes,
    )
