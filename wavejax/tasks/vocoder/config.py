"""What a vocoder's experiment states, whatever the model."""

import dataclasses

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.experiments.autoregressive.config import AutoregressiveConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocoderConfig(AutoregressiveConfig):
    """Log-mel features in, waveform out; each family narrows `model`."""

    name: str = "vocoder"
    spec: FeatureSpec

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.is_conditioned:
            raise ValueError(
                f"{self.name} reads no features, and a vocoder does: give its model a frame network and an upsampler, "
                "or train a preset that babbles (babble-16k)"
            )
