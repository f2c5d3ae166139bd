"""Models: one file each, read top to bottom beside its paper."""

from wavejax.models.wavenet import PRESETS, WaveNet, WaveNetConfig, get_preset

__all__ = ["PRESETS", "WaveNet", "WaveNetConfig", "get_preset"]
