"""One update: the same whatever the strategy and the accumulation, guarded, averaged, exactly reported."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.parallel import get_strategy
from wavejax.training import OptimizerConfig, TrainState, create_train_state, evaluate, make_eval_step, make_train_step

OPTIMIZER = OptimizerConfig(learning_rate=0.02, schedule="noam", warmup_steps=4, clip_norm=0.5)


def mlp_params(dtype: jnp.dtype = jnp.float32) -> dict:
    draw = np.random.default_rng(0)
    return {
        "hidden": {"kernel": jnp.asarray(draw.normal(size=(6, 8)), dtype), "bias": jnp.zeros((8,), dtype)},
        "output": {"kernel": jnp.asarray(draw.normal(size=(8, 2)), dtype)},
    }


def mlp_loss(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
    """Masked squared error of an MLP with dropout; the weight is the number of unmasked entries."""
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 0.7, (8,)))(keys)
    hidden = jnp.tanh(batch["x"] @ params["hidden"]["kernel"] + params["hidden"]["bias"][None])
    predicted = jnp.where(kept, hidden, jnp.zeros_like(hidden)) @ params["output"]["kernel"]
    error = jnp.where(batch["mask"], (predicted - batch["y"]).astype(jnp.float32) ** 2, jnp.float32(0))
    seen = {"steps": model_state["steps"] + jnp.int32(1)} if "steps" in model_state else model_state
    return jnp.sum(error), jnp.sum(batch["mask"]), seen, {"kept": jnp.sum(kept) * jnp.int32(2)}


def make_batch(step: int, rows: int = 16) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1000 + step)
    x = draw.normal(size=(rows, 6)).astype(np.float32)
    mask = draw.random((rows, 2)) < np.linspace(0.05, 1, rows)[:, None]  # rows weigh very differently
    return {"x": x, "y": x[:, :2], "mask": mask}


def train(name: str, num_devices: int, accumulation_steps: int, steps: int = 10) -> tuple[TrainState, list[dict]]:
    strategy = get_strategy(name, jax.devices()[:num_devices])
    optimizer = OPTIMIZER.build()
    train_step = make_train_step(
        mlp_loss,
        optimizer,
        ema_decay=0.5,
        accumulation_steps=accumulation_steps,
        learning_rate=OPTIMIZER.learning_rate_at,
    )
    step = strategy.compile(train_step)
    state = strategy.place(create_train_state(mlp_params(), optimizer, key=5))
    history = []
    for i in range(steps):
        state, metrics = step(state, make_batch(i))
        history.append({name: float(value) for name, value in metrics.items()})
    return strategy.fetch(state), history


@pytest.fixture(scope="module")
def reference() -> tuple[TrainState, list[dict]]:
    return train("spmd", 1, 1)


@pytest.mark.parametrize(
    ("name", "num_devices", "accumulation_steps"),
    [("spmd", 8, 1), ("pmap", 8, 1), ("spmd", 8, 2), ("pmap", 4, 4)],
)
def test_the_update_does_not_depend_on_how_the_batch_is_cut(
    name: str, num_devices: int, accumulation_steps: int, reference: tuple[TrainState, list[dict]]
) -> None:
    state, history = train(name, num_devices, accumulation_steps)
    # Adam divides by the root of its second moment, which magnifies the rounding of the sums a little.
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=0, atol=1e-5), state, reference[0])
    for got, want in zip(history, reference[1], strict=True):
        assert got == pytest.approx(want, rel=1e-5)
    assert len({step["kept"] for step in history}) > 1  # dropout did draw anew


def test_what_a_step_reports(reference: tuple[TrainState, list[dict]]) -> None:
    _, history = reference
    assert set(history[0]) == {"loss", "weight", "gradient_norm", "finite", "learning_rate", "kept"}
    batch, params = make_batch(0), mlp_params()
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(
        jax.random.fold_in(jax.random.key(5), 0), jnp.arange(16, dtype=jnp.int32)
    )

    def mean_loss(params: dict) -> tuple[jax.Array, jax.Array]:
        loss_sum, weight, _, metrics = mlp_loss(params, {}, batch, keys)
        return loss_sum / weight.astype(jnp.float32), metrics["kept"]

    (loss, kept), gradient = jax.value_and_grad(mean_loss, has_aux=True)(params)
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(gradient)))
    assert norm > 0.5  # the clipping limit: the norm reported is that of before
    weight = batch["mask"].sum()
    expected = {
        "loss": float(loss),
        "weight": weight,
        "gradient_norm": norm,
        "finite": 1,
        "learning_rate": 0.02 / 4,
        "kept": int(kept) / weight,
    }
    assert history[0] == pytest.approx(expected, rel=1e-5)
    assert [step["learning_rate"] for step in history] == pytest.approx(
        np.asarray(OPTIMIZER.learning_rate_at(jnp.arange(10, dtype=jnp.int32))).tolist()
    )


# XLA may average a bfloat16 parameter before it rounds it: half a unit in the last place of numbers up to 4 is 2**-7.
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-6), (jnp.bfloat16, 0.01)])
def test_the_average_follows_the_published_decay(dtype: jnp.dtype, tolerance: float) -> None:
    def loss(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
        return jnp.sum(params["w"].astype(jnp.float32) * batch["x"]), jnp.float32(1), model_state, {}

    optimizer = OptimizerConfig(learning_rate=0.5).build()
    state = create_train_state({"w": jnp.ones((1,), dtype), "n": jnp.ones((1,))}, optimizer, key=0)
    step = jax.jit(make_train_step(loss, optimizer, ema_decay=0.3))
    average = 1.0
    for t in range(8):
        state, _ = step(state, {"x": jnp.ones((1,))})
        decay = min(0.3, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * float(state.params["w"][0])
        assert state.ema_params["w"].dtype == jnp.float32
        np.testing.assert_allclose(state.ema_params["w"], average, rtol=0, atol=tolerance)
    assert min(0.3, 8 / 17) == 0.3  # both branches of the decay were met
    assert state.params["w"].dtype == dtype


@pytest.mark.parametrize("name", ["spmd", "pmap"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_step_that_is_not_finite_changes_nothing(name: str, what: str) -> None:
    def loss(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
        # sqrt has an infinite slope at 0, where its value is finite
        value = jnp.sum(jnp.sqrt(params["w"] * batch["x"])) if what == "gradient" else jnp.sum(params["w"] * batch["x"])
        return value, jnp.float32(1), {"seen": model_state["seen"] + jnp.float32(1)}, {}

    strategy = get_strategy(name, jax.devices()[:2])
    optimizer = OptimizerConfig(clip_norm=1.0).build()
    state = create_train_state({"w": jnp.ones((1,))}, optimizer, key=1, model_state={"seen": jnp.zeros(())})
    step, state = strategy.compile(make_train_step(loss, optimizer)), strategy.place(state)
    good = np.ones((8,), np.float32)
    state, metrics = step(state, {"x": good})
    assert float(metrics["finite"]) == 1
    before = strategy.fetch(state)
    bad = good.copy()
    bad[5] = 0 if what == "gradient" else np.inf
    state, metrics = step(state, {"x": bad})
    assert float(metrics["finite"]) == 0
    assert np.isfinite(metrics["loss"]) == (what == "gradient")
    jax.tree.map(np.testing.assert_array_equal, strategy.fetch(state), before)
    state, metrics = step(state, {"x": good})
    assert float(metrics["finite"]) == 1
    assert strategy.fetch(state).step == 2


def test_a_batch_without_weight_gives_no_gradient() -> None:
    optimizer = OptimizerConfig().build()
    state = create_train_state(mlp_params(), optimizer, key=0)
    batch = {**make_batch(0), "mask": np.zeros((16, 2), bool)}
    after, metrics = jax.jit(make_train_step(mlp_loss, optimizer))(state, batch)
    assert (float(metrics["loss"]), float(metrics["gradient_norm"]), float(metrics["finite"])) == (0, 0, 1)
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


@pytest.mark.parametrize(("name", "accumulation_steps", "calls"), [("spmd", 4, 4), ("pmap", 2, 2)])
def test_the_loss_function_carries_a_state(name: str, accumulation_steps: int, calls: int) -> None:
    strategy, optimizer = get_strategy(name, jax.devices()[:2]), OptimizerConfig().build()
    state = create_train_state(mlp_params(), optimizer, key=0, model_state={"steps": jnp.zeros((), jnp.int32)})
    step = strategy.compile(make_train_step(mlp_loss, optimizer, accumulation_steps=accumulation_steps))
    state, _ = step(strategy.place(state), make_batch(0))
    assert strategy.fetch(state).model_state == {"steps": calls}


@pytest.mark.parametrize("name", ["spmd", "pmap"])
def test_a_run_compiles_once(name: str, compilations: list[str]) -> None:
    strategy, optimizer = get_strategy(name), OPTIMIZER.build()
    step = strategy.compile(make_train_step(mlp_loss, optimizer, learning_rate=OPTIMIZER.learning_rate_at))
    state = strategy.place(create_train_state(mlp_params(), optimizer, key=0))
    compilations.clear()
    state, _ = step(state, make_batch(0))
    assert compilations
    compilations.clear()
    for i in range(1, 4):
        state, _ = step(state, make_batch(i))
    assert compilations == []


@pytest.mark.parametrize("name", ["spmd", "pmap"])
def test_evaluation_weighs_every_entry_alike(name: str) -> None:
    def loss(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
        error = jnp.where(batch["mask"], (batch["y"] - params["shift"]) ** 2, jnp.float32(0))
        return jnp.sum(error), jnp.sum(batch["mask"]), model_state, {"half": jnp.sum(error) / 2}

    strategy, optimizer = get_strategy(name), OptimizerConfig().build()
    state = create_train_state({"shift": jnp.zeros(())}, optimizer, key=0)
    state = strategy.place(state.replace(ema_params={"shift": jnp.ones(())}))
    batches = [make_batch(0, 16), make_batch(1, 8)]
    y = np.concatenate([batch["y"][batch["mask"]] for batch in batches])
    for use_ema, shift in [(True, 1), (False, 0)]:
        got = evaluate(strategy.compile_evaluation(make_eval_step(loss, use_ema=use_ema)), state, batches)
        want = {"loss": np.mean((y - shift) ** 2), "half": np.mean((y - shift) ** 2) / 2, "weight": y.size}
        assert got == pytest.approx(want, rel=1e-5)
    with pytest.raises(ValueError, match="nothing to evaluate: no batch"):
        evaluate(strategy.compile_evaluation(make_eval_step(loss)), state, [])


def test_the_initial_state_can_be_had_as_shapes() -> None:
    optimizer = OPTIMIZER.build()
    state = create_train_state(mlp_params(), optimizer, key=3)
    shapes = jax.eval_shape(lambda: create_train_state(mlp_params(), optimizer, key=3))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(lambda x: (x.shape, x.dtype), shapes)
    assert state.key.dtype == jax.random.key(0, impl="threefry2x32").dtype
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(state.replace(key=None)))


def test_what_is_asked_wrongly_is_explained() -> None:
    optimizer = OptimizerConfig().build()
    with pytest.raises(ValueError, match=r"ema_decay=1.0 must be in \[0, 1\)"):
        make_train_step(mlp_loss, optimizer, ema_decay=1.0)
    with pytest.raises(ValueError, match="accumulation_steps=0 must be 1 or more"):
        make_train_step(mlp_loss, optimizer, accumulation_steps=0)
    state = create_train_state(mlp_params(), optimizer, key=0)
    with pytest.raises(ValueError, match=r"16 rows cannot be split into accumulation_steps=3 .*multiple of 3"):
        jax.jit(make_train_step(mlp_loss, optimizer, accumulation_steps=3))(state, make_batch(0))

    def unsummed(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
        return jnp.sum(batch["x"], axis=1), jnp.float32(1), model_state, {}

    def greedy(params: dict, model_state: dict, batch: dict, keys: jax.Array) -> tuple:
        return jnp.sum(batch["x"]), jnp.float32(1), model_state, {"loss": jnp.float32(0)}

    with pytest.raises(ValueError, match=r"scalars\) are expected: {'loss_sum': \(16,\)}"):
        jax.jit(make_train_step(unsummed, optimizer))(state, make_batch(0))
    with pytest.raises(ValueError, match=r"metrics \['loss'\] have names of the step's own"):
        jax.jit(make_train_step(greedy, optimizer))(state, make_batch(0))
    with pytest.raises(ValueError, match="the batch holds no array"):
        jax.jit(make_train_step(mlp_loss, optimizer))(state, {})
