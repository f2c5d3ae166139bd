"""Conversion of features from one spec to another: exact unless the caller allows losses. No jax here."""

import bisect
import dataclasses

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.notes import NoteSpec
from wavejax.audio.orientation import Axes, axes_of, frames_first
from wavejax.audio.waveforms import is_floating

# These define what each frame and band represents: they can never be converted.
_NEVER = ("sample_rate", "hop_length", "n_mels", "f_min", "f_max", "mel_scale")
# These are compensated approximately if the caller allows it.
_LOSSY = ("n_fft", "win_length", "window", "padding", "pad_mode", "mel_norm", "power", "magnitude_epsilon")
_LOSSY_UNCOMPENSATED = ("pre_emphasis", "high_pass")


class SpecMismatch(ValueError):
    """Features of one spec cannot be used as features of another; the message prints both."""

    def __init__(self, reason: str, source: FeatureSpec | NoteSpec, target: FeatureSpec | NoteSpec) -> None:
        self.source, self.target = source, target
        super().__init__(f"{reason}\n{describe_difference(source, target)}")


def describe_difference(source: FeatureSpec | NoteSpec, target: FeatureSpec | NoteSpec) -> str:
    """A table of both specs, one field per line: differing fields are marked with *, absent fields are shown as -."""
    lines = [f"  {'field':<18} {'source':<24} target"]
    names = dict.fromkeys(field.name for spec in (source, target) for field in dataclasses.fields(spec))
    for name in names:
        ours, theirs = (getattr(spec, name, "-") for spec in (source, target))
        mark = "*" if ours != theirs else " "
        lines.append(f"{mark} {name:<18} {_brief(ours):<24} {_brief(theirs)}")
    return "\n".join(lines)


def convert_features(
    mel: ArrayLike, source: FeatureSpec, target: FeatureSpec, allow_lossy: bool = False
) -> Float[np.ndarray, "*batch frame band"]:
    """float32 features of ``target`` made from features of ``source`` ([..., F, n_mels]; numpy).

    Exact, to rounding, if the specs differ only in log base, scale and offset, or if the target's floor is higher (it
    is applied to linear mel values). A lower floor, another clipping range, another padding or analysis raises
    SpecMismatch, which prints both specs. ``allow_lossy=True`` approximates those: levels are corrected by the response
    to white noise (n_fft, window, mel norm, power), and frames are shifted to the target's centres by linear
    interpolation. Values removed by a floor or clip are not restored; pre-emphasis and high-pass are left unchanged.
    Sample rate, hop and mel bands are never converted.
    """
    features = np.asarray(mel, np.float64)
    if features.ndim < 2 or features.shape[-1] != source.n_mels or features.shape[-2] == 0:
        raise ValueError(
            f"features have shape {features.shape}; spec {source.name!r} has [..., frames >= 1, {source.n_mels}]. "
            "See orient_features for [bands, frames]."
        )
    impossible = [name for name in _NEVER if _resolved(source, name) != _resolved(target, name)]
    if impossible:
        raise SpecMismatch(
            f"Features of {source.name!r} cannot become features of {target.name!r}: {', '.join(impossible)} differ, "
            "which no conversion repairs. Compute features of the audio with the target spec.",
            source,
            target,
        )
    losses = _losses(source, target)
    if losses and not allow_lossy:
        raise SpecMismatch(
            f"Features of {source.name!r} do not convert exactly to {target.name!r}: {'; '.join(losses)}. Compute "
            "features of the audio with the target spec, or pass allow_lossy=True to accept an approximation.",
            source,
            target,
        )
    linear = source.expand(features)
    if losses:
        linear = _approximate(linear, source, target)
    return frames_first(target.compress(linear).astype(np.float32))


def orient_features(mel: ArrayLike, spec: FeatureSpec, axes: Axes | None = None) -> Float[np.ndarray, "frame band"]:
    """float32 features [F, n_mels] from either [F, n_mels] or [n_mels, F] (a leading axis of 1 is dropped).

    ``axes`` says which of the two it is. Without it the shape decides; for a square array the origin decides, because
    the axes of wavejax's own features, and of slices of them, are known. Raises ValueError naming the shape if the
    array is square and from elsewhere, if the band axis does not have n_mels entries, if there is no frame, or if a
    value is not finite.
    """
    axes = axes or axes_of(mel)
    features = np.asarray(mel)
    shape = features.shape
    if features.ndim == 3 and shape[0] == 1:
        features = features[0]
    if features.ndim != 2:
        raise ValueError(f"features have shape {shape}; expected [frames, {spec.n_mels}] or [{spec.n_mels}, frames].")
    if not is_floating(features.dtype):
        raise ValueError(f"features have dtype {features.dtype}; expected floating point log-mel values.")
    by_frames, by_bands = features.shape[1] == spec.n_mels, features.shape[0] == spec.n_mels
    if by_frames and by_bands and axes is None:
        raise ValueError(
            f"features have shape {shape}: both axes have {spec.n_mels} entries, so frames and bands cannot be told "
            "apart. Say which come first: axes='frames-first' or axes='bands-first' (--axes on the command line)."
        )
    by_frames, by_bands = by_frames and axes != "bands-first", by_bands and axes != "frames-first"
    if not by_frames and not by_bands:
        raise ValueError(
            f"features have shape {shape}; spec {spec.name!r} has {spec.n_mels} mel bands on one axis: "
            f"[frames, {spec.n_mels}] or [{spec.n_mels}, frames]. Were they made with another spec"
            + ("?" if axes is None else f", or are they not {axes}?")
        )
    oriented = features if by_frames else features.T
    if oriented.shape[0] == 0:
        raise ValueError(f"features have shape {shape}: no frames. Expected at least one.")
    oriented = np.ascontiguousarray(oriented, np.float32)
    bad = np.argwhere(~np.isfinite(oriented))
    if len(bad):
        raise ValueError(f"features hold {len(bad)} values that are not finite, the first in frame {bad[0][0]}.")
    return oriented


def _losses(source: FeatureSpec, target: FeatureSpec) -> list[str]:
    changed = [n for n in (*_LOSSY, *_LOSSY_UNCOMPENSATED) if _resolved(source, n) != _resolved(target, n)]
    losses = [f"{', '.join(changed)} differ"] if changed else []
    low_source, low_target = _smallest(source), _smallest(target)
    if np.any(low_target < low_source * (1 - 1e-6)):
        losses.append(f"the target's floor ({np.min(low_target):.3g}) is below the source's ({np.max(low_source):.3g})")
    if not _clips_alike(source, target):
        losses.append(f"clipping differs ({source.clip} against {target.clip}, in units of each)")
    return losses


def _smallest(spec: FeatureSpec) -> np.ndarray:
    """Smallest linear mel value that each band can represent, [n_mels]."""
    lowest = np.full(spec.n_mels, -np.inf if spec.clip is None else spec.clip[0])
    return np.maximum(spec.floor, spec.expand(lowest))


def _clips_alike(source: FeatureSpec, target: FeatureSpec) -> bool:
    if source.clip is None or target.clip is None:
        return source.clip is target.clip
    limits = [
        [spec.expand(np.full(spec.n_mels, limit)) for limit in spec.clip] for spec in (source, target) if spec.clip
    ]
    return bool(np.allclose(limits[0], limits[1], rtol=1e-6, atol=0.0))


def _approximate(linear: np.ndarray, source: FeatureSpec, target: FeatureSpec) -> np.ndarray:
    if source.power != target.power:
        linear = linear ** (target.power / source.power)
    linear = linear * (_noise_response(target) / _noise_response(source, target.power))
    return _shift_frames(linear, source, target)


def _noise_response(spec: FeatureSpec, power: int | None = None) -> np.ndarray:
    """Each band's response to white noise, up to a factor common to all specs; 1 for bands without an FFT bin."""
    power = power or spec.power
    level = np.sum(spec.frame_window**2) ** (power / 2)
    response = np.sum(spec.filterbank.astype(np.float64), axis=0) ** (power / spec.power) * level
    return np.where(response > 0, response, 1.0)


def _shift_frames(linear: np.ndarray, source: FeatureSpec, target: FeatureSpec) -> np.ndarray:
    """Frames at the target's centres, interpolated between the source's; the outermost frame is repeated."""
    num_source = linear.shape[-2]
    longest = range((num_source + 2) * source.hop_length + source.n_fft)
    num_samples = bisect.bisect_left(longest, num_source, key=source.num_frames)
    num_target = target.num_frames(num_samples)
    shift = (target.frame_centre - source.frame_centre) / source.hop_length
    position = np.clip(np.arange(num_target) + shift, 0, num_source - 1)
    before = np.minimum(position.astype(np.int64), max(0, num_source - 2))
    after = np.minimum(before + 1, num_source - 1)
    fraction = (position - before)[:, None]
    return linear[..., before, :] * (1 - fraction) + linear[..., after, :] * fraction


def _resolved(spec: FeatureSpec, field: str) -> object:
    """The field's value with the default upper frequency written out."""
    value = getattr(spec, field)
    return spec.sample_rate / 2 if field == "f_max" and value is None else value


def _brief(value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    if isinstance(value, tuple) and len(value) > 2:
        return f"{len(value)} values in [{min(value):.3g}, {max(value):.3g}]"
    return type(value).__name__ if dataclasses.is_dataclass(value) else str(value)
