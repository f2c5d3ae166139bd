"""The family of recognisers whose model is a small convolutional network: it trains on a laptop, and ships."""

import dataclasses
from typing import ClassVar

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.specs import get_spec
from wavejax.models.conv_ctc import PRESETS, ConvCTCConfig
from wavejax.tasks.recognizer.card import recognizer_family
from wavejax.tasks.recognizer.config import RecognizerConfig, SequenceLossConfig, in_language
from wavejax.text import get_text_spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvRecognizerConfig(RecognizerConfig):
    """Log-mel features in, letters out, by a network of depthwise convolutions."""

    family: ClassVar[str] = "recognizer"

    model: ConvCTCConfig
    spec: FeatureSpec = get_spec("speech-16k")
    losses: SequenceLossConfig = SequenceLossConfig()


_TEXTS = {"": "letters-en", "-ru": "letters-ru", "-phonemes": "phonemes-en", "-phonemes-ru": "phonemes-ru"}
"""Ending of an experiment's name -> what the model writes."""


def experiment(name: str, ending: str = "") -> ConvRecognizerConfig:
    """The experiment around a preset of the model."""
    config = ConvRecognizerConfig(name=f"{name}{ending}", model=PRESETS[name])
    changed: ConvRecognizerConfig = in_language(config, get_text_spec(_TEXTS[ending]))
    return changed


_EXPERIMENTS = [experiment(name, ending) for name in PRESETS for ending in _TEXTS]

FAMILY = recognizer_family(config=ConvRecognizerConfig, presets={config.name: config for config in _EXPERIMENTS})
