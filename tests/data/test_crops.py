import itertools
import zlib

import numpy as np
import pytest

from tests.data.recordings import FIRST_SAMPLE, TINY, counting_corpus, counting_utterance
from wavejax.data import Corpus, CropShape, Utterance, training_batches, validation_batches

HOP = TINY.hop_length
SHAPE = CropShape(history=37, length=60, frames_before=3, frames_after=2)


def _take(count, *args, **kwargs):
    return list(itertools.islice(training_batches(*args, **kwargs), count))


def _assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def _row(batch, row):
    return {name: values[row] for name, values in batch.items()}


def _check_alignment(example, lengths):
    """Every array of a crop is what the file holds at the place that its frames name."""
    number = int(example["local_conditioning"][0, 1])
    length = lengths[number]
    scored = example["waveform"][SHAPE.history :][example["mask"]]
    begin = round(float(scored[0]) * 32768) - FIRST_SAMPLE
    assert begin % HOP == 0
    wanted = np.arange(begin - SHAPE.history, begin + SHAPE.length)
    inside = (wanted >= 0) & (wanted < length)
    np.testing.assert_array_equal(example["waveform"], np.where(inside, (FIRST_SAMPLE + wanted) / 32768, 0.0))
    np.testing.assert_array_equal(example["mask"], inside[SHAPE.history :])
    frames = np.arange(begin // HOP - SHAPE.frames_before, begin // HOP + SHAPE.length // HOP + SHAPE.frames_after)
    np.testing.assert_array_equal(example["local_conditioning"][:, 0], np.clip(frames, 0, length // HOP - 1))
    assert example["id"] == zlib.crc32(f"u{number}".encode())
    assert example["speaker"] == number % 2
    return number, begin


@pytest.mark.parametrize("lengths", [[1000, 605, 333], [60, 59, 31], [61, 1400]])
def test_samples_and_frames_of_a_crop_belong_together(lengths):
    places = set()
    for batch in _take(6, counting_corpus(lengths), "train", SHAPE, batch_size=16, seed=3):
        assert {name: values.dtype.name for name, values in batch.items()} == {
            "waveform": "float32",
            "mask": "bool",
            "local_conditioning": "float32",
            "speaker": "int32",
            "id": "uint32",
        }
        places |= {_check_alignment(_row(batch, row), lengths) for row in range(16)}
    longest = int(np.argmax(lengths))
    beginnings = [begin for number, begin in places if number == longest]
    assert min(beginnings) == 0, "crops reach the file's true start"
    assert max(begin + SHAPE.length for begin in beginnings) >= max(lengths), "and its end"


def test_a_batch_is_a_function_of_seed_and_step_alone():
    corpus = counting_corpus([1000, 605, 333])
    whole = _take(9, corpus, "train", SHAPE, batch_size=6, seed=11)
    _assert_equal(whole[5], _take(1, corpus, "train", SHAPE, batch_size=6, seed=11, start_step=5, num_threads=0)[0])
    _assert_equal(whole[7], _take(3, corpus, "train", SHAPE, batch_size=6, seed=11, start_step=5, num_threads=4)[2])
    parts = [
        _take(2, corpus, "train", SHAPE, batch_size=6, seed=11, start_step=3, rows=rows)[1]
        for rows in (slice(0, 1), slice(1, 4), slice(4, 6))
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in whole[4]}
    _assert_equal(whole[4], joined)
    other = _take(1, corpus, "train", SHAPE, batch_size=6, seed=12)[0]
    assert not np.array_equal(whole[0]["waveform"], other["waveform"])


def test_a_global_batch_does_not_depend_on_how_items_are_grouped():
    corpus = counting_corpus([1000, 605, 333])
    small = _take(6, corpus, "train", SHAPE, batch_size=2, seed=0)
    large = _take(2, corpus, "train", SHAPE, batch_size=6, seed=0)
    for name in small[0]:
        np.testing.assert_array_equal(
            np.concatenate([b[name] for b in small]), np.concatenate([b[name] for b in large])
        )


def test_steps_beyond_32_bits():
    corpus = counting_corpus([1000, 605])
    first, second = _take(2, corpus, "train", SHAPE, batch_size=8, seed=0, start_step=2**33)
    for batch in (first, second):
        for row in range(8):
            _check_alignment(_row(batch, row), [1000, 605])
    assert not np.array_equal(first["waveform"], second["waveform"])


def test_the_order_is_frozen():
    """A run that was started with an earlier version goes on with the same crops; changing these breaks that."""
    batch = next(training_batches(counting_corpus([1000, 605, 333]), "train", SHAPE, batch_size=8, seed=2026))
    places = [_check_alignment(_row(batch, row), [1000, 605, 333]) for row in range(8)]
    assert places == [(0, 490), (0, 800), (1, 300), (0, 930), (0, 10), (2, 180), (0, 610), (0, 30)]


def test_each_epoch_covers_every_utterance_in_proportion():
    lengths = [1200, 600, 180, 4020]
    corpus = counting_corpus(lengths)
    items = sum(lengths) // SHAPE.length
    epochs = _take(5, corpus, "train", SHAPE, batch_size=items, seed=5)
    for batch in epochs:
        counts = np.bincount(batch["local_conditioning"][:, 0, 1].astype(int), minlength=4)
        # A slot that straddles two utterances may fall to either, so each count is within 1 on both of its sides.
        np.testing.assert_array_less(np.abs(counts - np.asarray(lengths) / SHAPE.length), 2.0)
    orders = [tuple(batch["id"]) for batch in epochs]
    assert len(set(orders)) == 5, "every epoch has its own order"


def test_eight_hosts_bring_every_utterance_once_per_epoch():
    """Utterances as long as a crop: an epoch has as many crops as the split has utterances, and each is one of them."""
    hosts, rows, epochs = 8, 2, 3
    corpus = counting_corpus([SHAPE.length] * (5 * hosts * rows))

    def draw(start_step, count, seed=7):
        """ids [steps, hosts, rows]; each host draws its own part of the global batch of 16."""
        options = {"batch_size": hosts * rows, "seed": seed, "start_step": start_step}
        parts = [slice(host * rows, (host + 1) * rows) for host in range(hosts)]
        drawn = [_take(count, corpus, "train", SHAPE, rows=part, **options) for part in parts]
        return np.asarray([[batch["id"] for batch in host] for host in drawn]).swapaxes(0, 1)

    ids = draw(0, 5 * epochs)
    everyone = sorted(zlib.crc32(f"u{number}".encode()) for number in range(5 * hosts * rows))
    orders = ids.reshape(epochs, -1)
    for order in orders:
        assert sorted(order) == everyone, "every utterance once: none is lost, and no two hosts have the same"
    assert len({tuple(order) for order in orders}) == epochs
    whole = _take(5, corpus, "train", SHAPE, batch_size=hosts * rows, seed=7)
    np.testing.assert_array_equal(ids[:5].reshape(5, -1), [batch["id"] for batch in whole])
    np.testing.assert_array_equal(draw(7, 2), ids[7:9])  # a function of (seed, step)
    assert not np.array_equal(draw(0, 5, seed=8), ids[:5])


def test_every_frame_is_reached():
    covered = np.zeros(100, bool)
    for batch in _take(16, counting_corpus([1000]), "train", SHAPE, batch_size=16, seed=0):
        for frames in batch["local_conditioning"][:, SHAPE.frames_before : -SHAPE.frames_after, 0]:
            covered[frames.astype(int)] = True
    assert covered.all()


def _half_silent_corpus(silent_blocks, sounding_blocks):
    silence = np.zeros(silent_blocks * HOP, np.float32)
    sound = counting_utterance(0, sounding_blocks * HOP)
    frames = silent_blocks + sounding_blocks
    log_mel = np.zeros((frames, 3), np.float32)
    log_mel[silent_blocks:, 0] = 1.0
    utterance = Utterance(
        id="u", waveform=np.concatenate([silence, sound.waveform]), frames=log_mel, speaker=0, transcript=""
    )
    return Corpus.in_memory(TINY, [utterance], ["train"])


@pytest.mark.parametrize(("silent_blocks", "expected"), [(500, 0.1), (100, 0.1), (20, 20 / 520)])
def test_a_tenth_of_all_draws_is_silence(silent_blocks, expected):
    corpus = _half_silent_corpus(silent_blocks, 500)
    shape = CropShape(history=0, length=HOP)
    items = silent_blocks + 500
    batch = next(training_batches(corpus, "train", shape, batch_size=items, seed=0))
    silent = np.mean(batch["local_conditioning"][:, 0, 0] == 0.0)
    assert abs(silent - expected) <= 2 / items, "stratified: the count is right to one draw at either edge"


def test_validation_scores_every_sample_once():
    lengths = [1000, 605, 60, 59, 7]
    utterances = [counting_utterance(n, max(length, HOP)) for n, length in enumerate(lengths)]
    corpus = Corpus.in_memory(TINY, utterances, ["test"] * len(lengths))
    seen = {n: [] for n in range(len(lengths))}
    fillers = 0
    batches = list(validation_batches(corpus, "test", SHAPE, batch_size=4))
    for batch in batches:
        assert batch["waveform"].shape == (4, SHAPE.history + SHAPE.length)
        for row in range(4):
            if not batch["mask"][row].any():
                fillers += 1
                assert batch["id"][row] == 0
                continue
            scored = batch["waveform"][row, SHAPE.history :][batch["mask"][row]]
            number = int(batch["local_conditioning"][row, 0, 1])
            seen[number] += (np.rint(scored * 32768).astype(int) - FIRST_SAMPLE).tolist()
    assert seen == {n: list(range(max(length, HOP))) for n, length in enumerate(lengths)}
    assert fillers < 4
    part = next(validation_batches(corpus, "test", SHAPE, batch_size=4, rows=slice(1, 3)))
    _assert_equal(part, {name: values[1:3] for name, values in batches[0].items()})


def _raises(message, **changes):
    arguments = {"split": "train", "shape": SHAPE, "batch_size": 4, "seed": 0, **changes}
    corpus = arguments.pop("corpus", None) or counting_corpus([1000])
    with pytest.raises(ValueError, match=message):
        next(training_batches(corpus, arguments.pop("split"), arguments.pop("shape"), **arguments))


def test_no_utterance_as_long_as_a_crop():
    _raises(
        r"no utterance of the split 'train' is as long as a crop: the longest, 'u1', has 59 samples .* a crop 60 .*"
        r"at most 50, or longer recordings",
        corpus=counting_corpus([31, 59]),
    )


def test_bad_arguments():
    _raises("the split 'test' of this corpus is empty .train 1, validation 0, test 0", split="test")
    _raises("unknown split 'dev'; splits are train, validation, test", split="dev")
    _raises(
        "crop length 64 is not a multiple of the corpus' hop_length 10; use 60", shape=CropShape(history=0, length=64)
    )
    _raises("batch_size is 0", batch_size=0)
    _raises(r"rows slice\(2, 5, None\) must be a contiguous, non-empty part of a batch of 4", rows=slice(2, 5))
    _raises(r"rows slice\(0, 4, 2\) must be a contiguous", rows=slice(0, 4, 2))
    _raises("start_step -1 and num_threads 2 must be 0 or more", start_step=-1)
    _raises("every utterance of this split is silent", corpus=_half_silent_corpus(20, 0))
    with pytest.raises(ValueError, match="a crop needs length of at least 1"):
        CropShape(history=-1, length=10)
