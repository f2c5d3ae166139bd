"""Damaged files by the hundred, given to everything that reads sound and features: a program, for its own process.

    python -m tests.data.mutations FOLDER SEED COUNT

prints one line of JSON: how many were read and refused, the seconds of the slowest, the peak memory, and every failure.
"""

import io
import json
import random
import resource
import struct
import sys
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from tests.data.recordings import TINY
from wavejax.audio.conversion import orient_features
from wavejax.audio.files import AudioError, read_audio
from wavejax.cli.inputs import InputError, read_features
from wavejax.data.prepare import PrepareError, prepare
from wavejax.data.sources import SourceError

ADDRESS_SPACE = 4 << 30  # what announces more must not get it
CONTAINERS = {
    "pcm16.wav": ("WAV", "PCM_16", 1),
    "stereo.wav": ("WAVEX", "PCM_24", 2),
    "adpcm.wav": ("WAV", "IMA_ADPCM", 1),
    "float.wav": ("WAV", "FLOAT", 1),
    "rf64.wav": ("RF64", "PCM_16", 1),
    "wave64.wav": ("W64", "PCM_16", 1),
    "sphere.wav": ("NIST", "PCM_16", 1),
    "mono.flac": ("FLAC", "PCM_16", 1),
    "stereo.flac": ("FLAC", "PCM_24", 2),
    "vorbis.ogg": ("OGG", "VORBIS", 1),
    "opus.opus": ("OGG", "OPUS", 1),
    "layer3.mp3": ("MP3", "MPEG_LAYER_III", 1),
    "apple.aiff": ("AIFF", "PCM_16", 1),
}
METADATA = "".join(f"u{n:02d}|Sentence number {n}.|sentence number {n}\n" for n in range(8)).encode()
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)


def originals() -> dict[str, bytes]:
    """Small sound files, by name."""
    tone = (0.3 * np.sin(0.1 * np.arange(6400))).astype(np.float32)
    tone += 0.01 * np.random.default_rng(0).standard_normal(len(tone)).astype(np.float32)
    files = {}
    for name, (container, subtype, channels) in CONTAINERS.items():
        buffer = io.BytesIO()
        content = tone if channels == 1 else np.stack([tone] * channels, axis=1)
        soundfile.write(buffer, content, 16_000, format=container, subtype=subtype)
        files[name] = buffer.getvalue()
    return files


def features() -> dict[str, bytes]:
    """Small files of features, by name."""
    mel = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    plain, packed, stored = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(plain, mel)
    np.savez_compressed(packed, mel=mel)
    np.savez(stored, mel=mel, other=mel)
    return {"a.npy": plain.getvalue(), "b.npz": packed.getvalue(), "c.npz": stored.getvalue()}


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One to three changes: bits, mostly of the header, lengths, or a cut."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 3))):
        head = min(len(changed), draw.choice((64, 256, len(changed))))
        kind = draw.choice(("bit", "bit", "length", "length", "cut", "insert"))
        if head < 9:
            break
        place = draw.randrange(head - 8)
        if kind == "bit":
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == "length":
            form = draw.choice(("<H", "<I", ">I", "<Q", ">Q"))
            value = draw.choice(EXTREMES) & ((1 << 8 * struct.calcsize(form)) - 1)
            struct.pack_into(form, changed, place, value)
        elif kind == "cut":
            del changed[draw.randrange(len(changed)) :]
        else:
            changed[place:place] = bytes(draw.choice((1, 2, 4, 100)))
    return bytes(changed)


def huge_arrays(folder: Path) -> None:
    """What random changes rarely meet: an array of 4 TB in 128 bytes, an archive that unpacks to 6 GB."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + b"\n"
    (folder / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("mel.npy", "w", force_zip64=True) as member:
            header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (20000000, 80), }".ljust(117) + b"\n"
            member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
            for _ in range(64):
                member.write(bytes(1 << 24))


class Trial:
    """Counts of what was read and refused, and the failures."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest = (0.0, "")

    def attempt(self, what: str, call: Callable[[], object], refusals: tuple[type[Exception], ...]) -> None:
        start = time.perf_counter()
        try:
            call()
            self.counts["read"] += 1
        except refusals as error:
            self.counts["refused"] += 1
            if not str(error).strip() or ("\n" in str(error).strip() and not isinstance(error, PrepareError)):
                self.failures.append(f"{what}: not one sentence: {error!r}")
        except BaseException:
            self.failures.append(f"{what}: {traceback.format_exc(limit=-3)}")
        self.slowest = max(self.slowest, (time.perf_counter() - start, what))


def run(folder: Path, seed: int, count: int) -> Trial:
    """Two thirds of the mutations are of sound files, each read alone and prepared with others; a quarter of arrays."""
    draw, trial, sounds, arrays = random.Random(seed), Trial(), originals(), features()
    for batch in range(count * 2 // 3 // 32):
        source = folder / f"sounds{batch}"
        source.mkdir()
        for number in range(32):
            name = draw.choice(sorted(sounds))
            path = source / f"{number:02d}{name}"
            path.write_bytes(mutated(sounds[name], draw))
            trial.attempt(path.name, lambda path=path: read_audio(path, draw.choice((None, 16_000))), (AudioError,))
        _prepare(trial, source, folder / f"prepared{batch}")
    for number in range(count // 4):
        name = draw.choice(sorted(arrays))
        path = folder / f"{number}{name}"
        path.write_bytes(mutated(arrays[name], draw))
        trial.attempt(path.name, lambda path=path: orient_features(read_features(path), TINY), (InputError, ValueError))
    huge_arrays(folder)
    for name in ("huge.npy", "bomb.npz"):
        trial.attempt(name, lambda name=name: read_features(folder / name), (InputError,))
    for number in range(count // 12):
        source = folder / f"table{number}"
        (source / "wavs").mkdir(parents=True)
        for each in range(0, 8, 4):
            (source / "wavs" / f"u{each:02d}.wav").write_bytes(sounds["pcm16.wav"])
        (source / "metadata.csv").write_bytes(mutated(METADATA, draw))
        _prepare(trial, source, folder / f"table{number}-prepared")
    return trial


def _prepare(trial: Trial, source: Path, out: Path) -> None:
    trial.attempt(
        f"prepare {source.name}",
        lambda: prepare(source, out, spec=TINY, workers=1, progress=False),
        (PrepareError, SourceError),
    )


def main() -> None:
    """The program."""
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    start = time.perf_counter()
    trial = run(folder, seed, count)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report = {"counts": trial.counts, "failures": trial.failures, "slowest": trial.slowest, "megabytes": megabytes}
    print(json.dumps({**report, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
