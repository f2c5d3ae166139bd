"""Why is my output noise? Checks of an installation, a vocoder and recordings, each answered in words.

Every check returns `Finding`s and prints nothing; `wavejax doctor` shows them. `diagnose` runs those of a vocoder in
the order in which their causes depend on each other, and stops where the later ones would mean nothing.
"""

import functools
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import wavejax
from wavejax.audio.files import read_audio
from wavejax.audio.levels import loudness
from wavejax.data import Corpus
from wavejax.distributions import Categorical
from wavejax.evaluation import log_mel_distance
from wavejax.generation import encode_conditioning, generate, init_state, pack, replay, stream, teacher_forced
from wavejax.models.wavenet import WaveNet, WaveNetConfig
from wavejax.nn.parameters import initial_params
from wavejax.tasks.vocoder import Vocoder
from wavejax.types import Params

EXTRAS = {
    "train": ("grain", "array_record", "tensorboardX"),
    "plot": ("matplotlib",),
    "eval": ("librosa",),
    "corpora": ("av",),
}
"""Packages that each extra of the distribution brings, as they are imported."""

AGREEMENT = 1e-3
"""Largest difference between parallel and step form that rounding explains, relative to the outputs' spread."""
DRIFT_BITS = 0.5
"""Free-running audio that costs so many bits per sample more than recordings do has left what the model knows."""
COLLAPSE_BITS = 1.5
"""Free-running audio that costs so many bits per sample less has fallen silent or hums."""
LISTENING_BITS = 0.02
"""A model whose bits rise by less when its features are swapped does not use them."""
LEVEL_DB = 6.0
UNTRAINED_SHARE = 0.85
"""Bits per sample, as a part of those of a uniform guess, from which on a model knows next to nothing."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check."""

    check: str
    verdict: Literal["good", "bad", "note"]
    words: str
    """What was found, and where it is bad, what to do."""


class Excerpts(NamedTuple):
    """Beginnings of recordings, equally long, with what the model needs to hear them."""

    names: tuple[str, ...]
    waveform: Float[np.ndarray, "batch time"]
    mel: Float[np.ndarray, "batch frames channels"] | None
    speaker: Int[np.ndarray, " batch"] | None


# The installation.


def check_installation() -> list[Finding]:
    """Versions, devices, extras, and a tiny model that must speak the same way whole and in blocks."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "flax", "optax", "numpy"))
    words = f"wavejax {wavejax.__version__}, Python {platform.python_version()}, {versions}"
    findings = [Finding(check="versions", verdict="note", words=words)]
    devices = jax.devices()
    kinds = f"{len(devices)} x {devices[0].device_kind}" if len(devices) > 1 else devices[0].device_kind
    findings.append(Finding(check="devices", verdict="note", words=f"{jax.default_backend()}: {kinds}"))
    for extra, packages in EXTRAS.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        words = f"the extra {extra} is installed"
        if missing:
            words = f"without the extra {extra} ({', '.join(missing)}): pip install 'wavejax-audio[{extra}]'"
        findings.append(Finding(check="extras", verdict="note", words=words))
    return [*findings, _check_speech()]


def _check_speech() -> Finding:
    model = WaveNet(WaveNetConfig(dilations=(1, 2), residual_channels=8, gate_channels=8, skip_channels=8))
    shapes, random = jax.eval_shape(lambda: initial_params(model, jax.random.key(0))), np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: random.normal(0.0, 0.3, leaf.shape).astype(np.float32), shapes)
    whole = generate(model, params, num_samples=200)
    blocks = np.concatenate(list(stream(model, params, num_samples=200, block_size=37)), axis=1)
    if not np.isfinite(whole).all() or not np.array_equal(whole, blocks):
        words = "a tiny model does not speak the same way whole and in blocks: this jax does not compute what it should"
        return Finding(check="generation", verdict="bad", words=words)
    return Finding(check="generation", verdict="good", words="a tiny model speaks, whole and in blocks alike")


# A vocoder.


def diagnose(vocoder: Vocoder, excerpts: Excerpts, *, seed: int = 0) -> Iterator[Finding]:
    """Findings about a vocoder, judged on recordings that it was not trained on (see `held_out_excerpts`)."""
    broken = check_parameters(vocoder.params)
    yield broken
    if broken.verdict == "bad":
        return
    yield check_forms(vocoder, excerpts)
    yield from check_likelihood(vocoder, excerpts, seed=seed)


def held_out_excerpts(
    vocoder: Vocoder, corpus: Corpus, split: str = "validation", *, seconds: float = 2.0, count: int = 3
) -> Excerpts:
    """The beginnings of the `count` longest recordings of a split, cut to `seconds` or to the shortest of them."""
    spec, utterances = vocoder.spec, [corpus.utterance(position) for position in corpus.indices(split)]
    chosen = sorted(utterances, key=lambda utterance: -len(utterance.waveform))[:count]
    frames = min(max(round(seconds * spec.frame_rate), 1), *(len(u.waveform) // spec.hop_length for u in chosen))
    frames = min(frames, *(len(u.frames) for u in chosen))
    if frames < 1:
        raise ValueError(f"the recordings of the split {split!r} are shorter than one frame: none can be judged")
    waveform = np.stack([u.waveform[: frames * spec.hop_length] for u in chosen])
    model = vocoder.config.model
    mel = np.stack([u.frames[:frames] for u in chosen]) if model.frame_network is not None else None
    speaker = np.asarray([u.speaker for u in chosen], np.int32) if model.num_speakers else None
    return Excerpts(tuple(u.id for u in chosen), waveform, mel, speaker)


def check_parameters(params: Params) -> Finding:
    """Parameters that are NaN or infinite, by name."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    bad = {
        "/".join(str(getattr(key, "key", key)) for key in path): np.size(leaf) - np.count_nonzero(np.isfinite(leaf))
        for path, leaf in leaves
        if not np.isfinite(leaf).all()
    }
    if bad:
        named = ", ".join(f"{name} ({number} values)" for name, number in bad.items())
        words = (
            f"parameters that are not finite: {named}. The training blew up: go back to an earlier checkpoint, lower "
            "optimizer.learning_rate or set optimizer.clip_norm"
        )
        return Finding(check="parameters", verdict="bad", words=words)
    number = sum(int(np.size(leaf)) for _, leaf in leaves)
    return Finding(check="parameters", verdict="good", words=f"all {number:,} parameters are finite")


def check_forms(vocoder: Vocoder, excerpts: Excerpts) -> Finding:
    """The parallel form, which was trained, against the step form, which speaks, over whole excerpts."""
    values = jnp.asarray(vocoder.model.coding.encode(excerpts.waveform))
    with jax.default_matmul_precision("highest"):
        stepped = np.asarray(_stepped(vocoder.model, vocoder.params, values, excerpts.mel, excerpts.speaker))
        at_once = np.stack([np.asarray(row) for row in _parallel(vocoder, values, excerpts)])
    difference = float(np.abs(stepped - at_once).max())
    spread = max(float(at_once.std()), 1e-6)
    length = f"{len(excerpts.names)} x {values.shape[1] / vocoder.spec.sample_rate:.1f} s"
    words = f"parallel and step form agree over {length}: outputs differ by at most {difference:.1e}"
    if isinstance(vocoder.model.distribution, Categorical):
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


def check_likelihood(vocoder: Vocoder, excerpts: Excerpts, *, seed: int = 0) -> list[Finding]:
    """What recordings cost under the model, with their own and with another's features, and what its own audio costs.

    Of a model that has learnt nothing yet, only this is said.
    """
    real = teacher_forced_bits(vocoder, excerpts)
    findings = [_check_learnt(vocoder, real)]
    if findings[0].verdict == "bad":
        return findings
    if excerpts.mel is not None and len(excerpts.names) > 1:
        swapped = teacher_forced_bits(vocoder, excerpts._replace(mel=np.roll(excerpts.mel, 1, axis=0)))
        findings.append(_check_listening(real, swapped))
    conditioning = {"local_conditioning": excerpts.mel, "global_conditioning": excerpts.speaker}
    batch, length = excerpts.waveform.shape
    spoken = generate(
        vocoder.model, vocoder.params, num_samples=length, batch_size=batch, seed=seed, **_given(conditioning)
    )
    findings.append(_check_free_running(vocoder, excerpts, real, spoken))
    if excerpts.mel is not None and findings[-1].verdict == "good":
        findings += _check_sound(vocoder, excerpts, spoken)
    return findings


def teacher_forced_bits(vocoder: Vocoder, excerpts: Excerpts) -> float:
    """Mean bits per sample of the excerpts under the model."""
    values = jnp.asarray(vocoder.model.coding.encode(excerpts.waveform))
    outputs = _parallel(vocoder, values, excerpts)
    bits = [_bits(vocoder.model, output, value) for output, value in zip(outputs, values, strict=True)]
    return float(np.mean(bits))


def _check_learnt(vocoder: Vocoder, real: float) -> Finding:
    guess = float(np.log2(vocoder.model.coding.num_classes))
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


def _check_free_running(vocoder: Vocoder, excerpts: Excerpts, real: float, spoken: np.ndarray) -> Finding:
    check = "free-running"
    if not np.isfinite(spoken).all():
        at = int(np.argmin(np.isfinite(spoken).all(axis=0)))
        return Finding(check=check, verdict="bad", words=f"generated audio is not finite from sample {at} on")
    bits = teacher_forced_bits(vocoder, excerpts._replace(waveform=spoken))
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


def _check_sound(vocoder: Vocoder, excerpts: Excerpts, spoken: np.ndarray) -> list[Finding]:
    """Level and spectrum of generated audio against the recordings whose features it was given."""
    level = _level_db(spoken) - _level_db(excerpts.waveform)
    words = f"free-running audio is {abs(level):.1f} dB {'louder' if level > 0 else 'quieter'} than the recordings"
    findings = [Finding(check="level", verdict="bad" if abs(level) > LEVEL_DB else "good", words=words)]
    if len(excerpts.names) > 1:
        pairs = list(zip(excerpts.waveform, spoken, strict=True))
        own = np.mean([log_mel_distance(real, made, vocoder.spec) for real, made in pairs])
        others = np.roll(excerpts.waveform, 1, axis=0)
        apart = np.mean([log_mel_distance(a, b, vocoder.spec) for a, b in zip(excerpts.waveform, others, strict=True)])
        words = f"its spectrum is {own:.1f} dB from theirs; different recordings are {apart:.1f} dB from each other"
        if not own < 0.8 * apart:
            words += ": it does not follow its features. Train longer"
        findings.append(Finding(check="spectrum", verdict="good" if own < 0.8 * apart else "bad", words=words))
    return findings


def _given(conditioning: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in conditioning.items() if value is not None}


def _level_db(waveform: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean(np.square(waveform, dtype=np.float64)) + 1e-12))


def _cumulative(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.cumsum(shifted / shifted.sum(axis=-1, keepdims=True), axis=-1)


def _parallel(vocoder: Vocoder, values: Array, excerpts: Excerpts) -> Iterator[Array]:
    """Teacher-forced outputs [N, O] of one excerpt after the other, from silence before the true start."""
    for row in range(values.shape[0]):
        mel = None if excerpts.mel is None else excerpts.mel[row : row + 1]
        speaker = None if excerpts.speaker is None else excerpts.speaker[row : row + 1]
        yield _teacher_forced(vocoder.model, vocoder.params, values[row : row + 1], mel, speaker)[0]


_teacher_forced = jax.jit(teacher_forced, static_argnums=0)


@functools.partial(jax.jit, static_argnums=0)
def _stepped(
    model: WaveNet, params: Params, values: Array, mel: Array | np.ndarray | None, speaker: Array | np.ndarray | None
) -> Array:
    decoder = pack(model, params)
    conditioning = encode_conditioning(decoder, mel, speaker)
    state = init_state(decoder, conditioning, batch_size=values.shape[0])
    return replay(decoder, state, conditioning, values)[1]


@functools.partial(jax.jit, static_argnums=0)
def _bits(model: WaveNet, output: Array, value: Array) -> Array:
    return jnp.mean(model.distribution.log_prob(output, value)) * jnp.float32(-1.0 / np.log(2.0))


# Recordings that a model is to be given.

QUIET_LUFS = -40.0
CLIPPED_SHARE = 1e-3
BAND_LIMIT = 0.75
"""A recording with nothing above this part of the features' band was made for a narrower one."""


def check_recording(vocoder: Vocoder, path: str | Path) -> list[Finding]:
    """Whether a recording is what the model's features were made for: rate, level, clipping, band.

    Raises AudioError where the file cannot be read.
    """
    waveform, rate = read_audio(path)
    spec, name = vocoder.spec, Path(path).name
    seconds, level = len(waveform) / rate, loudness(waveform, rate)
    findings: list[Finding] = []

    def say(verdict: Literal["good", "bad", "note"], words: str) -> None:
        findings.append(Finding(check=name, verdict=verdict, words=words))

    if len(waveform) < spec.hop_length * rate / spec.sample_rate:
        say("bad", f"{seconds:.3f} s is shorter than one frame of {spec.name}: there is nothing to speak")
        return findings
    if rate < spec.sample_rate:
        say("bad", f"{rate} Hz, the model speaks at {spec.sample_rate} Hz: nothing above {rate // 2} Hz can come back")
    elif rate > spec.sample_rate:
        say("note", f"{rate} Hz, resampled to the model's {spec.sample_rate} Hz")
    if not np.any(waveform):
        say("bad", "digital silence: the model can only answer with silence")
        return findings
    if level < QUIET_LUFS:
        say("bad", f"very quiet ({level:.0f} LUFS): bring it to about -23 LUFS, where speech models are trained")
    clipped = float(np.mean(np.abs(waveform) >= 0.999))
    if clipped > CLIPPED_SHARE:
        say("bad", f"{100 * clipped:.1f} % of the samples are at full scale: it is clipped, and will sound so")
    highest, limit = highest_frequency(waveform, rate), spec.f_max or spec.sample_rate / 2
    if highest < BAND_LIMIT * min(limit, rate / 2):
        say(
            "bad",
            f"nothing above {highest:.0f} Hz, while {spec.name} reaches to {limit:.0f} Hz: it was resampled from a "
            "lower rate or strongly compressed, and the model has learnt from fuller recordings",
        )
    if not any(finding.verdict == "bad" for finding in findings):
        say("good", f"{seconds:.1f} s at {rate} Hz, {level:.0f} LUFS, sound up to {highest:.0f} Hz")
    return findings


def highest_frequency(waveform: Float[np.ndarray, " time"], sample_rate: int, range_db: float = 75.0) -> float:
    """Frequency in Hz above which the long-term spectrum lies more than `range_db` below its highest point."""
    size = min(1024, len(waveform))
    pieces = np.lib.stride_tricks.sliding_window_view(np.asarray(waveform, np.float64), size)[:: max(size // 2, 1)]
    power = np.mean(np.square(np.abs(np.fft.rfft(pieces * np.blackman(size), axis=1))), axis=0)
    loud = np.flatnonzero(power > power.max() * 10.0 ** (-range_db / 10))
    return float(np.fft.rfftfreq(size, 1.0 / sample_rate)[loud[-1]])


def judge(findings: Sequence[Finding]) -> bool:
    """True where nothing is bad."""
    return all(finding.verdict != "bad" for finding in findings)
