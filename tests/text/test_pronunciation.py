"""How words are pronounced: by the lexicon, by rule, or by the network."""

import hashlib
import importlib.util
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.text import TextError, english_lexicon, pronounced
from wavejax.text.english.inflections import with_ed, with_s
from wavejax.text.grapheme_to_phoneme import (
    LONGEST_WORD,
    WEIGHTS_FILE,
    GraphemeToPhoneme,
    english_grapheme_to_phoneme,
)
from wavejax.text.phonemes import PHONEMES, is_vowel, stress_of

_CONTENT = "fe560526d40b3786b05639bb7fee3052c59bb2999e596506d55881d32fefc840"
SCRIPT = Path(__file__).parents[2] / "scripts/train_g2p"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = SourceFileLoader("train_g2p", str(SCRIPT))
    spec = importlib.util.spec_from_loader("train_g2p", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("googled", "G UW1 G AH0 L D"),
        ("vaping", "V EY1 P IH0 NG"),
        ("tweeting", "T W IY1 T IH0 NG"),
        ("podcasts", "P AO1 D K AE2 S T S"),
        ("unmuted", "AH0 N M Y UW1 T IH0 D"),
        ("microservices", "M AY2 K R OW0 S ER1 V AH0 S AH0 Z"),
        ("smiths'", "S M IH1 TH S"),
        ("snowboarders", "S N OW1 B AO2 R D ER0 Z"),
        ("smartphone", "S M AA1 R T F OW2 N"),
    ],
)
def test_regular_forms_go_by_rule(word: str, phones: str) -> None:
    found = pronounced(word)
    assert " ".join(found.phones) == phones
    assert found.source in {"rule", "lexicon"}


def test_endings() -> None:
    assert [with_s((phone,))[1:] for phone in ("T", "D", "S", "JH", "OW1")] == [
        ("S",),
        ("Z",),
        ("IH0", "Z"),
        ("IH0", "Z"),
        ("Z",),
    ]
    assert [with_ed((phone,))[1:] for phone in ("K", "G", "T", "D", "SH", "IY1")] == [
        ("T",),
        ("D",),
        ("IH0", "D"),
        ("IH0", "D"),
        ("T",),
        ("D",),
    ]


def test_the_lexicon_comes_first() -> None:
    assert pronounced("Hello") == (english_lexicon().phones("hello"), "lexicon")
    assert pronounced("record", "verb").phones[1] == "IH0"


def test_other_words_are_guessed() -> None:
    for word in ("blorptane", "zxqv", "frindlish", "b" * 100):
        phones, source = pronounced(word)
        assert source == "guess"
        assert phones
        assert set(phones) <= set(PHONEMES)
        if any(map(is_vowel, phones)) and len(word) <= LONGEST_WORD:
            assert [stress_of(phone) for phone in phones].count(1) == 1
    assert pronounced("blorptane's").phones[: len(pronounced("blorptane").phones)] == pronounced("blorptane").phones
    with pytest.raises(TextError, match="'1st' is no English word: it must be written with the letters a to z"):
        pronounced("1st")
    with pytest.raises(TextError, match="is no English word"):
        pronounced("'")


def test_numpy_equals_jax(script: ModuleType) -> None:
    params = script.initial_params()
    weights = english_grapheme_to_phoneme()._weights
    flat = script.flat(params)
    assert {name: value.shape for name, value in flat.items()} == {name: v.shape for name, v in weights.items()}
    trained = jax.tree_util.tree_map_with_path(
        lambda path, _: jnp.asarray(weights["/".join(part.key for part in path)]), params
    )
    words = ("a", "pneumonia", "wavejax")
    letters = np.zeros((3, 14), np.int32)  # longer than any: what pads a batch changes nothing
    for row, word in enumerate(words):
        letters[row, 1 : len(word) + 1] = [script.LETTERS.index(letter) + 1 for letter in word]
    lengths = np.asarray([len(word) + 2 for word in words], np.int32)
    reference = script.Network().apply({"params": trained}, jnp.asarray(letters), jnp.asarray(lengths))
    for row, word in enumerate(words):
        found = GraphemeToPhoneme(weights).log_probs(word)
        assert found.shape == (2 * (len(word) + 2), len(PHONEMES) + 1)
        # Both are float32; the largest logits are about 30.
        np.testing.assert_allclose(found, reference[row, : len(found)], atol=1e-3)


def test_the_weights_are_small_fast_and_the_same() -> None:
    assert WEIGHTS_FILE.stat().st_size < 600_000
    digest = hashlib.sha256()
    with np.load(WEIGHTS_FILE) as file:
        for name in sorted(file.files):
            assert file[name].dtype == np.float16
            digest.update(name.encode() + file[name].tobytes())
    assert digest.hexdigest() == _CONTENT
    network, words = english_grapheme_to_phoneme(), [*english_lexicon()][1000:100_000:2000]
    words = [word for word in words if word.isalpha()]
    began = time.process_time()
    for word in words:
        network.phones(word)
    assert (time.process_time() - began) / len(words) < 0.01, "1 ms; 10 where the machine is busy"


def test_held_out_words_are_read_as_measured(script: ModuleType) -> None:
    words = script.words_of("test")[::40]
    network, wrong, total = english_grapheme_to_phoneme(), 0, 0
    for word in words:
        guess = script.bare(network.phones(word))
        distances = [
            (script.edits(guess, script.bare(right)), len(right)) for right in english_lexicon().variants(word)
        ]
        wrong, total = wrong + min(distances)[0], total + min(distances)[1]
    assert len(words) > 100
    assert wrong / total < 0.1  # docs/text.md has the rate of all held-out words


def test_families_are_held_out_together(script: ModuleType) -> None:
    assert script.family("walkers") == script.family("walked") == script.family("walk") == "walk"
    assert script.family("baked") == script.family("bakes") == script.family("bake")
    assert len({script.split_of(word) for word in ("walk", "walks", "walked", "walking", "walker")}) == 1
    shares = [len(script.words_of(split)) for split in ("train", "validation", "test")]
    assert shares[2] / sum(shares) == pytest.approx(0.05, abs=0.005)
    assert shares[1] / sum(shares) == pytest.approx(0.02, abs=0.003)


def test_it_needs_no_jax() -> None:
    code = (
        "import sys; from wavejax.text import read_english; read_english('The blorptane costs $5.'); "
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
