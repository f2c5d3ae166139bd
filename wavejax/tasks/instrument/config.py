"""What an instrument's experiment states."""

import dataclasses
from typing import ClassVar

from wavejax.audio.notes import NoteSpec
from wavejax.experiments.autoregressive.config import AutoregressiveConfig
from wavejax.models.wavenet import WaveNetConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstrumentConfig(AutoregressiveConfig):
    """Notes in, waveform out, by a WaveNet that reads which note sounds since when."""

    family: ClassVar[str] = "instrument"

    name: str = "instrument"
    model: WaveNetConfig
    spec: NoteSpec

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.is_conditioned:
            raise ValueError(f"{self.name} reads no frames, and an instrument reads those of notes: set frame_network")
