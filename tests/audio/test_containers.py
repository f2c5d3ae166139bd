"""A length is what decodes: files without one are read whole, files that lack what they announce are refused."""

import io
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavejax.audio import files
from wavejax.audio.files import AudioError, AudioReader, read_audio

RATE, LENGTH = 16_000, 40_000
CONTAINERS = {
    "WAV": ("WAV", "PCM_16", ".wav"),
    "WAV big-endian": ("WAV", "PCM_16", ".wav"),
    "WAVEX": ("WAVEX", "PCM_24", ".wav"),
    "ADPCM": ("WAV", "IMA_ADPCM", ".wav"),
    "RF64": ("RF64", "PCM_16", ".wav"),
    "Wave64": ("W64", "PCM_16", ".wav"),
    "AIFF": ("AIFF", "PCM_16", ".aiff"),
    "AIFC": ("AIFF", "ULAW", ".aif"),
    "AU": ("AU", "PCM_16", ".wav"),
    "CAF": ("CAF", "PCM_16", ".wav"),
    "SPHERE": ("NIST", "PCM_16", ".wav"),
    "FLAC": ("FLAC", "PCM_16", ".flac"),
    "Vorbis": ("OGG", "VORBIS", ".ogg"),
    "Opus": ("OGG", "OPUS", ".opus"),
    "MP3": ("MP3", "MPEG_LAYER_III", ".mp3"),
}


def noise(channels: int = 1, length: int = LENGTH) -> np.ndarray:
    return (0.2 * np.random.default_rng(1).standard_normal((length, channels))).clip(-1, 1).astype(np.float32)


def encoded(container: str, subtype: str, sound: np.ndarray, endian: str = "FILE") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, RATE, format=container, subtype=subtype, endian=endian)
    return buffer.getvalue()


def riff(data: bytes, length: int, bits: int = 16, channels: int = 1, before: bytes = b"", after: bytes = b"") -> bytes:
    """A RIFF file whose data chunk announces `length` bytes."""
    frame = bits // 8 * channels
    form = struct.pack("<HHIIHH", 1, channels, RATE, RATE * frame, frame, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + before + b"data" + struct.pack("<I", length) + data + after
    return b"RIFF" + struct.pack("<I", min(len(body), 0xFFFFFFFF)) + body


def pcm16(sound: np.ndarray) -> bytes:
    return np.rint(sound * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("kind", CONTAINERS)
def test_whole_files_are_read_and_cut_ones_are_refused(tmp_path: Path, kind: str) -> None:
    container, subtype, suffix = CONTAINERS[kind]
    content = encoded(container, subtype, noise(), "BIG" if kind.endswith("big-endian") else "FILE")
    (tmp_path / f"whole{suffix}").write_bytes(content)
    waveform, _ = read_audio(tmp_path / f"whole{suffix}")
    assert LENGTH <= len(waveform) <= LENGTH + 1024
    for part in (0.3, 0.5, 0.9 if kind == "MP3" else 0.97):  # MP3 encoders miscount by a frame
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(content[: int(part * len(content))])
        with pytest.raises(AudioError, match=r"is cut short: .*again|cannot be decoded: .* replace it") as caught:
            read_audio(path)
        assert str(path) in str(caught.value)


def test_the_bytes_that_are_missing_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.aiff"
    path.write_bytes(encoded("AIFF", "PCM_16", noise())[:40_054])
    with pytest.raises(AudioError, match=r"its header announces 80008 bytes of audio and 40008 are there"):
        read_audio(path)
    sound = pcm16(noise(length=20_000))
    junk = b"JUNK" + struct.pack("<I", 100_000) + bytes(100_000)
    path = tmp_path / "long-header.wav"
    path.write_bytes(riff(sound[:20_000], 40_000, before=junk))
    with pytest.raises(AudioError, match=r"its header announces 40000 bytes of audio and 20000 are there"):
        read_audio(path)


@pytest.mark.parametrize(("bits", "channels"), [(16, 1), (24, 1), (16, 6)])
@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB])
def test_a_stream_into_a_pipe_is_read_to_its_end(tmp_path: Path, bits: int, channels: int, length: int) -> None:
    sound = np.random.default_rng(0).integers(-20_000, 20_000, 5000 * channels)
    data = (sound << 8).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes() if bits == 24 else sound.astype("<i2")
    frame = bits // 8 * channels
    rounded = length // frame * frame if length == 0x7FFFF000 else length  # sox announces whole frames
    (tmp_path / "a.wav").write_bytes(riff(bytes(data), rounded, bits, channels))
    expected = (sound / 32768).reshape(-1, channels).mean(axis=1)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], expected, atol=1e-6)


@pytest.mark.parametrize("counted", [36, 44], ids=["all but the first eight bytes", "all of the header"])
def test_a_header_that_counts_itself_is_sound(tmp_path: Path, counted: int) -> None:
    sound = noise(length=20_000)
    (tmp_path / "a.wav").write_bytes(riff(pcm16(sound), 40_000 + counted))
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], sound[:, 0], atol=1e-4)
    (tmp_path / "a.wav").write_bytes(riff(pcm16(sound), 40_000 + 40))
    with pytest.raises(AudioError, match=r"announces 40040 bytes of audio and 40000 are there"):
        read_audio(tmp_path / "a.wav")


def test_chunks_behind_no_data_are_not_taken_for_sound(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(riff(b"", 0, after=b"LIST" + struct.pack("<I", 2000) + bytes(2000)))
    with pytest.raises(AudioError, match="holds no samples"):
        read_audio(tmp_path / "a.wav")


def test_more_than_four_gigabytes_behind_a_short_header_are_named(tmp_path: Path) -> None:
    with open(tmp_path / "a.wav", "wb") as file:
        file.write(riff(b"", 4000))
        file.truncate(44 + 4000 + (1 << 32))  # a hole, which takes no room
    with pytest.raises(AudioError, match=r"more than a header of 32 bits can say \(it says 4000\)\. Convert it"):
        read_audio(tmp_path / "a.wav")


def unknown_length(content: bytes, total: int = 0) -> bytes:
    """A FLAC that announces `total` samples (36 bits), and no checksum."""
    changed = bytearray(content)
    changed[21] = changed[21] & 0xF0 | total >> 32
    changed[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    changed[26:42] = bytes(16)
    return bytes(changed)


def test_a_flac_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    content = encoded("FLAC", "PCM_16", noise())
    (tmp_path / "a.flac").write_bytes(content)
    (tmp_path / "piped.flac").write_bytes(unknown_length(content))
    np.testing.assert_array_equal(read_audio(tmp_path / "piped.flac")[0], read_audio(tmp_path / "a.flac")[0])
    (tmp_path / "piped.flac").write_bytes(unknown_length(content)[: len(content) // 2])
    with pytest.raises(AudioError, match="cannot be decoded"):
        read_audio(tmp_path / "piped.flac")


def test_lengths_of_terabytes_take_no_memory(tmp_path: Path) -> None:
    content = encoded("FLAC", "PCM_16", noise())
    (tmp_path / "a.flac").write_bytes(unknown_length(content, total=LENGTH | 1 << 35))
    with pytest.raises(AudioError, match=rf"is cut short: it announces {LENGTH | 1 << 35} samples and holds {LENGTH}"):
        read_audio(tmp_path / "a.flac")
    content = bytearray(encoded("OGG", "VORBIS", noise()))
    page = content.rindex(b"OggS")
    content[page + 6 : page + 14] = struct.pack("<Q", 1 << 35)  # the granule position: samples until here
    content[page + 22 : page + 26] = bytes(4)
    content[page + 22 : page + 26] = struct.pack("<I", ogg_checksum(content[page:]))
    (tmp_path / "a.ogg").write_bytes(bytes(content))
    with pytest.raises(AudioError, match=rf"a\.ogg is cut short: it announces {1 << 35} samples and holds \d+"):
        read_audio(tmp_path / "a.ogg")


def ogg_checksum(page: bytes | bytearray) -> int:
    """CRC-32 of an Ogg page: polynomial 0x04c11db7, neither reflected nor inverted."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value >> 31 else value << 1) & 0xFFFFFFFF
    return value


def test_what_decodes_to_far_more_than_it_is_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silence = encoded("FLAC", "PCM_16", np.zeros((1 << 20, 1), np.float32))
    (tmp_path / "a.flac").write_bytes(silence)
    assert len(read_audio(tmp_path / "a.flac")[0]) == 1 << 20
    monkeypatch.setattr(files, "MOST_DECODED", 1 << 18)
    assert len(read_audio(tmp_path / "a.flac")[0]) == 1 << 20, "encoders make this of silence"
    monkeypatch.setattr(files, "MOST_PER_BYTE", 100)
    with pytest.raises(AudioError, match=rf"decodes to more than \d+ samples, out of {len(silence)} bytes"):
        read_audio(tmp_path / "a.flac")


@pytest.mark.parametrize("rate", [1, 499, 4_000_001])
def test_rates_that_no_recording_has_are_refused(tmp_path: Path, rate: int) -> None:
    content = bytearray(riff(pcm16(noise()), 80_000))
    content[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(bytes(content))
    with pytest.raises(AudioError, match=rf"announces a sample rate of {rate} Hz; expected 500 to 4000000 Hz"):
        read_audio(tmp_path / "a.wav", 16_000)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.wav"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(AudioError, match=r"a\.wav is a pipe or a device, not an audio file"):
        read_audio(path)


@pytest.mark.parametrize(("channels", "subtype"), [(1, "PCM_16"), (2, "PCM_16"), (2, "FLOAT"), (6, "PCM_24")])
@pytest.mark.parametrize("rate", [None, 22_050, 8000, 16_001])
def test_blocks_are_the_whole_file_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, subtype: str, rate: int | None
) -> None:
    """As it was read before there were blocks: decoded, averaged and resampled in one piece."""
    soxr = pytest.importorskip("soxr")
    path = tmp_path / "a.wav"
    path.write_bytes(encoded("WAV", subtype, noise(channels)))
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0]
    mixed = whole[:, 0] if channels == 1 else whole.mean(axis=1, dtype=np.float64).astype(np.float32)
    expected = mixed if rate is None else soxr.resample(mixed, RATE, rate, quality="HQ")
    np.testing.assert_array_equal(read_audio(path, rate)[0], expected)
    monkeypatch.setattr(files, "_BLOCK", 1234)
    np.testing.assert_array_equal(read_audio(path, rate)[0], expected)
    with AudioReader(path) as reader:
        assert reader.sample_rate == RATE
        assert max(len(block) for block in reader.blocks()) == 1234 // channels


def test_values_that_are_not_finite_are_found_in_any_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = noise(2)
    sound[30_001, 1] = np.nan
    (tmp_path / "a.wav").write_bytes(encoded("WAV", "FLOAT", sound))
    monkeypatch.setattr(files, "_BLOCK", 5000)
    with pytest.raises(AudioError, match=re.escape("holds NaN or infinity, first at sample 30001.")):
        read_audio(tmp_path / "a.wav")
