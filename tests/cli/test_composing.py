"""`wavejax compose`."""

import pytest

from tests.tiny.scores import melody, untrained
from wavejax.checkpoints import export_params
from wavejax.cli import composing
from wavejax.data.players import Sine
from wavejax.data.scores import Score
from wavejax.experiments.metadata import metadata


@pytest.fixture(scope="module")
def composer(tmp_path_factory):
    product = untrained()
    return export_params(tmp_path_factory.mktemp("exports") / "tiny", product.params, metadata(product.config, {}))


def test_compose_writes_a_piece_in_four_files(run, tmp_path, composer):
    options = ["--bars", "2", "--tempo", "200", "--instrument", "sine", "--key", "F# minor"]
    said = run("compose", composer, "--out", tmp_path / "tune", *options)
    assert said.code == 0, said.error
    assert {path.name for path in tmp_path.iterdir()} == {"tune.mid", "tune.wav", "tune.png", "tune.html"}
    assert "bar 2" in said.error
    assert "2 bars in " in said.out
    score = Score.from_midi(tmp_path / "tune.mid")
    assert (score.num_bars, round(score.tempo)) == (2, 200)
    page = (tmp_path / "tune.html").read_text()
    assert all(word in page for word in ('src="tune.wav"', 'href="tune.mid"', "synthetic", "seed"))
    again = run("compose", composer, "--out", tmp_path / "tune", *options)
    assert again.code == 2
    assert "tune.mid is there already: choose another --out, or --overwrite" in again.error


def test_compose_keeps_a_melody(run, tmp_path, composer):
    melody(32).to_midi(tmp_path / "melody.mid")
    given = ["--given", tmp_path / "melody.mid", "--instrument", "sine"]
    said = run("compose", composer, "--out", tmp_path / "hymn", *given)
    assert said.code == 0, said.error
    kept, tune = Score.from_midi(tmp_path / "hymn.mid").tracks[0].notes, melody(32).tracks[0].notes
    assert [(note.start, note.pitch) for note in kept] == [(note.start, note.pitch) for note in tune]
    assert "melody.mid" in (tmp_path / "hymn.html").read_text()


def test_compose_says_what_is_wrong(run, tmp_path, composer):
    out = ["--out", tmp_path / "tune", "--instrument", "sine"]
    assert "is no file: --given takes a MIDI file" in run("compose", composer, *out, "--given", "nothing.mid").error
    key = run("compose", composer, *out, "--key", "H")
    assert key.code == 2
    assert "--key: 'H' is no key: write G, Bb major, F# minor or Em" in key.error
    assert "--bars must be at least 1 and at most 4096, got 0" in run("compose", composer, *out, "--bars", "0").error
    assert not list(tmp_path.iterdir())


def test_a_soundfont_plays_and_what_is_no_instrument_is_said_at_once(run, composer, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(composing, "SoundFont", lambda path: opened.append(path) or Sine())
    said = run("compose", composer, "--out", tmp_path / "tune", "--bars", "1", "--instrument", "font.sf2")
    assert (said.code, opened) == (0, ["font.sf2"]), said.error
    refused = run("compose", tmp_path / "no model", "--out", tmp_path / "other", "--instrument", "violin")
    assert refused.code
    assert "'violin' is neither piano nor sine nor a SoundFont" in refused.error
