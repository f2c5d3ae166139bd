"""An instrument is judged on held-out notes beside their neighbours and a sine."""

import dataclasses

import numpy as np
import pytest

from tests.tiny.notes import recordings, untrained
from wavejax.evaluation.selection import ListeningError
from wavejax.tasks.instrument.listening import judge_instrument, median_figure


def test_all_seeds_are_scored_and_the_anchors_are_what_they_say(monkeypatch):
    said: list[str] = []
    made = judge_instrument(untrained(), recordings(), "test", temperatures=(1.0,), num_seeds=2, say=said.append)
    assert [item.id for item in made.items] == ["C4"]
    names = [system.name for system in made.systems]
    assert names == ["original", "lower note resampled", "upper note resampled", "sine", "instrument T=1"]
    assert made.figures["instrument T=1"]["pitch"].shape == (2, 1)
    assert made.systems[-1].seeds == (0, 1)
    # Strings are tuned as the spec says, so a neighbour that is resampled to the asked pitch is in tune; A3 lies three
    # semitones below, and the validation note D#4 is no training note: F#4, six above, is taken.
    for name in names[:4]:
        assert median_figure(made, name, "pitch") < 0.3
    assert median_figure(made, "sine", "log_mel") > 10.0
    assert median_figure(made, "lower note resampled", "log_mel") < median_figure(made, "sine", "log_mel")
    # An untrained instrument plays noise, and columns say so. Its strings are in tune, whatever strikes them.
    assert {"spectrum", "log_mel"} <= set(made.flags("instrument T=1"))
    assert median_figure(made, "instrument T=1", "pitch") < 3.0
    assert "playing C4 at temperature 1, seed 1" in said


def test_a_split_without_notes_or_neighbours_is_refused():
    instrument, notes = untrained(), recordings(0.5)
    options = {"temperatures": (1.0,), "num_seeds": 1, "say": lambda _: None}
    with pytest.raises(ListeningError, match="has 0 notes"):
        judge_instrument(instrument, [note for note in notes if note.split != "test"], "test", **options)
    lowest = [dataclasses.replace(note, split="test" if note.midi == 57 else "train") for note in notes]
    with pytest.raises(ListeningError, match="A3 has no training note on both sides"):
        judge_instrument(instrument, lowest, "test", **options)
    assert np.isfinite(notes[0].waveform).all()
