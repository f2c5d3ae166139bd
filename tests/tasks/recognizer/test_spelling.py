"""A recogniser that writes letter by letter: its texts, its loss, and what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tasks.recognizer.test_product import sound
from tests.tiny.models import cheap_jit
from tests.tiny.recognizers import tiny_speller
from wavejax.decoding import Search, build_ngrams
from wavejax.evaluation.words import edit_distance
from wavejax.experiments.metadata import ExperimentError
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.tasks.recognizer.listen_attend_spell import held_out_spelling_loss, spelling_loss
from wavejax.tasks.recognizer.spelling import SpellingRecognizer

SPACE = 1


@functools.cache
def speller() -> SpellingRecognizer:
    """Initial parameters with larger last layers, and spaces now and then."""
    config = tiny_speller()
    drawn = cheap_jit(lambda: initial_recognizer_params(config.model.build(), jax.random.key(3)))()
    params = jax.tree.map(np.array, drawn)
    params["speller"]["output_kernel"] *= 6
    params["speller"]["hidden_kernel"] *= 3
    params["speller"]["output_bias"][SPACE] += 2
    return SpellingRecognizer(config=config, params=params)


def test_it_writes_and_stops_within_its_bound() -> None:
    product, waveform = speller(), sound(8_000)
    found = product.transcribe(waveform)
    assert found.text, "or this shows nothing"
    labels = product.text.encode(found.text)
    assert len(labels) <= 20 * 0.5 + 1
    times = [(symbol.start, symbol.end) for symbol in found.symbols]
    assert times == sorted(times)
    assert all(end <= found.duration == 0.5 for _, end in times)
    assert all(0 < word.confidence <= 1 for word in found.words)
    assert product.transcribe(np.zeros(0, np.float32)).text == ""
    wide = product.alternatives(waveform, num_best=3)
    assert [score for _, score in wide] == sorted((score for _, score in wide), reverse=True)
    assert product.transcribe(waveform, Search(width=1)).text == found.text


def test_it_says_what_it_cannot_do() -> None:
    product, waveform = speller(), sound(4_000)
    with pytest.raises(ExperimentError, match="has no letters of single frames: align with a model of CTC"):
        product.align(waveform, "so")
    with pytest.raises(ExperimentError, match="listen-attend-spell hears a whole utterance before it reads"):
        list(product.stream([waveform]))
    with pytest.raises(ExperimentError, match="takes no language model and no hot words"):
        product.transcribe(waveform, Search(ngrams=build_ngrams([["so"]])))


def test_letters_and_ends_count_and_free_writing_is_judged() -> None:
    product, rng = speller(), np.random.default_rng(0)
    config = product.config
    batch = {
        "features": (3 * rng.normal(size=(2, 40, 80)) - 5).astype(np.float32),
        "num_frames": np.asarray([40, 0], np.int32),
        "labels": rng.integers(1, 29, (2, 6)).astype(np.int32),
        "num_labels": np.asarray([4, 0], np.int32),
    }
    params = jax.tree.map(jnp.asarray, product.params)
    keys = jax.random.split(jax.random.key(1), 2)
    total, weight, _, _ = cheap_jit(spelling_loss(config))(params, {}, batch, keys)
    assert float(weight) == 5, "four letters and the end; the row that fills the batch counts nothing"
    assert np.isfinite(float(total))
    held_out = cheap_jit(held_out_spelling_loss(config))
    loss, weight, _, metrics = held_out(params, {}, batch, None)
    other = {**batch, "labels": np.stack([batch["labels"][0], batch["labels"][1, ::-1]])}
    assert float(held_out(params, {}, other, None)[0]) == pytest.approx(float(loss), rel=1e-6)
    written = [label for label in product._spelled(batch["features"][0], 1, 1, longest=9)[0].labels]
    expected = edit_distance(batch["labels"][0, :4].tolist(), written)
    assert float(metrics["letter_error"]) / float(weight) == pytest.approx(expected / 4, rel=1e-5)
