"""Moments and averages split over the devices: the same numbers, less memory, the same checkpoints."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from tests.training.test_step import OPTIMIZER, make_batch, mlp_loss, mlp_params
from wavejax.checkpoints import CheckpointStore
from wavejax.parallel import Strategy, get_strategy
from wavejax.training import SHARDABLE_FIELDS, TrainState, create_train_state, make_train_step


def strategy_of(num_devices: int, *, shard: bool) -> Strategy:
    return get_strategy("spmd", jax.devices()[:num_devices], sharded_fields=SHARDABLE_FIELDS if shard else ())


def start() -> TrainState:
    return create_train_state(mlp_params(), OPTIMIZER.build(), key=5)


def train(strategy: Strategy, state: TrainState, steps: int) -> tuple[TrainState, list[float]]:
    step = strategy.compile(make_train_step(mlp_loss, OPTIMIZER.build(), ema_decay=0.5))
    losses = []
    for number in range(int(state.step), int(state.step) + steps):
        state, metrics = step(state, make_batch(number))
        losses.append(float(metrics["loss"]))
    return state, losses


def specs(tree: Any) -> dict[str, PartitionSpec]:
    return {jax.tree_util.keystr(path): leaf.sharding.spec for path, leaf in jax.tree.leaves_with_path(tree)}


def assert_close(got: TrainState, want: TrainState, tolerance: float) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


def test_twenty_steps_are_those_of_a_whole_state() -> None:
    whole, split = strategy_of(8, shard=False), strategy_of(8, shard=True)
    expected, expected_losses = train(whole, whole.place(start()), 20)
    got, losses = train(split, split.place(start()), 20)
    # The gradient is the same program's; what follows is elementwise, so only fusions can round differently.
    assert_close(split.fetch(got), whole.fetch(expected), 1e-6)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-6)
    assert expected_losses[-1] < expected_losses[0]


def test_what_is_split_stays_split_and_the_rest_whole() -> None:
    split = strategy_of(8, shard=True)
    state, _ = train(split, split.place(start()), 2)
    wanted = specs(split.abstract(jax.eval_shape(start)))
    assert specs(state) == wanted
    assert set(specs(state.params).values()) == {PartitionSpec()}
    assert specs(state.ema_params) == {
        "['hidden']['bias']": PartitionSpec("data"),
        "['hidden']['kernel']": PartitionSpec(None, "data"),  # [6, 8]
        "['output']['kernel']": PartitionSpec("data"),  # [8, 2]
    }
    assert state.ema_params["hidden"]["kernel"].addressable_shards[3].data.shape == (6, 1)
    assert {spec for name, spec in specs(state.opt_state).items() if "count" in name} == {PartitionSpec()}
    # Over 3 devices [6, 8] splits along its first dimension, and [8, 2] not at all.
    three = strategy_of(3, shard=True).abstract(jax.eval_shape(start)).ema_params
    assert three["hidden"]["kernel"].sharding.spec == PartitionSpec("data")
    assert three["output"]["kernel"].sharding.spec == PartitionSpec()


def test_only_the_first_step_compiles(compilations: list[str]) -> None:
    split = strategy_of(8, shard=True)
    state = split.place(start())
    step = split.compile(make_train_step(mlp_loss, OPTIMIZER.build()))
    state, _ = step(state, make_batch(0))
    assert compilations
    compilations.clear()
    for number in range(1, 4):
        state, _ = step(state, make_batch(number))
    assert compilations == []


@pytest.mark.parametrize(
    ("before", "after"),
    [((8, True), (2, False)), ((4, False), (8, True)), pytest.param((2, True), (8, True), marks=pytest.mark.slow)],
)
def test_checkpoints_move_between_both_and_any_number_of_devices(
    tmp_path: Path, before: tuple[int, bool], after: tuple[int, bool]
) -> None:
    whole = strategy_of(8, shard=False)
    expected, expected_losses = train(whole, whole.place(start()), 8)
    first, second = strategy_of(before[0], shard=before[1]), strategy_of(after[0], shard=after[1])
    with CheckpointStore(tmp_path) as store:
        halfway, losses = train(first, first.place(start()), 4)
        store.save(4, halfway, {})
        store.wait()
        restored = store.restore(second.abstract(jax.eval_shape(start))).state
    jax.tree.map(np.testing.assert_array_equal, second.fetch(restored), first.fetch(halfway))
    assert specs(restored) == specs(second.place(start()))
    got, more = train(second, restored, 4)
    # Another number of devices adds the rows up in another order.
    assert_close(second.fetch(got), whole.fetch(expected), 1e-5)
    np.testing.assert_allclose(losses + more, expected_losses, rtol=1e-5)


def test_pmap_refuses() -> None:
    with pytest.raises(ValueError, match=r"pmap .* cannot split \['ema_params', 'opt_state'\]; use strategy 'spmd'"):
        get_strategy("pmap", sharded_fields=SHARDABLE_FIELDS)
