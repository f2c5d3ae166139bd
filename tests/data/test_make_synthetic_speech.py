"""scripts/make_synthetic_speech, with an engine that hums, and with the real one where it is installed."""

import importlib
import importlib.machinery
import importlib.util
import itertools
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from wavejax.data import Corpus, prepare
from wavejax.data.alignments import read_alignments
from wavejax.data.tables import read_splits
from wavejax.text import sentences_of
from wavejax.text.lexicon import english_lexicon

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_synthetic_speech"
TEXTS = ("He put it there, and left!", "Is it seven hundred?", "A scene of unusual beauty", "Dear.")


@pytest.fixture(scope="module")
def beside():
    """The modules of the script can be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        yield


@pytest.fixture(scope="module")
def script(beside):
    loader = importlib.machinery.SourceFileLoader("make_synthetic_speech", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_synthetic_speech", loader))
    sys.modules["make_synthetic_speech"] = module  # dataclasses look their module up
    loader.exec_module(module)
    yield module
    del sys.modules["make_synthetic_speech"]


@pytest.fixture(scope="module")
def texts(beside):
    return importlib.import_module("speech_texts")


@pytest.fixture(scope="module")
def engines(beside):
    return importlib.import_module("speech_engines")


@pytest.fixture(scope="module")
def conditions(beside):
    return importlib.import_module("speech_conditions")


@pytest.fixture
def sentences(texts):
    return [texts.read(text, fewest=1) for text in TEXTS]


def humming(script, made):
    def speak(sentence):
        made.append(sentence.text)
        symbols = [" "]
        for (_, phones), mark in zip(sentence.words, sentence.marks, strict=True):
            symbols += [*phones, mark]
        waveform = 0.1 * np.sin(np.arange(800 * len(symbols)) / 10).astype(np.float32)
        borders = np.arange(len(symbols) + 1) * 0.05
        return script.Spoken(waveform=waveform, symbols=tuple(symbols), borders=borders)

    return script.EngineEntry(open=lambda: speak, speaker="hum", credit="nobody")


TOLD = "pau:0.1 hh:0.2 iy:0.3 p:0.4 uh:0.5 t:0.6 ih:0.7 t:0.8 dh:0.9 eh:1.0 r:1.1 pau:1.4 ae:1.5 n:1.6 d:1.7 "
REST = "l:1.8 eh:1.9 f:2.0 t:2.1 pau:2.3"


def test_flites_phonemes_are_the_lexicons_or_the_sentence_is_left_out(engines, sentences):
    symbols, borders = engines.flite_borders(TOLD + REST, sentences[0])
    said = "HH IY1 _ P UH1 T _ IH1 T _ DH EH1 R , AE0 N D _ L EH1 F T !"  # in the lexicon "and" has the vowel AH0
    assert list(symbols) == [" ", *[" " if symbol == "_" else symbol for symbol in said.split()]]
    assert len(borders) == len(symbols) + 1
    assert borders[symbols.index(",")] == 1.1
    assert borders[symbols.index(",") + 1] == 1.4, "a pause belongs to the punctuation mark"
    assert borders[symbols.index(" ", 1)] == borders[symbols.index(" ", 1) + 1] == 0.3, "and a space takes no time"
    assert (borders[0], borders[1], borders[-2], borders[-1]) == (0, 0.1, 2.1, 2.3)
    assert engines.flite_borders(TOLD.replace("p:", "b:") + REST, sentences[0]) is None
    assert engines.flite_borders(TOLD.replace("uh:0.5 ", "") + REST, sentences[0]) is None
    assert engines.flite_borders(TOLD.replace("uh:0.5 ", "uh:0.5 pau:0.55 ") + REST, sentences[0]) is None
    assert engines.flite_borders(TOLD + "l:1.8", sentences[0]) is None
    assert engines.flite_borders(f"{TOLD}{REST} s:2.4", sentences[0]) is None


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_flite_says_a_sentence_in_its_own_tempo_and_pitch(engines, sentences):
    speak = engines.ENGINES["flite-slt"].open()
    spoken = [speak(sentence) for sentence in sentences]
    told = [each for each in spoken if each is not None]
    assert len(told) >= 2
    for each in told:
        assert np.all(np.diff(each.borders) >= 0)
        assert each.borders[-1] == len(each.waveform) / 16_000
        assert 0.05 < np.abs(each.waveform).max() < 1
    again = engines.ENGINES["flite-slt"].open()(sentences[1])
    np.testing.assert_array_equal(again.waveform, spoken[1].waveform)
    other = engines.ENGINES["flite-rms"].open()(sentences[1])
    assert len(other.waveform) != len(again.waveform)


def test_a_speaker_of_wavejax_is_an_engine(script, sentences, tmp_path):
    heart = script.own_voice("heart", vocoder="universal")
    speak = heart.open()
    spoken = [speak(sentence) for sentence in sentences]
    for each, sentence in zip(spoken, sentences, strict=True):
        assert len(each.borders) == len(each.symbols) + 1
        assert [symbol for symbol in each.symbols if symbol[0].isalpha()] == [p for _, ps in sentence.words for p in ps]
        assert each.borders[0] == 0
        assert np.all(np.diff(each.borders) >= 0)
        assert each.borders[-1] == pytest.approx(len(each.waveform) / 16_000)
        first, last = (int(16_000 * each.borders[place]) for place in (1, -2))
        quiet = np.concatenate([each.waveform[:first], each.waveform[last:]])
        assert np.std(each.waveform[first:last]) > 5 * np.std(quiet), (
            "the sound lies between the first and the last border"
        )
    np.testing.assert_array_equal(speak(sentences[0]).waveform, spoken[0].waveform)
    script.make(tmp_path, 1.0, heart, sentences)
    assert len(read_alignments(tmp_path / "alignments.jsonl")) == len(sentences)
    assert "voices/heart/CREDITS.md" in (tmp_path / "CREDITS.md").read_text()


def test_russian_texts_are_words_of_the_dictionary_and_numbers(texts):
    found = list(itertools.islice(texts.russian_sentences(3), 40))
    assert [each.text for each in itertools.islice(texts.russian_sentences(3), 40)] == [each.text for each in found]
    assert len({each.text for each in found}) == 40
    for each in found:
        [read] = sentences_of(each.text, "ru")
        assert [word for word, _ in each.words] == [word.text for word in read.words]
        assert all(word.source == "lexicon" for word in read.words)
        assert len(each.marks) == len(each.words)
        assert each.marks[-1] in ".?!"
        assert set(each.marks[:-1]) <= {" ", ","}
    assert sum("," in each.marks for each in found) > 5
    assert any("тысяч" in each.text.lower() for each in found)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--engine", "hart"], r"hart.*heart"),
        (["--engine", "universal"], r"universal.*speaker"),
        (["--engine", "flite-slt", "--vocoder", "universal"], "flite-slt has a sound of its own"),
        (["--engine", "festvox-ru-tts", "--texts", "lines.txt"], "read as English, and festvox-ru-tts speaks 'ru'"),
        (["--engine", "flite-slt", "--texts", "no-such-lines.txt"], "no-such-lines.txt"),
        (["--engine", "flite-slt", "--corpus", "embedded"], "--corpus is for the sentences of --texts"),
    ],
)
def test_an_engine_that_does_not_exist_is_named(script, monkeypatch, capsys, tmp_path, arguments, error):
    monkeypatch.setattr(sys, "argv", ["make_synthetic_speech", str(tmp_path / "out"), *arguments])
    monkeypatch.setattr(script, "sentences", lambda packages, seed: [])
    assert script.main() == 1
    assert re.search(error, capsys.readouterr().err)


def test_given_texts_are_read_but_for_what_a_corpus_holds_out(script, monkeypatch, tmp_path):
    lines, out = tmp_path / "lines.txt", tmp_path / "out"
    said = ["The echo test has been completed.", "A message arrived.", "Hold the line, please.", "a message arrived"]
    lines.write_text("\n".join([*said, "Now weasels have eaten our phone system again.", "Press 1."]) + "\n")
    made = []
    monkeypatch.setitem(script.ENGINES, "hum", humming(script, made))
    monkeypatch.setattr(
        sys,
        "argv",
        ["make_synthetic_speech", str(out), "--engine", "hum", "--texts", str(lines), "--corpus", "embedded"],
    )
    assert script.main() == 0
    assert sorted(made) == ["A message arrived.", "Hold the line, please."]
    credits = (out / "CREDITS.md").read_text()
    assert "lines.txt" in credits
    assert "WordNet" not in credits
    assert "Carnegie Mellon" in credits, "the phonemes are the lexicon's"


def test_what_an_engine_would_say_otherwise_is_left_out(script, sentences, tmp_path):
    made = []
    hum = humming(script, made)
    speak = hum.open()
    silent = script.EngineEntry(
        open=lambda: lambda sentence: None if sentence is sentences[1] else speak(sentence), speaker="hum", credit="x"
    )
    script.make(tmp_path, 1.0, silent, sentences)
    assert len(made) == len(sentences) - 1
    assert list(read_alignments(tmp_path / "alignments.jsonl")) == ["hum_00001", "hum_00003", "hum_00004"]


def test_texts_are_read_word_by_word_or_left_out(texts):
    sentence = texts.read("He put it there, and left!")
    assert sentence.words[0] == ("he", ("HH", "IY1"))
    assert sentence.marks == (" ", " ", " ", ",", " ", "!")
    assert sentence.group == "he put it there and left"
    assert texts.read("carry all before one").text == "Carry all before one."
    read = texts.read("He read the other book.")
    assert read.words[1] == ("read", ("R", "EH1", "D"))
    assert read.words[2] == ("the", ("DH", "IY0"))
    for text in ("He zxqw it there.", "Press 1 to go.", "One. Two, three.", "Go on.", "a-b c d"):
        assert texts.read(text) is None, text


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("hello", "h ə l ˈO"),
        ("better", "b ˈɛ T əɹ"),
        ("little", "l ˈɪ T ᵊ l"),
        ("wanted", "w ˈɔ n t ᵻ d"),
        ("nurse", "n ˈɜɹ s"),
        ("with", "w ɪ ð"),
    ],
)
def test_hibari_reads_our_phonemes_in_its_alphabet(engines, word, written):
    phones = english_lexicon().phones(word)
    found = engines.hibari_word(word, phones, alone=False)
    assert len(found) == len(phones)
    assert " ".join(found).replace("ɑ", "ɔ") == written  # "wanted" has either vowel


def test_a_corpus_is_made_once_and_prepared(script, sentences, tmp_path, capsys):
    made: list[str] = []
    engine = humming(script, made)
    script.make(tmp_path / "hum", 0.04, engine, sentences)
    first = len(made)
    assert 1 <= first < len(sentences)
    script.make(tmp_path / "hum", 10.0, engine, sentences)
    assert made == [sentence.text for sentence in sentences]  # none for the second time
    assert "the texts are at an end after" in capsys.readouterr().out
    aligned = read_alignments(tmp_path / "hum" / "alignments.jsonl")
    assert [word.text for word in aligned["hum_00004"].words] == ["dear"]
    assert aligned["hum_00004"].symbols[0] == " "
    assert set(read_splits(tmp_path / "hum" / "splits.csv")) == set(aligned)
    prepare(tmp_path / "hum", tmp_path / "corpus", workers=1, progress=False, min_seconds=0.0)
    corpus = Corpus.open(tmp_path / "corpus")
    assert corpus.speakers == ("hum",)
    assert read_alignments(tmp_path / "corpus" / "alignments.jsonl") == aligned
    for entry in corpus.entries:
        durations = aligned[entry.id].durations(entry.num_frames, corpus.spec)
        assert durations.sum() == entry.num_frames
        assert durations.tolist() == [4] * len(durations)


def test_what_exceeds_full_scale_is_left_out(script, sentences, tmp_path, capsys):
    speak = humming(script, []).open()

    def sometimes_loud(sentence):
        spoken = speak(sentence)
        spoken.waveform[:] *= 20 if sentence is sentences[1] else 1
        return spoken

    engine = script.EngineEntry(open=lambda: sometimes_loud, speaker="hum", credit="nobody")
    script.make(tmp_path / "hum", 1.0, engine, sentences)
    assert "left out hum_00002, which exceeds full scale (2.00): Is it seven hundred?" in capsys.readouterr().out
    assert list(read_alignments(tmp_path / "hum" / "alignments.jsonl")) == ["hum_00001", "hum_00003", "hum_00004"]


def test_hibari_speaks_what_its_durations_say(engines, sentences):
    pytest.importorskip("hibari", reason="needs the extra corpora")
    pytest.importorskip("onnx", reason="needs the extra corpora")
    engine = engines.Hibari()
    for sentence in sentences:
        one, two = engine(sentence), engine(sentence)
        np.testing.assert_array_equal(one.waveform, two.waveform)
        assert one.borders[-1] == pytest.approx(len(one.waveform) / 16_000)
        assert (np.diff(one.borders) >= 0).all()
        lengths = np.diff(one.borders)
        vowels = [length for symbol, length in zip(one.symbols, lengths, strict=True) if symbol.endswith("1")]
        assert all(0.02 < length < 0.5 for length in vowels)


PHONEMES = ((0, 0.1, "D"), (0, 0.2, "I2"), (3, 0.4, "m"), (3, 0.5, "'aa"), (9, 0.7, "_:"), (9, 0.75, "_"))
EVENTS = [(7, *each) for each in PHONEMES]


def test_espeaks_words_reach_from_one_event_to_the_next_without_pauses(texts, beside):
    espeak = importlib.import_module("speech_espeak")
    sentence = texts.Sentence(text="The ma.", words=(("the", ("DH", "AH0")), ("ma", ("M", "AA1"))), marks=(" ", "."))
    sound = np.zeros(16_000, np.float32)
    events = [(1, 0, 0.1, ""), *EVENTS[:2], (1, 4, 0.35, ""), *EVENTS[2:]]
    spoken = espeak.espeak_times(events, sentence, sound)
    assert spoken.symbols == (" ", "D", "I2", "m", "aa", " ", " ")
    np.testing.assert_allclose(spoken.borders, [0, 0.1, 0.2, 0.4, 0.5, 0.7, 0.75, 1.0])
    assert [(word.text, word.start, word.end) for word in spoken.words] == [("the", 0.1, 0.4), ("ma", 0.4, 0.7)]
    joined = espeak.espeak_times([(1, 0, 0.1, ""), *EVENTS], sentence, sound)
    assert [(word.text, word.start, word.end) for word in joined.words] == [("the ma", 0.1, 0.7)]
    assert espeak.espeak_times([(1, 4, 0.1, ""), *EVENTS], sentence, sound) is None, "a word is missing"


@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")
def test_espeak_says_a_sentence_in_its_own_tempo_and_pitch(script, engines, sentences, tmp_path):
    speak = engines.ENGINES["espeak-us-f"].open()
    spoken = [speak(sentence) for sentence in sentences]
    assert all(spoken)
    for each, sentence in zip(spoken, sentences, strict=True):
        assert np.all(np.diff(each.borders) >= 0)
        assert " ".join(word.text for word in each.words) == sentence.group
        assert 0.05 < np.abs(each.waveform).max() < 1
    other = engines.ENGINES["espeak-gb-m"].open()
    assert len(other(sentences[1]).waveform) != len(spoken[1].waveform)
    np.testing.assert_allclose(speak(sentences[1]).borders, spoken[1].borders, atol=1e-3)
    script.make(tmp_path, 1.0, engines.ENGINES["espeak-us-f"], sentences)
    assert len(read_alignments(tmp_path / "alignments.jsonl")) == len(sentences)


def test_a_rooms_echo_fades_and_is_as_strong_as_is_said(conditions):
    rng = np.random.default_rng(0)
    response = conditions.room_response(0.4, 3.0, 16_000, rng)
    assert response[0] == 1
    assert np.sum(np.square(response[1:])) == pytest.approx(10 ** (-3 / 10))
    remaining = 10 * np.log10(np.cumsum(np.square(response[1:])[::-1])[::-1])
    places = np.arange(1600, 4800)
    slope = np.polyfit(places / 16_000, remaining[places], 1)[0]
    assert -60 / slope == pytest.approx(0.4, rel=0.15)


def test_noises_have_their_colour(conditions):
    for colour in (0.0, 1.0, 2.0):
        noise = conditions.coloured_noise(2**16, colour, np.random.default_rng(0))
        assert np.sqrt(np.mean(np.square(noise))) == pytest.approx(1)
        power = np.square(np.abs(np.fft.rfft(noise)))
        octaves = [np.mean(power[2**k : 2 ** (k + 1)]) for k in range(5, 15)]
        assert np.polyfit(np.arange(10), 10 * np.log10(octaves), 1)[0] == pytest.approx(-3.01 * colour, abs=0.4)


def test_shares_of_the_sentences_are_in_rooms_and_in_noise(conditions):
    drawn = [conditions.Conditions(rooms=0.3, noise=0.6).of(f"s{number}") for number in range(400)]
    assert np.mean([each.decay is not None for each in drawn]) == pytest.approx(0.3, abs=0.07)
    assert np.mean([each.noise is not None for each in drawn]) == pytest.approx(0.6, abs=0.07)
    wave = 0.3 * np.sin(np.arange(16_000) / 10).astype(np.float32)
    clean = conditions.Surroundings()
    assert clean.heard(wave, 16_000) is wave
    noisy = conditions.Surroundings(noise=10.0, seed=3).heard(wave, 16_000)
    assert 20 * np.log10(np.std(wave) / np.std(noisy - wave)) == pytest.approx(10, abs=0.2)
    delayed = np.concatenate([np.zeros(8000, np.float32), wave[:8000]])
    room = conditions.Surroundings(decay=0.3, direct=0.0, seed=3).heard(delayed, 16_000)
    assert len(room) == 16_000
    assert np.abs(room[:8000]).max() < 1e-6, "nothing is heard before it is said"
    assert np.std(room) == pytest.approx(np.std(delayed), rel=1e-3)
    loud = conditions.Surroundings(noise=0.0, seed=3).heard(3 * wave, 16_000)
    assert np.abs(loud).max() <= 0.99 + 1e-6
    with pytest.raises(ValueError, match=r"--rooms is the share of the sentences, from 0 to 1; got 2"):
        conditions.Conditions(rooms=2)


def test_a_corpus_in_other_surroundings_is_made_anew(script, conditions, sentences, tmp_path):
    made: list[str] = []
    engine = humming(script, made)
    noise = conditions.Conditions(noise=1.0)
    for number, where in enumerate((noise, noise, conditions.Conditions()), 1):
        script.make(tmp_path, 10.0, engine, sentences, where)
        assert len(made) == len(sentences) * (2 if number == 3 else 1)
    assert "in made noise" not in (tmp_path / "CREDITS.md").read_text()
    script.make(tmp_path, 10.0, engine, sentences, noise)
    assert "100% in made noise" in (tmp_path / "CREDITS.md").read_text()
