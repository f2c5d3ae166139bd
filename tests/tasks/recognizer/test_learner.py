"""What counts in a recogniser's loss, and what its figures say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import cheap_jit
from tests.tiny.recognizers import tiny_recognizer
from wavejax.experiments.metadata import ExperimentError
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.tasks.recognizer.config import SequenceLossConfig, in_language
from wavejax.tasks.recognizer.learner import figures, recognition_loss, recognizer_learner
from wavejax.text import get_text_spec


def test_an_utterance_that_cannot_be_read_counts_nothing() -> None:
    config = tiny_recognizer()
    params = cheap_jit(lambda: initial_recognizer_params(config.model.build(), jax.random.key(0)))()
    loss = cheap_jit(recognition_loss(config))
    prior = {"log_prior": jnp.full((29,), -np.log(29.0), jnp.float32)}
    rng = np.random.default_rng(0)
    batch = {
        "features": (3 * rng.normal(size=(2, 40, 80)) - 5).astype(np.float32),
        "num_frames": np.asarray([40, 8], np.int32),
        "labels": rng.integers(1, 29, (2, 6)).astype(np.int32),
        "num_labels": np.asarray([4, 6], np.int32),  # 8 frames become 2
    }
    keys = jax.random.split(jax.random.key(1), 2)
    total, weight, state, metrics = loss(params, prior, batch, keys)
    assert float(weight) == 4
    assert set(metrics) == {"ctc", "consistency"}
    assert float(total) == pytest.approx(float(metrics["ctc"] + 0.2 * metrics["consistency"]), rel=1e-5)
    assert float(metrics["consistency"]) > 0, "the two views differ"
    other = {**batch, "labels": np.stack([batch["labels"][0], batch["labels"][1, ::-1]])}
    assert float(loss(params, prior, other, keys)[0]) == pytest.approx(float(total), rel=1e-6)
    moved = np.exp(state["log_prior"]) - np.exp(prior["log_prior"])
    assert np.abs(moved).max() > 1e-4, "the running frequency has moved"


def test_frames_of_known_phones_are_added() -> None:
    config = in_language(tiny_recognizer(), get_text_spec("phonemes-ru"))
    params = cheap_jit(lambda: initial_recognizer_params(config.model.build(), jax.random.key(0)))()
    plain = dataclasses.replace(config, losses=SequenceLossConfig())
    known = dataclasses.replace(plain, losses=SequenceLossConfig(alignment=0.5))
    batch = {
        "features": (3 * np.random.default_rng(0).normal(size=(1, 40, 80)) - 5).astype(np.float32),
        "num_frames": np.asarray([40], np.int32),
        "labels": np.asarray([[3, 4]], np.int32),
        "num_labels": np.asarray([2], np.int32),
        "starts": np.asarray([[1, 4]], np.float32),
        "ends": np.asarray([[4, 7]], np.float32),
    }
    keys = jax.random.split(jax.random.key(1), 1)
    without = cheap_jit(recognition_loss(plain))(params, {}, batch, keys)
    found = cheap_jit(recognition_loss(known))(params, {}, batch, keys)
    apart = float(found[3]["alignment"])
    assert apart > 1
    assert float(found[0]) == pytest.approx(float(without[0]) + 0.5 * apart, rel=1e-5)


def test_parameters_of_another_model_are_refused_by_name() -> None:
    config = tiny_recognizer()
    learner = recognizer_learner(config)
    state = jax.eval_shape(learner.init, jax.random.key(0))
    wider = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=9))
    other = recognizer_learner(wider)
    said = r"there does not fit the model: block_0/contract_bias: expected \(9,\), got \(8,\)"
    with pytest.raises(ExperimentError, match=said):
        other.adopt(jax.eval_shape(other.init, jax.random.key(0)), state.params, "there")


def test_a_model_of_other_symbols_starts_with_all_but_its_last_layer() -> None:
    config = tiny_recognizer()
    learner, other = (recognizer_learner(each) for each in (config, in_language(config, get_text_spec("phonemes-ru"))))

    def adopted(key: jax.Array) -> tuple:
        given = learner.init(jax.random.fold_in(key, 1)).params
        own = other.init(key)
        return given, own.params, other.adopt(own, given, "there").params

    given, own, found = cheap_jit(adopted)(jax.random.key(0))
    assert found["output_kernel"].shape == (8, get_text_spec("phonemes-ru").num_classes)
    np.testing.assert_array_equal(found["output_kernel"], own["output_kernel"])
    np.testing.assert_array_equal(found["output_bias"], own["output_bias"])
    for name, leaf in given["block_1"].items():
        np.testing.assert_array_equal(found["block_1"][name], leaf)


def test_figures_say_what_is_read() -> None:
    config = tiny_recognizer()
    found = figures(config)
    assert (found.unit, found.units_per_second, found.row_units) == ("frames", 80.0, 240)
    assert dict(found.rows)["utterances"] == "up to 4 s and 80 symbols"
    assert dict(found.rows)["streams"].startswith("no")
    causal = dataclasses.replace(config, model=dataclasses.replace(config.model, causal=True))
    assert dict(figures(causal).rows)["streams"] == "yes"
