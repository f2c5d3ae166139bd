"""Schedules are their formulas, the optimizer is Adam's algorithm, and wrong settings are named."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.training import OptimizerConfig, create_train_state, make_train_step


def _rates(config: OptimizerConfig, steps: list[int]) -> list[float]:
    together = config.learning_rate_at(jnp.asarray(steps, jnp.int32))
    assert together.dtype == jnp.float32
    apart = [float(config.learning_rate_at(jnp.asarray(step, jnp.int32))) for step in steps]
    np.testing.assert_allclose(together, apart, rtol=3e-7)  # two roundings
    return apart


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        ({"schedule": "constant"}, lambda s: 0.01),
        ({"schedule": "constant", "warmup_steps": 10}, lambda s: 0.01 * min((s + 1) / 10, 1)),
        ({"schedule": "noam", "warmup_steps": 10}, lambda s: 0.01 * min((s + 1) / 10, math.sqrt(10 / (s + 1)))),
        (
            {"schedule": "step", "step_size": 30, "step_factor": 0.5, "end_learning_rate": 0.002},
            lambda s: max(0.01 * 0.5 ** (s // 30), 0.002),
        ),
        (
            {"schedule": "cosine", "warmup_steps": 10, "decay_steps": 110, "end_learning_rate": 0.001},
            lambda s: (
                min((s + 1) / 10, 1) * (0.001 + 0.009 * 0.5 * (1 + math.cos(math.pi * min(max((s - 10) / 100, 0), 1))))
            ),
        ),
    ],
)
def test_a_schedule_is_its_formula(settings: dict, formula: Callable[[int], float]) -> None:
    steps = [0, 1, 8, 9, 10, 11, 29, 30, 59, 60, 109, 110, 111, 500, 100_000]
    got = _rates(OptimizerConfig(learning_rate=0.01, **settings), steps)
    np.testing.assert_allclose(got, [formula(step) for step in steps], rtol=2e-6)


def test_noam_peaks_at_the_learning_rate() -> None:
    config = OptimizerConfig(schedule="noam", learning_rate=3e-3, warmup_steps=400)
    rates = np.asarray(config.learning_rate_at(jnp.arange(4000, dtype=jnp.int32)))
    assert rates.argmax() == 399
    assert rates.max() == pytest.approx(3e-3, rel=1e-6)


def _loss(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
    return jnp.sum(batch["x"] @ params["w"] ** 2), jnp.float32(batch["x"].shape[0]), model_state, {}


def _train(config: OptimizerConfig, steps: int) -> np.ndarray:
    optimizer = config.build()
    state = create_train_state({"w": jnp.asarray([1.0, -2.0, 3.0])}, optimizer, key=0)
    step = jax.jit(make_train_step(_loss, optimizer))
    for i in range(steps):
        state, _ = step(state, {"x": _rows(i)})
    return np.asarray(state.params["w"])


def _rows(step: int) -> np.ndarray:
    return np.random.default_rng(step).uniform(0.1, 1, size=(4, 3)).astype(np.float32)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_the_update_is_adam_as_published(weight_decay: float, clip_norm: float | None) -> None:
    config = OptimizerConfig(
        optimizer="adamw" if weight_decay else "adam",
        learning_rate=0.05,
        schedule="step",
        step_size=2,
        betas=(0.8, 0.95),
        epsilon=1e-6,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
    )
    w, first, second = np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3)
    for t in range(5):
        gradient = _rows(t).mean(axis=0) * 2 * w
        if clip_norm is not None:
            gradient = gradient * min(1, clip_norm / np.linalg.norm(gradient))
        first = 0.8 * first + 0.2 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        direction = first / (1 - 0.8 ** (t + 1)) / (np.sqrt(second / (1 - 0.95 ** (t + 1))) + 1e-6)
        w = w - 0.05 * 0.5 ** (t // 2) * (direction + weight_decay * w)
    np.testing.assert_allclose(_train(config, 5), w, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0 and at most 1000"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be above 0"),
        ({"warmup_steps": -1}, "warmup_steps=-1 must be 0 or more"),
        ({"schedule": "noam"}, "warmup_steps=0 must be 1 or more for the Noam"),
        ({"schedule": "cosine"}, "decay_steps=None must be above warmup_steps=0"),
        ({"schedule": "cosine", "warmup_steps": 9, "decay_steps": 9}, "decay_steps=9 must be above warmup_steps=9"),
        ({"schedule": "step"}, "step_size=None must be 1 or more"),
        ({"step_factor": 0.0}, r"step_factor=0.0 must be in \(0, 1\]"),
        ({"end_learning_rate": 1.0}, r"end_learning_rate=1.0 must be in \[0, learning_rate\]"),
        ({"betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\) must be two numbers in \[0, 1\)"),
        ({"epsilon": 0.0}, "epsilon=0.0 must be finite and above 0"),
        ({"weight_decay": 0.1}, "weight_decay=0.1 must be 0 unless optimizer is 'adamw'"),
        ({"clip_norm": 0.0}, "clip_norm=0.0 must be above 0, or None"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimizerConfig(**settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("optimizer", "sgd", "optimizer='sgd' must be 'adam' or 'adamw'"),
        ("schedule", "linear", "schedule='linear' must be one of 'constant', 'cosine', 'noam', 'step'"),
    ],
)
def test_a_wrong_name_is_named(name: str, value: str, message: str) -> None:
    config = OptimizerConfig()
    object.__setattr__(config, name, value)  # past the type checker of the tests, which users do not have
    with pytest.raises(ValueError, match=message):
        config.__post_init__()
