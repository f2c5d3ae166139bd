"""scripts/measure_voicing, on strings that were plucked by a computer."""

import re
import sys
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np

from tests.audio.strings import string
from tests.tiny.notes import SPEC, untrained
from wavejax.data.notes import LEAD, STORED_RATE, NoteRecording, common_gain, prepare_note
from wavejax.tasks.instrument.product import Instrument
from wavejax.tasks.instrument.voicing import Voicing

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "measure_voicing"
SPLITS = {45: "train", 57: "train", 60: "test", 66: "train", 75: "train", 84: "validation", 90: "train"}


def plucked() -> list[NoteRecording]:
    return [
        NoteRecording(
            midi=key,
            waveform=string(SPEC.frequency(key), rate=STORED_RATE, seconds=2.0, decay=2.0, lead=0.03, seed=key),
            sample_rate=STORED_RATE,
            split=split,
        )
        for key, split in SPLITS.items()
    ]


def test_what_is_measured_is_printed_and_written(monkeypatch, capsys, tmp_path) -> None:
    loader = SourceFileLoader("measure_voicing", str(SCRIPT))
    script = types.ModuleType(loader.name)
    loader.exec_module(script)
    notes = plucked()
    gain = common_gain(notes)

    def drawn(self, keys, num_samples, *, takes):
        """The recordings' own excitations, 6 dB too loud."""
        made = np.zeros((takes, len(keys), num_samples), np.float32)
        for place, key in enumerate(keys):
            note = next(note for note in notes if note.midi == key)
            samples = 2.0 * SPEC.damp(gain * prepare_note(note, SPEC), key, onset=LEAD)[:num_samples]
            made[:, place, : len(samples)] = samples
        return made

    monkeypatch.setattr(script.wavejax, "load", lambda name, kind: untrained(), raising=False)
    monkeypatch.setattr(script, "read_notes", lambda folder: notes)
    monkeypatch.setattr(Instrument, "drawn", drawn)
    monkeypatch.setattr(sys, "argv", ["measure_voicing", str(tmp_path), "notes", "--takes", "2", "--write"])
    assert script.main() == 0
    rows = {}
    for line in capsys.readouterr().out.splitlines()[1:-1]:
        label, *cells = re.split(r"\s+(?=[+-]\d)", line)
        rows[" ".join(label.split())] = [float(cell.split("(")[0]) for cell in cells]
    assert rows["train keys below 84 4 notes as drawn"] == [6.0] * 4
    assert all(abs(value) < 3.0 for value in rows["test keys below 84 1 notes voiced"])
    assert "validation keys from 84 1 notes voiced" in rows
    assert Voicing.load(tmp_path) is not None
