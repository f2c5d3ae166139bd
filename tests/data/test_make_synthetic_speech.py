"""scripts/make_synthetic_speech, with an engine that hums, and with the real one where it is installed."""

import importlib.machinery
import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from wavejax.data import Corpus, prepare
from wavejax.data.alignments import read_alignments
from wavejax.data.tables import read_splits
from wavejax.text.lexicon import english_lexicon

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_synthetic_speech"
TEXTS = ("He put it there, and left!", "Is it seven hundred?", "A scene of unusual beauty", "Dear.")


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("make_synthetic_speech", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_synthetic_speech", loader))
    sys.modules["make_synthetic_speech"] = module  # dataclasses look their module up
    loader.exec_module(module)
    yield module
    del sys.modules["make_synthetic_speech"]


@pytest.fixture
def sentences(script):
    return [script.read(text, fewest=1) for text in TEXTS]


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


def test_flites_phonemes_are_the_lexicons_or_the_sentence_is_left_out(script, sentences):
    symbols, borders = script.flite_borders(TOLD + REST, sentences[0])
    said = "HH IY1 _ P UH1 T _ IH1 T _ DH EH1 R , AE0 N D _ L EH1 F T !"  # in the lexicon "and" has the vowel AH0
    assert list(symbols) == [" ", *[" " if symbol == "_" else symbol for symbol in said.split()]]
    assert len(borders) == len(symbols) + 1
    assert borders[symbols.index(",")] == 1.1
    assert borders[symbols.index(",") + 1] == 1.4, "a pause belongs to the punctuation mark"
    assert borders[symbols.index(" ", 1)] == borders[symbols.index(" ", 1) + 1] == 0.3, "and a space takes no time"
    assert (borders[0], borders[1], borders[-2], borders[-1]) == (0, 0.1, 2.1, 2.3)
    assert script.flite_borders(TOLD.replace("p:", "b:") + REST, sentences[0]) is None
    assert script.flite_borders(TOLD.replace("uh:0.5 ", "") + REST, sentences[0]) is None
    assert script.flite_borders(TOLD.replace("uh:0.5 ", "uh:0.5 pau:0.55 ") + REST, sentences[0]) is None
    assert script.flite_borders(TOLD + "l:1.8", sentences[0]) is None
    assert script.flite_borders(f"{TOLD}{REST} s:2.4", sentences[0]) is None


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_flite_says_a_sentence_in_its_own_tempo_and_pitch(script, sentences):
    speak = script.ENGINES["flite-slt"].open()
    spoken = [speak(sentence) for sentence in sentences]
    told = [each for each in spoken if each is not None]
    assert len(told) >= 2
    for each in told:
        assert np.all(np.diff(each.borders) >= 0)
        assert each.borders[-1] == len(each.waveform) / 16_000
        assert 0.05 < np.abs(each.waveform).max() < 1
    again = script.ENGINES["flite-slt"].open()(sentences[1])
    np.testing.assert_array_equal(again.waveform, spoken[1].waveform)
    other = script.ENGINES["flite-rms"].open()(sentences[1])
    assert len(other.waveform) != len(again.waveform)


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


def test_texts_are_read_word_by_word_or_left_out(script):
    sentence = script.read("He put it there, and left!")
    assert sentence.words[0] == ("he", ("HH", "IY1"))
    assert sentence.marks == (" ", " ", " ", ",", " ", "!")
    assert sentence.group == "he put it there and left"
    assert script.read("carry all before one").text == "Carry all before one."
    read = script.read("He read the other book.")
    assert read.words[1] == ("read", ("R", "EH1", "D"))
    assert read.words[2] == ("the", ("DH", "IY0"))
    for text in ("He zxqw it there.", "Press 1 to go.", "One. Two, three.", "Go on.", "a-b c d"):
        assert script.read(text) is None, text


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
def test_hibari_reads_our_phonemes_in_its_alphabet(script, word, written):
    phones = english_lexicon().phones(word)
    found = script.hibari_word(word, phones, alone=False)
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


def test_hibari_speaks_what_its_durations_say(script, sentences):
    pytest.importorskip("hibari", reason="needs the extra corpora")
    pytest.importorskip("onnx", reason="needs the extra corpora")
    engine = script.Hibari()
    for sentence in sentences:
        one, two = engine(sentence), engine(sentence)
        np.testing.assert_array_equal(one.waveform, two.waveform)
        assert one.borders[-1] == pytest.approx(len(one.waveform) / 16_000)
        assert (np.diff(one.borders) >= 0).all()
        lengths = np.diff(one.borders)
        vowels = [length for symbol, length in zip(one.symbols, lengths, strict=True) if symbol.endswith("1")]
        assert all(0.02 < length < 0.5 for length in vowels)
