"""Features of a recording, as a recogniser reads them."""

import numpy as np
from jaxtyping import Float, Num

from wavejax.audio.cepstra import CepstralSpec, cepstra_numpy
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.host_features import log_mel_numpy


def features_of(
    waveform: Num[np.ndarray, " time"], spec: FeatureSpec | CepstralSpec
) -> Float[np.ndarray, "frames channels"]:
    """float32 [F, C]; of a waveform that is shorter than a frame none, [0, C]."""
    if spec.num_frames(len(waveform)) < 1:
        return np.zeros((0, spec.num_channels), np.float32)
    return log_mel_numpy(waveform, spec) if isinstance(spec, FeatureSpec) else cepstra_numpy(waveform, spec)
