"""When letters are said, by the times of words and phones."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.losses.sequence import aligned_cross_entropy
from wavejax.tasks.recognizer.letter_times import letter_times
from wavejax.text import get_text_spec

SPEC = get_text_spec("letters-en")
FRAME = 0.01


def utterance(*words: tuple[str, float, list[float]]) -> AlignedUtterance:
    """From (word, beginning, seconds of each phone)."""
    phones, whole = [], []
    for text, begin, lengths in words:
        moments = begin + np.concatenate([[0], np.cumsum(lengths)])
        whole.append(Interval(text, float(moments[0]), float(moments[-1])))
        phones += [Interval("X", float(a), float(b)) for a, b in itertools.pairwise(moments)]
    return AlignedUtterance(id="u", phones=tuple(phones), words=tuple(whole))


def times(text: str, aligned: AlignedUtterance, frame: float = FRAME) -> np.ndarray:
    found = letter_times(text, SPEC, aligned, frame)
    assert found is not None
    assert found.dtype == np.float32
    assert found.shape == (2, len(text))
    assert (np.diff(found.T.reshape(-1)) >= 0).all(), "in order, without overlap"
    return found


def test_letters_take_the_phones_that_they_cover() -> None:
    starts, ends = times("cat", utterance(("Cat", 0.1, [0.05, 0.2, 0.04])))
    np.testing.assert_allclose(starts, [10, 15, 35], atol=1e-4)
    np.testing.assert_allclose(ends, [15, 35, 39], atol=1e-4)
    starts, ends = times("though", utterance(("though", 0.0, [0.06, 0.3])))  # three letters for each phone
    np.testing.assert_allclose(starts, [0, 2, 4, 6, 16, 26], atol=1e-4)
    np.testing.assert_allclose(ends, [2, 4, 6, 16, 26, 36], atol=1e-4)
    starts, ends = times("ax", utterance(("ax", 0.0, [0.1, 0.2, 0.1])))  # one and a half phones for each letter
    np.testing.assert_allclose(starts, [0, 20], atol=1e-4)
    np.testing.assert_allclose(ends, [20, 40], atol=1e-4)


def test_a_space_takes_the_pause_or_leaves_a_frame_open() -> None:
    starts, ends = times("ab cd", utterance(("ab", 0.0, [0.1, 0.1]), ("cd", 0.5, [0.1, 0.1])))
    np.testing.assert_allclose((starts[2], ends[2]), (20, 50), atol=1e-4)
    starts, ends = times("ab cd", utterance(("ab", 0.0, [0.1, 0.1]), ("cd", 0.2, [0.1, 0.1])))
    np.testing.assert_allclose(starts, [0, 10, 20, 20.5, 30], atol=1e-4)
    np.testing.assert_allclose(ends, [10, 19.5, 20, 30, 40], atol=1e-4)


def test_equal_letters_leave_a_frame_for_the_blank_between_them() -> None:
    aligned = utterance(("all", 0.0, [0.1, 0.1, 0.1]))
    starts, ends = times("all", aligned)
    np.testing.assert_allclose(starts, [0, 10, 20.5], atol=1e-4)
    np.testing.assert_allclose(ends, [10, 19.5, 30], atol=1e-4)
    starts, ends = times("all", aligned, frame=0.2)  # a letter is half a frame: none is left of it
    assert (ends >= starts).all()


def test_spelling_decides_and_not_where_words_are_parted() -> None:
    one = times("forty five", utterance(("forty-five", 0.0, [0.1] * 9)))
    two = times("forty five", utterance(("forty", 0.0, [0.1] * 5), ("five", 0.5, [0.1] * 4)))
    np.testing.assert_allclose(one, two, atol=1e-4)
    assert times("it's", utterance(("It's,", 0.0, [0.1, 0.1]))).shape == (2, 4)


@pytest.mark.parametrize("text", ["no", "yes please", "ye", ""])
def test_other_words_give_no_times(text: str) -> None:
    assert letter_times(text, SPEC, utterance(("yes", 0.0, [0.1])), FRAME) is None


def test_words_that_cannot_be_read_or_are_not_there_give_none() -> None:
    bare = AlignedUtterance(id="u", phones=(Interval("Y", 0.0, 0.1),))
    assert letter_times("yes", SPEC, bare, FRAME) is None
    assert letter_times("yes", SPEC, utterance(("1-й", 0.0, [0.1])), FRAME) is None


def test_the_loss_of_these_times_counts_their_frames_and_none_without_times() -> None:
    text = "all in"
    found = times(text, utterance(("all", 0.05, [0.06, 0.06, 0.06]), ("in", 0.3, [0.05, 0.05])))
    labels = SPEC.encode(text)[None]
    rng = np.random.default_rng(0)
    log_probs = jnp.log(jnp.asarray(rng.dirichlet(np.ones(SPEC.num_classes), (1, 50)), jnp.float32))
    starts, ends = jnp.asarray(found)[:, None]
    counted = jnp.asarray([len(text)], jnp.int32)
    slow = 0.0
    for frame in range(50):
        for label, start, end in zip(labels[0], found[0], found[1], strict=True):
            if start <= frame + 0.5 < end:
                slow -= float(log_probs[0, frame, label])
    loss = float(aligned_cross_entropy(log_probs, jnp.asarray(labels), starts, ends, counted)[0])
    assert loss == pytest.approx(slow, rel=1e-5)
    assert slow > 0
    nothing = jnp.zeros_like(starts)
    assert float(aligned_cross_entropy(log_probs, jnp.asarray(labels), nothing, nothing, counted)[0]) == 0.0
