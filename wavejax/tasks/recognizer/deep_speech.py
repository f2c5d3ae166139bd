"""The family of recognisers whose model is Mozilla's DeepSpeech."""

import dataclasses
from typing import ClassVar

from wavejax.audio.cepstra import DEEP_SPEECH, CepstralSpec
from wavejax.models.deep_speech import PRESETS, DeepSpeechConfig
from wavejax.nn.spec_augment import SpecAugmentConfig
from wavejax.tasks.recognizer.card import recognizer_family
from wavejax.tasks.recognizer.config import OPTIMIZER, RecognizerConfig, SequenceLossConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepSpeechRecognizerConfig(RecognizerConfig):
    """Cepstral features in, letters out, by DeepSpeech. Features are computed from the corpus' recordings."""

    family: ClassVar[str] = "deep-speech"

    model: DeepSpeechConfig
    spec: CepstralSpec = DEEP_SPEECH
    losses: SequenceLossConfig = SequenceLossConfig()


FAMILY = recognizer_family(
    config=DeepSpeechRecognizerConfig,
    presets={
        name: DeepSpeechRecognizerConfig(
            name=name,
            model=model,
            optimizer=dataclasses.replace(OPTIMIZER, learning_rate=3e-4),
            augment=SpecAugmentConfig(frequency_masks=0),  # a coefficient is no band
        )
        for name, model in PRESETS.items()
    },
)
