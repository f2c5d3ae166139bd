"""Configurations of Vocos: the published one, with the features that it reads, and ours."""

from wavejax.audio import FeatureSpec
from wavejax.models.vocos import HarmonicVocosConfig, VocosConfig

# charactr/vocos-mel-24khz: torchaudio's mel spectrogram (HTK bands, peaks of 1), magnitudes, ln of at least 1e-7.
VOCOS_24K = FeatureSpec(
    name="vocos-24k",
    sample_rate=24000,
    n_fft=1024,
    win_length=1024,
    hop_length=256,
    padding="centre",
    n_mels=100,
    mel_scale="htk",
    mel_norm="none",
    floor=1e-7,
)

PRESETS: dict[str, VocosConfig | HarmonicVocosConfig] = {
    # charactr/vocos-mel-24khz, config.yaml: 13.5 million parameters.
    "vocos-24k": VocosConfig(),
    # Ours for speech at 16 kHz: 1.5 million parameters, 130 million multiplications for a second of sound.
    "harmonic-vocos-16k": HarmonicVocosConfig(),
    # Half of that.
    "harmonic-vocos-16k-small": HarmonicVocosConfig(channels=128, hidden_channels=384, num_blocks=5),
}


def get_preset(name: str) -> VocosConfig | HarmonicVocosConfig:
    """The configuration called `name`; an unknown name lists those that exist."""
    if name not in PRESETS:
        raise KeyError(f"no Vocos preset is called {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
