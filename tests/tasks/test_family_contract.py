"""The contract of a family: what every row of FAMILIES promises, tested before its author writes a test."""

import dataclasses
import functools
import itertools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from tests.experiments.test_running import Quiet, assert_equal
from tests.tiny.families import TINY, tiny_experiment
from wavejax.cli.main import main
from wavejax.experiments import running
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.product import Product
from wavejax.experiments.running import training_strategy
from wavejax.experiments.serialization import from_json, to_json
from wavejax.tasks.families import (
    FAMILIES,
    export,
    get_family,
    load,
    load_any_family,
    presets,
    train_and_evaluate,
)
from wavejax.training.fit import fit

ONE = jax.devices()[:1]
every_family = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A family's tiny experiment, made once."""
    return functools.cache(lambda name: tiny_experiment(name, tmp_path_factory.mktemp("corpus") / name))


@pytest.fixture(scope="module")
def trained(experiment: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A training folder of three steps, and its last state."""

    @functools.cache
    def train(name: str) -> tuple[Path, Any]:
        folder = tmp_path_factory.mktemp("trained") / name
        return folder, train_and_evaluate(experiment(name), folder, console=Quiet(), devices=ONE)

    return train


def longer(config: Any, steps: int) -> Any:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, num_steps=steps))


def test_every_family_has_its_tiny_row() -> None:
    assert set(TINY) == set(FAMILIES), "add a row to tests/tiny/families.py"


@every_family
def test_the_card_names_itself_and_its_presets_are_its_own(name: str) -> None:
    family = get_family(name)
    assert family.name == name
    assert family.presets
    for preset_name, config in family.presets.items():
        assert config.name == preset_name
        assert isinstance(config, family.config)
        assert presets()[preset_name].family is family, "two families have a preset of this name"
        again = from_json(family.config, json.loads(json.dumps(to_json(config))))
        assert again == config
        assert hash(again.model) == hash(config.model)
        assert family.figures(config).parameters > 0
    assert issubclass(family.product, Product)
    assert family.product.kind != Product.kind


@every_family
def test_batch_shapes_are_those_of_the_batches(name: str, experiment: Any) -> None:
    family, config = get_family(name), experiment(name)
    data, strategy = family.open_data(config, None), training_strategy(config, ONE)
    rows = strategy.process_rows(config.training.batch_size)
    expected = [
        {key: (value.shape, value.dtype) for key, value in shapes.items()}
        for shapes in (family.batch_shapes(config), *family.smaller_batches(config))
    ]
    for batches in (data.training(0, rows, strategy), data.held_out("validation", rows)):
        for batch in itertools.islice(batches, 2):
            assert {key: (value.shape, value.dtype) for key, value in batch.items()} in expected
    json.dumps(data.labels)  # a checkpoint holds them


@every_family
def test_three_steps_are_finite_and_change_the_parameters(name: str, trained: Any, experiment: Any) -> None:
    _, state = trained(name)
    assert int(state.step) == 3
    start = get_family(name).learner(experiment(name)).init(jax.random.key(0, impl="threefry2x32"))
    leaves = jax.tree.leaves(state.ema_params)
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert any(np.any(a != b) for a, b in zip(leaves, jax.tree.leaves(start.ema_params), strict=True))


@every_family
def test_a_resumed_run_equals_the_whole_one(name: str, trained: Any, experiment: Any, tmp_path: Path) -> None:
    _, whole = trained(name)
    train_and_evaluate(longer(experiment(name), 2), tmp_path / "run", console=Quiet(), devices=ONE)
    resumed = train_and_evaluate(experiment(name), tmp_path / "run", console=Quiet(), devices=ONE)
    assert_equal(whole, resumed)


@every_family
def test_eight_devices_equal_one(name: str, trained: Any, experiment: Any, tmp_path: Path) -> None:
    _, one = trained(name)
    eight = train_and_evaluate(experiment(name), tmp_path / "run", console=Quiet())
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(eight.params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@every_family
def test_an_export_does_what_the_checkpoint_does(name: str, trained: Any, tmp_path: Path) -> None:
    folder, _ = trained(name)
    family, product = load_any_family(folder)
    assert (family.name, product.step) == (name, 3)
    exported = load(export(folder, tmp_path / "small"), kind=family.product)
    assert exported.step is None
    assert exported.labels == product.labels
    data = family.open_data(product.config, None)
    shown, again = list(family.exhibits(product, data)), list(family.exhibits(exported, data))
    assert shown, "a family shows something while it trains"
    for one, other in zip(shown, again, strict=True):
        assert (one.name, one.text) == (other.name, other.text)
        for array in ("waveform", "image"):
            np.testing.assert_array_equal(getattr(one, array), getattr(other, array))


@every_family
def test_another_kind_is_refused_with_the_command_that_suits(name: str, trained: Any) -> None:
    folder, _ = trained(name)
    family = get_family(name)
    others = {get_family(other).product for other in FAMILIES}
    others = {other for other in others if not issubclass(family.product, other)}
    assert others
    for other in others:
        wanted = other.kind if other.kind != family.product.kind else other.__name__
        with pytest.raises(ExperimentError, match=rf"is an? {family.product.kind}, not an? {wanted}: use `wavejax "):
            load(folder, kind=other)


@every_family
def test_a_training_starts_from_given_parameters(
    name: str, trained: Any, experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parameters before the first update, which is that of the other trainings, already compiled."""
    folder, state = trained(name)
    starts = []

    def recorded(step: Any, start: Any, *rest: Any, **options: Any) -> Any:
        starts.append(jax.device_get(start.ema_params))
        return fit(step, start, *rest, **options)

    monkeypatch.setattr(running, "fit", recorded)
    config = longer(experiment(name), 1)
    adopted = train_and_evaluate(config, tmp_path / "a", init_from=folder, console=Quiet(), devices=ONE)
    assert int(adopted.step) == 1
    for a, b in zip(jax.tree.leaves(state.ema_params), jax.tree.leaves(starts[0]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@every_family
def test_the_commands_answer(
    name: str, trained: Any, experiment: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = trained(name)
    family, config = get_family(name), experiment(name)
    assert main(["info", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"{config.name}: {family.product.kind}, training folder, step 3" in said
    assert family.usage(config, str(folder)) in said
    assert main(["doctor", str(folder), "--corpus", config.data.corpus]) in (0, 1)  # next to nothing has been learnt
    said = capsys.readouterr().out
    assert "parameters are finite" in said
    preset = next(iter(family.presets))
    tiny = dataclasses.replace(config, name=preset)
    monkeypatch.setattr("wavejax.cli.training.chosen_preset", lambda name: (family, tiny))
    assert main(["train", preset, "--workdir", "nowhere", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{preset}: {family.figures(tiny).size}, " in said
    assert "time (predicted)" in said
    assert main(["evaluate", str(folder), "--help"]) == 0
    assert "--corpus" in capsys.readouterr().out
