"""Beam search against trying everything, n-grams against their sums, and words that are expected."""

import itertools
import math

import numpy as np
import pytest

from tests.decoding.test_ctc import lattice
from wavejax.decoding import NGramError, NGrams, Search, WordScorer, beam_search, build_ngrams, greedy, read_arpa
from wavejax.decoding.scoring import BestWords
from wavejax.evaluation.words import bigram_arpa
from wavejax.text import TextSpec

TEXT = TextSpec(name="tiny", language="en", symbols=(" ", "a", "b"))


def all_texts(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Each text with the log-probability of all its paths."""
    frames, classes = log_probs.shape
    texts: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(classes), repeat=frames):
        text = tuple(label for label, _ in itertools.groupby(path) if label)
        score = float(log_probs[np.arange(frames), path].sum())
        texts[text] = float(np.logaddexp(texts.get(text, -np.inf), score))
    return texts


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
def test_it_is_exhaustive_search_on_500_lattices(frames: int) -> None:
    rng = np.random.default_rng(frames)
    differs = 0
    for _ in range(100):
        log_probs = lattice(rng, frames, 3)
        texts = all_texts(log_probs)
        expected = sorted(texts, key=lambda text: -texts[text])[:5]
        found = beam_search(log_probs, width=1000, num_best=5, least=-math.inf)
        assert [each.labels for each in found] == expected
        assert [each.log_prob for each in found] == pytest.approx([texts[text] for text in expected])
        assert all(each.score == each.log_prob for each in found)
        differs += tuple(spike.label for spike in greedy(log_probs)) != expected[0]
    assert frames == 1 or differs > 0, "and not what is read greedily"


def test_a_narrow_beam_on_sure_frames_finds_the_same() -> None:
    log_probs = 3 * lattice(np.random.default_rng(9), 20, 5)
    log_probs -= np.logaddexp.reduce(log_probs, axis=1, keepdims=True)
    wide = beam_search(log_probs, width=100, least=-math.inf)[0]
    narrow = beam_search(log_probs, width=16)[0]
    assert narrow.labels == wide.labels
    assert narrow.log_prob == pytest.approx(wide.log_prob, abs=0.05)
    assert beam_search(np.zeros((0, 3)))[0] == ((), 0.0, 0.0)
    with pytest.raises(ValueError, match="width 0 and num_best 1 must be 1 or more"):
        beam_search(log_probs, width=0)


@pytest.mark.parametrize("look_ahead", [True, False])
def test_a_scorer_is_added_to_every_text(look_ahead: bool) -> None:
    ngrams = build_ngrams([["a", "b"], ["ab", "a"], ["b"]], order=2)
    hot = {"bb", "ab"}
    scorer = WordScorer(TEXT, ngrams, 0.7, 0.4, hot, hot_bonus=1.5, new_word=-2.0, look_ahead=look_ahead)

    def added(text: tuple[int, ...]) -> float:
        words = TEXT.decode(text).split()
        own = 0.7 * math.log(10) * ngrams.sentence(words) + 0.4 * len(words)
        own += 1.5 * sum(word in hot for word in words)
        return own - 2.0 * sum(word not in ngrams and word not in hot for word in words)

    rng = np.random.default_rng(4)
    for _ in range(40):
        log_probs = lattice(rng, 4, 4)
        texts = {text: score + added(text) for text, score in all_texts(log_probs).items()}
        expected = sorted(texts, key=lambda text: -texts[text])[:4]
        found = beam_search(log_probs, width=5000, num_best=4, scorer=scorer, least=-math.inf)
        assert [each.score for each in found] == pytest.approx([texts[text] for text in expected])
        assert [each.labels for each in found] == expected


def test_hot_words_need_no_language_model() -> None:
    probabilities = np.asarray([[0.02, 0.02, 0.94, 0.02], [0.9, 0.02, 0.06, 0.02], [0.02, 0.02, 0.52, 0.44]])
    assert TEXT.decode(beam_search(np.log(probabilities))[0].labels) == "aa"
    hot = WordScorer(TEXT, hot_words={"ab"}, hot_bonus=2.0)
    assert TEXT.decode(beam_search(np.log(probabilities), scorer=hot)[0].labels) == "ab"


VOCABULARY = TextSpec(name="more", language="en", symbols=tuple(" abcdefgh"))


def noisy_lattice(rng: np.random.Generator, text: str) -> np.ndarray:
    """A frame for each letter and a blank after it, among other classes that are at times more probable."""
    labels = [label for letter in VOCABULARY.encode(text) for label in (int(letter), 0)]
    logits = 1.5 * rng.normal(size=(len(labels), VOCABULARY.num_classes))
    logits[np.arange(len(labels)), labels] += 3
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def test_a_narrow_beam_that_looks_ahead_keeps_likely_words() -> None:
    rng = np.random.default_rng(7)
    words = ["".join(rng.choice(list("abcdefgh"), rng.integers(4, 7))) for _ in range(30)]
    sentences = [list(rng.choice(words, 4)) for _ in range(100)]
    ngrams = build_ngrams(sentences, 2)
    found = {True: 0, False: 0}
    scorers = {ahead: WordScorer(VOCABULARY, ngrams, weight=1.0, look_ahead=ahead) for ahead in found}
    for sentence in sentences[:20]:
        log_probs = noisy_lattice(rng, " ".join(sentence))
        for ahead, scorer in scorers.items():
            best = beam_search(log_probs, width=6, scorer=scorer)[0]
            found[ahead] += sum(word in sentence for word in VOCABULARY.decode(best.labels).split())
    assert found[True] > 1.5 * found[False], found


def test_the_best_words_are_no_less_probable_than_any_with_the_beginning() -> None:
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice(list("abc"), rng.integers(1, 5))) for _ in range(20)]
    ngrams = build_ngrams([list(rng.choice(words, 5)) for _ in range(20)], 3)
    best = BestWords(ngrams)
    histories = [("<s>",), ("<s>", words[0]), (words[1], words[2]), ("new", words[3]), (), tuple(words[:4])]
    for history, word in itertools.product(histories, words):
        for end in range(1, len(word) + 1):
            able = [each for each in words if each.startswith(word[:end]) and each in ngrams]
            expected = max((ngrams.log_prob(history, each) for each in able), default=-math.inf)
            assert best(history, word[:end]) == pytest.approx(expected)
    assert best((), "d") == -math.inf


def test_new_words_cost_what_is_asked_and_expected_ones_do_not() -> None:
    sure = np.log(np.asarray([[0.01, 0.01, 0.01, 0.97], [0.01, 0.01, 0.5, 0.48], [0.97, 0.01, 0.01, 0.01]]))
    ngrams = build_ngrams([["b"], ["b", "b"]], 1)
    texts = [
        TEXT.decode(beam_search(sure, scorer=WordScorer(TEXT, ngrams, **given))[0].labels)
        for given in ({"new_word": -4.0}, {"new_word": -4.0, "hot_words": {"ba"}}, {"weight": 0.0, "new_word": 0.0})
    ]
    assert texts == ["b", "ba", "ba"]
    plain = NGrams(1, {gram: log for gram, log in ngrams.log_probs.items() if gram != ("<unk>",)}, {})
    scorer = WordScorer(TEXT, plain, weight=1.0, word_bonus=0.0, new_word=-3.0)
    state, total = scorer.start(), 0.0
    for label in TEXT.encode("a "):
        state, added = scorer.extend(state, int(label))
        total += added
    assert total == pytest.approx(math.log(10) * min(plain.log_probs[("b",)], plain.log_probs[("</s>",)]) - 3.0)


def test_a_search_makes_its_scorer_once() -> None:
    search = Search(ngrams=build_ngrams(SENTENCES), hot_words=("A b",), new_word=-7.0)
    scorer = search.scorer(TEXT)
    assert scorer is not None
    assert scorer is search.scorer(TEXT), "its tables are not made for each recording"
    assert (scorer.hot_words, scorer.new_word) == ({"a", "b"}, -7.0)
    assert search.scorer(VOCABULARY) is not scorer
    assert Search().scorer(TEXT) is None


SENTENCES = [["the", "cat", "sat"], ["the", "cat", "ran"], ["a", "dog", "sat", "on", "the", "cat"]]


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_sum_to_one(order: int) -> None:
    ngrams = build_ngrams(SENTENCES, order)
    words = [gram[0] for gram in ngrams.log_probs if len(gram) == 1 and gram != ("<s>",)]
    histories = [(), ("<s>",), ("the",), ("<s>", "the"), ("the", "cat"), ("never", "seen"), ("on", "never")]
    for history in histories:
        assert sum(10 ** ngrams.log_prob(history, word) for word in words) == pytest.approx(1)
    assert ngrams.log_prob((), "mouse") == ngrams.log_prob((), "<unk>")
    if order > 1:
        assert ngrams.log_prob(("the",), "cat") > ngrams.log_prob(("dog",), "cat")


def test_files_of_any_maker_are_read() -> None:
    ngrams = build_ngrams(SENTENCES, 3)
    again = read_arpa("some words before it\n\n" + ngrams.to_arpa())
    assert again.order == 3
    for sentence in (*SENTENCES, ["a", "mouse", "sat"]):
        assert again.sentence(sentence) == pytest.approx(ngrams.sentence(sentence), abs=3e-3)
    older = read_arpa(bigram_arpa(SENTENCES, {word for sentence in SENTENCES for word in sentence}))
    assert older.order == 2
    assert "cat" in older
    assert older.log_prob(("the",), "cat") > older.log_prob(("the",), "dog")
    assert older.log_prob((), "mouse") == -99


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no ARPA language model: no n-grams"),
        ("\\data\\\nngram 1=x\n", "line 2 of lm.arpa is 'ngram 1=x'; expected a line like ngram 1=5000"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\nhalf word\n", "line 5 of lm.arpa is no 1-gram: expected a log10"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1 word\n", r"it does not end with \\end\\"),
        ("\\data\\\nngram 1=2\n\n\\1-grams:\n-1 word\n\\end\\", "announces 2 1-grams and holds 1: it was cut short"),
        ("\\data\\\nngram 1=1\n\n\\2-grams:\n-1 a b\n\\end\\", "expected the 1-grams that the head announces"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\nnan word\n\\end\\", "line 5 of lm.arpa is no 1-gram"),
    ],
)
def test_what_is_no_language_model_is_refused_by_its_line(text: str, said: str) -> None:
    with pytest.raises(NGramError, match=said):
        read_arpa(text, "lm.arpa")


def test_a_model_needs_words_and_an_order() -> None:
    with pytest.raises(ValueError, match="a language model needs words: none was given"):
        build_ngrams([[]])
    with pytest.raises(ValueError, match="an order from 1 to 10, got 0"):
        build_ngrams(SENTENCES, 0)
    with pytest.raises(ValueError, match="<s> stands for no word, but is one of the sentence '<s> a'"):
        build_ngrams([["<s>", "a"]])
    assert NGrams(1, {("a",): -1.0}, {}).log_prob((), "a") == -1
