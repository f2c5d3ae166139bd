"""An instrument plays the notes of a score: each key drawn once, voiced, damped at its end."""

import itertools

import numpy as np
import pytest

from tests.audio.strings import string
from tests.tiny.notes import SPEC, recordings, untrained
from wavejax.audio.notes import NOTE_SPECS
from wavejax.audio.strings import ENVELOPE_TIMES
from wavejax.data.notes import LEAD, STORED_RATE, NoteRecording, prepare_note
from wavejax.data.players import NotePlayer, PlayedNote
from wavejax.data.scores import Note, Score, Track
from wavejax.tasks.families import load
from wavejax.tasks.instrument.playing import _BATCH_SECONDS, batches_of, nearest_key, released, ringing_after
from wavejax.tasks.instrument.product import Instrument
from wavejax.tasks.instrument.voicing import VOICING_NAME, Voicing, measured_voicing, note_level

FLAT = Voicing(stroke=((0.0,) * 16,), tone=((0.0,) * 16,), level=(-20.0,))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], int]]:
    """What was asked of `strike`, which answers with ones."""
    asked: list[tuple[list[int], int]] = []

    def strike(self, notes, num_samples, **options):
        assert options == {"takes": 1, "voiced": True, "stream_ids": notes}
        asked.append((list(notes), num_samples))
        return np.ones((len(notes), num_samples), np.float32)

    monkeypatch.setattr(Instrument, "strike", strike)
    return asked


def test_each_key_is_drawn_once_and_again_only_when_it_must_last_longer(drawn) -> None:
    instrument = untrained()
    assert isinstance(instrument, NotePlayer)
    notes = [PlayedNote(60, 0.5, 80), PlayedNote(60, 1.0, 40), PlayedNote(64, 1.0, 80)]
    sounds = instrument.sounds(notes)
    lead = round(LEAD * instrument.sample_rate)
    [(keys, num_samples)] = drawn
    assert keys == [64, 60] or keys == [60, 64]
    longest = 1.0 + max(ringing_after(60), ringing_after(64))
    assert num_samples == pytest.approx(lead + longest * instrument.sample_rate, abs=1)
    assert sounds[0][0] == 1.0
    assert sounds[1][0] == 0.25  # half the velocity is a quarter of the amplitude
    assert sounds[1][round(0.99 * instrument.sample_rate)] == 0.25
    assert abs(sounds[1][-1]) < 1e-3
    assert len(sounds[0]) < len(sounds[1])
    instrument.sounds([PlayedNote(60, 0.7, 80)])
    assert len(drawn) == 1
    instrument.sounds([PlayedNote(60, 2.0, 80)])
    assert drawn[1][0] == [60]


def test_a_score_is_played(drawn) -> None:
    score = Score(tracks=(Track(notes=(Note(0, 4, 60), Note(4, 8, 60, 40))),), tempo=60.0)
    sound = score.waveform(untrained())
    rate = untrained().sample_rate
    assert sound[0] == pytest.approx(0.9 / 1.25)  # where the second note begins, the first is still damped
    assert len(sound) == pytest.approx((2.0 + ringing_after(60)) * rate, abs=2)


def test_keys_beyond_the_keyboard_and_dampers() -> None:
    assert [nearest_key(pitch) for pitch in (0, 20, 21, 108, 109, 127)] == [24, 32, 21, 108, 97, 103]
    assert ringing_after(21) == 0.5
    assert ringing_after(89) == pytest.approx(0.15)
    assert ringing_after(90) == 1.0
    ringing = np.ones(32_000, np.float32)
    damped = released(ringing, PlayedNote(60, 0.5, 80), 16_000)
    assert damped[8000 - 1] == 1.0
    half = 8000 + round(0.5 * ringing_after(60) * 16_000)
    assert 20 * np.log10(damped[half]) == pytest.approx(-33, abs=1)
    free = released(ringing, PlayedNote(100, 0.5, 80), 16_000)
    assert free[16_000] == pytest.approx(np.cos(0.25 * np.pi), abs=1e-3)
    short = released(ringing[:4000], PlayedNote(60, 0.5, 80), 16_000)
    assert len(short) == 4000


def test_batches_are_those_of_the_least_work() -> None:
    rng = np.random.default_rng(0)

    def work(batches, seconds):
        return sum(_BATCH_SECONDS + len(batch) * max(seconds[key] for key in batch) for batch in batches)

    for _ in range(30):
        seconds = {int(key): float(rng.exponential(6.0)) for key in rng.choice(88, 6, False)}
        found = batches_of(seconds)
        assert sorted(itertools.chain.from_iterable(found)) == sorted(seconds)
        keys = sorted(seconds, key=seconds.__getitem__)
        every_way = []
        for cuts in itertools.product([False, True], repeat=len(keys) - 1):
            edges = [0, *(place + 1 for place, is_cut in enumerate(cuts) if is_cut), len(keys)]
            every_way.append(work([keys[a:b] for a, b in itertools.pairwise(edges)], seconds))
        assert work(found, seconds) == pytest.approx(min(every_way))
    assert batches_of({}) == []


def test_stroke_and_tone_are_the_sound_of_the_strings() -> None:
    spec, noise = NOTE_SPECS["piano"], np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    parts = spec.parts(noise, 60, onset=LEAD)
    np.testing.assert_allclose(parts.sum(axis=0), spec.ring(noise, 60, onset=LEAD), atol=1e-6)
    assert np.abs(parts[1]).max() > np.abs(parts[0]).max()  # the strings are louder than what excites them


def test_a_voicing_brings_each_key_to_its_level_and_each_part_to_its_own() -> None:
    parts = np.stack([np.full(16_000, 0.01), np.zeros(16_000)])
    assert note_level(FLAT.apply(parts, 60, 16_000), 16_000) == pytest.approx(-28.0, abs=0.01)  # 12 dB at most
    parts[0] = 0.05
    assert note_level(FLAT.apply(parts, 60, 16_000), 16_000) == pytest.approx(-20.0, abs=0.01)
    late = tuple(-6.0 if time > 0.5 else 0.0 for time in ENVELOPE_TIMES)
    shorter = Voicing(stroke=FLAT.stroke, tone=(late,), level=(-20.0,))
    tone = np.stack([np.zeros(32_000), np.full(32_000, 0.1)])
    voiced = shorter.apply(tone, 60, 16_000)
    assert 20 * np.log10(voiced[-1] / voiced[1600]) == pytest.approx(-6.0, abs=0.1)


def test_a_measured_voicing_takes_back_what_was_done_to_the_model() -> None:
    keys = [45, 57, 66, 75, 84]
    notes = [
        NoteRecording(
            midi=key,
            waveform=string(SPEC.frequency(key), rate=STORED_RATE, seconds=1.3, decay=2.0, lead=0.03, seed=key),
            sample_rate=STORED_RATE,
            split="train",
        )
        for key in keys
    ]
    drawn = {}
    for note in notes:  # as if the model drew the recordings, 6 dB too loud
        own = SPEC.damp(prepare_note(note, SPEC)[:16_000], note.midi, onset=LEAD)
        drawn[float(note.midi)] = np.stack([2.0 * own, 2.0 * own])
    voicing = measured_voicing(SPEC, notes, drawn, gain=1.0)
    for note in notes:
        wanted = prepare_note(note, SPEC)[:16_000]
        found = voicing.apply(SPEC.parts(drawn[note.midi][0], note.midi, onset=LEAD), note.midi, SPEC.sample_rate)
        before = SPEC.ring(drawn[note.midi][0], note.midi, onset=LEAD)
        assert abs(note_level(before, SPEC.sample_rate) - note_level(wanted, SPEC.sample_rate) - 6.0) < 0.1
        assert abs(note_level(found, SPEC.sample_rate) - note_level(wanted, SPEC.sample_rate)) < 1.0
    with pytest.raises(ValueError, match="at least 4 training notes, got 2"):
        measured_voicing(SPEC, recordings(), {57.0: np.ones((1, 9)), 66.0: np.ones((1, 9))}, gain=1.0)


def test_a_voicing_is_kept_beside_the_parameters(tmp_path) -> None:
    assert Voicing.load(tmp_path) is None
    FLAT.save(tmp_path)
    assert Voicing.load(tmp_path) == FLAT
    (tmp_path / VOICING_NAME).write_text('{"stroke": [[1]], "tone": [], "level": [1]}')
    with pytest.raises(ValueError, match=r"voicing.json is damaged .*measure it again, or remove it"):
        Voicing.load(tmp_path)
    assert untrained().voicing is None
    piano = load("piano")
    assert len(piano.voicing.stroke) == len(piano.voicing.tone) == 3
    assert "voicing" not in repr(piano)


def test_takes_are_drawn_with_streams_of_their_own(monkeypatch) -> None:
    asked: dict = {}

    def generate(self, **options):
        asked.update(options)
        return np.arange(6 * options["num_samples"], dtype=np.float32).reshape(6, -1)

    monkeypatch.setattr(Instrument, "generate", generate)
    made = untrained().drawn(["C4", 64], 160, takes=3, seed=7)
    assert made.shape == (3, 2, 160)
    assert made[1, 0, 0] == 2 * 160  # the first note of the second take
    assert asked["stream_ids"].tolist() == [0, 1, 65_536, 65_537, 131_072, 131_073]
    assert (asked["seed"], asked["local_conditioning"].shape) == (7, (6, SPEC.num_frames(160), SPEC.num_channels))
