"""scripts/five_speakers, on small corpora as scripts/fetch_corpora leaves them."""

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wavejax.data.sources import list_source

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "five_speakers"
CORPORA = ("allison-en", "allison-es", "carlo-it", "festvox-ru", "ivrvoice-ru", "june-fr")
COUNT = 60


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("five_speakers", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("five_speakers", loader))
    sys.modules["five_speakers"] = module  # dataclasses look their module up
    loader.exec_module(module)
    yield module
    del sys.modules["five_speakers"]


def write_corpus(folder: Path, count: int, samples: int = 40) -> None:
    """Recording k holds the value k throughout; its words are its own, but for 7 of june-fr, which 8 repeats."""
    (folder / "wavs").mkdir(parents=True)
    rows = []
    for k in range(count):
        soundfile.write(folder / "wavs" / f"p{k:03}.flac", np.full(samples, k, np.int16), 16_000)
        number = 7 if (folder.name, k) == ("june-fr", 8) else k
        rows.append(f"p{k:03}|as shipped [{k}]|{folder.name} phrase {number}\n")
    (folder / "metadata.csv").write_text("".join(rows))
    (folder / "LICENCE").write_text(f"the notice of {folder.name}\n")
    (folder / "CREDITS.md").write_text(f"# {folder.name}\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in CORPORA:
        write_corpus(tmp_path / name, 4 * COUNT if name == "festvox-ru" else COUNT)
    (tmp_path / "allison-en" / "splits.csv").write_text("p003|test\np004|validation\n")
    return tmp_path


def negated(samples: np.ndarray) -> np.ndarray:
    return -samples


def test_the_speakers_are_a_folder_that_prepare_reads(script, data, capsys):
    folder = script.join(data, negated)
    listing = list_source(folder)
    assert listing.layout == "speakers"
    assert listing.skipped == ()
    by_speaker = {name: [r for r in listing.recordings if r.speaker == name] for name in script.SPEAKERS}
    assert {name: len(found) for name, found in by_speaker.items()} == {
        "allison": 2 * COUNT,
        "carlo": COUNT,
        "festvox": COUNT,
        "ivrvoice": COUNT,
        "june": COUNT,
    }
    assert [r.id for r in by_speaker["festvox"]][:3] == ["festvox/p000", "festvox/p004", "festvox/p008"]
    assert {r.id[:11] for r in by_speaker["allison"]} == {"allison/en-", "allison/es-"}
    assert by_speaker["carlo"][5].transcript == "carlo-it phrase 5"
    samples, _ = soundfile.read(folder / "festvox" / "wavs" / "p008.flac", dtype="int16")
    np.testing.assert_array_equal(samples, np.full(40, -8))
    samples, _ = soundfile.read(folder / "june" / "wavs" / "p008.flac", dtype="int16")
    np.testing.assert_array_equal(samples, np.full(40, 8))
    assert (folder / "allison" / "LICENCE-es").read_text() == "the notice of allison-es\n"
    assert "encoded to G.722" in (folder / "festvox" / "CREDITS-ru.md").read_text()
    assert "G.722" not in (folder / "june" / "CREDITS-fr.md").read_text()
    assert "now: wavejax prepare" in capsys.readouterr().out


def test_what_is_held_out_is_fixed_and_new(script, data):
    listing = list_source(script.join(data, negated))
    held_out = {r.id: r.split for r in listing.recordings if r.split != "train"}
    assert all(r.split is not None for r in listing.recordings), "nothing is left to a draw"
    assert held_out["allison/en-p003"] == "test"
    assert held_out["allison/en-p004"] == "validation"
    rest = {name: split for name, split in held_out.items() if not name.startswith("allison/en-")}
    # Recordings 7 and 57 of each; every fourth of festvox counts; june's 7 has the words of her 8.
    assert rest == dict.fromkeys(
        [f"{name}{k}" for name in ("allison/es-", "carlo/", "ivrvoice/") for k in ("p007", "p057")]
        + ["festvox/p028", "festvox/p228", "june/p057"],
        "validation",
    )


def test_a_folder_that_is_there_is_left_alone(script, data, capsys):
    (data / "five-speakers").mkdir()
    script.join(data, negated)
    assert "exists, nothing done" in capsys.readouterr().out
    assert not any((data / "five-speakers").iterdir())


def test_what_is_missing_is_fetched_and_nothing_half_written(script, data, monkeypatch):
    ran = []

    def run(command, **_):
        ran.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    script.fetch_missing(data)
    assert ran == []
    (data / "carlo-it").rename(data / "gone")
    with pytest.raises(script.JoinError, match="carlo-it could not be fetched"):
        script.fetch_missing(data, data / "debs")
    assert ran[0][1:] == [
        str(SCRIPT.with_name("fetch_corpora")),
        "carlo-it",
        str(data),
        "--packages",
        str(data / "debs"),
    ]
    assert not (data / "five-speakers").exists()


def test_a_recording_of_another_rate_is_refused(script, data):
    soundfile.write(data / "june-fr" / "wavs" / "p001.flac", np.zeros(40, np.int16), 8000)
    with pytest.raises(script.JoinError, match=r"p001.flac: expected 16000 Hz mono, got 8000 Hz"):
        script.join(data, negated)
    assert not (data / "five-speakers").exists()


def test_without_pyav_and_ffmpeg_it_says_what_to_install(script, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(script.shutil, "which", lambda name: None)
    with pytest.raises(script.JoinError, match=r"install PyAV \(pip install 'wavejax-audio\[corpora\]'\)"):
        script.through_g722(np.zeros(10, np.int16))


def test_g722_keeps_the_sound_and_adds_its_noise(script):
    pytest.importorskip("av")
    time = np.arange(16_001) / 16_000
    sine = (8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    coded = script.through_g722(sine)
    assert coded.dtype == np.int16
    assert len(coded) == 16_000
    late, early = coded[22:].astype(float), sine[: len(coded) - 22].astype(float)
    noise = np.mean(np.square(late - early)[1000:]) / np.mean(np.square(early)[1000:])
    assert -60 < 10 * np.log10(noise) < -15
