"""Names of notes, and what frames of them say."""

import dataclasses
import json

import numpy as np
import pytest

from wavejax.audio.conversion import SpecMismatch, describe_difference
from wavejax.audio.notes import NOTE_SPECS, NoteSpec, midi_number, note_name
from wavejax.audio.specs import get_spec
from wavejax.experiments.serialization import from_json

PIANO = NOTE_SPECS["piano"]


def test_names_and_numbers():
    names = {"C4": 60, "A4": 69, "F#3": 54, "Bb2": 46, "a0": 21, "C8": 108, "C-1": 0, "60": 60, "69.5": 69.5}
    assert {name: midi_number(name) for name in names} == names
    assert midi_number(61.25) == 61.25
    assert [note_name(midi) for midi in (60, 54, 46, 21)] == ["C4", "F#3", "A#2", "A0"]
    for wrong in ("H4", "C", "", "nan", "C#b4"):
        with pytest.raises(ValueError, match="write a name with its octave"):
            midi_number(wrong)


def test_tuning_is_interpolated_between_keys_and_held_beyond():
    spec = NoteSpec(name="t", sample_rate=16000, hop_length=160, tuning=((60.0, -2.0), (66.0, 4.0)))
    assert [spec.cents(midi) for midi in (50, 60, 63, 70)] == [-2.0, -2.0, 1.0, 4.0]
    assert spec.frequency(69.0) == pytest.approx(440.0 * 2 ** (4.0 / 1200))
    assert spec.frequency(63.0, shift=12.0) == pytest.approx(2 * spec.frequency(63.0))
    assert NoteSpec(name="e", sample_rate=16000, hop_length=160).frequency(69) == 440.0
    with pytest.raises(ValueError, match="rising order"):
        dataclasses.replace(spec, tuning=((60.0, 0.0), (60.0, 1.0)))
    with pytest.raises(ValueError, match="hop_length of spec 't' is 0"):
        dataclasses.replace(spec, hop_length=0)


def test_frames_tell_pitch_key_shift_and_time_apart():
    frames = PIANO.frames(60, 200, onset=0.02)
    assert frames.shape == (200, PIANO.num_channels)
    assert frames.dtype == np.float32
    constant = np.ptp(frames, axis=0) == 0
    assert constant.sum() == PIANO.num_channels - 9  # only the time since the onset moves
    # Centres of frames lie 5, 15, 25 ms after sample 0: the third is the first to sound.
    sounds = frames[:, ~constant][:, 0]
    assert list(sounds[:4]) == [0, 0, 1, 1]
    # A higher key resampled to the same pitch is the same pitch, another key, another shift.
    cents = PIANO.cents(60) - PIANO.cents(62)
    other = PIANO.frames(62, 200, onset=0.02, shift=-2.0 + cents / 100)
    assert np.abs(other[0, :38] - frames[0, :38]).max() < 1e-4
    assert np.abs(other[0, 38:43] - frames[0, 38:43]).min() > 1e-4


def test_every_pitch_of_the_keyboard_has_frames_of_its_own():
    pitches = np.arange(21.0, 108.0, 0.05)
    features = np.stack([PIANO.frames(midi, 1, onset=0.0)[0, :38] for midi in pitches])
    squares = np.sum(np.square(features, dtype=np.float64), axis=1)
    distance = squares[:, None] + squares[None] - 2.0 * (features @ features.T) + 100.0 * np.eye(len(pitches))
    # Five cents are told apart anywhere, and nothing far away looks alike: the nearest other is always a neighbour.
    assert distance.min() > 0.05**2
    assert (np.abs(np.argmin(distance, axis=1) - np.arange(len(pitches))) == 1).all()


def test_frames_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"half the sample rate"):
        PIANO.frames(127, 3, onset=0.0)
    with pytest.raises(ValueError, match=r"a shift within 4\.0 semitones"):
        PIANO.frames(60, 3, onset=0.0, shift=5.0)


def test_a_mel_is_not_taken_for_notes():
    assert PIANO.check(PIANO.frames(60, 3, onset=0.0)).shape == (3, 52)
    mel = np.random.default_rng(0).normal(-5, 2, (3, 80)).astype(np.float32)
    with pytest.raises(ValueError, match=r"shape \(3, 80\), frames of notes \[F >= 1, 52\]"):
        PIANO.check(mel)
    with pytest.raises(ValueError, match="its pitch is sines and cosines, and these are not"):
        PIANO.check(mel[:, :52])


def test_specs_of_both_kinds_are_printed_side_by_side():
    said = describe_difference(PIANO, get_spec("speech-16k"))
    assert "* n_mels             -                        80" in said
    assert "* hop_length         160                      200" in said
    assert "  sample_rate        16000                    16000" in said
    assert "n_mels" in str(SpecMismatch("no.", get_spec("speech-16k"), PIANO))


def test_the_spec_survives_a_dictionary():
    assert from_json(NoteSpec, json.loads(json.dumps(PIANO.to_dict()))) == PIANO
    # One that was written before there were strings has none: its samples are the sound itself.
    older = {name: value for name, value in PIANO.to_dict().items() if name != "strings"}
    assert from_json(NoteSpec, json.loads(json.dumps(older))) == dataclasses.replace(PIANO, strings=None)
    assert dataclasses.replace(PIANO, name="other") == PIANO
