"""Mel-frequency cepstral coefficients as TensorFlow's `audio_spectrogram` and `mfcc` compute them, in numpy.

Mozilla's DeepSpeech 0.9.3 reads these (`samples_to_mfccs` of its training code): magnitudes of Hann-windowed frames, 40
triangular mel bands of 1127 ln(1 + f / 700), the logarithm, and the first 26 coefficients of a cosine transform. Facts:
tensorflow/core/kernels/mfcc_mel_filterbank.cc, mfcc_dct.cc and spectrogram.cc.
"""

import dataclasses
import functools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from wavejax.audio.waveforms import check_waveform

_FLOOR = 1e-12
"""Of a band, before the logarithm."""
_BLOCK = 256
"""Frames transformed at a time."""


@dataclass(frozen=True, kw_only=True)
class CepstralSpec:
    """A complete description of cepstral features. Frames begin at multiples of the hop; none is padded.

    name: the spec's name; it is ignored when specs are compared. sample_rate, f_min, f_max: Hz. win_length, hop_length:
    samples; the transform's size is the next power of two. n_mels: bands. n_cepstra: coefficients of a frame.
    """

    name: str = dataclasses.field(compare=False)
    sample_rate: int = 16000
    win_length: int = 512
    hop_length: int = 320
    n_mels: int = 40
    n_cepstra: int = 26
    f_min: float = 20.0
    f_max: float = 8000.0

    def __post_init__(self) -> None:
        for field in ("sample_rate", "win_length", "hop_length", "n_mels", "n_cepstra"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} of spec {self.name!r} is {getattr(self, field)}; expected 1 or more.")
        if self.n_cepstra > self.n_mels:
            raise ValueError(
                f"n_cepstra {self.n_cepstra} of spec {self.name!r} exceeds its {self.n_mels} mel bands: raise n_mels."
            )
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"mel bands of spec {self.name!r} run from {self.f_min} to {self.f_max} Hz; expected 0 <= f_min < "
                f"f_max <= {self.sample_rate / 2} Hz (half the sample rate)."
            )

    @property
    def num_channels(self) -> int:
        """Channels of a frame: its coefficients."""
        return self.n_cepstra

    @property
    def n_fft(self) -> int:
        """Samples of the transform."""
        return 1 << (self.win_length - 1).bit_length()

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def frame_centre(self) -> int:
        """The sample on which frame 0 is centred."""
        return self.win_length // 2

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform: those that it fills; 0 if it is too short for one."""
        return max(0, 1 + (num_samples - self.win_length) // self.hop_length)


def cepstra_numpy(waveform: Num[np.ndarray, " time"], spec: CepstralSpec) -> Float[np.ndarray, "frame coefficient"]:
    """float32 coefficients [F, n_cepstra] of one waveform [T], floating point in [-1, 1] or int16.

    Raises ValueError where it is neither (see `check_waveform`), not one-dimensional, or too short for one frame.
    """
    signal = check_waveform(waveform)
    if signal.ndim != 1:
        raise ValueError(f"waveform has shape {signal.shape}; expected one channel, [T].")
    count = spec.num_frames(len(signal))
    if not count:
        raise ValueError(
            f"a waveform of {len(signal)} samples has no frame of spec {spec.name!r}; it needs at least "
            f"{spec.win_length} samples. Skip it or pad it."
        )
    scale = 1.0 / 32768.0 if signal.dtype == np.int16 else 1.0
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(spec.win_length) / spec.win_length)
    frames = np.lib.stride_tricks.sliding_window_view(signal, spec.win_length)[:: spec.hop_length][:count]
    bands, transform = _filterbank(spec), _cosines(spec)
    found = np.empty((count, spec.n_cepstra), np.float32)
    for first in range(0, count, _BLOCK):
        part = frames[first : first + _BLOCK].astype(np.float64) * (window * scale)
        mel = np.abs(np.fft.rfft(part, spec.n_fft)) @ bands
        found[first : first + _BLOCK] = np.log(np.maximum(mel, _FLOOR)) @ transform
    return found


def _mel(hertz: Num[np.ndarray, "*shape"] | float) -> np.ndarray:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0))


@functools.lru_cache(maxsize=4)
def _filterbank(spec: CepstralSpec) -> Float[np.ndarray, "bin band"]:
    """Triangles that meet at their neighbours' centres; a bin's weights on two bands sum to 1."""
    bins = spec.n_fft // 2 + 1
    width = 0.5 * spec.sample_rate / (bins - 1)
    edges = np.linspace(_mel(spec.f_min), _mel(spec.f_max), spec.n_mels + 2)
    mels = _mel(np.arange(bins) * width)
    rising = (mels[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])[None]
    falling = (edges[None, 2:] - mels[:, None]) / (edges[2:] - edges[1:-1])[None]
    weights = np.maximum(np.minimum(rising, falling), 0.0)
    number = np.arange(bins)
    outside = (number < int(1.5 + spec.f_min / width)) | (number > int(spec.f_max / width))
    return np.where(outside[:, None], 0.0, weights)


@functools.lru_cache(maxsize=4)
def _cosines(spec: CepstralSpec) -> Float[np.ndarray, "band coefficient"]:
    """The cosine transform (DCT-II), with the factor sqrt(2 / bands) for every coefficient."""
    place = np.arange(spec.n_mels)[:, None] + 0.5
    return math.sqrt(2.0 / spec.n_mels) * np.cos(math.pi / spec.n_mels * np.arange(spec.n_cepstra)[None] * place)


DEEP_SPEECH = CepstralSpec(name="deep-speech")
"""What Mozilla's DeepSpeech reads: frames of 32 ms, 20 ms apart."""


__all__ = ["DEEP_SPEECH", "CepstralSpec", "cepstra_numpy"]
