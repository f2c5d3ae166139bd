"""`wavejax prepare` and `wavejax info` of MIDI files and of corpora of scores."""

import numpy as np

from tests.data.midi_files import random_score


def test_a_folder_of_midi_files_is_prepared_and_described(run, tmp_path):
    source = tmp_path / "tunes"
    for number in range(5):
        random_score(np.random.default_rng(number)).to_midi(source / f"tune{number}.mid")
    (source / "junk.mid").write_bytes(b"junk")
    assert "folder of 6 MIDI files: wavejax prepare" in run("info", source).out
    said = run("prepare", source, tmp_path / "out", "--steps-per-quarter", "12")
    assert said.code == 0
    assert said.out.startswith("5 pieces, ")
    assert "12 steps a quarter note" in said.out
    assert "skipped junk.mid: it is no MIDI file" in said.out
    told = run("info", tmp_path / "out").out
    assert told.startswith("prepared corpus of scores: 5 pieces, ")
    assert "grid       12 steps a quarter note" in told
    told = run("info", source / "tune0.mid").out
    assert told.startswith("score: ")
    assert "tracks     " in told
    assert "is no MIDI file" in run("info", source / "junk.mid").error


def test_options_of_sound_and_a_corpus_of_scores_for_sound_are_refused(run, tmp_path):
    random_score(np.random.default_rng(0)).to_midi(tmp_path / "tunes" / "tune.mid")
    said = run("prepare", tmp_path / "tunes", tmp_path / "out", "--min-seconds", "1")
    assert said.code != 0
    assert "--min-seconds is for recordings, and" in said.error
    assert not (tmp_path / "out").exists()
    run("prepare", tmp_path / "tunes", tmp_path / "out", "--layout", "scores")
    said = run("train", "speech-16k-small", "--workdir", tmp_path / "run", "--corpus", tmp_path / "out")
    assert said.code == 1
    assert "is a corpus of scores, not of recordings" in said.error
