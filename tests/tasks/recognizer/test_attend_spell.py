"""A speller that starts from a CTC recogniser: what it takes over, and both of its losses."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.models import cheap_jit
from tests.tiny.recognizers import tiny_attend_spell, tiny_recognizer
from wavejax.decoding import greedy_errors
from wavejax.experiments.metadata import ExperimentError
from wavejax.losses.sequence import ctc_loss
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.nn.spec_augment import SpecAugmentConfig
from wavejax.tasks.recognizer.attend_spell import (
    AttendSpellLossConfig,
    attend_spell_learner,
    attend_spell_loss,
    held_out_attend_spell_loss,
)
from wavejax.tasks.recognizer.config import in_language
from wavejax.tasks.recognizer.learner import recognizer_learner
from wavejax.text import get_text_spec


def drawn(config: object, seed: int = 0) -> dict:
    return cheap_jit(lambda: initial_recognizer_params(config.model.build(), jax.random.key(seed)))()


def test_a_ctc_recogniser_becomes_its_listener(caplog: pytest.LogCaptureFixture) -> None:
    config = tiny_attend_spell()
    learner = attend_spell_learner(config)
    state, given = cheap_jit(learner.init)(jax.random.key(0)), drawn(tiny_recognizer(), seed=7)
    with caplog.at_level(logging.INFO):
        adopted = learner.adopt(state, given, "there").params
    assert "there is of another kind or writes other symbols: speller begin anew" in caplog.text
    jax.tree.map(np.testing.assert_array_equal, adopted["listener"], given)
    jax.tree.map(np.testing.assert_array_equal, adopted["speller"], state.params["speller"])
    again = learner.adopt(state, adopted, "there").params
    jax.tree.map(np.testing.assert_array_equal, again, adopted)


def test_its_listener_becomes_a_ctc_recogniser() -> None:
    learner, given = recognizer_learner(tiny_recognizer()), drawn(tiny_attend_spell(), seed=7)
    adopted = learner.adopt(cheap_jit(learner.init)(jax.random.key(0)), given, "there").params
    jax.tree.map(np.testing.assert_array_equal, adopted, given["listener"])


def test_one_of_other_symbols_starts_with_all_but_its_last_layers() -> None:
    config, russian = tiny_attend_spell(), get_text_spec("letters-ru")
    learner = attend_spell_learner(in_language(config, russian))
    state, given = cheap_jit(learner.init)(jax.random.key(0)), drawn(tiny_recognizer(), seed=7)
    from_ctc = learner.adopt(state, given, "there").params
    np.testing.assert_array_equal(from_ctc["listener"]["stem_0_kernel"], given["stem_0_kernel"])
    np.testing.assert_array_equal(from_ctc["listener"]["output_kernel"], state.params["listener"]["output_kernel"])
    english = drawn(config, seed=8)
    from_speller = learner.adopt(state, english, "there").params
    for name in ("output_kernel", "output_bias", "embedding"):
        np.testing.assert_array_equal(from_speller["speller"][name], state.params["speller"][name])
    np.testing.assert_array_equal(from_speller["speller"]["key_kernel"], english["speller"]["key_kernel"])
    wider = dataclasses.replace(config.model.listener, channels=9)
    other = attend_spell_learner(dataclasses.replace(config, model=dataclasses.replace(config.model, listener=wider)))
    with pytest.raises(ExperimentError, match=r"there does not fit the model: listener/block_0/contract_bias"):
        other.adopt(jax.eval_shape(other.init, jax.random.key(0)), given, "there")


def test_both_losses_count_and_both_readings_are_judged() -> None:
    config = tiny_attend_spell()
    listener = dataclasses.replace(config.model.listener, dropout=0.0)
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, listener=listener, dropout=0.0),
        augment=SpecAugmentConfig(frequency_masks=0, time_masks=0),
    )
    alone = dataclasses.replace(config, losses=AttendSpellLossConfig(ctc=0.0))
    rng, params = np.random.default_rng(0), drawn(config)
    batch = {
        "features": (3 * rng.normal(size=(3, 40, 80)) - 5).astype(np.float32),
        "num_frames": np.asarray([40, 8, 0], np.int32),
        "labels": rng.integers(1, 29, (3, 6)).astype(np.int32),
        "num_labels": np.asarray([4, 6, 0], np.int32),  # 8 frames become 2
    }
    keys = jax.random.split(jax.random.key(1), 3)
    total, weight, _, metrics = cheap_jit(attend_spell_loss(config))(params, {}, batch, keys)
    assert float(weight) == 5 + 7, "letters and ends; the row that fills the batch counts nothing"
    plain, _, _, _ = cheap_jit(attend_spell_loss(alone))(params, {}, batch, keys)
    model = config.model.build()
    hear = cheap_jit(lambda params, x, counts: model.apply({"params": params}, x, counts, method="hear"))
    log_probs = hear(params, batch["features"], batch["num_frames"])
    given = (jnp.asarray([10, 2, 0]), jnp.asarray(batch["labels"]), jnp.asarray(batch["num_labels"]))
    ctc = ctc_loss(log_probs, *given)
    assert ctc.weight.tolist() == [1, 0, 0]
    assert float(metrics["ctc"]) == pytest.approx(float(ctc.loss.sum()), rel=1e-4)
    assert float(total) == pytest.approx(float(plain) + 0.3 * float(metrics["ctc"]), rel=1e-4)
    held_out = cheap_jit(held_out_attend_spell_loss(config))(params, {}, batch, None)
    errors = greedy_errors(log_probs, *given)[:2].sum()
    assert float(held_out[3]["ctc_letter_error"]) / float(held_out[1]) == pytest.approx(float(errors) / 10, rel=1e-5)
    assert "letter_error" in held_out[3]
