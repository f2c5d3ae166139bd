"""Log-mel features of waveforms in JAX; also re-exports specs, the numpy version, conversion and orientation."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Num

from wavejax.audio import filters, spectral
from wavejax.audio.conversion import SpecMismatch, convert_features, orient_features
from wavejax.audio.feature_spec import LOG_FACTORS, FeatureSpec, check_length
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.orientation import frames_first
from wavejax.audio.signals import as_signal
from wavejax.audio.specs import SPECS, get_spec

__all__ = [
    "SPECS",
    "FeatureSpec",
    "SpecMismatch",
    "convert_features",
    "get_spec",
    "log_mel",
    "log_mel_numpy",
    "mel_magnitudes",
    "orient_features",
]


def log_mel(waveform: Num[ArrayLike, "*batch time"], spec: FeatureSpec) -> Float[Array, "*batch frame band"]:
    """float32 features [..., F, n_mels] of a waveform in [-1, 1] at spec.sample_rate, F = spec.num_frames(T).

    Frame f is centred on sample spec.frame_centre + f * spec.hop_length. jit-safe (spec static), differentiable with a
    finite gradient on silence. int16 is read as x / 32768. Raises ValueError if the waveform is too short for one
    frame, has another dtype, or (only for arrays in host memory) is far outside [-1, 1].

    Everything is float32, whose rounding is relative to the loudest bin of a frame. Compared with float64, the
    logarithm is off by 1e-6 on broadband sound, and by up to 3e-4 in a band at the floor, 100 dB below the loudest.
    """
    mel = jnp.maximum(mel_magnitudes(waveform, spec), jnp.float32(spec.floor))
    log = jnp.log(mel) * jnp.float32(LOG_FACTORS[spec.log_base])
    features = log * _per_band(spec.scale, log) + _per_band(spec.offset, log)
    return frames_first(features if spec.clip is None else jnp.clip(features, *spec.clip))


def mel_magnitudes(waveform: Num[ArrayLike, "*batch time"], spec: FeatureSpec) -> Float[Array, "*batch frame band"]:
    """Linear mel values [..., F, n_mels] >= 0, before floor and logarithm. Otherwise like `log_mel`."""
    signal = as_signal(waveform)
    num_samples = signal.shape[-1]
    check_length(num_samples, spec)
    if spec.high_pass:
        signal = filters.high_pass(signal, spec.sample_rate, spec.high_pass)
    if spec.pre_emphasis:
        signal = filters.pre_emphasis(signal, spec.pre_emphasis)
    spectrum = spectral.stft(
        signal,
        window=spec.frame_window,
        hop_length=spec.hop_length,
        pad_left=spec.pad_left,
        pad_right=spec.pad_right(num_samples),
        pad_mode=spec.pad_mode,
    )
    magnitude = spectral.magnitudes(spectrum, spec.power, spec.magnitude_epsilon)
    return spectral.mel_spectrum(magnitude, jnp.asarray(spec.filterbank))


def _per_band(value: float | tuple[float, ...], like: jax.Array) -> jax.Array:
    return jnp.broadcast_to(jnp.asarray(value, jnp.float32), like.shape)
