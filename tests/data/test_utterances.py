"""Batches of utterances with texts: a pure function of (seed, step), in few shapes, with what does not fit named."""

import itertools
import logging
from typing import Any

import numpy as np
import pytest

from wavejax.audio.specs import get_spec
from wavejax.data import Corpus
from wavejax.data.corpus import Utterance, id_hash
from wavejax.data.utterances import WINDOW, Bucket, Utterances
from wavejax.text import get_text_spec

SPEC, TEXT = get_spec("speech-16k"), get_text_spec("letters-en")
BUCKETS = (Bucket(10, 6), Bucket(20, 12))


def corpus(frames: list[int], transcripts: list[str]) -> Corpus:
    """Utterances whose first feature is their number."""
    utterances = [
        Utterance(
            id=f"u{number}",
            waveform=np.zeros(count * SPEC.hop_length, np.float32),
            frames=np.full((count, SPEC.num_channels), number, np.float32),
            speaker=0,
            transcript=transcript,
        )
        for number, (count, transcript) in enumerate(zip(frames, transcripts, strict=True))
    ]
    return Corpus.in_memory(SPEC, utterances, ["train"] * len(utterances))


def listed(given: Corpus, buckets: tuple[Bucket, ...] = BUCKETS) -> Utterances:
    return Utterances(
        given,
        "train",
        TEXT,
        buckets,
        num_frames=SPEC.num_frames,
        features=lambda position: given.load(position)[1],
        capacity=lambda frames: frames // 2,
    )


@pytest.fixture(scope="module")
def many() -> Utterances:
    rng = np.random.default_rng(0)
    frames = rng.integers(6, 21, 37).tolist()
    return listed(corpus(frames, ["ab" if count < 12 else "so be it"[: count // 3] for count in frames]))


def taken(batches: Any, count: int) -> list[dict[str, np.ndarray]]:
    return list(itertools.islice(batches, count))


def test_a_batch_holds_features_and_labels(many: Utterances) -> None:
    for batch in taken(many.batches(batch_size=4, seed=3, num_threads=0), 8):
        shape = Bucket(batch["features"].shape[1], batch["labels"].shape[1])
        assert shape in BUCKETS
        for row in range(4):
            frames, count = batch["num_frames"][row], batch["num_labels"][row]
            number = int(batch["features"][row, 0, 0])
            assert batch["id"][row] == id_hash(f"u{number}")
            assert np.all(batch["features"][row, :frames] == number)
            assert not batch["features"][row, frames:].any()
            entry = many._corpus.entries[number]
            assert frames == entry.num_frames
            assert TEXT.decode(batch["labels"][row, :count]) == TEXT.normalize(entry.transcript)
            assert not batch["labels"][row, count:].any()


def test_a_batch_is_a_function_of_seed_and_step(many: Utterances) -> None:
    whole = taken(many.batches(batch_size=4, seed=3, num_threads=2), 40)
    for start in (0, 1, 17, 33):
        resumed = taken(many.batches(batch_size=4, seed=3, start_step=start, num_threads=0), 5)
        for one, other in zip(whole[start:], resumed, strict=False):
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[name], other[name]) for name in one)
    again = taken(many.batches(batch_size=4, seed=4, num_threads=0), 40)
    assert any(not np.array_equal(one["id"], other["id"]) for one, other in zip(whole, again, strict=True))


def test_processes_take_their_rows_of_one_global_batch(many: Utterances) -> None:
    whole = taken(many.batches(batch_size=6, seed=1, num_threads=0), 20)
    parts = [
        taken(many.batches(batch_size=6, seed=1, rows=rows, num_threads=0), 20) for rows in (slice(0, 2), slice(2, 6))
    ]
    for batch, one, other in zip(whole, *parts, strict=True):
        for name in batch:
            np.testing.assert_array_equal(batch[name], np.concatenate([one[name], other[name]]))


def test_every_epoch_holds_every_utterance_once(many: Utterances) -> None:
    batches = taken(many.batches(batch_size=37, seed=0, num_threads=0), 2 * WINDOW)
    ids = np.concatenate([batch["id"] for batch in batches])
    assert set(np.unique(ids, return_counts=True)[1]) == {2 * WINDOW}
    lengths = [int(batch["num_frames"].max() - batch["num_frames"].min()) for batch in batches]
    assert np.mean(lengths) < 3, "the utterances of a batch are about equally long"
    first = [int(batch["num_frames"][0]) for batch in batches[:WINDOW]]
    assert first != sorted(first), "and the batches of a window come in any order"
    assert [b["num_frames"][0] for b in batches[:WINDOW]] != [b["num_frames"][0] for b in batches[WINDOW:]]


def test_the_first_steps_may_take_the_shorter_half(many: Utterances) -> None:
    batches = taken(many.batches(batch_size=4, seed=2, short_steps=20, num_threads=0), 60)
    middle = sorted(each.num_frames for each in many.listed)[len(many) // 2]
    assert max(int(batch["num_frames"].max()) for batch in batches[:20]) <= middle
    assert max(int(batch["num_frames"].max()) for batch in batches[20:]) > middle
    resumed = taken(many.batches(batch_size=4, seed=2, short_steps=20, start_step=19, num_threads=0), 2)
    np.testing.assert_array_equal(resumed[0]["id"], batches[19]["id"])
    np.testing.assert_array_equal(resumed[1]["id"], batches[20]["id"])


def test_once_covers_a_split_and_fills_the_last_batch_with_nothing(many: Utterances) -> None:
    batches = list(many.once(8))
    assert len(batches) == 5
    ids = np.concatenate([batch["id"][batch["num_frames"] > 0] for batch in batches])
    assert sorted(ids) == sorted(id_hash(f"u{number}") for number in range(37))
    assert not batches[-1]["num_labels"][5:].any()
    halves = [list(many.once(8, rows)) for rows in (slice(0, 4), slice(4, 8))]
    for batch, one, other in zip(batches, *halves, strict=True):
        np.testing.assert_array_equal(batch["features"], np.concatenate([one["features"], other["features"]]))


def test_what_cannot_be_learnt_from_is_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    given = corpus([8, 8, 8, 30, 8, 18, 8], ["ab", "", "abcde", "ab", "a9x", "abcdefg", "aab"])
    with caplog.at_level(logging.WARNING):
        found = listed(given)
    assert [each.position for each in found.listed] == [0, 5, 6]
    assert [each.bucket for each in found.listed] == [0, 1, 0]
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("4 of 7 utterances of train are left out: ")
    assert "1 with no transcript: u1" in message
    assert "1 with fewer frames than labels: u2" in message
    assert "1 with more than 20 frames or 12 labels: u3" in message
    assert "1 with text that cannot be read (it is not known how '9x' is read): u4" in message


def test_repeats_need_a_frame_between_them(caplog: pytest.LogCaptureFixture) -> None:
    assert len(listed(corpus([8, 8], ["abab", "ab"]))) == 2
    with caplog.at_level(logging.WARNING):
        assert len(listed(corpus([8, 8], ["aabb", "ab"]))) == 1


def test_a_split_that_holds_nothing_says_why() -> None:
    with pytest.raises(
        ValueError, match=r"no utterance of the split 'train' can be learnt from \(2 with no transcript: u0, u1\)"
    ):
        listed(corpus([8, 8], ["", "[beep]"]))
    with pytest.raises(ValueError, match="buckets must grow"):
        listed(corpus([8], ["ab"]), (Bucket(20, 6), Bucket(10, 12)))
