"""Audio: files, resampling, levels, companding, filters, spectra and features.

Names are imported on first use, so that worker processes can use the numpy side (files, specs, `log_mel_numpy`) without
jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavejax.audio.companding import SampleCoding as SampleCoding
    from wavejax.audio.companding import dequantize as dequantize
    from wavejax.audio.companding import mu_law_decode as mu_law_decode
    from wavejax.audio.companding import mu_law_encode as mu_law_encode
    from wavejax.audio.companding import quantize as quantize
    from wavejax.audio.conversion import SpecMismatch as SpecMismatch
    from wavejax.audio.conversion import convert_features as convert_features
    from wavejax.audio.conversion import orient_features as orient_features
    from wavejax.audio.feature_spec import FeatureSpec as FeatureSpec
    from wavejax.audio.features import log_mel as log_mel
    from wavejax.audio.files import AUDIO_SUFFIXES as AUDIO_SUFFIXES
    from wavejax.audio.files import AudioError as AudioError
    from wavejax.audio.files import read_audio as read_audio
    from wavejax.audio.files import write_audio as write_audio
    from wavejax.audio.filterbanks import mel_filterbank as mel_filterbank
    from wavejax.audio.filters import de_emphasis as de_emphasis
    from wavejax.audio.filters import high_pass as high_pass
    from wavejax.audio.filters import pre_emphasis as pre_emphasis
    from wavejax.audio.host_features import log_mel_numpy as log_mel_numpy
    from wavejax.audio.levels import frame_levels_db as frame_levels_db
    from wavejax.audio.levels import loudness as loudness
    from wavejax.audio.levels import loudness_normalize as loudness_normalize
    from wavejax.audio.levels import peak_normalize as peak_normalize
    from wavejax.audio.levels import trim_silence as trim_silence
    from wavejax.audio.resampling import resample as resample
    from wavejax.audio.specs import SPECS as SPECS
    from wavejax.audio.specs import get_spec as get_spec
    from wavejax.audio.spectral import stft as stft

_HOMES = {
    "companding": ("SampleCoding", "dequantize", "mu_law_decode", "mu_law_encode", "quantize"),
    "conversion": ("SpecMismatch", "convert_features", "orient_features"),
    "features": ("log_mel",),
    "files": ("AUDIO_SUFFIXES", "AudioError", "read_audio", "write_audio"),
    "filterbanks": ("mel_filterbank",),
    "filters": ("de_emphasis", "high_pass", "pre_emphasis"),
    "host_features": ("log_mel_numpy",),
    "levels": ("frame_levels_db", "loudness", "loudness_normalize", "peak_normalize", "trim_silence"),
    "resampling": ("resample",),
    "feature_spec": ("FeatureSpec",),
    "spectral": ("stft",),
    "specs": ("SPECS", "get_spec"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
