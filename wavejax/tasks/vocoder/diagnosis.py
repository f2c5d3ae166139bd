"""`wavejax doctor` of a vocoder, and whether recordings are what it was made for."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

import numpy as np
from jaxtyping import Float

from wavejax.audio.files import read_audio
from wavejax.audio.levels import loudness
from wavejax.evaluation.findings import Finding, Verdict, check_parameters
from wavejax.experiments.autoregressive.data import corpus_for, named_corpus
from wavejax.experiments.autoregressive.diagnosis import diagnose
from wavejax.experiments.excerpts import Excerpts, check_sound, held_out_excerpts
from wavejax.generation import stream
from wavejax.ranges import EXCERPT_SECONDS, as_option, check_ranges
from wavejax.tasks.vocoder.product import SampleVocoder, Vocoder

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

    def say(verdict: Verdict, words: str) -> None:
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
    total = np.zeros(size // 2 + 1)
    for start in range(0, len(pieces), 4096):  # hours of sound need not be in memory twice over
        spectra = np.fft.rfft(pieces[start : start + 4096] * np.blackman(size), axis=1)
        total += np.sum(np.square(np.abs(spectra)), axis=0)
    power = total / len(pieces)
    loud = np.flatnonzero(power > np.max(power) * 10.0 ** (-range_db / 10))
    return float(np.fft.rfftfreq(size, 1.0 / sample_rate)[loud[-1]])


@dataclass(frozen=True, kw_only=True)
class SoundDoctorOptions:
    """Of a vocoder: are its parameters finite, does it say the same however its frames are cut, is its own audio as
    loud as recordings and of the same spectrum. Of a recording: rate, level, clipping, band, against what the model
    reads.
    """

    audio: tuple[Path, ...] = ()
    """Recordings that the model was given or is to be given."""
    corpus: str = "embedded"
    """Recordings to judge the model on: a folder made by `wavejax prepare`, or those that ship with wavejax."""
    split: Literal["train", "validation", "test"] = "test"
    """Part of the corpus; it should not have been trained on."""
    seconds: Annotated[float, EXCERPT_SECONDS] = 2.0
    """How much of each of three recordings is judged."""
    seed: int = 0
    """Of the audio that the model makes."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Vocoder) -> Iterator[Finding]:
        """Findings about the recordings, then about the vocoder."""
        for path in self.audio:
            yield from check_recording(product, path)
        corpus = corpus_for(product, named_corpus(self.corpus, product.spec))
        yield from self._diagnose(product, held_out_excerpts(product, corpus, self.split, seconds=self.seconds))

    def _diagnose(self, product: Vocoder, excerpts: Excerpts) -> Iterator[Finding]:
        broken = check_parameters(product.params)
        yield broken
        if broken.verdict == "bad":
            return
        frames, speaker = excerpts.frames, excerpts.speaker
        given = {} if speaker is None else {"global_conditioning": speaker}
        spoken = product.generate(local_conditioning=frames, seed=self.seed, **given)
        live = (frames[:, i : i + 1] for i in range(frames.shape[1])) if frames is not None else None
        pieces = stream(
            product.model,
            product.params,
            local_conditioning=live,
            seed=self.seed,
            **product.with_temperature(given),
        )
        same = np.array_equal(np.concatenate(list(pieces), axis=1), spoken)
        words = "frames that come one by one give the same samples, bit for bit, as all of them at once"
        if not same:
            words = "frames that come one by one give other samples than all of them at once: report this"
        yield Finding(check="stream = whole", verdict="good" if same else "bad", words=words)
        yield from check_sound(excerpts, spoken, product.spec, whose="its audio")


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(SoundDoctorOptions):
    """Of a vocoder: are its parameters finite, do the form that was trained and the form that speaks agree, do held-out
    recordings cost few bits, does it listen to its features, is its own audio as likely as real speech, as loud, of the
    same spectrum. Of a recording: rate, level, clipping, band, against what the model reads.
    """

    def _diagnose(self, product: Vocoder, excerpts: Excerpts) -> Iterator[Finding]:
        yield from diagnose(cast(SampleVocoder, product), excerpts, seed=self.seed)  # its card has this doctor
