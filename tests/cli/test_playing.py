"""`play`, and `evaluate` of an instrument."""

import json
from pathlib import Path

import pytest
import soundfile

from tests.tiny.notes import recordings, untrained
from wavejax.checkpoints import export_params
from wavejax.cli.playing import _names
from wavejax.experiments.metadata import metadata


@pytest.fixture(scope="module")
def instrument(tmp_path_factory: pytest.TempPathFactory) -> Path:
    piano = untrained()
    return export_params(tmp_path_factory.mktemp("exports") / "piano", piano.params, metadata(piano.config, {}))


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notes")
    rows = ["file|note|split\n"]
    for note in recordings(0.6):
        name = f"{note.midi:.0f}.wav"
        (folder / "wavs").mkdir(exist_ok=True)
        soundfile.write(folder / "wavs" / name, note.waveform, note.sample_rate)
        rows.append(f"{name}|{note.midi:.0f}|{note.split}\n")
    (folder / "notes.csv").write_text("".join(rows))
    return folder


def test_files_are_named_after_their_notes():
    assert _names(("C4", "60", "Bb3", "60.5", "C4")) == [
        "C4.wav",
        "C4-take2.wav",
        "A#3.wav",
        "C4+50c.wav",
        "C4-take3.wav",
    ]


def test_play_writes_a_file_a_note_and_their_mix(run, tmp_path, instrument):
    said = run("play", instrument, "C4", "E4", "--out", tmp_path, "--seconds", "0.1", "--every", "0.05")
    assert said.code == 0, said.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["C4.wav", "E4.wav", "mix.wav"]
    assert [soundfile.info(tmp_path / name).frames for name in ("C4.wav", "mix.wav")] == [1600, 2400]
    again = run("play", instrument, "C4", "--out", tmp_path, "--seconds", "0.1")
    assert again.code == 2
    assert "C4.wav is there already: choose another --out, or --overwrite" in again.error


def test_play_says_what_is_wrong(run, tmp_path, instrument):
    assert "'X4' is no note: write a name with its octave" in run("play", instrument, "X4", "--out", tmp_path).error
    both = run("play", instrument, "C4", "--out", tmp_path, "--chord", "--every", "1")
    assert both.code == 2
    assert "leave one of them out" in both.error


def test_info_describes_an_instrument(run, instrument):
    assert "piano: 16000 Hz, hop 160, 52 channels" in run("info", instrument).out


def test_evaluate_judges_an_instrument_and_writes_the_page(run, tmp_path, instrument, notes):
    said = run(
        *("evaluate", instrument, "--corpus", notes, "--seeds", 1),
        *("--output", tmp_path / "page", "--json", tmp_path / "all.json"),
    )
    assert said.code == 0, said.error
    assert "| pitch error (cents) " in said.out
    assert "instrument T=1, median pitch error: " in said.out
    page = (tmp_path / "page" / "index.html").read_text()
    assert "audio/lower_note_resampled/0/C4.wav" in page
    assert "median pitch error" in page
    systems = json.loads((tmp_path / "all.json").read_text())["listening"]["systems"]
    assert systems["sine"]["figures"]["pitch"][0][0] < 1.0
    assert systems["instrument T=1"]["flags"]
    other = run("evaluate", instrument, "--corpus", tmp_path, "--seeds", 1)
    assert "holds no notes.csv" in other.error
