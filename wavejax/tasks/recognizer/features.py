"""Features of a recording, as a recogniser reads them."""

import numpy as np
from jaxtyping import Float, Num

from wavejax.audio.cepstra import CepstralSpec, cepstra_numpy
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.host_features import log_mel_numpy

_QUIET_SECONDS = 0.2
"""Of a pause in which a long recording is cut."""


def features_of(
    waveform: Num[np.ndarray, " time"], spec: FeatureSpec | CepstralSpec
) -> Float[np.ndarray, "frames channels"]:
    """float32 [F, C]; of a waveform that is shorter than a frame none, [0, C]."""
    if spec.num_frames(len(waveform)) < 1:
        return np.zeros((0, spec.num_channels), np.float32)
    return log_mel_numpy(waveform, spec) if isinstance(spec, FeatureSpec) else cepstra_numpy(waveform, spec)


def quiet_cuts(
    features: Float[np.ndarray, "frames channels"], spec: FeatureSpec | CepstralSpec, longest: int, multiple: int = 1
) -> list[int]:
    """Where a long recording is cut: frames, in order, at the quietest place in the second half of each piece.

    Args:
        features: of the whole recording.
        spec: what they are.
        longest: frames of a piece, at most, and at least four times `multiple`.
        multiple: of which each cut is one.
    """
    if len(features) <= longest:
        return []
    levels = features.mean(axis=1) if isinstance(spec, FeatureSpec) else features[:, 0]
    width = max(1, round(_QUIET_SECONDS * spec.frame_rate))
    smooth = np.convolve(np.pad(levels, (width // 2, width - 1 - width // 2), "edge"), np.ones(width) / width, "valid")
    cuts, start = list[int](), 0
    while len(features) - start > longest:
        first = start + longest // 2
        quietest = first + int(np.argmin(smooth[first : start + longest]))
        start = quietest // multiple * multiple
        cuts.append(start)
    return cuts
