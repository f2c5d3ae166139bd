"""Recognisers small enough to train in a test."""

import dataclasses
from typing import Any

from wavejax.tasks.families import preset
from wavejax.tasks.recognizer.config import SequenceLossConfig

EPSILON = 1e-2
"""Of Adam: with the usual one a gradient that is nothing but rounding moves a parameter as far as any other."""


def tiny_recognizer(name: str = "listener-16k", **changes: Any) -> Any:
    """The experiment with two thin blocks, for utterances of up to 4 s in batches of two shapes."""
    config = preset(name)
    sizes = {"channels": 8, "hidden_channels": 8, "squeeze_channels": 4, "num_blocks": 2, "kernel_size": 3}
    return _small(dataclasses.replace(config, model=dataclasses.replace(config.model, **sizes)), **changes)


def tiny_deep_speech() -> Any:
    """DeepSpeech's experiment with 8 units in each layer."""
    config = preset("deep-speech")
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, hidden_channels=8))
    config = _small(config)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, bucket_seconds=(3.0,)))


def tiny_speller() -> Any:
    """Listen, attend and spell with a few units in each layer."""
    config = preset("listen-attend-spell")
    sizes = {"listener_channels": 4, "speller_channels": 8, "attention_channels": 4, "embedding_channels": 4}
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, num_pyramids=2, **sizes))
    config = _small(config)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, bucket_seconds=(3.0,)))


def tiny_attend_spell() -> Any:
    """The same on two thin convolutional blocks, those of `tiny_recognizer`."""
    config = preset("attend-spell-16k")
    sizes = {"channels": 8, "hidden_channels": 8, "squeeze_channels": 4, "num_blocks": 2, "kernel_size": 3}
    listener = dataclasses.replace(config.model.listener, **sizes)
    speller = {"speller_channels": 8, "attention_channels": 4, "embedding_channels": 4, "location_taps": 5}
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, listener=listener, **speller))
    config = _small(config)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, bucket_seconds=(3.0,)))


def _small(config: Any, **changes: Any) -> Any:
    if isinstance(config.losses, SequenceLossConfig):
        changes["losses"] = dataclasses.replace(config.losses, prior_strength=0.3, consistency=0.2)
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, bucket_seconds=(2.0, 4.0), num_threads=0),
        optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-2, warmup_steps=1, epsilon=EPSILON),
        **changes,
    )
