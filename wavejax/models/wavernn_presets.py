"""WaveRNN presets: the networks of the public checkpoints, and ours."""

import dataclasses
import math

from wavejax.audio.companding import SampleCoding
from wavejax.distributions import Categorical, LogisticMixture
from wavejax.models.wavernn import PairConfig, TwoLayerConfig, WaveRNNConfig

_FATCHORD = WaveRNNConfig(
    network=TwoLayerConfig(),
    coding=SampleCoding(kind="mu_law", num_classes=512, convention="torchaudio"),
    distribution=Categorical(num_classes=512),
    receptive_field=1,
)

PRESETS: dict[str, WaveRNNConfig] = {
    # Ours, the features and the coding of WaveNet's speech-16k: half a recurrent step for each sample.
    "wavernn-16k": WaveRNNConfig(),
    # The same arithmetic with the four gates of an LSTM.
    "wavernn-16k-lstm": WaveRNNConfig(network=PairConfig(cell="lstm", hidden_channels=224)),
    # fatchord/WaveRNN, hparams.py: voc_mode 'RAW' with 9 bits and mu-law, and 'MOL' with 16 bits.
    "fatchord-wavernn-9bit": _FATCHORD,
    "fatchord-wavernn-mol": dataclasses.replace(
        _FATCHORD,
        coding=SampleCoding(kind="continuous", num_classes=65536),
        distribution=LogisticMixture(num_mixtures=10, num_classes=65536, log_scale_min=math.log(1e-14)),
    ),
    # torchaudio's WaveRNN as its checkpoint wavernn_10k_epochs_8bits_ljspeech has it.
    "torchaudio-wavernn-8bit": dataclasses.replace(
        _FATCHORD,
        coding=SampleCoding(kind="mu_law", num_classes=256, convention="torchaudio"),
        distribution=Categorical(num_classes=256),
    ),
}


def get_preset(name: str) -> WaveRNNConfig:
    """The configuration called `name`; an unknown name lists those that exist."""
    if name not in PRESETS:
        raise KeyError(f"no WaveRNN preset is called {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
