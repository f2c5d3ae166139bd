import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.data.recordings import TINY, counting_corpus, write_ljspeech
from wavejax.audio.host_features import log_mel_numpy
from wavejax.data import Corpus, CropShape, embedded_corpus, prepare, training_batches
from wavejax.data import corpus as corpus_module
from wavejax.data.manifest import normalize_transcript


@pytest.fixture(scope="module")
def embedded():
    return embedded_corpus()


def test_what_ships_with_the_package(embedded):
    assert embedded.sample_rate == 16_000
    assert 180 <= embedded.seconds() <= 240
    assert (len(embedded.indices("train")), len(embedded.indices("validation")), len(embedded.indices("test"))) == (
        53,
        4,
        8,
    )
    assert min(u.num_samples for u in embedded.entries) >= 16_000
    spoken = {
        split: {normalize_transcript(u.transcript) for u in embedded.utterances(split)}
        for split in ("train", "validation", "test")
    }
    assert sum(len(words) for words in spoken.values()) == 65, "no words twice, within or across splits"
    assert len(set.union(*spoken.values())) == 65
    folder = corpus_module.EMBEDDED_FOLDER
    assert "Allison Smith" in (folder / "CREDITS.md").read_text()
    assert "creativecommons.org/licenses/by-sa/3.0" in (folder / "LICENSE-CC-BY-SA-3.0.txt").read_text()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6 * 2**20


def test_features_are_those_of_the_waveform(embedded):
    utterance = embedded.utterance(embedded.indices("test")[0])
    assert utterance.waveform.dtype == np.float32
    np.testing.assert_array_equal(utterance.frames, log_mel_numpy(utterance.waveform, embedded.spec))


def test_a_corpus_says_what_it_holds():
    corpus = counting_corpus([1000, 605])
    assert (corpus.spec, corpus.sample_rate, corpus.speakers) == (TINY, 16_000, ("one", "two"))
    assert [(entry.id, entry.num_samples) for entry in corpus.entries] == [("u0", 1000), ("u1", 605)]
    assert corpus.seconds() == corpus.seconds("train") == 1605 / 16_000
    assert corpus.has("train")
    assert not corpus.has("test")
    with pytest.raises(ValueError, match="unknown split 'tests'; splits are train, validation, test"):
        corpus.has("tests")
    assert corpus.speaker_index("two") == 1
    with pytest.raises(ValueError, match="unknown speaker 'three'; this corpus has one, two"):
        corpus.speaker_index("three")


def test_a_corpus_can_be_read_from_another_source():
    class Swapped:
        def load(self, position):
            return counting_corpus([1000, 605]).load(1 - position)

    corpus = counting_corpus([1000, 605])
    swapped = corpus.read_from(Swapped())
    assert swapped.entries == corpus.entries
    np.testing.assert_array_equal(swapped.load(0)[0], corpus.load(1)[0])


def test_what_is_shared_cannot_be_changed(embedded):
    assert embedded_corpus() is embedded
    for array in embedded.load(0):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    embedded.utterance(0).waveform[0] = 1.0  # a copy
    assert embedded.utterance(0).waveform[0] != 1.0


def test_crops_of_speech_are_mostly_speech(embedded):
    shape = CropShape(history=100, length=2000)
    batches = itertools.islice(training_batches(embedded, "train", shape, batch_size=32, seed=0), 8)
    levels = np.concatenate([np.std(batch["waveform"], axis=1) for batch in batches])
    assert np.mean(levels < 1e-3) < 0.1


def test_memory_and_records_give_the_same_corpus(embedded, tmp_path):
    prepare(corpus_module.EMBEDDED_FOLDER, tmp_path / "out", workers=1, progress=False)
    prepared = Corpus.open(tmp_path / "out")
    assert len(prepared) == len(embedded)
    for position in (0, 30, 64):
        left, right = prepared.utterance(position), embedded.utterance(position)
        assert (left.id, left.transcript) == (right.id, right.transcript)
        np.testing.assert_array_equal(left.waveform, right.waveform)
        np.testing.assert_array_equal(left.frames, right.frames)
    assert prepared.indices("test") == embedded.indices("test")
    shape = CropShape(history=100, length=4000, frames_before=1, frames_after=1)
    left, right = (next(training_batches(c, "train", shape, batch_size=8, seed=1)) for c in (prepared, embedded))
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])
    assert len(prepared.names_of(left["id"])) == len(set(left["id"].tolist()))


def test_reading_from_threads_with_a_cache_that_overflows(tmp_path, monkeypatch):
    prepare(
        write_ljspeech(tmp_path / "in", {f"u{n}": "" for n in range(12)}), tmp_path / "out", workers=1, progress=False
    )
    expected = [utterance.waveform for utterance in map(Corpus.open(tmp_path / "out").utterance, range(12))]
    monkeypatch.setattr(corpus_module, "CACHE_BYTES", 60_000)  # about two utterances
    corpus = Corpus.open(tmp_path / "out")
    order = [n for n in range(12) for _ in range(3)] * 3
    with ThreadPoolExecutor(4) as pool:
        for position, utterance in zip(order, pool.map(corpus.utterance, order), strict=True):
            np.testing.assert_array_equal(utterance.waveform, expected[position])


def test_an_empty_split_is_named(tmp_path):
    write_ljspeech(tmp_path / "in", {"a": "one", "b": "two"})
    prepare(tmp_path / "in", tmp_path / "out", workers=1, progress=False)
    with pytest.raises(
        ValueError, match=r"the split 'validation' of this corpus is empty .train 2, validation 0, test 0"
    ):
        Corpus.open(tmp_path / "out").indices("validation")
