"""A SoundFont of one sine plays notes; without the package, or with another file, one sentence says so."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from wavejax.data.players import PlayedNote
from wavejax.data.scores import Note, Score, ScoreError, Track
from wavejax.data.soundfonts import SoundFont
from wavejax.extras import MissingExtra


def sound_font(path: Path) -> Path:
    """The smallest SoundFont: one preset, one instrument, a looped sine of 500 Hz with the root key 60."""
    rate, period = 24_000, 48
    sine = np.rint(20_000 * np.sin(2 * np.pi * np.arange(20 * period) / period)).astype("<i2").tobytes() + bytes(92)

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    def listed(kind: bytes, *chunks: bytes) -> bytes:
        return chunk(b"LIST", kind + b"".join(chunks))

    def name(text: str) -> bytes:
        return text.encode().ljust(20, b"\0")

    header = struct.pack("<IIIIIBbHH", 0, 20 * period, period, 19 * period, rate, 60, 0, 0, 1)
    end = struct.pack("<IIIIIBbHH", 0, 0, 0, 0, 0, 0, 0, 0, 0)
    generators = struct.pack("<HHHHHH", 54, 1, 53, 0, 0, 0)  # loop; the sample
    body = listed(b"INFO", chunk(b"ifil", struct.pack("<HH", 2, 1)))
    body += listed(b"sdta", chunk(b"smpl", sine))
    body += listed(
        b"pdta",
        chunk(
            b"phdr",
            name("sine")
            + struct.pack("<HHHIII", 0, 0, 0, 0, 0, 0)
            + name("EOP")
            + struct.pack("<HHHIII", 0, 0, 1, 0, 0, 0),
        ),
        chunk(b"pbag", struct.pack("<HHHH", 0, 0, 1, 0)),
        chunk(b"pmod", bytes(10)),
        chunk(b"pgen", struct.pack("<HHHH", 41, 0, 0, 0)),
        chunk(b"inst", name("sine") + struct.pack("<H", 0) + name("EOI") + struct.pack("<H", 1)),
        chunk(b"ibag", struct.pack("<HHHH", 0, 0, 2, 0)),
        chunk(b"imod", bytes(10)),
        chunk(b"igen", generators),
        chunk(b"shdr", name("sine") + header + name("EOS") + end),
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + 4) + b"sfbk" + body)
    return path


def test_a_sound_font_plays_a_score_in_tune(tmp_path) -> None:
    pytest.importorskip("tinysoundfont")
    font = SoundFont(sound_font(tmp_path / "sine.sf2"))
    [middle, higher, other] = font.sounds(
        [PlayedNote(60, 1.0, 100), PlayedNote(72, 1.0, 100), PlayedNote(60, 1.0, 50, program=40)]
    )
    for sound, hertz in ((middle, 500), (higher, 1000), (other, 500)):
        assert int(np.argmax(np.abs(np.fft.rfft(sound[:24_000])))) == hertz
    assert np.abs(other).max() < 0.6 * np.abs(middle).max()
    score = Score(tracks=(Track(notes=(Note(0, 4, 60), Note(4, 8, 67))),), tempo=60.0)
    sound = score.waveform(font)
    assert len(sound) >= 48_000
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0.02


def test_without_the_package_a_sentence_says_how_to_get_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(MissingExtra, match="pip install --no-deps tinysoundfont"):
        SoundFont(tmp_path / "any.sf2")


def test_another_file_is_no_sound_font(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tinysoundfont", type(sys)("tinysoundfont"))
    (tmp_path / "other.sf2").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(ScoreError, match=r"other\.sf2 is no SoundFont, which starts with RIFF and sfbk: got b'RIFF"):
        SoundFont(tmp_path / "other.sf2")
