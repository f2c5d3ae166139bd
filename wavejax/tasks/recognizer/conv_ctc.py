"""The family of recognisers whose model is a small convolutional network: it trains on a laptop, and ships."""

import dataclasses
from typing import ClassVar

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.specs import get_spec
from wavejax.models.conv_ctc import PRESETS, ConvCTCConfig
from wavejax.tasks.recognizer.card import recognizer_family
from wavejax.tasks.recognizer.config import RecognizerConfig, in_language
from wavejax.text import get_text_spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvRecognizerConfig(RecognizerConfig):
    """Log-mel features in, letters out, by a network of depthwise convolutions."""

    family: ClassVar[str] = "recognizer"

    model: ConvCTCConfig
    spec: FeatureSpec = get_spec("speech-16k")


def experiment(name: str, language: str = "en") -> ConvRecognizerConfig:
    """The experiment around a preset of the model."""
    config = ConvRecognizerConfig(name=name, model=PRESETS[name])
    named = dataclasses.replace(config, name=name if language == "en" else f"{name}-{language}")
    changed: ConvRecognizerConfig = in_language(named, get_text_spec(f"letters-{language}"))
    return changed


_EXPERIMENTS = [experiment(name, language) for name in PRESETS for language in ("en", "ru")]

FAMILY = recognizer_family(config=ConvRecognizerConfig, presets={config.name: config for config in _EXPERIMENTS})
