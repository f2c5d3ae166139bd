import dataclasses
import json

import numpy as np
import pytest

from tests.data.recordings import TINY, counting_corpus, counting_utterance
from wavejax.data import Corpus
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
    dataclasses.replace(counting_corpus([1000]).manifest, shards=(("a.array_record", 1),)).save(tmp_path)
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
        (lambda c: c["utterances"][0].update(speaker=2), r"'u0' is of speaker 2, and there are 2, .* \(one, two\)"),
        (lambda c: c["utterances"][0].update(speaker=-1), "speaker of the utterance 'u0' is below 0"),
        (lambda c: c["utterances"][0].update(speaker=0.5), r"speaker must be int values, got 0\.5"),
        (lambda c: c["utterances"][0].update(speaker=True), r"speaker must be int values, got True"),
        (lambda c: c["utterances"][0].update(num_samples=-4), "num_samples of the utterance 'u0' is below 0"),
        (lambda c: c["utterances"][0].update(id=None), "id must be str values, got None"),
        (lambda c: c["utterances"][0].update(split="dev"), "'u0' is in the split 'dev'; splits are train, validation"),
        (lambda c: c["utterances"][0].update(index=1), "is record 1 of shard 0, which is not there: the 1 shards"),
        (lambda c: c["utterances"][0].update(shard=1), "is record 0 of shard 1, which is not there"),
        (lambda c: c["utterances"][0].update(shard=-1), "shard of the utterance 'u0' is below 0"),
        (lambda c: c["utterances"][0].update(active_runs=[[0, 101]]), "'u0' reach beyond its 100 blocks"),
        (lambda c: c["utterances"][0].update(active_runs=[[9, 3]]), "of the utterance 'u0' are no rising pairs"),
        (lambda c: c["utterances"][0].update(active_runs=[[0, 1.5]]), "of the utterance 'u0' are no rising pairs"),
        (lambda c: c.update(speakers="ab"), "speakers must be str values, got 'ab'"),
        (lambda c: c.update(speakers=["one", "one"]), "two speakers have one name among one, one"),
        (lambda c: c.update(speakers=3), "speakers must be str values, got 3"),
        (lambda c: c.update(shards=[["a", "1"]]), "records of the shard 'a' must be int values, got '1'"),
        *(
            (lambda c, name=name: c.update(shards=[[name, 1]]), "is no plain file name; shards lie beside the manifest")
            for name in ("../a.array_record", "/a.array_record", "x/a.array_record", "..", "", "a\0", "x\\\\a", 3)
        ),
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


def test_a_manifest_that_is_no_file_or_no_end(tmp_path):
    (tmp_path / "manifest.json").symlink_to("/dev/zero")
    with pytest.raises(ManifestError, match=r"manifest\.json is damaged \(.* is a device, not a regular file\)"):
        Manifest.load(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(ManifestError, match=r"manifest\.json is damaged"):
        Manifest.load(tmp_path)


def test_a_corpus_in_memory_has_its_speakers_too():
    with pytest.raises(ValueError, match=r"'u0' is of speaker 5, and there are 1, counted from 0 \(one\)"):
        Corpus.in_memory(TINY, [counting_utterance(0, 1000, speaker=5)], ["train"], ("one",))


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
