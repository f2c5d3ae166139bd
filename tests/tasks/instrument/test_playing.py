"""An instrument is trained, exported, loaded and played, and what is none is refused."""

import dataclasses

import numpy as np
import pytest

from tests.tiny.notes import SPEC, recordings, tiny_piano, untrained
from wavejax.audio.conversion import SpecMismatch
from wavejax.checkpoints import export_params
from wavejax.data.notes import LEAD, note_corpus
from wavejax.experiments.autoregressive.data import check_corpus
from wavejax.experiments.metadata import ExperimentError, metadata
from wavejax.generation import generate
from wavejax.tasks.families import export, load, preset, train_and_evaluate
from wavejax.tasks.instrument.playing import PEAK, PlayingError, mix, most_typical, note_frames
from wavejax.tasks.instrument.product import Instrument
from wavejax.tasks.vocoder.product import Vocoder
from wavejax.training import CallHook, Logger

MEL = np.random.default_rng(0).normal(-5, 2, (8, 80)).astype(np.float32)


def test_an_instrument_trains_exports_and_carries_its_notes(tmp_path):
    corpus = note_corpus(recordings(), SPEC, num_shifts=2)
    losses: list[float] = []
    config = tiny_piano(num_steps=40, log_every=1, checkpoint_every=40)
    config = dataclasses.replace(
        config, optimizer=dataclasses.replace(config.optimizer, learning_rate=2e-2, warmup_steps=0)
    )
    hook = CallHook(lambda step, state, metrics: losses.append(float(metrics["loss"])), every=1)
    train_and_evaluate(config, tmp_path / "run", corpus=corpus, hooks=[hook])
    assert np.mean(losses[-5:]) < losses[0] - 0.3
    export(tmp_path / "run", tmp_path / "small", dtype="bfloat16")
    instrument = load(tmp_path / "small")
    assert instrument.spec == SPEC
    assert instrument.spec.tuning == SPEC.tuning
    sound = instrument.play(["C4"], seconds=0.05, backend="scan")
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0
    # A new run starts from it.
    short = tiny_piano(num_steps=1, log_every=1, checkpoint_every=1)
    train_and_evaluate(short, tmp_path / "next", corpus=corpus, init_from=tmp_path / "small")
    # Another tuning is another spec: the run cannot go on with it.
    other = dataclasses.replace(SPEC, tuning=())
    with pytest.raises(SpecMismatch, match="21 entries"):
        check_corpus(config, note_corpus(recordings(), other, num_shifts=0))


def test_what_training_lets_one_hear_has_its_strings(tmp_path):
    class Heard(Logger):
        def audio(self, step, name, waveform, sample_rate):
            sounds[name] = waveform

    sounds: dict[str, np.ndarray] = {}
    corpus = note_corpus(recordings(), SPEC, num_shifts=0)
    options = {"num_steps": 1, "exhibit_every": 1, "audio_seconds": 0.2, "tensorboard": True}
    train_and_evaluate(tiny_piano(**options), tmp_path / "run", corpus=corpus, console=Heard())
    note = corpus.utterance(corpus.indices("validation")[0])
    np.testing.assert_allclose(sounds["original"], SPEC.ring(note.waveform[:3200], 63, onset=LEAD), atol=1e-6)
    assert sounds["free_running"].shape == (3200,)


def test_an_instrument_reads_notes_and_a_vocoder_log_mel_features(tmp_path):
    instrument = untrained()
    with pytest.raises(ValueError, match=r"shape \(8, 80\), frames of notes \[F >= 1, 52\]"):
        instrument.spec.check(MEL)
    with pytest.raises(ValueError, match=r"channels 52\), got \(1, 8, 80\)"):
        instrument.generate(local_conditioning=MEL[None])
    vocoder = Vocoder(config=preset("speech-16k"), params={})
    with pytest.raises(ValueError, match=r"features have shape \(3, 52\); spec 'speech-16k' has 80 mel bands"):
        vocoder(SPEC.frames(60, 3, onset=0.0))
    with pytest.raises(ValueError, match="reads no frames, and an instrument reads those of notes: set frame_network"):
        dataclasses.replace(instrument.config, model=preset("babble-16k").model)
    folder = export_params(tmp_path / "piano", instrument.params, metadata(instrument.config, {}))
    assert load(folder, kind=Instrument).config == instrument.config
    with pytest.raises(ExperimentError, match=r"is an instrument, not a vocoder: use `wavejax play .* C4 --out"):
        load(folder, kind=Vocoder)
    with pytest.raises(ExperimentError, match="babble is a babbler, not an instrument: use `wavejax generate babble "):
        load("babble", kind=Instrument)
    with pytest.raises(ExperimentError, match="allison is a vocoder, not an instrument: use `wavejax vocode allison "):
        load("allison", kind=Instrument)


def test_an_instrument_draws_with_its_own_temperature_unless_told_otherwise():
    instrument = dataclasses.replace(untrained(), config=dataclasses.replace(untrained().config, temperature=0.5))
    own, told, other = (
        instrument.play(["C4"], seconds=0.05, backend="scan", **options)
        for options in ({}, {"temperature": 0.5}, {"temperature": 1.0})
    )
    np.testing.assert_array_equal(own, told)
    assert not np.array_equal(own, other)


def test_play_is_generate_from_the_stroke_on_with_a_fade():
    instrument = untrained()
    sound = instrument.play(["C4", 67], seconds=0.2, seed=3, takes=1, backend="scan")
    assert sound.shape == (2, 3200)
    lead = round(LEAD * 16000)
    frames = note_frames(SPEC, [60, "G4"], lead + 3200)
    plain = generate(
        instrument.model,
        instrument.params,
        seed=3,
        local_conditioning=frames,
        num_samples=lead + 3200,
        backend="scan",
    )
    # What the model makes strikes the strings of each key.
    rung = np.stack(
        [SPEC.ring(samples, midi, onset=LEAD) for samples, midi in zip(np.asarray(plain), (60, 67), strict=True)]
    )
    factor = PEAK / np.abs(rung[:, lead:]).max()  # it is too loud, so all of it is made quieter
    np.testing.assert_allclose(sound[:, :1600], factor * rung[:, lead : lead + 1600], rtol=1e-4, atol=1e-6)
    assert np.abs(sound[:, -8:]).max() < 0.01
    assert not np.array_equal(sound[0], sound[1])


def test_the_take_that_is_kept_is_the_most_typical_one():
    rng = np.random.default_rng(0)
    dull, bright = np.cumsum(rng.normal(0, 1, (5, 8000)), axis=1), rng.normal(0, 1, (2, 8000))
    takes = np.concatenate([bright[:1], 0.01 * dull[:3], bright[1:], dull[3:]])  # loudness does not make it typical
    assert most_typical(takes.astype(np.float32), 16000) in {1, 2, 3, 5, 6}
    assert most_typical(takes[:1].astype(np.float32), 16000) == 0


def test_each_note_is_one_of_its_own_takes_whatever_else_is_played():
    instrument = untrained()
    options = {"seed": 5, "backend": "scan"}
    pair = instrument.strike(["C4", "G4"], 1600, takes=3, **options)
    alone = instrument.strike(["C4"], 1600, takes=3, **options)
    np.testing.assert_allclose(pair[0], alone[0], atol=1e-5)
    streams = [{"stream_ids": [2**16 * take]} for take in range(3)]
    each_its_own = instrument.strike(["C4", "G4"], 1600, takes=3, temperature=np.array([1.0, 0.5]), **options)
    np.testing.assert_allclose(each_its_own[0], alone[0], atol=1e-5)
    assert np.abs(each_its_own[1] - pair[1]).max() > 1e-3
    single = [instrument.strike(["C4"], 1600, takes=1, **each, **options)[0] for each in streams]
    assert min(np.abs(alone[0] - each).max() for each in single) < 1e-5
    assert np.abs(single[0] - single[1]).max() > 1e-3


def test_what_cannot_be_played_is_refused():
    instrument = untrained()
    with pytest.raises(PlayingError, match="name some, for example C4 E4 G4"):
        instrument.play([])
    with pytest.raises(ValueError, match="'H4' is no note"):
        instrument.play(["H4"])
    with pytest.raises(PlayingError, match=r"seconds of a note must be above 0 and at most 60 .*, got 0"):
        instrument.play(["C4"], seconds=0)
    with pytest.raises(PlayingError, match=r"once or more often.* got takes=0"):
        instrument.play(["C4"], takes=0)


def test_notes_are_mixed_where_they_are_struck():
    notes = np.stack([np.full(100, 0.25, np.float32), np.full(100, 0.5, np.float32)])
    np.testing.assert_array_equal(mix(notes, 1000), np.full(100, 0.75, np.float32))
    late = mix(notes, 1000, every=0.05)
    np.testing.assert_array_equal(late, np.repeat(np.float32([0.25, 0.75, 0.5]), 50))
    loud = mix(4 * notes, 1000, every=0.05)
    np.testing.assert_allclose(loud, late * np.float32(0.9 / 0.75), rtol=1e-6)
    with pytest.raises(PlayingError, match="0 seconds or more, and at most 60, got -1"):
        mix(notes, 1000, every=-1)
