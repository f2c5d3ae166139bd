"""Configurations of Vocos: the published one and ours."""

from wavejax.models.vocos import HarmonicVocosConfig, VocosConfig

PRESETS: dict[str, VocosConfig | HarmonicVocosConfig] = {
    # charactr/vocos-mel-24khz, config.yaml: 13.5 million parameters; it reads the features `vocos-24k`.
    "vocos-24k": VocosConfig(),
    # Ours for speech at 16 kHz: 1.7 million parameters, 136 million multiplications for a second of sound.
    "harmonic-vocos-16k": HarmonicVocosConfig(subframes=4, pulses_without_voice=False),
    # Half of that.
    "harmonic-vocos-16k-small": HarmonicVocosConfig(
        channels=128, hidden_channels=384, num_blocks=5, subframes=4, pulses_without_voice=False
    ),
}


def get_preset(name: str) -> VocosConfig | HarmonicVocosConfig:
    """The configuration called `name`; an unknown name lists those that exist."""
    if name not in PRESETS:
        raise KeyError(f"no Vocos preset is called {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
