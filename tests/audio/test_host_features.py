"""Features of long recordings are computed part by part: the same as of the whole."""

import dataclasses

import numpy as np
import pytest

from wavejax.audio import host_features
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.specs import SPECS, get_spec

SOUND = (0.2 * np.random.default_rng(0).standard_normal(50_007)).astype(np.float32)
TACOTRON2 = get_spec("tacotron2")
FILTERED = dataclasses.replace(TACOTRON2, name="filtered", high_pass=70.0, pre_emphasis=0.97)
CHOSEN = {
    **SPECS,
    "filtered": FILTERED,
    **{
        f"{padding}, {mode}": dataclasses.replace(TACOTRON2, name="t", padding=padding, pad_mode=mode, n_fft=1030)
        for padding in ("centre", "same", "full", "none")
        for mode in ("reflect", "zero")
    },
}


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch, name: str, dtype: type) -> None:
    spec = CHOSEN[name]
    sound = SOUND if dtype is np.float32 else np.rint(32767 * SOUND.clip(-1, 1)).astype(np.int16)
    for length in (len(sound), len(sound) - 1, 64 * 2 * spec.hop_length):
        whole = log_mel_numpy(sound[:length], spec)
        with monkeypatch.context() as patch:
            patch.setattr(host_features, "_PART", 1)  # 64 frames, the least
            parts = log_mel_numpy(sound[:length], spec)
        np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=1e-6)
