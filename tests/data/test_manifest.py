import dataclasses
import json

import numpy as np
import pytest

from tests.data.recordings import TINY, counting_corpus
from wavejax.data.manifest import (
    Manifest,
    ManifestError,
    active_blocks,
    assign_splits,
    normalize_transcript,
    runs_of,
    split_group,
)


def test_a_manifest_comes_back_as_it_was(tmp_path):
    manifest = dataclasses.replace(counting_corpus([1000, 605]).manifest, shards=(("a.array_record", 2),))
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    assert manifest.sample_rate == TINY.sample_rate
    assert manifest.seconds() == pytest.approx(1605 / 16_000)
    assert manifest.seconds("test") == 0
    assert manifest.speaker_index("two") == 1
    with pytest.raises(ValueError, match="unknown speaker 'three'; this corpus has one, two"):
        manifest.speaker_index("three")


def _damage(tmp_path, change):
    counting_corpus([1000]).manifest.save(tmp_path)
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=99), "has format 99, this wavejax reads format 1; prepare the corpus again"),
        (lambda c: c.pop("speakers"), r"is damaged \(KeyError\('speakers'\)\)"),
        (lambda c: c["utterances"][0].pop("split"), r"is damaged \(KeyError\('split'\)\)"),
        (lambda c: c["feature_spec"].update(hops=3), "is damaged .*unknown keys: hops"),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path, change, message):
    _damage(tmp_path, change)
    with pytest.raises(ManifestError, match=message):
        Manifest.load(tmp_path)


def test_no_manifest_or_half_of_one(tmp_path):
    with pytest.raises(ManifestError, match=r"is not a prepared corpus .it has no manifest.json.; make one with"):
        Manifest.load(tmp_path)
    counting_corpus([1000]).manifest.save(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(ManifestError, match=r"manifest.json is damaged .*run `wavejax prepare` again"):
        Manifest.load(tmp_path)


def test_silence_is_relative_to_the_utterance_and_absolute():
    time = np.arange(4000)
    tone = np.sin(0.3 * time).astype(np.float32)
    envelope = np.repeat(np.float32([0.0, 0.5, 0.5, 0.002, 0.004]), 800)  # -48 and -42 dB of the loud level
    active = active_blocks(tone * envelope, 100)
    np.testing.assert_array_equal(active, np.repeat([False, True, True, False, True], 8))
    assert runs_of(active) == ((8, 24), (32, 40))
    assert not active_blocks(np.float32(1e-4) * tone, 100).any(), "below -75 dB of full scale all is silence"
    assert active_blocks(tone[:250], 100).shape == (3,), "a last partial block counts"
    assert runs_of(np.zeros(3, bool)) == ()


def test_equal_words_belong_to_one_split():
    assert normalize_transcript("  “Don't—PRESS 1”, ﬁne…") == "dont press 1 fine"
    groups = [split_group(text, str(n)) for n, text in enumerate(["Thank you.", "thank  you", "", ""])]
    assert groups == ["thank you", "thank you", "id 2", "id 3"]


def test_splits_have_their_size_and_do_not_move():
    groups = [f"words {n}" for n in range(4000)]
    splits = assign_splits(groups, validation=0.1, test=0.05)
    sizes = {split: splits.count(split) / len(splits) for split in ("validation", "test")}
    # Five standard deviations of a binomial of 4000 draws.
    assert abs(sizes["validation"] - 0.1) < 0.024
    assert abs(sizes["test"] - 0.05) < 0.018
    assert assign_splits(groups[::-1][:1000], validation=0.1, test=0.05) == splits[::-1][:1000]
    longer = assign_splits([*groups, *groups[:10], "new"], validation=0.1, test=0.05)
    assert longer[:4000] == splits
    assert longer[4000:4010] == splits[:10]


def test_small_corpora_still_hold_something_out():
    assert sorted(assign_splits(["a", "b", "c"], validation=0.01, test=0.01)) == ["test", "train", "validation"]
    assert assign_splits(["a", "b"], validation=0.01, test=0.01) == ["train", "train"]
    assert assign_splits(["a", "b", "c"], validation=0.0, test=0.0) == ["train"] * 3
    fixed = assign_splits(["a", "b", "c"], validation=0.01, test=0.0, fixed={"b": "validation", "c": "test"})
    assert fixed == ["train", "validation", "test"]
