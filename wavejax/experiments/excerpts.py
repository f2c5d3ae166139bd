"""Beginnings of recordings that a model is judged on, and whether its own sound is like them."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.data import Corpus
from wavejax.evaluation import log_mel_distance
from wavejax.evaluation.findings import Finding
from wavejax.experiments.sound import SoundModel

LEVEL_DB = 6.0
"""A difference in level that nobody overhears."""


class Excerpts(NamedTuple):
    """Beginnings of recordings, equally long, with what the model needs to hear them."""

    names: tuple[str, ...]
    waveform: Float[np.ndarray, "batch time"]
    frames: Float[np.ndarray, "batch frames channels"] | None
    speaker: Int[np.ndarray, " batch"] | None


def held_out_excerpts(
    product: SoundModel[Any], corpus: Corpus, split: str = "validation", *, seconds: float = 2.0, count: int = 3
) -> Excerpts:
    """The beginnings of the `count` longest recordings of a split, cut to `seconds` or to the shortest of them."""
    spec, utterances = product.config.spec, [corpus.utterance(position) for position in corpus.indices(split)]
    chosen = sorted(utterances, key=lambda utterance: -len(utterance.waveform))[:count]
    frames = min(max(round(seconds * spec.frame_rate), 1), *(len(u.waveform) // spec.hop_length for u in chosen))
    frames = min(frames, *(len(u.frames) for u in chosen))
    if frames < 1:
        raise ValueError(f"the recordings of the split {split!r} are shorter than one frame: none can be judged")
    waveform = np.stack([u.waveform[: frames * spec.hop_length] for u in chosen])
    given = np.stack([u.frames[:frames] for u in chosen]) if product.is_conditioned else None
    speaker = np.asarray([u.speaker for u in chosen], np.int32) if product.config.model.num_speakers else None
    return Excerpts(tuple(u.id for u in chosen), waveform, given, speaker)


def check_sound(
    excerpts: Excerpts, spoken: Float[np.ndarray, "batch time"], spec: FeatureSpec, whose: str = "free-running audio"
) -> list[Finding]:
    """Level and spectrum of generated audio against the recordings whose features it was given."""
    level = _level_db(spoken) - _level_db(excerpts.waveform)
    words = f"{whose} is {abs(level):.1f} dB {'louder' if level > 0 else 'quieter'} than the recordings"
    findings = [Finding(check="level", verdict="bad" if abs(level) > LEVEL_DB else "good", words=words)]
    if len(excerpts.names) > 1:
        pairs = zip(excerpts.waveform, spoken, strict=True)
        others = zip(excerpts.waveform, np.roll(excerpts.waveform, 1, axis=0), strict=True)
        own, apart = (np.mean([log_mel_distance(a, b, spec) for a, b in each]) for each in (pairs, others))
        words = f"its spectrum is {own:.1f} dB from theirs; different recordings are {apart:.1f} dB from each other"
        if not own < 0.8 * apart:
            words += ": it does not follow its features. Train longer"
        findings.append(Finding(check="spectrum", verdict="good" if own < 0.8 * apart else "bad", words=words))
    return findings


def _level_db(waveform: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean(np.square(waveform, dtype=np.float64)) + 1e-12))
