"""A trained babbler: sound from noise, or from a speaker's id alone."""

import dataclasses
from typing import Any, ClassVar, SupportsIndex

import numpy as np
from jaxtyping import Float

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.experiments.autoregressive.config import AutoregressiveConfig
from wavejax.experiments.autoregressive.product import SampleModel
from wavejax.models.wavenet import WaveNetConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class BabblerConfig(AutoregressiveConfig):
    """Waveform out, from nothing or from a speaker's id, by a WaveNet."""

    family: ClassVar[str] = "babbler"

    name: str = "babbler"
    model: WaveNetConfig
    spec: FeatureSpec
    """Gives the sample rate and how crops are cut; its features are not read."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_conditioned:
            raise ValueError(
                f"{self.name} reads features, and a babbler reads none: leave its frame_network and upsampler out, or "
                "train a preset of a vocoder (speech-16k)"
            )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Babbler(SampleModel[BabblerConfig]):
    """A model that makes sound without being told what. `babbler(3.0, speaker="june")` makes three seconds."""

    kind: ClassVar[str] = "babbler"

    def __call__(
        self,
        seconds: float = 3.0,
        *,
        seed: SupportsIndex = 0,
        speaker: str | SupportsIndex | None = None,
        **options: Any,
    ) -> Float[np.ndarray, " time"]:
        """A waveform float32 [T] that lasts `seconds`.

        Args:
            seconds: length; `num_samples` among the options says it exactly.
            seed: of the noise.
            speaker: name or id, for a model of several speakers.
            options: of `wavejax.generate`: temperature (default: `config.temperature`), prompt, dtype, ...

        Raises:
            ExperimentError: a speaker that does not fit; ValueError: seconds that are not positive.
        """
        if not 0.0 < seconds < float("inf"):
            raise ValueError(f"seconds must be a number above 0, got {seconds}")
        length = options.pop("num_samples", max(round(seconds * self.sample_rate), 1))
        return self.generate(num_samples=length, seed=seed, **self.speaker_conditioning(speaker), **options)[0]
