"""A trained model that makes sound: what people's commands and drivers need of it, whatever makes it."""

import dataclasses
import operator
from collections.abc import Iterator
from typing import Any, SupportsIndex, TypeVar

import numpy as np
from jaxtyping import Float

from wavejax.experiments.config import SoundConfig
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.product import Product
from wavejax.generation import generate, stream

C_co = TypeVar("C_co", bound=SoundConfig, covariant=True)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SoundModel(Product[C_co]):
    """What the products have in common that make sound.

    Their configuration has a `spec`, a `temperature` of the draws where none is asked for, and a `model` whose
    `build()` gives an `AutoregressiveModel` or a `ParallelModel`, with `num_speakers`.
    """

    @property
    def model(self) -> Any:
        """The linen module."""
        return self.config.model.build()

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.config.spec.sample_rate)

    @property
    def is_conditioned(self) -> bool:
        """Whether it reads frames."""
        return self.config.is_conditioned

    def speaker_id(self, speaker: str | SupportsIndex | None) -> int | None:
        """The id of a speaker given by name or id; None for a model without speakers.

        Raises ExperimentError where one is needed and not given, given and not known, or given in vain.
        """
        count = self.config.model.num_speakers
        if not count:
            if speaker is not None:
                raise ExperimentError(f"{self.config.name} knows no speakers, but speaker={speaker!r} was given")
            return None
        known = ", ".join(f"{i}: {name}" for i, name in enumerate(self.speakers)) or f"0 to {count - 1}"
        if speaker is None:
            raise ExperimentError(f"{self.config.name} speaks with several voices: give speaker, one of {known}")
        if speaker in self.speakers:
            return self.speakers.index(str(speaker))
        try:
            index = int(speaker) if isinstance(speaker, str) else operator.index(speaker)
        except (TypeError, ValueError):
            index = -1
        if not 0 <= index < count:
            raise ExperimentError(f"unknown speaker {speaker!r}; this model knows {known}")
        return index

    def speaker_conditioning(self, speaker: str | SupportsIndex | None) -> dict[str, Any]:
        """The argument of `wavejax.generate` for one stream of a speaker."""
        index = self.speaker_id(speaker)
        return {} if index is None else {"global_conditioning": np.asarray([index], np.int32)}

    def with_temperature(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of `wavejax.generate` with the product's own temperature where none is given."""
        return {"temperature": self.config.temperature, **options}

    def generate(self, **options: Any) -> Float[np.ndarray, "batch time"]:
        """`wavejax.generate` of this model: waveforms float32 [B, T]."""
        return np.asarray(generate(self.model, self.params, **self.with_temperature(options)), np.float32)

    def blocks(self, conditioning: dict[str, Any], *, seed: SupportsIndex = 0, **options: Any) -> Iterator[np.ndarray]:
        """`wavejax.stream` of one stream: its waveform in blocks [n], as they are made."""
        given = {**conditioning, **self.with_temperature(options)}
        for block in stream(self.model, self.params, seed=seed, **given):
            yield block[0]
