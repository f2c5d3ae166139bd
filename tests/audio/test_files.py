"""Audio files: every format read, every bad file named, nothing half-written."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavejax.audio.files import AUDIO_SUFFIXES, AudioError, read_audio, write_audio


def tone(num_samples: int = 12000, sample_rate: int = 24000) -> np.ndarray:
    time = np.arange(num_samples) / sample_rate
    return (0.4 * np.sin(2 * np.pi * 330 * time)).astype(np.float32)


FORMATS = {
    ".wav": ("WAV", "PCM_16", 1e-4),
    ".flac": ("FLAC", "PCM_16", 1e-4),
    ".ogg": ("OGG", "VORBIS", 0.05),
    ".opus": ("OGG", "OPUS", 0.05),
    ".mp3": ("MP3", "MPEG_LAYER_III", 0.05),
    ".aiff": ("AIFF", "PCM_16", 1e-4),
    ".aif": ("AIFF", "PCM_16", 1e-4),
}


def test_every_suffix_has_a_test() -> None:
    assert set(FORMATS) == set(AUDIO_SUFFIXES)


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    container, subtype, tolerance = FORMATS[suffix]
    x = tone()
    soundfile.write(tmp_path / f"a{suffix}", x, 24000, format=container, subtype=subtype)
    waveform, sample_rate = read_audio(tmp_path / f"a{suffix}")
    assert sample_rate == 24000
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert abs(len(waveform) - len(x)) <= (0 if tolerance < 0.01 else 3000)
    shared = slice(2000, min(len(x), len(waveform)) - 2000)
    np.testing.assert_allclose(waveform[shared], x[shared], atol=tolerance)


def test_channels_are_averaged_and_rates_converted(tmp_path: Path) -> None:
    x = tone()
    soundfile.write(tmp_path / "A.WAV", np.stack([x, 0.5 * x, 0 * x], axis=1), 24000, subtype="FLOAT")
    waveform, _ = read_audio(tmp_path / "A.WAV")
    np.testing.assert_allclose(waveform, 0.5 * x, atol=1e-6)
    resampled, sample_rate = read_audio(str(tmp_path / "A.WAV"), 16000)
    assert sample_rate == 16000
    assert len(resampled) == 8000
    expected = 0.2 * np.sin(2 * np.pi * 330 * np.arange(8000) / 16000)
    np.testing.assert_allclose(resampled[500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("name", ["a.wav", "deep/er/a.flac", "B.WAV"])
@pytest.mark.parametrize("subtype", [None, "PCM_16", "PCM_24"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str, subtype: str | None) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, 3001).astype(np.float32)
    assert write_audio(tmp_path / name, x, 16000, subtype) == 0
    waveform, sample_rate = read_audio(tmp_path / name)
    assert sample_rate == 16000
    np.testing.assert_allclose(waveform, x, atol=0.51 / 2**15 if subtype != "PCM_24" else 1.1 / 2**23)
    assert write_audio(tmp_path / name, waveform, 16000, subtype) == 0
    np.testing.assert_array_equal(read_audio(tmp_path / name)[0], waveform)
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [Path(name).name]


def test_clipping_is_counted_and_float_is_not_clipped(tmp_path: Path) -> None:
    x = np.array([0.0, 1.5, -2.0, 1.0, -1.0, 0.25], np.float64)
    assert write_audio(tmp_path / "a.wav", x, 16000) == 2
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], [0, 32767 / 32768, -1, 32767 / 32768, -1, 0.25])
    assert write_audio(tmp_path / "b.wav", x, 16000, "FLOAT") == 0
    np.testing.assert_array_equal(read_audio(tmp_path / "b.wav")[0], x.astype(np.float32))


def test_silence_in_silence_out(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.flac", np.zeros(100, np.float32), 16000)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.flac")[0], np.zeros(100))


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is not audio, whatever its name says")
    elif kind == "no-samples":
        soundfile.write(path, np.zeros(0, np.float32), 16000)
    elif kind in ("nan", "infinity"):
        x = tone(1000)
        x[123] = np.nan if kind == "nan" else np.inf
        soundfile.write(path, np.stack([tone(1000), x], axis=1), 16000, subtype="FLOAT")
    elif kind == "cut-short":
        soundfile.write(path, tone(), 24000)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "cut-flac":
        path = path.with_suffix(".flac")
        soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 24000), 24000)
        path.write_bytes(path.read_bytes()[:20000])
    elif kind == "suffix":
        path = path.with_suffix(".m4a")
        path.write_bytes(b"1234")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"missing\.wav does not exist\. Check the path"),
        ("folder", r"folder\.wav is a folder, not an audio file"),
        ("empty", r"empty\.wav is empty \(0 bytes\)\. Copy or download it again"),
        ("text", r"text\.wav cannot be decoded: .* The file is damaged or not \.wav; replace it"),
        ("no-samples", r"no-samples\.wav holds no samples \(zero length\)"),
        ("nan", r"nan\.wav holds NaN or infinity, first at sample 123\. Repair or remove"),
        ("infinity", r"infinity\.wav holds NaN or infinity, first at sample 123"),
        ("cut-short", r"cut-short\.wav is cut short: its header announces 24000 bytes of audio and 4956 are there"),
        ("cut-flac", r"cut-flac\.flac (is cut short: it announces 24000 samples|cannot be decoded)"),
        ("suffix", r"suffix\.m4a has suffix '\.m4a', which is not read\. Convert it to one of \.wav, \.flac"),
    ],
)
def test_bad_files_are_named_with_a_remedy(tmp_path: Path, kind: str, message: str) -> None:
    path = bad_file(tmp_path, kind)
    with pytest.raises(AudioError, match=message) as caught:
        read_audio(path)
    assert str(path) in str(caught.value)


def test_streamed_wav_files_without_a_length_are_read(tmp_path: Path) -> None:
    """Programs that write to a pipe leave the data length at its maximum; that is not damage."""
    path = tmp_path / "piped.wav"
    soundfile.write(path, tone(), 24000)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(content))
    np.testing.assert_allclose(read_audio(path)[0], tone(), atol=1e-4)


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.wav"
    write_audio(path, tone(), 24000)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(AudioError, match=r"locked\.wav cannot be read: Permission denied\. Check its permissions"):
        read_audio(path)


@pytest.mark.parametrize(
    ("waveform", "sample_rate", "name", "subtype", "message"),
    [
        (
            np.array([0, np.nan, np.inf]),
            16000,
            "a.wav",
            None,
            "2 of 3 samples are NaN or infinite, the first is sample 1",
        ),
        (np.zeros(0), 16000, "a.wav", None, "the waveform holds no samples"),
        (np.zeros(5, np.int32), 16000, "a.wav", None, "waveform has dtype int32; expected floating point"),
        (np.zeros(5), 0, "a.wav", None, "sample_rate is 0; expected a positive number of Hz"),
        (np.zeros(5), 16000, "a.mp3", None, r"has suffix '\.mp3'; audio is written as \.wav or \.flac"),
        (
            np.zeros(5),
            16000,
            "a.flac",
            "FLOAT",
            r"subtype 'FLOAT' is not written to \.flac; expected one of PCM_16, PCM_24",
        ),
    ],
)
def test_what_is_not_audio_is_not_written(
    tmp_path: Path, waveform: np.ndarray, sample_rate: int, name: str, subtype: str | None, message: str
) -> None:
    with pytest.raises(AudioError, match=message):
        write_audio(tmp_path / name, waveform, sample_rate, subtype)
    assert list(tmp_path.iterdir()) == []


def test_folders_and_files_in_the_way_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match=r"folder\.wav cannot be written: it is a folder\. Name a file"):
        write_audio(tmp_path / "folder.wav", tone(), 16000)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AudioError, match=r"a\.wav cannot be written: .*Check that its folder is a folder, writable"):
        write_audio(tmp_path / "file" / "a.wav", tone(), 16000)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; the simulated refusals below run as any user")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(AudioError, match=r"a\.wav cannot be written: Permission denied"):
        write_audio(tmp_path / "a.wav", tone(), 16000)


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ("open", errno.EROFS, "Read-only file system"),
        ("open", errno.EACCES, "Permission denied"),
        ("os.fsync", errno.ENOSPC, "No space left on device"),
        ("os.replace", errno.EXDEV, "Invalid cross-device link"),
    ],
)
def test_a_refusal_of_the_system_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, text: str
) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, tone(), 24000)
    before = path.read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr("builtins.open" if call == "open" else call, refuse)
        with pytest.raises(
            AudioError, match=rf"{re.escape(str(path))} cannot be written: {text}\. Nothing was changed"
        ):
            write_audio(path, 0.5 * tone(), 24000)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"]
