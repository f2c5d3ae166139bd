"""What ships: complete, licensed, small. Voices beat linear prediction at what they never heard; babble listens to its
id; a piano is in tune; a composer knows a cadence; listeners read what is said, and nothing in silence."""

import dataclasses

import numpy as np
import pytest

from wavejax.audio.partials import cents_between, measure_partials
from wavejax.data import Corpus, embedded_corpus
from wavejax.evaluation import linear_prediction_bits
from wavejax.evaluation.music import Grid, in_key, key_of, notes_per_beat, parallels
from wavejax.evaluation.pitch import pitch
from wavejax.evaluation.scoring import encoded_utterances
from wavejax.evaluation.spoken_words import hard_failures, listening
from wavejax.evaluation.words import edit_distance
from wavejax.experiments.autoregressive.scoring import score
from wavejax.experiments.autoregressive.speakers import score_speakers
from wavejax.experiments.loading import VOICES, voices
from wavejax.tasks.babbler.product import Babbler
from wavejax.tasks.composer.product import Composer
from wavejax.tasks.families import load
from wavejax.tasks.instrument.playing import PEAK
from wavejax.tasks.instrument.product import Instrument
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.speaker.checking import words_of
from wavejax.tasks.speaker.product import Speaker
from wavejax.tasks.vocoder.product import SampleVocoder, Vocoder

EMBEDDED = embedded_corpus()


def test_there_are_voices_and_an_instrument():
    named = {
        "allison",
        "allison-tts",
        "babble",
        "chorales",
        "festvox-ru-tts",
        "heart",
        "listener-en",
        "listener-ru",
        "musegan-chorales",
        "piano",
        "universal",
    }
    assert named <= set(voices())


@pytest.mark.parametrize("name", voices())
def test_a_voice_is_complete_and_small(name):
    files = {path.name: path for path in (VOICES / name).iterdir()}
    assert {"config.json", "params.npz", "MODEL_CARD.md"} <= files.keys()
    assert any(path.startswith("LICENSE") for path in files)
    assert sum(path.stat().st_size for path in files.values()) < 8e6
    card = files["MODEL_CARD.md"].read_text()
    assert "synthetic" in card
    assert "Licence" in card
    vocoder = load(name)
    assert "/" not in vocoder.config.data.corpus


@pytest.mark.parametrize("name", [name for name in voices() if isinstance(load(name), SampleVocoder)])
def test_a_voice_beats_linear_prediction_on_what_it_never_heard(name):
    vocoder = load(name)
    coding = vocoder.config.model.coding
    rival = linear_prediction_bits(encoded_utterances(EMBEDDED, "validation", coding), coding)
    scores = score(vocoder, EMBEDDED, "validation")
    assert scores.mean < np.average(rival.bits, weights=scores.num_samples) - 0.3


def test_the_universal_voice_says_the_mel_that_it_was_given():
    vocoder = load("universal", kind=Vocoder)
    frames = EMBEDDED.utterance(EMBEDDED.indices("validation")[0]).frames[:120]
    spoken = vocoder(frames)
    inner = slice(5, -5)  # the first and the last frames also hold what lay beyond the cut
    distance = np.abs(vocoder.mel(spoken) - frames)[inner].mean()
    assert distance < 0.3, "nats"
    assert np.abs(vocoder.mel(spoken) - frames[::-1])[inner].mean() > 3 * distance, (
        "the same, said backwards, is another"
    )
    pieces = [frames[:1], frames[1:40], frames[40:]]
    np.testing.assert_array_equal(np.concatenate(list(vocoder.stream(iter(pieces)))), spoken)


def test_heart_says_a_sentence_with_the_pitch_and_the_pace_of_a_voice():
    speaker = load("heart", kind=Speaker)
    speech = speaker.say("Dr. Smith paid $45.50, did he?")
    assert [word.text for word in speech.words] == ["Dr.", "Smith", "paid", "$45.50", "did", "he"]
    assert 2.0 < speech.duration < 4.5
    assert speech.words[3].end - speech.words[3].start > 2 * (speech.words[2].end - speech.words[2].start)
    assert 0.1 < np.abs(speech.waveform).max() <= 1.0
    track = pitch(speech.waveform, speech.sample_rate)
    assert 130 < np.median(track[track > 0]) < 280, "Hz"
    quiet = speech.waveform[: round(0.03 * speech.sample_rate)]
    assert np.std(quiet) < 0.05 * np.std(speech.waveform), "the beginning is a pause"
    np.testing.assert_array_equal(np.concatenate(list(speaker.stream("Did he?"))), speaker.say("Did he?").waveform)


def test_the_russian_voice_is_understood_by_the_russian_listener():
    speaker, listener = load("festvox-ru-tts", kind=Speaker), load("listener-ru", kind=Recognizer)
    text = "Он стоял у окна и смотрел на улицу."
    speech = speaker.say(text)
    assert [word.written for word in speech.words] == text.split()
    track = pitch(speech.waveform, speech.sample_rate)
    assert 70 < np.median(track[track > 0]) < 180, "Hz: a man's"
    said, heard = listener.text.normalize(text), listener.transcribe_greedily(speech.waveform).text
    assert edit_distance(said, heard) < 0.25 * len(said)
    assert edit_distance(said, listener.transcribe_greedily(speech.waveform[::-1]).text) > 0.6 * len(said)
    assert not hard_failures(words_of(speech), listening(listener)(speech.waveform, speech.sample_rate))


def test_allison_says_texts_and_is_heard_through_her_own_vocoder():
    speaker = load("allison-tts", kind=Speaker)
    assert speaker.vocoder is not None
    assert speaker.config.vocoder == "allison"
    through_universal = speaker.with_vocoder(load("universal", kind=Vocoder))
    speech = through_universal.say("Please enter your password, followed by the pound key.")
    assert [word.text for word in speech.words][:3] == ["Please", "enter", "your"]
    assert 2.0 < speech.duration < 5.0
    track = pitch(speech.waveform, speech.sample_rate)
    assert 130 < np.median(track[track > 0]) < 280, "Hz"
    listen = listening(load("listener-en", kind=Recognizer))
    assert len(hard_failures(words_of(speech), listen(speech.waveform, speech.sample_rate))) <= 1


def test_babble_listens_to_its_id():
    heard = embedded_corpus().utterance(EMBEDDED.indices("validation")[0])
    second = dataclasses.replace(heard, waveform=heard.waveform[8000:24_000], frames=heard.frames[40:120])
    corpus = Corpus.in_memory(EMBEDDED.spec, [second], ["validation"], ["allison"])
    report = score_speakers(load("babble", kind=Babbler), corpus)
    bits = report["bits_per_sample"]
    assert bits["right"] < bits["none"] < bits["wrong"] - 0.05


def test_the_piano_is_in_tune_and_dies_away():
    piano = load("piano", kind=Instrument)
    notes = {"A2": 45, "F#4": 66, "D#6": 87}  # none of them was heard in training
    sound = piano.play(list(notes), seconds=1.2)
    assert np.abs(sound).max() <= PEAK
    rate = piano.spec.sample_rate
    for waveform, midi in zip(sound, notes.values(), strict=True):
        expected = piano.spec.frequency(midi)
        found = measure_partials(waveform[rate // 10 : rate], rate, expected).fundamental
        assert abs(cents_between(found, expected)) < 5.0
        assert np.std(waveform[rate // 2 : rate]) < 0.7 * np.std(waveform[: rate // 2])


def test_the_composer_knows_a_cadence_in_every_key_and_finds_it_strange_in_two():
    composer = load("chorales", kind=Composer)
    chords = ((71, 67, 62, 55), (72, 67, 64, 60), (69, 66, 62, 50), (71, 67, 62, 55))  # G major: I, IV, V, I
    cadence = np.full((16, 4), -1, np.int16)
    cadence[::4] = chords
    for shift in (-3, 0, 4):
        right = np.where(cadence > 0, cadence + shift, cadence).astype(np.int16)
        wrong = right.copy()
        wrong[:, 1] = np.where(right[:, 1] > 0, right[:, 1] - 1, right[:, 1])  # the alto a semitone lower
        assert composer.nats(right).mean() < composer.nats(wrong).mean() - 0.15
    made = composer.compose(2, key="G", seed=0)
    assert made.num_notes >= 12
    assert all(36 <= note.pitch <= 84 for track in made.tracks for note in track.notes)


def test_musegan_writes_phrases_in_a_key_and_repeats_some():
    composer, grid = load("musegan-chorales", kind=Composer), Grid()
    pieces = [np.concatenate(list(composer.bars(8, seed=seed))) for seed in range(12)]
    assert np.mean([in_key(piece, grid) for piece in pieces]) > 0.9
    assert np.mean([parallels(piece, grid) for piece in pieces]) < 0.1
    assert 0.5 < np.mean([notes_per_beat(piece, grid) for piece in pieces]) < 1.5
    assert 1 <= sum((piece[:64] == piece[64:]).all() for piece in pieces) <= 8
    made = composer.compose(4, key="G major", seed=3)
    assert [track.name for track in made.tracks] == ["soprano", "alto", "tenor", "bass"]
    assert key_of(made.voices(4)) == 7


def test_the_english_listener_reads_prompts_that_it_never_heard_and_their_own_texts_only():
    listener = load("listener-en", kind=Recognizer)
    positions = [*EMBEDDED.indices("validation"), *EMBEDDED.indices("test")]
    heard = [EMBEDDED.utterance(position) for position in positions]
    texts = [listener.text.normalize(each.transcript) for each in heard]
    read = [listener.transcribe(each.waveform).text for each in heard]

    def error(expected):
        wrong = sum(edit_distance(said, found) for said, found in zip(expected, read, strict=True))
        return wrong / sum(map(len, expected))

    assert error(texts) < 0.3
    assert error([*texts[1:], texts[0]]) > 0.65
    words = listener.align(heard[0].waveform, heard[0].transcript).words
    assert [word.text for word in words] == texts[0].split()
    assert all(word.start < word.end for word in words)


def test_the_english_listener_hears_heart_and_that_a_word_is_missing():
    speaker, listen = load("heart", kind=Speaker), listening(load("listener-en", kind=Recognizer))
    speech = speaker.say("Someone left the window open in the kitchen.")
    words = words_of(speech)
    assert not hard_failures(words, listen(speech.waveform, speech.sample_rate))
    first, last = (round(speech.sample_rate * time) for time in (speech.words[3].start, speech.words[3].end))
    without = np.concatenate([speech.waveform[:first], speech.waveform[last:]])
    assert hard_failures(words, listen(without, speech.sample_rate))


@pytest.mark.parametrize("name", ["listener-en", "listener-ru"])
def test_a_listener_reads_nothing_in_silence(name):
    listener = load(name, kind=Recognizer)
    assert listener.text.language == name[-2:]
    faint = 1e-3 * np.random.default_rng(0).standard_normal(2 * listener.sample_rate).astype(np.float32)
    assert not listener.transcribe(np.zeros_like(faint)).text
    assert not listener.transcribe(faint).text
