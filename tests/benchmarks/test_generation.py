"""The benchmark's own check: it passes the engine and refuses a wrong one."""

import jax
import numpy as np
import pytest

from benchmarks import generation
from benchmarks.environment import describe_machine, summarise
from wavejax.generation import generate


@pytest.fixture(scope="module")
def heard():
    model, params = generation.make_model()
    return model, params, generate(model, params, num_samples=300, seed=generation.SEED)


@pytest.mark.slow
def test_the_check_passes_the_engine(heard) -> None:
    model, params, waveform = heard
    checked = generation.check(model, params, waveform, "auto")
    assert checked["samples"] == 300
    assert checked["classes_heard"] > 50


@pytest.mark.slow
def test_the_check_refuses_a_replay_that_differs(heard) -> None:
    model, params, waveform = heard
    other = jax.tree.map(lambda leaf: leaf * 1.01, params)
    with pytest.raises(generation.WrongSound, match="replay differs from the parallel form"):
        generation.check(model, params, waveform, "auto", reference=other)


@pytest.mark.slow
def test_the_check_refuses_samples_that_are_not_its_draws(heard) -> None:
    model, params, waveform = heard
    wrong = np.array(waveform)
    wrong[0, 200] = model.coding.levels[(int(model.coding.encode(wrong)[0, 200]) + 1) % 256]
    with pytest.raises(generation.WrongSound, match="the first at 200, are not the draws"):
        generation.check(model, params, wrong, "auto")


@pytest.mark.slow
def test_measuring_gives_a_table() -> None:
    result = generation.measure(peers=False, repeats=2, num_samples=128, backend="auto")
    assert result["samples_per_second"]["lowest"] <= result["samples_per_second"]["median"]
    assert "samples/s" in generation.table(result)
    assert result["peers"] == []


def test_the_machine_is_described() -> None:
    machine = describe_machine(["numpy", "no-such-package"])
    assert machine["numpy"] == np.__version__
    assert "no-such-package" not in machine
    assert machine["cpu"]
    assert summarise([3.0, 1.0, 2.0]) == {"median": 2.0, "lowest": 1.0, "highest": 3.0, "repeats": [3.0, 1.0, 2.0]}
