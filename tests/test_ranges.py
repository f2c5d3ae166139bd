"""A number that cannot be meant is refused with the range that can: in the library. Of commands see tests/cli."""

import dataclasses
import math
from typing import Annotated

import numpy as np
import pytest

from wavejax.audio.notes import midi_number
from wavejax.experiments.autoregressive.config import CropConfig, SampleTrainingConfig
from wavejax.ranges import Range, as_option, check_ranges
from wavejax.tasks.instrument.playing import PlayingError, check_length, mix


def test_what_lies_in_a_range():
    inside = {Range(0): (0, 1, 1e300, 10**400), Range(0, 1, below=True): (0, 0.999), Range(0, 1, above=True): (1e-9, 1)}
    outside = {Range(0): (-1e-9, math.nan, math.inf, -(10**400)), Range(0, 1, below=True): (1, -0.1, math.nan)}
    outside[Range(0, 1, above=True)] = (0, 1.001, math.nan, math.inf)
    assert all(number in each for each, numbers in inside.items() for number in numbers)
    assert not any(number in each for each, numbers in outside.items() for number in numbers)
    assert str(Range(0)) == "at least 0"
    assert str(Range(0, 0.5, below=True)) == "at least 0 and below 0.5"
    assert str(Range(0, 60, above=True, why="a minute")) == "above 0 and at most 60 (a minute)"


def test_fields_with_ranges_are_looked_at():
    @dataclasses.dataclass
    class Options:
        seed: int = -7
        folds: Annotated[int | str, Range(1, 9)] = "auto"
        temperature: Annotated[tuple[float, ...], Range(0, 2)] = ()
        keep_last: Annotated[int | None, Range(1)] = None

    check_ranges(Options())
    check_ranges(Options(folds=9, temperature=(0.0, 2.0), keep_last=1))
    wrong = {
        "folds must be at least 1 and at most 9, got 10": Options(folds=10),
        "temperature must be at least 0 and at most 2, got 2.5": Options(temperature=(1.0, 2.5)),
    }
    for message, options in wrong.items():
        with pytest.raises(ValueError, match=message):
            check_ranges(options)
    with pytest.raises(ValueError, match="--keep-last must be at least 1, got 0"):
        check_ranges(Options(keep_last=0), as_option)


def test_configurations_of_the_library_are_looked_at_too():
    with pytest.raises(ValueError, match=r"training\.ema_decay must be at least 0 and below 1, got 1\.5"):
        SampleTrainingConfig(ema_decay=1.5)
    with pytest.raises(ValueError, match=r"data\.num_threads must be at least 0 and at most 1024, got -1"):
        CropConfig(num_threads=-1)


def test_notes_that_no_keyboard_has_are_refused():
    for note in ("C-99", "C-2", "G#9", "C9999", "128", "-1", "1e30"):
        with pytest.raises(ValueError, match=r"there is no note .*: MIDI numbers are at least 0 and at most 127"):
            midi_number(note)
    for note in ("C99999", "C" + "9" * 5000, "nan", "inf", "²", "C²", ""):
        with pytest.raises(ValueError, match="is no note: write a name with its octave"):
            midi_number(note)
    assert [midi_number(note) for note in ("C-1", "G9", "A4", "0", "127")] == [0, 127, 69, 0, 127]


def test_what_is_played_at_once_fits_into_memory():
    check_length(88, 8, 15.0)
    for seconds in (0.0, -1.0, 61.0, 1e9, math.nan, math.inf):
        with pytest.raises(PlayingError, match="seconds of a note must be above 0 and at most 60"):
            check_length(1, 1, seconds)
    with pytest.raises(PlayingError, match=r"88 notes, 32768 takes .* are 801\.0 hours of sound at once, at most 3"):
        check_length(88, 32768, 1.0)
    with pytest.raises(PlayingError, match=r"0 seconds or more, and at most 60, got 1000000000\.0"):
        mix(np.zeros((2, 10), np.float32), 16000, every=1e9)
