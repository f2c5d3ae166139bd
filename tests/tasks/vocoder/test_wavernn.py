"""The WaveRNN family: what the contract of families does not know of it."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.experiments.test_running import Quiet, assert_equal
from tests.tiny.wavernn import tiny_wavernn
from wavejax.data import embedded_corpus
from wavejax.experiments.running import inference_params
from wavejax.tasks.families import export, get_family, load, preset, train_and_evaluate
from wavejax.tasks.vocoder.product import Vocoder

ONE = jax.devices()[:1]


def tiny(name: str, num_steps: int):
    config = tiny_wavernn(name)
    options = {"num_steps": num_steps, "batch_size": 8, "tensorboard": False, "checkpoint_every": 2, "log_every": 1}
    options |= {"validate_every": 0, "exhibit_every": 0}
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, num_threads=0),
        training=dataclasses.replace(config.training, **options),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network with batch normalisation after three steps: its folder and its state."""
    folder = tmp_path_factory.mktemp("run") / "mol"
    return folder, train_and_evaluate(tiny("fatchord-wavernn-mol", 3), folder, console=Quiet(), devices=ONE)


def test_running_statistics_are_learnt_kept_and_laid_over_the_parameters(trained, tmp_path):
    folder, state = trained
    running = jax.tree.leaves(state.model_state["statistics"])
    assert running
    start = jax.tree.leaves(tiny_start().model_state["statistics"])
    assert all(np.any(a != b) for a, b in zip(running, start, strict=True)), "every normalisation heard the batches"
    product = load(folder, kind=Vocoder)
    wanted = inference_params(state)
    for a, b in zip(jax.tree.leaves(product.params), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(a, b)
    exported = load(export(folder, tmp_path / "small"), kind=Vocoder)
    mel = embedded_corpus(product.spec).utterance(0).frames[:3]
    np.testing.assert_array_equal(exported(mel, seed=1), product(mel, seed=1))


def tiny_start():
    return get_family("wavernn").learner(tiny("fatchord-wavernn-mol", 3)).init(jax.random.key(0))


def test_statistics_survive_a_restart(trained, tmp_path):
    train_and_evaluate(tiny("fatchord-wavernn-mol", 2), tmp_path / "run", console=Quiet(), devices=ONE)
    resumed = train_and_evaluate(tiny("fatchord-wavernn-mol", 3), tmp_path / "run", console=Quiet(), devices=ONE)
    assert_equal(trained[1], resumed)


def test_statistics_are_those_of_all_devices(trained, tmp_path):
    eight = train_and_evaluate(tiny("fatchord-wavernn-mol", 3), tmp_path / "run", console=Quiet())
    for part in ("params", "model_state"):
        pairs = zip(jax.tree.leaves(getattr(trained[1], part)), jax.tree.leaves(getattr(eight, part)), strict=True)
        for a, b in pairs:
            np.testing.assert_allclose(a, b, atol=2e-5)


def test_given_parameters_bring_their_statistics(trained, tmp_path):
    config = tiny("fatchord-wavernn-mol", 1)
    frozen = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-12))
    adopted = train_and_evaluate(frozen, tmp_path / "run", init_from=trained[0], console=Quiet(), devices=ONE)
    old, new = (jax.tree.leaves(state.model_state) for state in (trained[1], adopted))
    fresh = jax.tree.leaves(tiny_start().model_state)
    for a, b, c in zip(old, new, fresh, strict=True):
        assert np.abs(a - b).max() < np.abs(c - b).max(), "they begin where the given ones ended, not anew"


def test_modes_of_another_model_are_refused():
    config = preset("wavernn-16k")
    with pytest.raises(ValueError, match=r"training\.defer_skips is no mode of WaveRNNConfig: leave it off"):
        dataclasses.replace(config, training=dataclasses.replace(config.training, defer_skips=True))


def test_the_public_networks_read_the_features_they_were_made_for():
    for name in ("fatchord-wavernn-9bit", "fatchord-wavernn-mol", "torchaudio-wavernn-8bit"):
        spec = preset(name).spec
        assert (spec.name, spec.sample_rate, spec.hop_length) == ("fatchord", 22_050, 275)


@pytest.mark.parametrize(
    ("name", "trained"),
    [("fatchord-wavernn-9bit", 4_480_941), ("fatchord-wavernn-mol", 4_233_675), ("wavernn-16k", 958_400)],
)
def test_parameters_are_counted_as_the_field_does_without_running_statistics(name, trained):
    assert get_family("wavernn").figures(preset(name)).parameters == trained
