"""Audio files: reading what soundfile reads, writing WAV and FLAC whole or not at all."""

import os
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from wavejax.atomic import write_bytes
from wavejax.audio.resampling import resample

AUDIO_SUFFIXES: tuple[str, ...] = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
_WRITE_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_SUBTYPES = {".wav": ("PCM_16", "PCM_24", "FLOAT"), ".flac": ("PCM_16", "PCM_24")}


class AudioError(ValueError):
    """An audio file cannot be read or written; the message names the path, what is wrong and the remedy."""


class AudioWriteError(AudioError):
    """The system refuses to write an audio file: a full or read-only disk, a path that cannot be."""


FIRST_PART = "wavejax: the first part of a sound; its making was interrupted"
"""The comment inside a file of a sound that was not finished."""


def read_audio(path: str | os.PathLike[str], sample_rate: int | None = None) -> tuple[Float[np.ndarray, " time"], int]:
    """(waveform float32 [T], sample rate in Hz) of a file; channels are averaged, no level is changed.

    With ``sample_rate`` the waveform is resampled to it. Suffixes: `AUDIO_SUFFIXES`. Raises AudioError when the file is
    missing, a directory, of another suffix, damaged or cut short, empty, or holds NaN or infinity.
    """
    source = Path(path)
    _check_readable(source)
    import soundfile

    try:
        with soundfile.SoundFile(source) as file:
            samples = file.read(dtype="float32", always_2d=True)
            rate, announced = int(file.samplerate), int(file.frames)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(
            f"{source} cannot be decoded: {error} The file is damaged or not {source.suffix}; replace it."
        ) from error
    # Lossy containers announce estimates; the lossless ones are exact.
    if source.suffix.lower() in (".wav", ".flac", ".aif", ".aiff") and len(samples) < announced:
        raise AudioError(
            f"{source} is cut short: it announces {announced} samples and holds {len(samples)}. Copy or download it "
            "again."
        )
    if len(samples) == 0:
        raise AudioError(f"{source} holds no samples (zero length). Remove it or record it again.")
    if not np.all(np.isfinite(samples)):
        bad = int(np.argmin(np.isfinite(samples).all(axis=1)))
        raise AudioError(f"{source} holds NaN or infinity, first at sample {bad}. Repair or remove the file.")
    waveform = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    if sample_rate is None or sample_rate == rate:
        return np.ascontiguousarray(waveform), rate
    return resample(waveform, rate, sample_rate), sample_rate


def is_first_part(path: str | os.PathLike[str]) -> bool:
    """Whether a file has the comment `FIRST_PART`, by which an unfinished sound is told from what a user has."""
    source = Path(path)
    if source.suffix.lower() not in _WRITE_FORMATS or not source.is_file():
        return False
    import soundfile

    try:
        with soundfile.SoundFile(source) as file:
            return str(file.comment) == FIRST_PART
    except (soundfile.SoundFileError, OSError):
        return False


def check_audio_target(path: str | os.PathLike[str]) -> None:
    """Raises AudioError where `write_audio` would refuse the path for its suffix, or because it is a folder."""
    target = Path(path)
    if target.suffix.lower() not in _WRITE_FORMATS:
        raise AudioError(f"{target} has suffix {target.suffix!r}; audio is written as {' or '.join(_WRITE_FORMATS)}.")
    if target.is_dir():
        raise AudioError(f"{target} cannot be written: it is a folder. Name a file.")


def write_audio(
    path: str | os.PathLike[str],
    waveform: ArrayLike,
    sample_rate: int,
    subtype: str | None = None,
    *,
    comment: str = "",
) -> int:
    """Writes a waveform [T] in [-1, 1] as WAV or FLAC (by suffix); returns how many samples had to be clipped.

    ``subtype``: PCM_16 (default; x is round(32768 x), so what `read_audio` gave comes back exactly), PCM_24, and FLOAT
    for WAV (not clipped). ``comment`` is kept inside the file. Parent folders are made. The file appears whole or not
    at all: it is written beside its destination and renamed. Raises AudioError on NaN or infinity, no samples, more
    than one channel, another suffix or subtype, and AudioWriteError when the system refuses to write (read-only or full
    disk); an existing file is then left as it was.
    """
    target = Path(path)
    samples, kind = _check_writable(target, waveform, sample_rate, subtype)
    clipped = 0
    if kind != "FLOAT":
        clipped = int(np.count_nonzero(np.abs(samples) > 1.0))
        samples = np.clip(samples, -1.0, 1.0)
    encoded = _encode(samples, sample_rate, _WRITE_FORMATS[target.suffix.lower()], kind, comment)
    try:
        write_bytes(target, encoded)
    except OSError as error:
        raise AudioWriteError(
            f"{target} cannot be written: {error.strerror or error}. Nothing was changed there. Check that its folder "
            "is a folder, writable, and on a disk with space left, or choose another path."
        ) from error
    return clipped


def _check_readable(source: Path) -> None:
    if source.is_dir():
        raise AudioError(
            f"{source} is a folder, not an audio file. Name a file in it, or use a command that takes folders."
        )
    if not source.exists():
        raise AudioError(f"{source} does not exist. Check the path (relative paths start at {Path.cwd()}).")
    if source.suffix.lower() not in AUDIO_SUFFIXES:
        raise AudioError(
            f"{source} has suffix {source.suffix!r}, which is not read. Convert it to one of "
            f"{', '.join(AUDIO_SUFFIXES)}."
        )
    try:
        size = source.stat().st_size
        with open(source, "rb") as file:
            header = file.read(1 << 16)
    except OSError as error:
        raise AudioError(f"{source} cannot be read: {error.strerror or error}. Check its permissions.") from error
    if size == 0:
        raise AudioError(f"{source} is empty (0 bytes). Copy or download it again.")
    if source.suffix.lower() == ".wav":
        _check_wav_length(source, header, size)


def _check_wav_length(source: Path, header: bytes, size: int) -> None:
    """A RIFF header says how long its data is; libsndfile silently reads what is left of a file that was cut."""
    if header[:4] != b"RIFF" or header[8:12] != b"WAVE":
        return
    position = 12
    while position + 8 <= len(header):
        chunk, length = header[position : position + 4], struct.unpack("<I", header[position + 4 : position + 8])[0]
        if chunk == b"data":
            # Programs that stream to a pipe leave a length near 2^31 or 2^32, or 0.
            if length < 0x7FFFF000 and position + 8 + length > size:
                raise AudioError(
                    f"{source} is cut short: its header announces {length} bytes of audio and "
                    f"{max(0, size - position - 8)} are there. Copy or download it again."
                )
            return
        position += 8 + length + (length & 1)


def _check_writable(target: Path, waveform: ArrayLike, sample_rate: int, subtype: str | None) -> tuple[np.ndarray, str]:
    check_audio_target(target)
    suffix = target.suffix.lower()
    kind = subtype or "PCM_16"
    if kind not in _SUBTYPES[suffix]:
        raise AudioError(
            f"subtype {kind!r} is not written to {suffix}; expected one of {', '.join(_SUBTYPES[suffix])}."
        )
    if sample_rate <= 0:
        raise AudioError(f"{target} cannot be written: sample_rate is {sample_rate}; expected a positive number of Hz.")
    samples = np.asarray(waveform)
    if samples.ndim != 1:
        raise AudioError(f"{target} cannot be written: waveform has shape {samples.shape}; expected one channel, [T].")
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(f"{target} cannot be written: dtype is {samples.dtype}; expected floating point in [-1, 1].")
    if samples.size == 0:
        raise AudioError(f"{target} cannot be written: the waveform holds no samples (zero length).")
    finite = np.isfinite(samples)
    if not np.all(finite):
        raise AudioError(
            f"{target} was not written: {samples.size - np.count_nonzero(finite)} of {samples.size} samples are NaN or "
            f"infinite, the first is sample {int(np.argmin(finite))}."
        )
    return samples.astype(np.float32), kind


def _encode(samples: np.ndarray, sample_rate: int, container: str, subtype: str, comment: str = "") -> bytes:
    """The file's bytes. Encoding in memory lets a full disk raise from a plain write instead of inside a C callback."""
    import io

    import soundfile

    if subtype == "PCM_16":
        samples = np.clip(np.round(samples.astype(np.float64) * 32768.0), -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate, 1, subtype, format=container) as file:
        if comment:
            file.comment = comment
        file.write(samples)
    return buffer.getvalue()
