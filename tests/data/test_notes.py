"""A corpus of notes: pitches that are known before and after resampling, splits kept apart."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.audio.strings import string
from wavejax.audio.notes import NoteSpec
from wavejax.audio.partials import cents_between, measure_partials
from wavejax.audio.strings import StringSpec
from wavejax.data import CropShape, training_batches
from wavejax.data.manifest import ManifestError
from wavejax.data.notes import (
    LEAD,
    NoteRecording,
    find_onset,
    measured_strings,
    measured_tuning,
    note_corpus,
    open_notes,
    prepare_note,
    read_notes,
    rung,
)

RATE = 24_000
SPEC = NoteSpec(name="strings", sample_rate=16000, hop_length=160, tuning=((57.0, 0.0), (63.0, 6.0)))


def recording(midi: float, split: str, lead: float = 0.05) -> NoteRecording:
    """A key in the tuning of `SPEC`."""
    sound = string(SPEC.frequency(midi), rate=RATE, seconds=1.0, decay=2.0, lead=lead, seed=int(midi))
    return NoteRecording(midi=midi, waveform=sound, sample_rate=RATE, split=split)


NOTES = [recording(57, "train"), recording(60, "test"), recording(63, "train", lead=0.0)]


def test_the_onset_is_found_to_a_millisecond():
    for lead in (0.0, 0.013, 0.4):
        onset = find_onset(string(220.0, rate=RATE, lead=lead), RATE)
        assert onset == pytest.approx(lead * RATE, abs=RATE // 1000)


def test_notes_start_a_fixed_time_after_the_first_sample_whatever_the_recording():
    for note in NOTES:
        waveform = prepare_note(note, SPEC)
        assert find_onset(waveform, 16000) / 16000 == pytest.approx(LEAD, abs=2e-3)
        assert len(waveform) / 16000 == pytest.approx(1.0 + LEAD, abs=3e-3)


@pytest.mark.parametrize("shift", [-3.5, -0.4, 0.0, 2.25])
def test_a_resampled_note_has_the_pitch_that_its_frames_state(shift):
    waveform = prepare_note(NOTES[0], SPEC, shift=shift)
    stated = SPEC.frequency(57, shift)
    found = measure_partials(waveform[1600:14000], 16000, stated).fundamental
    assert abs(cents_between(found, stated)) < 0.2
    # And it lasts as much shorter as it is higher.
    assert len(waveform) / 16000 - LEAD == pytest.approx(1.0 / 2 ** (shift / 12), abs=3e-3)


def test_only_training_notes_are_resampled_and_they_leave_no_gap():
    corpus = note_corpus(NOTES, SPEC, num_shifts=12, max_shift=3.5, num_threads=1)
    names = [entry.id for entry in corpus.entries]
    assert [entry.id for entry in corpus.entries if entry.split == "test"] == ["C4+0.000"]
    assert len(corpus.indices("train")) == 2 * 13
    heard = np.sort([57 + float(name[2:]) for name in names if name.startswith("A3")])
    assert np.diff(heard).max() < 2 * 7.0 / 12
    # The held-out pitch, 60, is heard from its neighbour, the held-out note never.
    assert heard[0] < 57 - 2.9
    assert heard[-1] > 57 + 2.9
    peaks = [float(np.abs(corpus.utterance(i).waveform).max()) for i in range(len(corpus))]
    assert max(peaks) == pytest.approx(0.7, abs=0.05)
    again = note_corpus(NOTES, SPEC, num_shifts=12, max_shift=3.5, num_threads=2)
    assert [entry.id for entry in again.entries] == names
    np.testing.assert_array_equal(again.load(3)[0], corpus.load(3)[0])
    with pytest.raises(ValueError, match=r"max_shift 5\.0 within 4\.0 semitones"):
        note_corpus(NOTES, SPEC, max_shift=5.0)


def test_a_corpus_of_notes_is_cut_like_any_other():
    corpus = note_corpus(NOTES, SPEC, num_shifts=2)
    shape = CropShape(history=64, length=1600, frames_before=1, frames_after=1)
    batch = next(training_batches(corpus, "train", shape, batch_size=3, seed=0, num_threads=0))
    assert batch["local_conditioning"].shape == (3, 12, SPEC.num_channels)
    assert batch["waveform"].shape == (3, 1664)
    index = {entry.id: i for i, entry in enumerate(corpus.entries)}[corpus.names_of(batch["id"][:1])[0]]
    frames, row = corpus.load(index)[1], batch["local_conditioning"][0]
    places = [f for f in range(len(frames) - 11) if np.array_equal(frames[f : f + 12], row)]
    # At the very start, frame 0 stands for the one before it: all that it says is still true there.
    assert places or np.array_equal(frames[0], row[0])


def test_the_tuning_is_measured_on_training_notes_alone():
    tuning = dict(measured_tuning(NOTES))
    assert set(tuning) == {57.0, 63.0}
    assert tuning[57.0] == pytest.approx(0.0, abs=0.2)
    assert tuning[63.0] == pytest.approx(6.0, abs=0.2)


def test_strings_are_measured_on_training_notes_alone():
    keys, stiffness, seconds = (45, 50, 57, 60, 63, 69), 3e-4, {45: 4.0, 50: 3.0, 57: 2.0, 60: 9.0, 63: 2.0, 69: 1.5}
    notes = [
        NoteRecording(
            midi=midi,
            waveform=string(
                SPEC.frequency(midi), stiffness=stiffness, rate=RATE, decay=seconds[midi], seconds=3.0, seed=midi
            ),
            sample_rate=RATE,
            split="test" if midi == 60 else "train",
        )
        for midi in keys
    ]
    strings = measured_strings(notes)
    assert [key for key, _ in strings.decay] == [45, 50, 57, 63, 69]
    np.testing.assert_allclose([b for _, b in strings.inharmonicity], stiffness, rtol=0.05)
    # 60 dB in so many seconds, the same for all partials; a smooth curve over the keys, so not to the last per cent.
    expected = [np.log(1000.0) / seconds[int(key)] for key, _ in strings.decay]
    np.testing.assert_allclose([fall for _, fall in strings.decay], expected, rtol=0.15)
    assert strings.damping < 0.05
    # What is left of them is noise whose level is about the same all along, and the same for all keys.
    spec = dataclasses.replace(SPEC, strings=strings)
    gain = 0.7 / max(float(np.abs(note.waveform).max()) for note in notes)
    for note in notes[:3]:
        left = spec.damp(gain * prepare_note(note, spec), note.midi, onset=LEAD)
        for begin, end in ((800, 3200), (8000, 16000), (24000, 40000)):
            assert 0.01 < np.std(left[begin:end]) < 0.8  # the notes themselves fall by 60 dB
    with pytest.raises(ValueError, match="only 0 training notes"):
        measured_strings(notes[3:4])


def test_a_corpus_of_strings_holds_what_strikes_them():
    strings = StringSpec(inharmonicity=((60.0, 1e-9),), decay=((60.0, 3.4),), damping=1e-9)
    spec = dataclasses.replace(SPEC, strings=strings)
    struck, sounding = note_corpus(NOTES, spec, num_shifts=3), note_corpus(NOTES, SPEC, num_shifts=3)
    assert len(struck) == len(sounding)
    for i in struck.indices("train"):
        entry, waveform = struck.entries[i], struck.utterance(i).waveform
        whole, midi = sounding.utterance(i).waveform, 57 if "A" in entry.id else 63
        note = struck.utterance(i).note
        assert (note.midi, struck.utterance(i).transcript) == (midi, "")
        assert f"{note.shift:+.3f}" == entry.id[-6:]
        np.testing.assert_allclose(rung(waveform, struck.utterance(i), spec), whole, atol=3e-4)
        late = slice(3200, 12000)
        assert np.std(waveform[late]) < 0.1 * np.std(whole[late])
    assert struck.read_from(sounding).utterance(0).note == struck.utterance(0).note
    with pytest.raises(
        ValueError, match="the utterance 'A3' is no note, so no string rings; take one of a `note_corpu"
    ):
        rung(waveform, dataclasses.replace(struck.utterance(0), id="A3", note=None), spec)


def test_some_resampled_notes_are_cut_short_so_that_strokes_are_heard_more_often():
    long = [dataclasses.replace(note, waveform=np.tile(note.waveform, 9)) for note in NOTES]
    corpus = note_corpus(long, SPEC, num_shifts=8)
    seconds = {entry.id: entry.num_samples / 16000 for entry in corpus.entries}
    assert seconds["A3+0.000"] == 8.0
    assert sorted(seconds.values())[-5:] == [8.0] * 5  # the three notes themselves and one shift of both training notes
    assert sorted(set(seconds.values())) == [0.5, 8.0]


def write_folder(folder: Path) -> Path:
    (folder / "wavs").mkdir(parents=True)
    rows = ["file|note|split\n"]
    for note in NOTES:
        soundfile.write(folder / "wavs" / f"{note.midi:.0f}.flac", note.waveform, RATE, subtype="PCM_16")
        rows.append(f"{note.midi:.0f}.flac|{note.midi:.0f}|{note.split}\n")
    (folder / "notes.csv").write_text("".join(rows))
    return folder


def test_a_folder_of_notes_is_read(tmp_path):
    folder = write_folder(tmp_path / "strings")
    found = read_notes(folder)
    assert [(note.midi, note.split, note.sample_rate) for note in found] == [
        (57.0, "train", RATE),
        (60.0, "test", RATE),
        (63.0, "train", RATE),
    ]
    np.testing.assert_allclose(found[1].waveform, NOTES[1].waveform, atol=2 / 32768)
    assert open_notes(folder, SPEC).spec == SPEC
    with pytest.raises(ManifestError, match=r"holds no notes\.csv.*scripts/fetch_notes DATA"):
        read_notes(tmp_path)
    (folder / "notes.csv").write_text("file|note|split\n57.flac|57|tset\n")
    with pytest.raises(ManifestError, match=r"line 2 of .*expected file\|note\|train/validation/test"):
        read_notes(folder)
    (folder / "notes.csv").write_bytes("\ufefffile|note|split\r\n57.flac|57|train\r\n".encode())
    assert [note.midi for note in read_notes(folder)] == [57.0]
    (folder / "notes.csv").write_text("57.flac|57|train\n60.flac|60|test\n")
    with pytest.raises(ManifestError, match=r"line 1 of .* is '57\.flac\|57\|train'; expected the header file\|note"):
        read_notes(folder)


@pytest.mark.parametrize(
    "name", ["../outside.flac", "{}/outside.flac", "x/../../outside.flac", ".", "", "gone.flac", "pipe.flac"]
)
def test_notes_lie_in_their_folder(tmp_path, name):
    folder = write_folder(tmp_path / "strings")
    soundfile.write(folder / "outside.flac", NOTES[0].waveform, RATE)
    (folder / "wavs" / "x").mkdir()
    os.mkfifo(folder / "wavs" / "pipe.flac")
    (folder / "notes.csv").write_text(f"file|note|split\n{name.format(folder)}|57|train\n")
    with pytest.raises(ManifestError, match=r"line 2 of .* names '.*', which is no file in .*wavs"):
        read_notes(folder)
