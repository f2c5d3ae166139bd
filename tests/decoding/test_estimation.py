"""Language models of sentences: what they sum to, and what counts in them; mixtures against the sums they stand for."""

import random

import pytest

from wavejax.decoding import build_ngrams, mix_ngrams, read_arpa

ONE = [["the", "cat", "sat"], ["the", "cat", "ran"]]
OTHER = [["a", "dog", "sat", "on", "the", "cat"], ["the", "dog", "ran"]]
WORDS = {word for sentence in (*ONE, *OTHER) for word in sentence}


@pytest.fixture(scope="module")
def many() -> list[list[str]]:
    """A thousand sentences in which words follow each other more or less often, rare ones among them."""
    draw = random.Random(0)
    words = [f"w{number}" for number in range(60)]
    return [[words[int(60 * draw.random() ** 3)] for _ in range(draw.randint(1, 8))] for _ in range(1000)]


@pytest.mark.parametrize(("order", "fewest"), [(1, 1), (2, 1), (3, 1), (3, 2), (4, 3)])
def test_probabilities_sum_to_one_after_any_history(many: list[list[str]], order: int, fewest: int) -> None:
    ngrams = build_ngrams(many, order, ["zebra"], fewest)
    predicted = [gram[0] for gram in ngrams.log_probs if len(gram) == 1 and gram != ("<s>",)]
    histories = [(), ("<s>",), ("w0",), ("w59", "w59"), ("<s>", "w0"), ("w0", "w1", "w2"), ("zebra",), ("nobody",)]
    for history in histories:
        assert sum(10 ** ngrams.log_prob(history, word) for word in predicted) == pytest.approx(1)
    for gram in ngrams.log_probs:
        assert gram[:-1] == () or gram[:-1] in ngrams.log_probs, "an n-gram's history is in the file"


def test_rare_long_ngrams_are_left_out(many: list[list[str]]) -> None:
    whole, small = build_ngrams(many, 3), build_ngrams(many, 3, fewest=2)
    seen = [tuple(padded[i : i + 3]) for each in many for padded in [["<s>", *each, "</s>"]] for i in range(len(each))]
    often = {gram for gram in seen if seen.count(gram) > 1}
    assert {gram for gram in small.log_probs if len(gram) == 3} == often < set(whole.log_probs)
    assert {gram for gram in whole.log_probs if len(gram) < 3} == {gram for gram in small.log_probs if len(gram) < 3}


def test_a_word_counts_by_how_many_words_it_follows() -> None:
    """Kneser and Ney's francisco: frequent, but only after san."""
    sentences = [["san", "francisco"]] * 9 + [[word, "bay"] for word in ("the", "a", "my")]
    ngrams = build_ngrams(sentences, 2)
    assert ngrams.log_prob(("one",), "bay") > ngrams.log_prob(("one",), "francisco")
    assert ngrams.log_prob(("san",), "francisco") > ngrams.log_prob(("san",), "bay") + 1


def test_discounts_are_those_of_chen_and_goodman() -> None:
    """Words seen 1, 2, 3 and 4 times: 8, 4, 2 and 1 of them, so that the discounts are .5, 1.25 and 2."""
    times = [1] * 8 + [2] * 4 + [3] * 2 + [4] + [30]
    sentences = [[f"w{number}"] for number, count in enumerate(times) for _ in range(count)]
    ngrams = build_ngrams(sentences, 2)
    total = sum(times)  # words after the beginning of a sentence
    given = (8 * 0.5 + 4 * 1.25 + 4 * 2.0) / total
    for word, count, discount in (("w0", 1, 0.5), ("w8", 2, 1.25), ("w12", 3, 2.0), ("w14", 4, 2.0), ("w15", 30, 2.0)):
        expected = (count - discount) / total + given * 10 ** ngrams.log_prob((), word)
        assert 10 ** ngrams.log_prob(("<s>",), word) == pytest.approx(expected)


@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (3, 3), (3, 2)])
def test_a_mixture_has_the_shares_of_both_and_sums_to_one(orders: tuple[int, int]) -> None:
    one, other = build_ngrams(ONE, orders[0], WORDS), build_ngrams(OTHER, orders[1], WORDS)
    both = mix_ngrams(one, other, 0.3)
    assert both.order == max(orders)
    assert set(both.log_probs) == {*one.log_probs, *other.log_probs}
    for gram in both.log_probs:
        if gram != ("<s>",):
            expected = 0.3 * 10 ** one.log_prob(gram[:-1], gram[-1]) + 0.7 * 10 ** other.log_prob(gram[:-1], gram[-1])
            assert 10 ** both.log_prob(gram[:-1], gram[-1]) == pytest.approx(expected)
    predicted = [*WORDS, "</s>", "<unk>"]
    for history in [(), ("<s>",), ("the",), ("<s>", "the"), ("the", "cat"), ("dog", "sat"), ("never", "the"), ("ran",)]:
        assert sum(10 ** both.log_prob(history, word) for word in predicted) == pytest.approx(1)
    again = read_arpa(both.to_arpa())
    assert again.sentence(["the", "dog", "sat"]) == pytest.approx(both.sentence(["the", "dog", "sat"]), abs=3e-3)


def test_the_ends_of_the_share_are_the_models_themselves() -> None:
    one, other = build_ngrams(ONE, 2, WORDS), build_ngrams(OTHER, 2, WORDS)
    for sentence in (*ONE, *OTHER):
        assert mix_ngrams(one, other, 1).sentence(sentence) == pytest.approx(one.sentence(sentence))
        assert mix_ngrams(one, other, 0).sentence(sentence) == pytest.approx(other.sentence(sentence))


def test_models_of_other_words_are_not_mixed() -> None:
    one, other = build_ngrams(ONE, 2), build_ngrams(OTHER, 2)
    with pytest.raises(ValueError, match="must know the same words, but only one knows 'a'"):
        mix_ngrams(one, other, 0.5)
    with pytest.raises(ValueError, match="from 0 to 1, got 2"):
        mix_ngrams(one, one, 2)


def test_words_of_a_vocabulary_are_known_and_share_what_is_left() -> None:
    plain, more = build_ngrams(ONE, 2), build_ngrams(ONE, 2, ["zebra", "cat"])
    assert "zebra" in more
    assert "zebra" not in plain
    assert more.log_prob((), "zebra") == more.log_prob((), "<unk>") < plain.log_prob((), "<unk>")
    assert sum(10 ** more.log_prob((), gram[0]) for gram in more.log_probs if len(gram) == 1) == pytest.approx(1)
