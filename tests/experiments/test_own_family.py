"""A family that no file of wavejax knows. Its code is that of docs/extending.md, which therefore cannot rot."""

import dataclasses
import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest

import wavejax
from tests.tiny.experiments import tiny_config, tiny_corpus
from wavejax.checkpoints import CheckpointMismatch
from wavejax.experiments import ExperimentError
from wavejax.experiments.compilation import compile_step
from wavejax.experiments.prediction import predict_training
from wavejax.tasks.vocoder.product import Vocoder
from wavejax.training import Hook, Logger

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(encoding="utf-8"), re.DOTALL)

KILLED = """
import sys, time
import jax, wavejax
from tests.experiments import test_own_family as test
curve = test.written(sys.argv[1])

class Slow(test.Hook):
    def on_step(self, step, state, metrics):
        time.sleep(0.02)

wavejax.train_and_evaluate(test.short(curve), sys.argv[2], family=curve.FAMILY, hooks=[Slow()], **test.ONE_DEVICE)
"""
ONE_DEVICE: dict[str, Any] = {"devices": jax.devices()[:1]}


class Kept(Logger):
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.records: list[tuple[int, dict]] = []
        self.seen: list[tuple[int, str, Any]] = []

    def scalars(self, step, values):
        self.records.append((step, dict(values)))

    def image(self, step, name, image):
        self.seen.append((step, name, image.shape))

    def text(self, step, name, text):
        self.seen.append((step, name, float(text)))


def written(path: str | Path) -> ModuleType:
    """The module whose code stands in the document, from a file."""
    found = importlib.util.spec_from_file_location("curve", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["curve"] = module  # its configurations' annotations are looked up there
    found.loader.exec_module(module)
    return module


def short(curve: ModuleType, **training: Any) -> Any:
    """60 steps, a checkpoint after every tenth."""
    config = curve.FAMILY.presets["curve"]
    options = {"num_steps": 60, "checkpoint_every": 10, "log_every": 1, "validate_every": 20, "exhibit_every": 30}
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **(options | training)))


def train(curve: ModuleType, config: Any, folder: Path, **options: Any) -> Any:
    return wavejax.train_and_evaluate(config, folder, family=curve.FAMILY, console=Kept(), **ONE_DEVICE, **options)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "curve.py"
    path.write_text(BLOCKS[0], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def curve(script):
    return written(script)


@pytest.fixture(scope="module")
def trained(curve, tmp_path_factory):
    """An undisturbed run, and what its logger and its hook were given."""
    folder, logger, hook = tmp_path_factory.mktemp("trained"), Kept(), curve.LargestWeight()
    state = train(curve, short(curve), folder / "run", loggers=[logger], hooks=[hook])
    return folder / "run", state, logger, hook


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_killed_in_the_middle_it_continues_as_if_nothing_had_happened(curve, script, trained, tmp_path):
    metrics = tmp_path / "run/metrics.jsonl"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(script), str(tmp_path / "run")], cwd=ROOT)
    reached = 0
    while process.poll() is None:
        if metrics.exists():
            reached = max([json.loads(line)["step"] for line in metrics.read_text().splitlines()], default=0)
        if reached >= 25:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    logger = Kept()
    resumed = train(curve, short(curve), tmp_path / "run", loggers=[logger])
    first = logger.records[0][0]
    assert first in (11, 21, 31), "it did not go on from a checkpoint"
    _, whole, _, _ = trained
    assert int(resumed.step) == int(whole.step) == 60
    assert_equal(resumed.params, whole.params)
    assert_equal(resumed.ema_params, whole.ema_params)
    assert_equal(resumed.opt_state, whole.opt_state)


def test_validation_exhibits_and_hooks_are_its_own(curve, trained):
    run, _, logger, hook = trained
    validated = [step for step, values in logger.records if {"validation/loss", "validation/near"} <= set(values)]
    assert validated == [20, 40, 60]
    rates = [values["points_per_second"] for _, values in logger.records if "points_per_second" in values]
    assert len(rates) >= 58
    assert [(step, name) for step, name, _ in logger.seen] == [
        (step, name) for step in (30, 60) for name in ("drawing", "largest error")
    ]
    assert logger.seen[0][2] == (48, 64)
    model, data = wavejax.load(run, family=curve.FAMILY), curve.open_points(short(curve), None)
    _, error = curve.exhibits(model, data)
    assert logger.seen[-1][2] == float(error.text) != logger.seen[1][2], "an exhibit is of the model as it was then"
    assert list(hook.found) == [60]
    losses = [values["loss"] for _, values in logger.records if "loss" in values]
    assert losses[-1] < 0.6 * losses[0]


def test_exported_and_loaded_it_computes_the_same(curve, trained, tmp_path):
    run = trained[0]
    folder = wavejax.export(run, tmp_path / "small", family=curve.FAMILY)
    x = np.linspace(-3, 3, 7)
    one = wavejax.load(run, kind=curve.Curve, family=curve.FAMILY)
    other = wavejax.load(folder, kind=curve.Curve, family=curve.FAMILY)
    assert (one.step, other.step) == (60, None)
    np.testing.assert_array_equal(one(x), other(x))
    assert other.labels == {"curve": "sin"}
    assert other.config == short(curve)
    with pytest.raises(ExperimentError, match="a curve has no temperature to export with"):
        wavejax.export(run, tmp_path / "warm", temperature=0.5, family=curve.FAMILY)


def test_without_its_card_it_is_refused(curve, trained):
    run = trained[0]
    sentence = r"belongs to the family 'curve'; those that ship are vocoder, .*wavejax\.load\(\.\.\., family=CARD\)"
    with pytest.raises(ExperimentError, match=sentence):
        wavejax.load(run)
    with pytest.raises(ExperimentError, match=r"is a curve, not a vocoder: use `python curve\.py"):
        wavejax.load(run, kind=Vocoder, family=curve.FAMILY)
    with pytest.raises(
        ExperimentError, match=r"no family that ships is called 'curve'.*pass its card \(family=\.\.\.\)"
    ):
        wavejax.train_and_evaluate(short(curve), run)


def test_another_run_starts_from_it_on_the_corpus_that_is_passed(curve, trained, tmp_path):
    run = trained[0]
    config = short(curve, num_steps=1)
    still = dataclasses.replace(config, optimizer=curve.LionConfig(learning_rate=1e-12))
    state = train(curve, still, tmp_path / "fine", init_from=run, corpus=np.cos)
    assert wavejax.load(tmp_path / "fine", family=curve.FAMILY).labels == {"curve": "cos"}
    given = wavejax.load(run, family=curve.FAMILY)
    for new, old in zip(jax.tree.leaves(state.params), jax.tree.leaves(dict(given.params)), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)
    wider = dataclasses.replace(config, model=curve.NetworkConfig(width=17))
    with pytest.raises(ExperimentError, match="holds another network than one of width 17"):
        train(curve, wider, tmp_path / "wide", init_from=run)
    with pytest.raises(CheckpointMismatch, match=r"params/hidden/bias: saved float32\[16\], expected float32\[17\]"):
        train(curve, wider, run)


def test_it_is_forecast_and_compiled_like_any_other(curve):
    config = short(curve)
    assert predict_training(curve.FAMILY, config).units_per_second > 0
    step = compile_step(curve.FAMILY, config, jax.devices(), 2**30)
    assert step.fits
    assert step.rows_per_device == 4


@pytest.mark.slow
def test_a_corpus_and_an_optimizer_of_ones_own_in_a_family_that_ships(tmp_path):
    names: dict[str, Any] = {}
    for block in BLOCKS[1:]:
        exec(compile(block, "docs/extending.md", "exec"), names)
    config, waveforms = tiny_config(num_steps=1), [tiny_corpus().utterance(i).waveform for i in range(3)]
    corpus = names["own_corpus"]({f"recording {i}": waveform for i, waveform in enumerate(waveforms)}, config.spec)
    assert corpus.speakers == ("me",)
    options: dict[str, Any] = {"corpus": corpus, "family": names["LION_VOCODER"], "console": Kept(), **ONE_DEVICE}
    state = wavejax.train_and_evaluate(config, tmp_path / "run", **options)
    assert "ScaleByLionState" in {type(part).__name__ for part in state.opt_state}
    loaded = wavejax.load(tmp_path / "run", kind=Vocoder)
    assert (loaded.step, loaded.config) == (1, config)


def test_the_document_shows_the_hook_and_the_script(curve, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(curve.FAMILY.presets, "curve", short(curve, num_steps=2, exhibit_every=2))
    curve.main(tmp_path / "out")
    assert "49 parameters" in capsys.readouterr().out
    diary = (tmp_path / "out/diary.txt").read_text()
    assert re.search(r"^2 drawing: an image of 48 x 64$", diary, re.MULTILINE)
    assert isinstance(curve.LargestWeight(), Hook)
