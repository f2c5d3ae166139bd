"""The separate channels of a recording, before they are averaged to one."""

import os

import numpy as np
from jaxtyping import Float

_BLOCK = 2**16


def channel_peaks(path: str | os.PathLike[str]) -> Float[np.ndarray, " channels"]:
    """The largest magnitude in each channel of a file, which is read block by block. Raises soundfile's OSError or
    RuntimeError."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        peaks = np.zeros(file.channels)
        for block in file.blocks(_BLOCK, dtype="float32", always_2d=True):
            peaks = np.maximum(peaks, np.abs(block).max(axis=0, initial=0.0))
    return peaks
