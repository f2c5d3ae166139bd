"""What a model of samples shows while it trains: its sound and the recording, each with its spectrogram."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.evaluation.pictures import spectrogram_image
from wavejax.experiments.family import Exhibit


def beside_the_recording(
    made: Float[np.ndarray, " time"], original: Float[np.ndarray, " time"], sample_rate: int, shown: FeatureSpec
) -> Iterator[Exhibit]:
    """Free-running sound at every step, the recording once; `shown` is the spec of the spectrograms."""
    for name, waveform in (("free_running", made), ("original", original)):
        yield Exhibit(
            name=name,
            waveform=waveform,
            sample_rate=sample_rate,
            image=spectrogram_image(waveform, shown),
            constant=name == "original",
        )
