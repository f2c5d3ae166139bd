from pathlib import Path

from wavejax.data.sources import Recording
from wavejax.data.splitting import split_recordings


def _recordings(*rows):
    return [
        Recording(id=name, path=Path(name), speaker="s", transcript=text, split=split) for name, text, split in rows
    ]


def test_fixed_splits_win_and_a_contradiction_is_named():
    rows = [
        (f"{s}/{i}", f"Sentence {i}", split) for s, split in (("anna", "train"), ("bert", "test")) for i in range(6)
    ]
    splits, notes = split_recordings(_recordings(*rows), 0.0, 0.0)
    assert splits == ["train"] * 6 + ["test"] * 6
    assert notes == [
        (
            "the splits",
            "6 sentences are fixed in several splits, such as anna/0 in train and bert/0 in test: held-out words are "
            "trained on",
        )
    ]


def test_words_follow_the_split_that_is_fixed_for_them():
    splits, notes = split_recordings(
        _recordings(("a", "One.", "test"), ("b", "one", None), ("c", "Two", None), ("d", "Three", "train")), 0.0, 0.0
    )
    assert (splits, notes) == (["test", "test", "train", "train"], [])


def test_training_is_never_empty_unasked():
    for number in range(50):
        splits, _ = split_recordings(_recordings((f"only {number}", "", None)), 0.45, 0.45)
        assert splits == ["train"]
        splits, _ = split_recordings(_recordings((f"a {number}", "", None), (f"b {number}", "", None)), 0.45, 0.45)
        assert "train" in splits
    splits, notes = split_recordings(_recordings(("a", "", "test"), ("b", "", "validation")), 0.1, 0.1)
    assert splits == ["test", "validation"]
    assert notes == [("the splits", "training is empty: the source fixes every recording in validation and test")]


def test_a_held_out_part_that_stays_empty_is_named():
    few = _recordings(("a", "", None), ("b", "", None))
    why = "is empty: there are too few different sentences to hold any out"
    assert split_recordings(few, 0.01, 0.01) == (
        ["train", "train"],
        [("the splits", f"validation {why}"), ("the splits", f"test {why}")],
    )
    assert split_recordings(few, 0.0, 0.0) == (["train", "train"], []), "nobody asked for any"
    assert split_recordings(_recordings(("a", "", "train"), ("b", "", "train")), 0.1, 0.1)[1] == [], "it is fixed so"
