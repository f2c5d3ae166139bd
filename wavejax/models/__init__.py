"""Models: one file each, read top to bottom beside its paper."""

from wavejax.models.wavenet import WaveNet, WaveNetConfig
from wavejax.models.wavenet_presets import PRESETS, get_preset

__all__ = ["PRESETS", "WaveNet", "WaveNetConfig", "get_preset"]
