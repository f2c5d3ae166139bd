"""Audio files: every format of soundfile is read block by block; WAV and FLAC are written atomically."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from wavejax.atomic import write_bytes
from wavejax.audio.containers import open_container
from wavejax.audio.errors import AudioError
from wavejax.audio.resampling import resample_blocks
from wavejax.audio.waveforms import as_waveform

AUDIO_SUFFIXES: tuple[str, ...] = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
SAMPLE_RATES = (500, 4_000_000)
"""Hz: the lowest and highest rate accepted in a header. A lower rate would let a small damaged file resample to hours
of sound."""
MOST_DECODED = 1 << 26
MOST_PER_BYTE = 512
"""A file may decode to `MOST_DECODED` samples per channel, or to `MOST_PER_BYTE` per byte of the file (Opus at
6 kbit/s: 64, digital silence as FLAC: 292). A file that decodes to more was made to exhaust memory."""
_WRITE_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_SUBTYPES = {".wav": ("PCM_16", "PCM_24", "FLOAT"), ".flac": ("PCM_16", "PCM_24")}
_BLOCK = 1 << 20  # samples decoded at a time, over all channels: most utterances fit in one block
_MP3_FRAME = 1152


class AudioReader:
    """A recording that is read block by block, so that memory does not grow with the length in its header.

        with AudioReader(path) as reader:
            for block in reader.blocks(16_000):
                ...

    Raises AudioError if the file is missing, not a regular file, of another suffix, damaged, truncated, empty, or holds
    NaN or infinity. Errors that the header shows are raised at once, the others when `blocks` reaches them.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._num_bytes = _check_readable(self._path)
        self._file = self._open()
        low, high = SAMPLE_RATES
        if not low <= self.sample_rate <= high:
            self._file.close()
            raise AudioError(
                f"{self._path} announces a sample rate of {self.sample_rate} Hz; expected {low} to {high} Hz. The file "
                "is damaged; replace it."
            )

    @property
    def sample_rate(self) -> int:
        """Hz, of the file."""
        return int(self._file.samplerate)

    def blocks(self, sample_rate: int | None = None) -> Iterator[Float[np.ndarray, " time"]]:
        """Yields the float32 waveform in pieces, averaged over channels, resampled on request. Levels are not changed.

        It can be called only once.
        """
        if sample_rate is None or sample_rate == self.sample_rate:
            return self._decoded()
        return resample_blocks(self._decoded(), self.sample_rate, sample_rate)

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _open(self) -> Any:
        import soundfile

        class Forward(soundfile.SoundFile):
            """Never seeks. soundfile seeks after each read, which fails without a known length and repeats work."""

            def seekable(self) -> bool:
                return False

        try:
            return Forward(open_container(self._path) or self._path)
        except (soundfile.SoundFileError, OSError) as error:
            raise self._damaged(error) from error

    def _decoded(self) -> Iterator[np.ndarray]:
        import soundfile

        channels, position = self._file.channels, 0
        size = max(1, _BLOCK // channels)
        while True:
            try:
                block = self._file.read(size, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, OSError) as error:
                raise self._damaged(error) from error
            if not np.all(np.isfinite(block)):
                bad = position + int(np.argmin(np.isfinite(block).all(axis=1)))
                raise AudioError(
                    f"{self._path} holds NaN or infinity, first at sample {bad}. Repair or remove the file."
                )
            position += len(block)
            if position > max(MOST_DECODED, MOST_PER_BYTE * self._num_bytes):
                raise AudioError(
                    f"{self._path} decodes to more than {position - len(block)} samples, out of {self._num_bytes} "
                    "bytes: that is no recording. Remove it, or convert it to WAV if it is."
                )
            if len(block) < size:
                self._check_end(position)
            if len(block):
                yield block[:, 0] if channels == 1 else block.mean(axis=1, dtype=np.float64).astype(np.float32)
            if len(block) < size:
                return

    def _check_end(self, decoded: int) -> None:
        announced = int(self._file.frames)
        if decoded == 0:
            raise AudioError(f"{self._path} holds no samples (zero length). Remove it or record it again.")
        # A FLAC of unknown length announces 2^63 - 1. MP3 headers may be a frame off from what was written.
        tolerance = 2 * _MP3_FRAME if self._file.format == "MP3" else 0
        if announced < 1 << 62 and decoded < announced - tolerance:
            raise AudioError(
                f"{self._path} is cut short: it announces {announced} samples and holds {decoded}. Copy or download it "
                "again."
            )

    def _damaged(self, error: Exception) -> AudioError:
        return AudioError(
            f"{self._path} cannot be decoded: {error} The file is damaged or not {self._path.suffix}; replace it."
        )


class AudioWriteError(AudioError):
    """The system refuses to write an audio file: the disk is full or read-only, or the path is impossible."""


FIRST_PART = "wavejax: the first part of a sound; its making was interrupted"
"""The comment inside an audio file that was not finished."""


def read_audio(path: str | os.PathLike[str], sample_rate: int | None = None) -> tuple[Float[np.ndarray, " time"], int]:
    """(waveform float32 [T], sample rate in Hz) of a file; channels are averaged, levels are not changed.

    With ``sample_rate`` the waveform is resampled to it. Suffixes: `AUDIO_SUFFIXES`. The length is the number of
    decoded samples: a header without a length or with a placeholder is accepted, one that announces missing data is
    not. Raises AudioError as `AudioReader` does.
    """
    with AudioReader(path) as reader:
        return collect(reader.blocks(sample_rate)), reader.sample_rate if sample_rate is None else sample_rate


def collect(blocks: Iterator[Float[np.ndarray, " piece"]]) -> Float[np.ndarray, " time"]:
    """Concatenates float32 blocks; memory grows with the blocks and never reaches twice their size."""
    first = next(blocks, np.zeros(0, np.float32))
    second = next(blocks, None)
    if second is None:
        return np.ascontiguousarray(first)
    joined = bytearray()
    for block in (first, second):
        joined += np.ascontiguousarray(block).data
    for block in blocks:
        joined += np.ascontiguousarray(block).data
    return np.frombuffer(joined, np.float32)


def is_first_part(path: str | os.PathLike[str]) -> bool:
    """Whether a file has the comment `FIRST_PART`, which marks our unfinished output, never a user's own file."""
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
    """Raises AudioError if `write_audio` would refuse the path because of its suffix or because it is a folder."""
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
    """Writes a waveform [T] in [-1, 1] as WAV or FLAC (by suffix); returns how many samples were clipped.

    ``waveform`` is floating point (bfloat16 and similar types included), or int16, which is read as x / 32768.

    ``subtype``: PCM_16 (default; stores round(32768 x), so a 16-bit file read by `read_audio` is written back exactly),
    PCM_24, and FLOAT for WAV (not clipped). ``comment`` is stored inside the file. Parent folders are created. Writing
    is atomic: the file is written beside its destination and renamed. Raises AudioError on NaN or infinity, no samples,
    more than one channel, another suffix or subtype, or a level far beyond full scale; AudioWriteError if the system
    refuses to write (read-only or full disk). An existing file is then left unchanged.
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


def _check_readable(source: Path) -> int:
    """The file's size in bytes."""
    if source.is_dir():
        raise AudioError(
            f"{source} is a folder, not an audio file. Name a file in it, or use a command that takes folders."
        )
    if not source.exists():
        raise AudioError(f"{source} does not exist. Check the path (relative paths start at {Path.cwd()}).")
    if not source.is_file():
        raise AudioError(f"{source} is a pipe or a device, not an audio file. Write the sound to a file first.")
    if source.suffix.lower() not in AUDIO_SUFFIXES:
        raise AudioError(
            f"{source} has suffix {source.suffix!r}, which is not read. Convert it to one of "
            f"{', '.join(AUDIO_SUFFIXES)}."
        )
    try:
        with open(source, "rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise AudioError(f"{source} cannot be read: {error.strerror or error}. Check its permissions.") from error
    if size == 0:
        raise AudioError(f"{source} is empty (0 bytes). Copy or download it again.")
    return size


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
    if samples.size == 0:
        raise AudioError(f"{target} cannot be written: the waveform holds no samples (zero length).")
    try:
        samples = as_waveform(samples, any_scale=True)
        finite = np.isfinite(samples)
        if not np.all(finite):
            raise AudioError(
                f"{target} was not written: {samples.size - np.count_nonzero(finite)} of {samples.size} samples are "
                f"NaN or infinite, the first is sample {int(np.argmin(finite))}."
            )
        return as_waveform(samples, any_scale=kind == "FLOAT"), kind
    except AudioError:
        raise
    except ValueError as error:
        raise AudioError(f"{target} cannot be written: {error}") from error


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
