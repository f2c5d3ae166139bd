"""A speaker: sentences by themselves, streams, times of words, what is asked of rate, pitch and pauses."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

from tests.tiny.speakers import tiny_speaker
from wavejax.audio.specs import get_spec
from wavejax.experiments.metadata import ExperimentError
from wavejax.models.parallel_speaker import initial_speaker_params
from wavejax.tasks.families import load
from wavejax.tasks.speaker.lines import MOST_SYMBOLS, Line, lines_of, whole_frames
from wavejax.tasks.speaker.product import Speaker, joined
from wavejax.text import TextError

FIRST, SECOND = "Dr. Smith paid $45.50.", "Did he, on Monday?"


class Hum:
    """A vocoder: each frame's mean as 200 equal samples, in blocks of 7 frames."""

    spec = get_spec("speech-16k")

    def __call__(self, mel: np.ndarray, *, seed: int = 0) -> np.ndarray:
        return (np.repeat(mel.mean(axis=1), 200) / 100 + seed / 1000).astype(np.float32)

    def stream(self, frames: np.ndarray, *, seed: int = 0) -> Iterator[np.ndarray]:
        for start in range(0, len(frames), 7):
            yield self(frames[start : start + 7], seed=seed)


def random_speaker(name: str = "heart-16k", **model: Any) -> Speaker:
    config = tiny_speaker(name)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, **model))
    shapes = jax.eval_shape(lambda: initial_speaker_params(config.model.build(), jax.random.key(0)))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: (0.3 * rng.normal(size=leaf.shape)).astype(np.float32), shapes)
    params["prosody_out"]["bias"] = np.asarray([1.5, 0.0, 1.0, 0.0], np.float32)  # three or four frames a symbol
    labels = {"speakers": ["ann", "bob"]} if config.model.num_speakers else {}
    return Speaker(config=config, params=params, labels=labels)


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return random_speaker().with_vocoder(Hum())


def test_a_sentence_is_the_same_alone_and_in_a_text(speaker: Speaker) -> None:
    alone = [speaker.say(sentence).waveform for sentence in (FIRST, SECOND)]
    together = speaker.say(f"{FIRST} {SECOND}")
    np.testing.assert_array_equal(np.concatenate(alone), together.waveform)
    assert together.duration == len(together.waveform) / 16_000


def test_a_stream_is_what_is_said(speaker: Speaker) -> None:
    text = f"{FIRST}\n\n{SECOND}"
    blocks = list(speaker.stream(text, seed=3, rate=1.3))
    assert len(blocks) > 4
    np.testing.assert_array_equal(np.concatenate(blocks), speaker.say(text, seed=3, rate=1.3).waveform)
    parts = list(speaker.sentences(text, seed=3, rate=1.3))
    np.testing.assert_array_equal(joined(parts).waveform, np.concatenate(blocks))


def test_a_paragraph_ends_with_a_pause_unless_it_is_the_last(speaker: Speaker) -> None:
    one = speaker.say(f"{FIRST} {SECOND}").duration
    assert speaker.say(f"{FIRST}\n\n{SECOND}").duration == pytest.approx(one + 0.4)
    assert speaker.say(f"{FIRST} {SECOND}\n\n").duration == pytest.approx(one)


def test_words_are_those_of_the_text_in_order_and_in_time(speaker: Speaker) -> None:
    speech = speaker.say(f"{FIRST} {SECOND}")
    assert [word.text for word in speech.words] == ["Dr.", "Smith", "paid", "$45.50", "Did", "he", "on", "Monday"]
    times = [moment for word in speech.words for moment in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 < times[0] <= 0.1 + 1e-9
    assert times[-1] <= speech.duration
    for word in speech.words:
        assert word.symbols[0].start == word.start
        assert word.symbols[-1].end == word.end
        assert all(symbol.text.strip() for symbol in word.symbols)
    assert [symbol.text for symbol in speech.words[1].symbols] == ["S", "M", "IH1", "TH"]
    assert speech.transcript.duration == speech.duration
    assert len(speech.phones) == sum(len(word.symbols) for word in speech.words)


def test_rate_and_pitch_and_seed_are_heard(speaker: Speaker) -> None:
    usual = speaker.say(FIRST)
    fast, slow = speaker.say(FIRST, rate=2.0), speaker.say(FIRST, rate=0.5)
    assert fast.duration < 0.75 * usual.duration
    assert slow.duration == pytest.approx(2 * usual.duration, rel=0.1)
    higher = speaker.say(FIRST, pitch=4.0)
    assert len(higher.waveform) == len(usual.waveform)
    assert not np.array_equal(higher.waveform, usual.waveform)
    np.testing.assert_allclose(speaker.say(FIRST, seed=2).waveform, usual.waveform + 0.002, atol=1e-6)


def test_the_text_may_ask_for_a_pause_and_for_another_pace(speaker: Speaker) -> None:
    plain = speaker.say("Go on.").duration
    paused = speaker.say('<speak>Go <break time="1s"/> on.</speak>')
    assert paused.words[1].start - paused.words[0].end == pytest.approx(1.0, abs=0.0125)
    slow = speaker.say('<speak><prosody rate="50%">Go on.</prosody></speak>').duration
    assert slow > 1.3 * plain


def test_whole_frames_keep_the_sum() -> None:
    durations = np.asarray([0.2, 0.5, 1.4, 0.0, 2.4, 2.4, 2.4])
    least = np.asarray([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    found = whole_frames(durations, least)
    assert found.dtype == np.int32
    assert found.sum() == round(np.maximum(durations, least).sum())
    assert (found >= least).all()
    assert np.abs(found - np.maximum(durations, least)).max() < 1


def test_a_very_long_sentence_is_said_in_parts() -> None:
    text = "the quick brown fox, " * 60 + "jumps."
    lines = list(lines_of(text))
    assert len(lines) > 2
    assert all(len(line.symbols) <= MOST_SYMBOLS for line in lines)
    assert all(line.symbols[0] == " " and line.symbols[-1] in (",", ".") for line in lines)
    assert sum(len(line.words) for line in lines) == 241
    unbroken = list(lines_of("supercalifragilistic " * 60))
    assert all(len(line.symbols) <= MOST_SYMBOLS for line in unbroken)
    assert sum(len(line.words) for line in unbroken) == 60


def test_a_line_without_wishes_is_said_as_usual(speaker: Speaker) -> None:
    [line] = lines_of("Go on.")
    assert line.symbols == (" ", "G", "OW1", " ", "AA1", "N", ".")
    plain = Line(symbols=line.symbols)
    np.testing.assert_array_equal(speaker.mel(plain)[0], speaker.mel(line)[0])
    assert speaker.mel(plain)[1] == ()


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"rate": 5.0}, r"rate must be at least 0\.25 and at most 4, got 5\.0"),
        ({"rate": float("nan")}, "rate must be at least"),
        ({"pitch": 30}, "pitch must be at least -24 and at most 24, got 30"),
        ({"speaker": "ann"}, "has one voice, but speaker='ann' was given"),
    ],
)
def test_what_cannot_be_wished_is_refused(speaker: Speaker, wish: dict[str, Any], why: str) -> None:
    with pytest.raises(ExperimentError, match=why):
        speaker.say(FIRST, **wish)


def test_a_text_that_cannot_be_said_is_refused(speaker: Speaker) -> None:
    with pytest.raises(ExperimentError, match=r"the text ' \.\.\. ' holds no words to say"):
        speaker.say(" ... ")
    with pytest.raises(TextError):
        speaker.say("Привет")


def test_speakers_by_name_and_number() -> None:
    both = random_speaker(num_speakers=2).with_vocoder(Hum())
    ann, bob = both.say(FIRST, speaker="ann"), both.say(FIRST, speaker=1)
    assert len(ann.waveform) != len(bob.waveform) or not np.array_equal(ann.waveform, bob.waveform)
    np.testing.assert_array_equal(both.say(FIRST, speaker="1").waveform, bob.waveform)
    for wrong in (None, "carl", 2, -1):
        with pytest.raises(ExperimentError, match="speaks with several voices: give speaker, one of 0: ann, 1: bob"):
            both.say(FIRST, speaker=wrong)


def test_a_russian_speaker_reads_russian_with_its_phones_and_words() -> None:
    russian = random_speaker("heart-16k-ru").with_vocoder(Hum())
    speech = russian.say("Он стоит 12 рублей, да?")
    assert [word.written for word in speech.words] == ["Он", "стоит", "12", "рублей,", "да?"]
    assert [symbol.text for symbol in speech.words[1].symbols] == ["s", "t", "a", "ii", "t"]
    assert [symbol.text for symbol in speech.words[2].symbols] == ["d", "vv", "i", "n", "aa", "c", "ay", "tt"]
    np.testing.assert_array_equal(np.concatenate(list(russian.stream("Да. Нет."))), russian.say("Да. Нет.").waveform)
    with pytest.raises(TextError, match=r"'H' \(latin capital letter h\) at 0 .*cannot be read as Russian"):
        russian.say("Hello.")


def test_a_speaker_needs_a_vocoder_of_its_features() -> None:
    with pytest.raises(ExperimentError, match=r"has no vocoder, so it cannot be heard.*with_vocoder"):
        random_speaker().say(FIRST)
    other = Hum()
    other.spec = dataclasses.replace(get_spec("speech-16k"), n_mels=40)
    with pytest.raises(ExperimentError, match="makes the features speech-16k, but the vocoder reads"):
        random_speaker().with_vocoder(other)


def test_a_sentence_of_as_many_frames_as_bands_is_said() -> None:
    class Square(Speaker):
        """Says 80 frames of 80 bands."""

        def mel(self, line, manner=None):
            return self.with_variance(super().mel(line, manner)[0][:80]), ()

    for gv_scale in (1.0, 1.15):
        plain = random_speaker()
        config = dataclasses.replace(plain.config, gv_scale=gv_scale)
        square = Square(config=config, params=plain.params).with_vocoder(load("universal"))
        assert square.say(FIRST).waveform.shape == (80 * square.config.spec.hop_length,)
        assert sum(map(len, square.stream(FIRST))) == 80 * square.config.spec.hop_length


def test_bands_deviate_more_from_their_means_and_stay_above_the_floor() -> None:
    plain = random_speaker()
    line, *_ = lines_of("Someone left the window open.")
    scaled = dataclasses.replace(plain, config=dataclasses.replace(plain.config, gv_scale=1.3))
    flat = dataclasses.replace(plain, config=dataclasses.replace(plain.config, gv_scale=1.0))
    before, after = flat.mel(line)[0], scaled.mel(line)[0]
    floor = np.log(plain.config.spec.floor)
    varied = before.mean(axis=0) + 1.3 * (before - before.mean(axis=0))
    louder = 0.5 * np.log(np.sum(np.exp(2 * varied)) / np.sum(np.exp(2 * before)))
    assert louder > 0.01
    np.testing.assert_allclose(after, np.maximum(varied - louder, floor), rtol=1e-5)
    assert after.std(axis=0).sum() > 1.05 * before.std(axis=0).sum()
    assert scaled.mel(line)[1] == flat.mel(line)[1], "times of words are the same"
    with pytest.raises(ValueError, match="gv_scale"):
        dataclasses.replace(plain.config, gv_scale=3.0)
