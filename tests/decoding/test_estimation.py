"""Mixtures of language models against the sums that they stand for."""

import pytest

from wavejax.decoding import build_ngrams, mix_ngrams, read_arpa

ONE = [["the", "cat", "sat"], ["the", "cat", "ran"]]
OTHER = [["a", "dog", "sat", "on", "the", "cat"], ["the", "dog", "ran"]]
WORDS = {word for sentence in (*ONE, *OTHER) for word in sentence}


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
    assert again.sentence(["the", "dog", "sat"]) == pytest.approx(both.sentence(["the", "dog", "sat"]), abs=1e-4)


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
