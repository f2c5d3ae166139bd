"""Every strategy gives the same numbers, compiles once, and copies what it is given."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.parallel import (
    Vote,
    example_indices,
    get_strategy,
    initialize_processes,
    mean_over_devices,
    on_each_device,
    sum_over_devices,
)

RUNS = [("spmd", 1), ("spmd", 8), ("pmap", 8), ("pmap", 2)]


def _initial_state() -> dict:
    weights = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    return {"w": jnp.asarray(weights), "key": jax.random.key(7), "step": jnp.zeros((), jnp.int32)}


def _batch(step: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(100 + step)
    x = draw.normal(size=(16, 5)).astype(np.float32)
    return {"x": x, "y": np.tanh(x[:, :3]), "mask": draw.random(16) > 0.4}


def _step(state: dict, batch: dict) -> tuple[dict, dict]:
    """Gradient descent on a masked mean with dropout from a key per example, written once for all strategies."""
    rows = batch["x"].shape[0]
    key = jax.random.fold_in(state["key"], state["step"])
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, example_indices(rows))
    kept = jax.vmap(lambda k: jax.random.bernoulli(k, 0.8, (5,)))(keys)

    def loss(w: jax.Array) -> jax.Array:
        predicted = jnp.tanh(jnp.where(kept, batch["x"], jnp.float32(0)) @ w)
        error = jnp.sum((predicted - batch["y"]) ** 2, axis=1)
        return jnp.sum(jnp.where(batch["mask"], error, jnp.float32(0)))

    value, gradient = jax.value_and_grad(loss)(state["w"])
    weight = jnp.sum(batch["mask"].astype(jnp.float32))
    value, gradient, weight = sum_over_devices((value, gradient, weight))
    new = {"w": state["w"] - 0.1 * gradient / weight, "key": state["key"], "step": state["step"] + jnp.int32(1)}
    return new, {"loss": value / weight, "weight": weight}


def _train(name: str, num_devices: int, steps: int = 10) -> tuple[dict, list[float]]:
    strategy = get_strategy(name, jax.devices()[:num_devices])
    assert strategy.num_devices == num_devices
    step, state, losses = strategy.compile(_step), strategy.place(_initial_state()), []
    for i in range(steps):
        state, metrics = step(state, _batch(i))
        losses.append(float(metrics["loss"]))
    return strategy.fetch(state), losses


@pytest.mark.parametrize(("name", "num_devices"), RUNS)
def test_strategies_agree_with_one_device_without_any(name: str, num_devices: int) -> None:
    state, losses = _initial_state(), []
    plain = jax.jit(_step)
    for i in range(10):
        state, metrics = plain(state, _batch(i))
        losses.append(float(metrics["loss"]))
    got, got_losses = _train(name, num_devices)
    # Only the order of float32 sums differs: ten steps on values of order one.
    np.testing.assert_allclose(got["w"], state["w"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(got_losses, losses, rtol=1e-5)
    assert got["step"] == 10
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(got["key"], jax.random.key_data(jax.random.key(7)))


@pytest.mark.parametrize("name", ["spmd", "pmap"])
def test_only_the_first_step_compiles(name: str, compilations: list[str]) -> None:
    strategy = get_strategy(name)
    step = strategy.compile(lambda state, batch: _step(state, batch))  # a function no cache has seen
    weak = {**_initial_state(), "step": 0}  # a Python number must not cost a second compilation
    state = strategy.place(weak)
    compilations.clear()
    state, _ = step(state, _batch(0))
    assert compilations  # else the listener is deaf
    compilations.clear()
    for i in range(1, 5):
        state, _ = step(state, strategy.shard_batch(_batch(i)) if i % 2 else _batch(i))
    assert compilations == []


@pytest.mark.parametrize("name", ["spmd", "pmap"])
@pytest.mark.parametrize("num_devices", [1, 8])
def test_the_placed_copy_is_donated_and_the_original_survives(name: str, num_devices: int) -> None:
    strategy = get_strategy(name, jax.devices()[:num_devices])
    host = np.ones((5, 3), np.float32)
    original = {**_initial_state(), "host": host}
    placed = strategy.place(original)
    assert all(leaf.sharding == strategy.replicated for leaf in jax.tree.leaves(placed))

    def step(state: dict, batch: dict) -> tuple[dict, dict]:
        new, metrics = _step({name: state[name] for name in ("w", "key", "step")}, batch)
        return {**new, "host": state["host"] * 2}, metrics

    after, _ = strategy.compile(step)(placed, _batch(0))
    assert placed["w"].is_deleted()
    assert after["w"].sharding == strategy.replicated
    np.testing.assert_array_equal(host, 1)
    np.testing.assert_array_equal(original["w"], _initial_state()["w"])
    np.testing.assert_array_equal(strategy.fetch(after)["host"], 2)
    with pytest.raises(RuntimeError, match="deleted"):
        np.asarray(placed["w"])


@pytest.mark.parametrize(("name", "num_devices"), RUNS)
def test_evaluation_donates_nothing_and_sees_every_row_once(name: str, num_devices: int) -> None:
    strategy = get_strategy(name, jax.devices()[:num_devices])

    def evaluate(state: dict, batch: dict) -> dict:
        indices = example_indices(batch["x"].shape[0])
        weighted = batch["x"][:, 0] * (indices.astype(jnp.float32) + 1)
        return sum_over_devices({"sum": jnp.sum(weighted), "indices": jnp.sum(indices)})

    state, batch = strategy.place(_initial_state()), _batch(3)
    run = strategy.compile_evaluation(evaluate)
    run(state, batch)
    got = strategy.fetch(run(state, batch))
    assert got["indices"] == 16 * 15 // 2
    np.testing.assert_allclose(got["sum"], np.sum(batch["x"][:, 0] * np.arange(1, 17)), rtol=1e-5)


@pytest.mark.parametrize(("name", "num_devices"), RUNS)
def test_on_each_device_a_function_sees_that_devices_rows(name: str, num_devices: int) -> None:
    strategy, seen = get_strategy(name, jax.devices()[:num_devices]), []

    def weighted(whole: jax.Array, rows: dict) -> dict:
        seen.append(rows["x"].shape[0])
        weights = example_indices(rows["x"].shape[0]).astype(jnp.float32) * whole
        return sum_over_devices({"sum": jnp.sum(weights[:, None] * rows["x"]), "parts": jnp.int32(1)})

    def step(state: dict, batch: dict) -> tuple[dict, dict]:
        return {}, on_each_device(weighted, state["scale"], {"x": batch["x"]})

    batch = _batch(2)
    _, got = strategy.compile(step)(strategy.place({"scale": np.float32(3)}), batch)
    np.testing.assert_allclose(got["sum"], 3 * np.sum(np.arange(16)[:, None] * batch["x"]), rtol=1e-5)
    assert int(got["parts"]) == num_devices
    assert set(seen) == {16 // num_devices}


def test_running_statistics_are_averaged_over_devices() -> None:
    strategy = get_strategy("pmap", jax.devices()[:4])

    def step(state: dict, batch: dict) -> tuple[dict, dict]:
        local = {"mean": jnp.mean(batch["x"]), "count": state["count"] + jnp.int32(1)}
        return mean_over_devices(local), {}

    x = np.arange(8, dtype=np.float32)
    state = strategy.place({"mean": np.float32(0), "count": np.int32(2)})
    got = strategy.fetch(strategy.compile(step)(state, {"x": x})[0])
    assert got == {"mean": x.mean(), "count": 3}


@pytest.mark.parametrize("name", ["spmd", "pmap"])
def test_rows_that_do_not_divide_are_refused_with_both_numbers(name: str) -> None:
    strategy = get_strategy(name)
    with pytest.raises(ValueError, match=r"batch of 12 rows .* over 8 devices; .* multiple of 8"):
        strategy.compile(_step)(strategy.place(_initial_state()), {"x": np.zeros((12, 5), np.float32)})
    with pytest.raises(ValueError, match=r"same number of rows.*'x': \(8, 5\), 'y': \(16,\)"):
        strategy.shard_batch({"x": np.zeros((8, 5)), "y": np.zeros(16)})
    with pytest.raises(ValueError, match=r"same number of rows.*'rate': \(\)"):
        strategy.shard_batch({"rate": 3.0})
    with pytest.raises(ValueError, match=r"a batch holds numbers; \['names'\] hold text"):
        strategy.shard_batch({"x": np.zeros(8), "names": np.asarray(["a"] * 8)})
    with pytest.raises(ValueError, match="batch of 0 rows"):
        strategy.shard_batch({"x": np.zeros((0, 5))})


def test_processes_bring_contiguous_rows_that_cover_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_strategy("spmd").process_rows(16) == slice(0, 16)
    strategy = get_strategy("spmd")
    strategy.devices = tuple(SimpleNamespace(process_index=process) for process in (0, 0, 0, 1, 1, 1, 1, 2))
    rows = []
    for process, count in enumerate((3, 4, 1)):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        strategy.num_local_devices = count
        rows += range(48)[strategy.process_rows(48)]
    assert rows == list(range(48))
    with pytest.raises(ValueError, match=r"batch of 20 rows .* 8 devices of 3 process\(es\); .* multiple of 8"):
        strategy.process_rows(20)
    strategy.num_local_devices = 0
    with pytest.raises(ValueError, match="none of the 8 devices belongs to process 2"):
        strategy.process_rows(16)


def test_one_process_decides_alone_and_at_once() -> None:
    vote = Vote(delay=2)
    assert [vote.cast(number) for number in (0, 15, 2)] == [0, 15, 2]


def test_a_split_batch_passes_through() -> None:
    strategy = get_strategy("spmd")
    once = strategy.shard_batch(_batch(0))
    assert strategy.shard_batch(once) is once
    assert once["x"].sharding == strategy.batch_sharding


def test_abstract_is_what_place_makes() -> None:
    strategy = get_strategy("spmd", jax.devices()[:2])
    state = {**_initial_state(), "number": 3, "half": np.zeros(2, jnp.bfloat16)}
    placed = strategy.place(state)
    described = jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), placed)
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), strategy.abstract(state)) == described
    shapes = jax.eval_shape(_initial_state)
    assert jax.tree.map(lambda x: x.sharding, strategy.abstract(shapes))["key"] == strategy.replicated


def test_pmap_serves_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = get_strategy("pmap")
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="this run has 2; use strategy 'spmd'"):
        strategy.compile(_step)


def test_what_is_asked_wrongly_is_explained() -> None:
    with pytest.raises(ValueError, match=r"unknown strategy 'ddp'; choose one of pmap, spmd"):
        get_strategy("ddp")
    with pytest.raises(ValueError, match="no device given"):
        get_strategy("spmd", [])
    with pytest.raises(ValueError, match=r"coordinator='localhost:1', num_processes=None.*give all three"):
        initialize_processes("localhost:1")


def test_a_process_without_a_cluster_is_told_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    monkeypatch.setattr(jax.config, "update", lambda name, value: None)
    with pytest.raises(ValueError, match=r"no TPU pod, SLURM, .* give coordinator='HOST:PORT'"):
        initialize_processes()
