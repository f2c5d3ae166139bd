"""Makes one shard of a prepared corpus. This is the work of a worker process, which never imports jax."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int16

from wavejax.atomic import write_json
from wavejax.audio.channels import channel_peaks
from wavejax.audio.files import AudioError, AudioReader, collect
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.levels import amplify, frame_levels_db, loudness_gain, peak_gain, peak_normalize, trim_silence
from wavejax.audio.specs import FeatureSpec
from wavejax.audio.waveforms import check_waveform
from wavejax.data.manifest import SILENCE_FLOOR_DBFS, active_blocks, runs_of
from wavejax.data.records import encode_record, quantize_waveform, write_shard
from wavejax.data.sources import Recording

Normalize = Literal["none", "peak", "loudness"]
NORMALIZATIONS: tuple[str, ...] = ("none", "peak", "loudness")
RECORD_VERSION = 1
TRIM_MARGIN_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Processing:
    """The processing of every recording's sound."""

    spec: FeatureSpec
    normalize: str = "none"
    """"peak" to 0.95, "loudness" to -23 LUFS (BS.1770-4), or "none": levels are not changed."""
    trim: bool = False
    """Cut silence at both ends except for 50 ms."""
    min_seconds: float = 0.3
    """Shorter recordings are skipped."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values for the settings file and the fingerprints."""
        return {**asdict(self), "spec": self.spec.to_dict()}


@dataclass(frozen=True, kw_only=True)
class ShardJob:
    """One shard to make."""

    number: int
    out: Path
    recordings: tuple[Recording, ...]
    processing: Processing
    fingerprint: str

    @property
    def name(self) -> str:
        """File name of the shard; other processing or other recordings give another name."""
        return f"shard-{self.number:05d}-{self.fingerprint}.array_record"

    @property
    def journal(self) -> Path:
        """The file that exists once the shard is finished."""
        return self.out / "journal" / f"{self.name}.json"


def fingerprint(recordings: tuple[Recording, ...], processing: Processing) -> str:
    """A hash of a shard's inputs: settings, ids, and size and time of each file."""
    stats = [recording.path.stat() for recording in recordings]
    files = [(r.id, str(r.path), s.st_size, s.st_mtime_ns) for r, s in zip(recordings, stats, strict=True)]
    content = json.dumps([RECORD_VERSION, processing.to_dict(), files], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def finished(job: ShardJob) -> dict[str, Any] | None:
    """The journal of a shard that an earlier run finished, or None."""
    try:
        journal = json.loads(job.journal.read_text(encoding="utf-8"))
        size = (job.out / job.name).stat().st_size if journal["entries"] else 0
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return journal if size == journal["bytes"] else None


def make_shard(job: ShardJob) -> dict[str, Any]:
    """Writes the shard, then its journal, and returns the journal: {"entries", "skipped", "bytes"}.

    A recording that cannot be used is listed under "skipped" with the reason. Raises OSError if the output cannot be
    written; then neither file is left behind.
    """
    entries: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []

    def records() -> Iterator[bytes]:  # one at a time: a shard may hold many hours
        for recording in job.recordings:
            try:
                record, entry = process(recording, job.processing)
            except ValueError as error:  # AudioError and every other error in the sound itself
                skipped.append((recording.id, str(error)))
            else:
                entries.append({"id": recording.id, **entry})
                yield record
                del record

    size = 0
    if write_shard(job.out / job.name, records()):
        size = (job.out / job.name).stat().st_size
    journal = {"entries": entries, "skipped": skipped, "bytes": size}
    write_json(job.journal, journal)
    return journal


def process(recording: Recording, processing: Processing) -> tuple[bytes, dict[str, Any]]:
    """Record bytes of one recording, and its sound's fields in the manifest. Raises ValueError if it cannot be used."""
    spec = processing.spec
    try:
        with recording.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError(f"{recording.path} cannot be read: {error.strerror}") from error
    samples, clipped = _samples(recording, processing)
    log_mel = log_mel_numpy(samples, spec)
    entry = {
        "num_samples": len(samples),
        "num_frames": len(log_mel),
        "active_runs": runs_of(active_blocks(samples, spec.hop_length)),
        "source_sha256": digest,
        "clipped": clipped,
    }
    return encode_record(samples, log_mel), entry


def _samples(recording: Recording, processing: Processing) -> tuple[Int16[np.ndarray, " kept"], int]:
    """The stored samples of a recording, and how many of them exceeded full scale."""
    with AudioReader(recording.path) as reader:
        raw = _at_full_scale(collect(reader.blocks(processing.spec.sample_rate)), recording, processing)
    _check_usable(raw, recording, processing)
    shaped = _shape(raw, processing)
    _check_length(shaped, recording, processing, before=len(raw))
    return quantize_waveform(shaped), int(np.count_nonzero(shaped > 1.0) + np.count_nonzero(shaped < -1.0))


def _at_full_scale(
    raw: Float[np.ndarray, " time"], recording: Recording, processing: Processing
) -> Float[np.ndarray, " time"]:
    """The samples in [-1, 1] or slightly beyond. Float files may hold any level; then normalisation must scale them."""
    try:
        check_waveform(raw)
    except ValueError as error:
        if processing.normalize == "none":
            raise AudioError(f"{recording.path}: {error} Or prepare it with normalize peak or loudness.") from error
        return peak_normalize(raw)
    return raw


def _shape(raw: Float[np.ndarray, " time"], processing: Processing) -> Float[np.ndarray, " kept"]:
    rate = processing.spec.sample_rate
    trimmed = trim_silence(raw, margin=round(TRIM_MARGIN_SECONDS * rate))[0] if processing.trim else raw
    if processing.normalize == "none":
        return trimmed
    by_peak = processing.normalize == "peak"
    gain = peak_gain(trimmed) if by_peak else loudness_gain(trimmed, rate, max_peak=0.95)
    return amplify(trimmed, gain, in_place=True)  # nothing else uses the samples, and they may last an hour


def _check_usable(raw: Float[np.ndarray, " time"], recording: Recording, processing: Processing) -> None:
    spec = processing.spec
    _check_length(raw, recording, processing, before=len(raw))
    if not active_blocks(raw, spec.hop_length).any():
        peaks = _channel_peaks(recording)
        if len(peaks) > 1 and peaks.max() > 10.0 ** (SILENCE_FLOOR_DBFS / 20):
            raise AudioError(
                f"{recording.path} has {len(peaks)} channels that cancel each other when they are averaged to one, "
                f"though by themselves they peak at {20 * np.log10(peaks.max()):.0f} dB of full scale: turn one of "
                "them round, or keep a single channel"
            )
        loudest = float(np.max(frame_levels_db(raw, frame_length=spec.hop_length, hop_length=spec.hop_length)))
        raise AudioError(f"{recording.path} is silent: it never rises above {loudest:.0f} dB of full scale")


def _check_length(
    waveform: Float[np.ndarray, " time"], recording: Recording, processing: Processing, before: int
) -> None:
    """`before`: samples of the recording before its silent ends were cut."""
    spec = processing.spec
    seconds = len(waveform) / spec.sample_rate
    cut = f" once its silent ends are cut, {before / spec.sample_rate:.3f} s before" if len(waveform) < before else ""
    if seconds < processing.min_seconds:
        raise AudioError(
            f"{recording.path} is too short: {seconds:.3f} s{cut}, and min_seconds asks for {processing.min_seconds} s"
        )
    if spec.num_frames(len(waveform)) < 1:
        raise AudioError(
            f"{recording.path} is too short: {len(waveform)} samples{cut} give no frame of spec {spec.name!r}"
        )


def _channel_peaks(recording: Recording) -> Float[np.ndarray, " channels"]:
    try:
        return channel_peaks(recording.path)
    except (OSError, RuntimeError):  # the file was readable a moment ago; without it the channels are unknown
        return np.zeros(0)
