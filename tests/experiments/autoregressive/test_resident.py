"""Crops cut on the devices are those cut on the host."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from tests.data.recordings import counting_corpus
from tests.experiments.test_running import Quiet, assert_equal
from tests.tiny.experiments import tiny_config, tiny_corpus
from wavejax.data import CropShape, training_batches
from wavejax.experiments.autoregressive import resident
from wavejax.parallel import get_strategy
from wavejax.tasks import families

SHAPE = CropShape(history=37, length=60, frames_before=3, frames_after=2)


@pytest.mark.parametrize("num_devices", [1, 4])
def test_resident_batches_equal_those_of_the_host(num_devices):
    corpus = counting_corpus([1000, 605, 59, 333, 31])  # some end within a crop, or within a frame
    options = {"batch_size": 24, "seed": 3, "start_step": 2}
    strategy = get_strategy("spmd", jax.devices()[:num_devices])
    here = training_batches(corpus, "train", SHAPE, **options)
    there = resident.resident_batches(corpus, "train", SHAPE, strategy, **options)
    for want, got in itertools.islice(zip(here, there, strict=False), 4):
        assert want.keys() == got.keys()
        for name, values in want.items():
            assert got[name].sharding == strategy.batch_sharding
            assert got[name].dtype == values.dtype
            np.testing.assert_array_equal(np.asarray(got[name]), values, err_msg=name)


def test_only_the_named_split_is_held():
    corpus = tiny_corpus()
    held = resident.gather_split(corpus, corpus.indices("train"))
    assert held.samples.size == sum(len(corpus.load(i)[0]) for i in corpus.indices("train"))
    assert held.samples.size < sum(entry.num_samples for entry in corpus.entries)


@pytest.mark.parametrize("strategy", ["spmd", "pmap"])
def test_a_resident_run_equals_one_fed_by_the_host_and_resumes_as_it(tmp_path, strategy):
    corpus, devices = tiny_corpus(), jax.devices()[:2]
    config = tiny_config(num_steps=4, strategy=strategy)
    stays = dataclasses.replace(config, data=dataclasses.replace(config.data, resident=True))
    half = dataclasses.replace(config, training=dataclasses.replace(config.training, num_steps=2))
    options = {"corpus": corpus, "console": Quiet(), "devices": devices}
    fed = families.train_and_evaluate(config, tmp_path / "fed", **options)
    families.train_and_evaluate(half, tmp_path / "held", **options)
    held = families.train_and_evaluate(stays, tmp_path / "held", **options)
    assert_equal(fed, held)


def test_refusals(monkeypatch):
    config = tiny_config()
    data = dataclasses.replace(config.data, resident=True)
    few = dataclasses.replace(config.training, overfit_batches=2)
    with pytest.raises(ValueError, match="overfit_batches 2 keeps the first ones"):
        dataclasses.replace(config, data=data, training=few)
    monkeypatch.setattr(resident, "LONGEST", 1000)
    corpus = tiny_corpus()
    with pytest.raises(ValueError, match=r"train with data\.resident off"):
        resident.gather_split(corpus, corpus.indices("train"))
