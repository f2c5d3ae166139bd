"""Reference points on the scale of every judge: recordings degraded in reproducible ways.

An anchor is made from the same utterances that a model is judged on, so a judge that is wrong by half a point on a
corpus is wrong by half a point on the anchors too.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.audio.companding import SampleCoding
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.filterbanks import high_pass_taps
from wavejax.evaluation.pitch import load_world
from wavejax.extras import require_extra

CODINGS: dict[str, SampleCoding] = {
    f"mu-law-{bits}{'-emphasis' if emphasis else ''}": SampleCoding(num_classes=2**bits, pre_emphasis=emphasis)
    for emphasis in (0.0, 0.85)
    for bits in (8, 9, 10)
}
"""Ceilings: the sound of a model that predicts these classes perfectly."""

PROCESSED = ("griffin-lim", "world", "low-pass-4k")
ANCHORS = ("original", *CODINGS, *PROCESSED)
DEFAULT_ANCHORS = ("original", "mu-law-8", "griffin-lim", "world")


def make_anchor(
    name: str, waveform: Float[np.ndarray, " time"], spec: FeatureSpec, mel: Float[np.ndarray, "frame band"]
) -> Float[np.ndarray, " time"]:
    """The anchor with this name in `ANCHORS`, as long as `waveform` (at `spec.sample_rate`, with the features `mel`).

    Raises KeyError listing the names; MissingExtra if the anchor needs librosa or pyworld.
    """
    if name == "original":
        return waveform
    if name in CODINGS:
        return recode(waveform, CODINGS[name])
    if name == "griffin-lim":
        return griffin_lim(mel, spec, len(waveform))
    if name == "world":
        return world_resynthesis(waveform, spec.sample_rate)
    if name == "low-pass-4k":
        return low_pass(waveform, spec.sample_rate, 4000.0)
    raise KeyError(f"there is no anchor {name!r}; choose from {', '.join(ANCHORS)}")


def recode(waveform: Float[np.ndarray, " time"], coding: SampleCoding) -> Float[np.ndarray, " time"]:
    """The waveform encoded and decoded by `coding`, float32 [T]: the ceiling of a model that predicts these classes."""
    from scipy.signal import lfilter

    signal = np.asarray(waveform, np.float64) * coding.gain
    signal = lfilter([1.0, -coding.pre_emphasis], [1.0], signal)
    if coding.is_discrete:
        classes = np.searchsorted(coding.edges, np.clip(signal, -1.0, 1.0).astype(np.float32), side="right")
        signal = coding.levels[classes].astype(np.float64)
    else:
        signal = np.clip(signal, -1.0, 1.0)
    return (lfilter([1.0], [1.0, -coding.pre_emphasis], signal) / coding.gain).astype(np.float32)


def griffin_lim(
    mel: Float[np.ndarray, "frame band"], spec: FeatureSpec, num_samples: int, num_iterations: int = 60
) -> Float[np.ndarray, " num_samples"]:
    """The waveform of log-mel features by phase reconstruction, float32: the result without learning for the same mel.

    Magnitudes by non-negative least squares; fast Griffin-Lim (Perraudin et al. 2013) with random initial phases from a
    fixed seed. Raises MissingExtra without librosa.
    """
    from scipy.signal import lfilter

    librosa = require_extra("librosa", "eval", "Griffin-Lim")
    filters = spec.filterbank.astype(np.float64).T
    magnitude = librosa.util.nnls(filters, spec.expand(mel).T) ** (1.0 / spec.power)
    # librosa centres frame f on f hops, the spec frame_centre samples later: add frames at the start, then cut.
    ahead = -(-max(spec.frame_centre, 0) // spec.hop_length)
    magnitude = np.concatenate([magnitude[:, :1]] * ahead + [magnitude], axis=1)
    sound = librosa.griffinlim(
        magnitude,
        n_iter=num_iterations,
        hop_length=spec.hop_length,
        n_fft=spec.n_fft,
        window=spec.frame_window,
        **random_phases(librosa.griffinlim),
    )
    offset = ahead * spec.hop_length - spec.frame_centre
    sound = lfilter([1.0], [1.0, -spec.pre_emphasis], sound[offset : offset + num_samples])
    return np.pad(sound, (0, num_samples - len(sound))).astype(np.float32)


def random_phases(reconstruct: Callable[..., Any]) -> dict[str, np.random.Generator]:
    """The argument that seeds the initial phases: the phases are the same under every version of librosa.

    librosa 1.0 has renamed the argument, and draws other phases from the same integer seed.
    """
    bits = np.random.MT19937()
    state: Any = np.random.RandomState(0).get_state(legacy=False)
    bits.state = state
    name = "rng" if "rng" in inspect.signature(reconstruct).parameters else "random_state"
    return {name: np.random.Generator(bits)}


def world_resynthesis(waveform: Float[np.ndarray, " time"], sample_rate: int) -> Float[np.ndarray, " time"]:
    """The waveform after WORLD's analysis and synthesis (Morise et al. 2016), float32 [T].

    WORLD uses more than a mel: the waveform's own F0 (Harvest) and aperiodicity. Raises MissingExtra without pyworld.
    """
    world = load_world()
    samples = np.ascontiguousarray(waveform, np.float64)
    f0, times = world.harvest(samples, sample_rate)
    envelope = world.cheaptrick(samples, f0, times, sample_rate)
    aperiodicity = world.d4c(samples, f0, times, sample_rate)
    sound = world.synthesize(f0, envelope, aperiodicity, sample_rate)[: len(samples)]
    return np.pad(sound, (0, len(samples) - len(sound))).astype(np.float32)


def low_pass(waveform: Float[np.ndarray, " time"], sample_rate: int, cutoff: float) -> Float[np.ndarray, " time"]:
    """The waveform without frequencies above `cutoff` Hz (linear phase, no delay), float32 [T]."""
    taps = -high_pass_taps(sample_rate, cutoff)
    taps[len(taps) // 2] += 1.0
    half = len(taps) // 2
    return np.convolve(np.asarray(waveform, np.float64), taps)[half : half + len(waveform)].astype(np.float32)
