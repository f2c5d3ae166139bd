"""Why is my output noise? Checks of a model that predicts the next sample, each answered in words.

Every check returns `Finding`s and prints nothing; `wavejax doctor` shows them. `diagnose` runs them in the order in
which their causes depend on each other, and stops where the later ones would mean nothing.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.distributions import Categorical
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.experiments.autoregressive.product import SampleModel
from wavejax.experiments.excerpts import Excerpts, check_sound, held_out_excerpts

AGREEMENT = 1e-3
"""Largest difference between parallel and step form that rounding explains, relative to the outputs' spread."""
DRIFT_BITS = 0.5
"""Bits per sample more than recordings cost: free-running audio beyond it is unlike anything the model knows."""
COLLAPSE_BITS = 1.5
"""Bits per sample less than recordings cost: free-running audio beyond it has fallen silent or hums."""
LISTENING_BITS = 0.02
"""A model whose bits rise by less when its features are swapped does not use them."""
UNTRAINED_SHARE = 0.85
"""A model whose bits are more than this part of a uniform guess's has learnt next to nothing."""


def diagnose(product: SampleModel[Any], excerpts: Excerpts, *, seed: int = 0) -> Iterator[Finding]:
    """Findings about a model, judged on recordings that it was not trained on (see `held_out_excerpts`)."""
    broken = check_parameters(product.params)
    yield broken
    if broken.verdict == "bad":
        return
    yield check_forms(product, excerpts)
    yield from check_likelihood(product, excerpts, seed=seed)


def check_forms(product: SampleModel[Any], excerpts: Excerpts) -> Finding:
    """The parallel form, which was trained, against the step form, which speaks, over whole excerpts."""
    values = product.encode(excerpts.waveform)
    with jax.default_matmul_precision("highest"):
        stepped = np.asarray(product.replayed(values, excerpts.frames, excerpts.speaker))
        at_once = np.stack(list(_row_by_row(product, values, excerpts)))
    difference = float(np.abs(stepped - at_once).max())
    spread = max(float(at_once.std()), 1e-6)
    length = f"{len(excerpts.names)} x {values.shape[1] / product.sample_rate:.1f} s"
    words = f"parallel and step form agree over {length}: outputs differ by at most {difference:.1e}"
    if isinstance(product.config.model.distribution, Categorical):
        gap = float(np.abs(_cumulative(stepped) - _cumulative(at_once)).max())
        words += f", cumulative probabilities by {gap:.1e}"
    if not difference <= AGREEMENT * spread:  # NaN is no agreement
        at = int(np.abs(stepped - at_once).max(axis=(0, 2)).argmax())
        words = (
            f"parallel and step form differ by {difference:.2g} (outputs spread by {spread:.2g}), most at sample {at}: "
            "generation does not run the model that was trained. Report this with the model's config"
        )
        return Finding(check="step = parallel", verdict="bad", words=words)
    return Finding(check="step = parallel", verdict="good", words=words)


def check_likelihood(product: SampleModel[Any], excerpts: Excerpts, *, seed: int = 0) -> list[Finding]:
    """What recordings cost under the model, with their own and with another's features, and what its own audio costs.

    Of a model that has learnt nothing yet, only this is said.
    """
    real = teacher_forced_bits(product, excerpts)
    findings = [_check_learnt(product, real)]
    if findings[0].verdict == "bad":
        return findings
    if excerpts.frames is not None and len(excerpts.names) > 1:
        swapped = teacher_forced_bits(product, excerpts._replace(frames=np.roll(excerpts.frames, 1, axis=0)))
        findings.append(_check_listening(real, swapped))
    conditioning = {"local_conditioning": excerpts.frames, "global_conditioning": excerpts.speaker}
    batch, length = excerpts.waveform.shape
    spoken = product.generate(num_samples=length, batch_size=batch, seed=seed, temperature=1.0, **_given(conditioning))
    findings.append(_check_free_running(product, excerpts, real, spoken))
    if isinstance(product.config.spec, FeatureSpec) and excerpts.frames is not None and findings[-1].verdict == "good":
        findings += check_sound(excerpts, spoken, product.config.spec)
    return findings


def teacher_forced_bits(product: SampleModel[Any], excerpts: Excerpts) -> float:
    """Mean bits per sample of the excerpts under the model."""
    values = product.encode(excerpts.waveform)
    outputs = _row_by_row(product, values, excerpts)
    bits = [product.bits(output, value) for output, value in zip(outputs, values, strict=True)]
    return float(np.mean(bits))


def _check_learnt(product: SampleModel[Any], real: float) -> Finding:
    guess = float(np.log2(product.config.model.coding.num_classes))
    words = f"recordings cost {real:.2f} bits per sample; guessing among {guess:.0f}-bit values costs {guess:.2f}"
    if not real < UNTRAINED_SHARE * guess:
        words += ": the model has learnt next to nothing, so it speaks noise. Train longer, or look at the loss curve"
        return Finding(check="teacher-forced", verdict="bad", words=words)
    return Finding(check="teacher-forced", verdict="good", words=words)


def _check_listening(real: float, swapped: float) -> Finding:
    words = f"with another recording's features they cost {swapped:.2f} bits ({swapped - real:+.2f})"
    if not swapped - real > LISTENING_BITS:
        words += (
            ": the model does not listen to its features. Either it has not been trained long enough to need them, or "
            "features and audio were not of the same recording in training"
        )
        return Finding(check="conditioning", verdict="bad", words=words)
    return Finding(check="conditioning", verdict="good", words=f"{words}: the model listens to them")


def _check_free_running(product: SampleModel[Any], excerpts: Excerpts, real: float, spoken: np.ndarray) -> Finding:
    check = "free-running"
    if not np.isfinite(spoken).all():
        at = int(np.argmin(np.isfinite(spoken).all(axis=0)))
        return Finding(check=check, verdict="bad", words=f"generated audio is not finite from sample {at} on")
    bits = teacher_forced_bits(product, excerpts._replace(waveform=spoken))
    figures = f"{bits:.2f} bits per sample against {real:.2f}"
    if bits > real + DRIFT_BITS:
        words = (
            f"free-running audio is far less likely than real speech: {figures}. Small errors add up until the model "
            "hears what it never heard in training, and answers with noise. Train longer, train with "
            "model.input_noise, or generate with a temperature below 1"
        )
        return Finding(check=check, verdict="bad", words=words)
    if bits < real - COLLAPSE_BITS:
        words = (
            f"free-running audio is far more likely than real speech: {figures}. The model has fallen into silence or "
            "a hum. Train longer; temperatures below 1 make it worse"
        )
        return Finding(check=check, verdict="bad", words=words)
    return Finding(check=check, verdict="good", words=f"free-running audio is as likely as real speech: {figures}")


def _given(conditioning: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in conditioning.items() if value is not None}


def _cumulative(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.cumsum(shifted / shifted.sum(axis=-1, keepdims=True), axis=-1)


def _row_by_row(product: SampleModel[Any], values: Array, excerpts: Excerpts) -> Iterator[np.ndarray]:
    """Teacher-forced outputs [N, O] of one excerpt after the other: the memory of one is enough."""
    for row in range(values.shape[0]):
        frames = None if excerpts.frames is None else excerpts.frames[row : row + 1]
        speaker = None if excerpts.speaker is None else excerpts.speaker[row : row + 1]
        yield np.asarray(product.teacher_forced(values[row : row + 1], frames, speaker))[0]


__all__ = [
    "Excerpts",
    "check_forms",
    "check_likelihood",
    "diagnose",
    "held_out_excerpts",
    "teacher_forced_bits",
]
