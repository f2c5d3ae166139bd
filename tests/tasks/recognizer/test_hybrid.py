"""A recogniser that spells and that CTC reads: how both readings become one text."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from tests.tasks.recognizer.test_product import sound
from tests.tiny.models import cheap_jit
from tests.tiny.recognizers import tiny_attend_spell, tiny_recognizer
from wavejax.decoding import GREEDY, Search, beam_search, build_ngrams, text_log_probs
from wavejax.experiments.metadata import ExperimentError
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.tasks.recognizer.hybrid import _LETTER, HybridRecognizer
from wavejax.tasks.recognizer.product import Recognizer

SPACE = 1


@functools.cache
def hybrid() -> HybridRecognizer:
    """Initial parameters with larger last layers, spaces now and then, and a speller that ends."""
    config = tiny_attend_spell()
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, bucket_seconds=(0.5, 1.0)))
    drawn = cheap_jit(lambda: initial_recognizer_params(config.model.build(), jax.random.key(3)))()
    params = jax.tree.map(np.array, drawn)
    params["speller"]["output_kernel"] *= 6
    params["speller"]["hidden_kernel"] *= 3
    params["speller"]["output_bias"][[0, SPACE]] += 2
    params["listener"]["output_kernel"] *= 9
    params["listener"]["output_bias"][:] = 0
    params["listener"]["output_bias"][SPACE] = 1
    return HybridRecognizer(config=config, params=params)


def teacher_forced(product: HybridRecognizer, waveform: np.ndarray, labels: tuple[int, ...]) -> float:
    """Natural log of the speller's probability, label by label, as it writes."""
    features = product.features(waveform)
    padded = np.zeros((1, 256, 80), np.float32)
    padded[0, : len(features)] = features
    memory, state = product._listen(product._on_device, padded, np.asarray([len(features)], np.int32))
    total, last, row = 0.0, 0, np.zeros(1, np.int32)
    for label in (*labels, 0):
        state, log_probs, _ = product._spell(product._on_device, memory, state, row, np.asarray([last], np.int32))
        total, last = total + float(log_probs[0, label]), label
    return total


def test_greedily_it_is_a_recogniser_of_ctc() -> None:
    product, waveform = hybrid(), sound(8_000)
    alone = Recognizer(config=tiny_recognizer(), params=product.params["listener"])
    text = product.transcribe(waveform, GREEDY).text
    assert text, "or this shows nothing"
    assert text == product.transcribe_greedily(waveform).text == alone.transcribe(waveform).text
    assert product.search == Search(width=8)
    assert alone.search == GREEDY
    assert product.transcribe(waveform).text != text
    assert product.transcribe(np.zeros(0, np.float32)).text == ""


def test_a_beam_scores_a_text_by_both_readings_and_by_its_length() -> None:
    product, waveform = hybrid(), sound(8_000)
    features = product.features(waveform)
    found = product._texts(features, Search(width=4), 4)
    assert len({each.labels for each in found}) == 4
    by_ctc = text_log_probs(product.log_probs(features), [each.labels for each in found])
    by_speller = [teacher_forced(product, waveform, each.labels) for each in found]
    for each, heard, written in zip(found, by_ctc, by_speller, strict=True):
        assert each.score == pytest.approx(0.7 * written + 0.3 * heard + _LETTER * len(each.labels), abs=1e-3)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    best = product.text.decode(found[0].labels).strip()
    assert product.transcribe(waveform, Search(width=4)).text == best
    assert product.alternatives(waveform, Search(width=4), num_best=3)[0] == (best, found[0].score)
    alone = product.text.decode(beam_search(product.log_probs(features), width=16)[0].labels).strip()
    assert best != alone, "CTC alone reads something else"


def test_words_count_in_a_beam() -> None:
    product, waveform = hybrid(), sound(8_000)
    words = [text.split() for text, _ in product.alternatives(waveform, Search(width=6), num_best=6)]
    plain, other = words[0], next(each for each in words[1:] if each and each != words[0])
    ngrams = build_ngrams([other])
    assert product.transcribe(waveform, Search(width=6, ngrams=ngrams, weight=5.0)).text.split() == other != plain
    assert product.searched(ngrams) == Search(width=32, ngrams=ngrams)
    assert product.searched(None, 0) == GREEDY


def test_times_are_those_of_ctc_and_known_texts_are_aligned() -> None:
    product, waveform = hybrid(), sound(8_000)
    found = product.transcribe(waveform)
    times = [(symbol.start, symbol.end) for symbol in found.symbols]
    assert times == sorted(times)
    assert all(0 <= start < end <= 0.5 for start, end in times)
    assert [word.text for word in product.align(waveform, "so it").words] == ["so", "it"]
    with pytest.raises(ExperimentError, match="longer than what can be said"):
        product.align(waveform[:800], "much too much for this")


def test_a_long_recording_is_read_in_pieces() -> None:
    product = hybrid()
    waveform = np.concatenate([sound(14_000, seed=1), np.zeros(2_000, np.float32), sound(14_000, seed=2)])
    features = product.features(waveform)
    cuts = product.cuts(features)
    assert cuts
    pieces = [product._spikes(piece, product.search) for piece in np.split(features, cuts)]
    expected = " ".join(product.text.decode([each.label for each in spikes]).strip() for spikes in pieces)
    assert product.transcribe(waveform).text.split() == expected.split()
    product.compile(len(waveform))


def test_a_beam_reads_shorter_pieces_if_told_to() -> None:
    plain = hybrid()
    short = dataclasses.replace(plain, config=dataclasses.replace(plain.config, piece_seconds=1.0))
    waveform = np.concatenate([sound(14_000, seed=1), np.zeros(2_000, np.float32), sound(14_000, seed=2)])
    features = short.features(waveform)
    cuts = short.cuts(features, round(short.config.spec.frame_rate))
    assert cuts
    assert all(len(piece) <= short.config.spec.frame_rate for piece in np.split(features, cuts))
    pieces = [short._spikes(piece, short.search) for piece in np.split(features, cuts)]
    expected = " ".join(short.text.decode([each.label for each in spikes]).strip() for spikes in pieces)
    assert short.transcribe(waveform).text.split() == expected.split()
    assert short.transcribe(waveform, Search(width=0)) == plain.transcribe(waveform, Search(width=0))
    short.compile(len(waveform))
    for seconds, why in (
        (0.5, "piece_seconds must be 0 or at least 1, got 0.5"),
        (-1.0, "piece_seconds must be at least 0"),
    ):
        with pytest.raises(ValueError, match=why):
            dataclasses.replace(plain.config, piece_seconds=seconds)
