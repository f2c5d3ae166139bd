"""Batch normalisation against numpy and torch, its statistics' way into the parameters, and eight devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from wavejax.nn import BatchNorm, initial_statistics, overlaid
from wavejax.parallel import get_strategy, on_each_device, sum_over_devices

SHAPE = (8, 6, 3)


def inputs(seed: int = 0) -> np.ndarray:
    """[B, T, C], every channel with a mean and a scale of its own."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=SHAPE) * [0.5, 2.0, 7.0] + [1.0, -3.0, 20.0]).astype(np.float32)


def params() -> dict:
    rng = np.random.default_rng(1)
    drawn = {"scale": rng.normal(1, 0.3, 3), "bias": rng.normal(0, 1, 3), "mean": rng.normal(0.5, 1, 3)}
    drawn["variance"] = rng.uniform(0.5, 2, 3)
    return {name: jnp.asarray(leaf, jnp.float32) for name, leaf in drawn.items()}


def train(layer: BatchNorm, variables: dict, x: np.ndarray) -> tuple[jax.Array, dict]:
    output, changed = layer.apply(variables, jnp.asarray(x), True, mutable="statistics")
    return output, changed["statistics"]


def test_in_use_it_takes_the_statistics_of_the_parameters():
    p, x = params(), inputs()
    got = BatchNorm(3).apply({"params": p}, jnp.asarray(x))
    normal = (x - np.asarray(p["mean"])) / np.sqrt(np.asarray(p["variance"]) + 1e-5)
    np.testing.assert_allclose(got, normal * np.asarray(p["scale"]) + np.asarray(p["bias"]), rtol=1e-5, atol=1e-5)


def test_in_training_it_takes_the_batchs_and_moves_the_running_ones():
    p, x = params(), inputs()
    got, statistics = train(BatchNorm(3), {"params": p}, x)
    rows = x.reshape(-1, 3).astype(np.float64)
    normal = (x - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-5)
    np.testing.assert_allclose(got, normal * np.asarray(p["scale"]) + np.asarray(p["bias"]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(statistics["mean"], 0.9 * p["mean"] + 0.1 * rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics["variance"], 0.9 * p["variance"] + 0.1 * rows.var(axis=0, ddof=1), rtol=1e-5)


def test_running_statistics_go_on_from_the_collection_and_are_used_by_an_overlay():
    layer, p, x = BatchNorm(3, momentum=0.5), params(), inputs()
    _, once = train(layer, {"params": p}, x)
    _, twice = train(layer, {"params": p, "statistics": once}, x)
    np.testing.assert_allclose(twice["mean"], 0.25 * p["mean"] + 0.75 * x.mean(axis=(0, 1)), rtol=1e-4)
    by_overlay = layer.apply({"params": overlaid(p, twice)}, jnp.asarray(x))
    by_collection = layer.apply({"params": p, "statistics": twice}, jnp.asarray(x))
    np.testing.assert_array_equal(by_overlay, by_collection)
    assert float(jnp.abs(by_overlay - layer.apply({"params": p}, jnp.asarray(x))).max()) > 0.1


def test_without_the_mutable_collection_training_returns_the_output_alone():
    layer, p, x = BatchNorm(3), params(), jnp.asarray(inputs())
    np.testing.assert_array_equal(layer.apply({"params": p}, x, True), train(layer, {"params": p}, x)[0])


@pytest.mark.parametrize("training", [False, True])
def test_no_gradient_reaches_the_statistics(training):
    gradient = jax.grad(lambda p: jnp.sum(BatchNorm(3).apply({"params": p}, jnp.asarray(inputs()), training) ** 2))
    got = gradient(params())
    assert not np.any(got["mean"])
    assert not np.any(got["variance"])
    assert np.all(np.abs(got["scale"]) > 0.1)


class Nested(nn.Module):
    """Two normalisations with a map between them."""

    @nn.compact
    def __call__(self, x, training=False):
        x = BatchNorm(3, name="first")(x, training)
        return BatchNorm(2, name="second")(nn.Dense(2, name="dense")(x), training)


def test_the_collections_paths_are_those_of_the_parameters():
    x = jnp.asarray(inputs())
    variables = Nested().init(jax.random.key(0), x, True)
    assert set(variables) == {"params"}
    p = variables["params"]
    _, changed = Nested().apply({"params": p}, x, True, mutable="statistics")
    first = initial_statistics(p)
    assert jax.tree.structure(first) == jax.tree.structure(dict(changed["statistics"]))
    assert set(first) == {"first", "second"}
    full = overlaid(p, changed["statistics"])
    assert jax.tree.structure(full) == jax.tree.structure(p)
    np.testing.assert_array_equal(full["second"]["mean"], changed["statistics"]["second"]["mean"])
    np.testing.assert_array_equal(full["dense"]["kernel"], p["dense"]["kernel"])


def test_an_empty_overlay_changes_nothing():
    p = {"first": params()}
    assert overlaid(p, {}) is p
    assert initial_statistics({"dense": {"kernel": jnp.zeros((2, 2))}}) == {}


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"other": {"mean": np.zeros(3)}}, r"hold other \(a group\), but the parameters have nothing there"),
        ({"first": {"mean": np.zeros(4)}}, r"hold first/mean \(shape \(4,\)\), but the parameters have shape \(3,\)"),
        ({"first": np.zeros(3)}, r"hold first \(shape \(3,\)\), but the parameters have a group there: they are "),
    ],
)
def test_statistics_of_another_model_are_refused(statistics, message):
    with pytest.raises(ValueError, match=message):
        overlaid({"first": params()}, statistics)


@pytest.mark.parametrize("name", ["spmd", "pmap"])
@pytest.mark.parametrize("local", [True, False], ids=["on_each_device", "global"])
def test_eight_devices_see_the_statistics_of_the_whole_batch(name, local):
    """Loss, gradients and running statistics equal those of one device without any strategy."""
    layer, x = BatchNorm(3), inputs()
    mix = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32)

    def figures(p, rows):
        def loss(p):
            output, changed = layer.apply({"params": p}, rows["x"], True, mutable="statistics")
            return jnp.sum(jnp.tanh(output) * rows["mix"]), changed["statistics"]

        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(p)
        return (*sum_over_devices((value, gradient)), statistics)

    def step(state, batch):
        return {}, (on_each_device(figures, state, batch) if local else figures(state, batch))

    batch = {"x": x, "mix": mix}
    value, gradient, statistics = figures(params(), jax.tree.map(jnp.asarray, batch))
    strategy = get_strategy(name, jax.devices()[:8])
    got = strategy.compile(step)(strategy.place(params()), batch)[1]
    np.testing.assert_allclose(got[0], value, rtol=1e-5)
    for one, other in zip(jax.tree.leaves(got[1:]), jax.tree.leaves((gradient, statistics)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_it_is_torchs_layer_in_use_and_in_training():
    torch = pytest.importorskip("torch")
    p, x = params(), inputs()
    other = torch.nn.BatchNorm1d(3)
    names = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "variance"}
    weights = {theirs: torch.tensor(np.asarray(p[ours])) for theirs, ours in names.items()}
    other.load_state_dict({**weights, "num_batches_tracked": torch.tensor(0)})
    theirs_first = torch.tensor(x.transpose(0, 2, 1).copy())
    other.eval()
    expected = other(theirs_first).detach().numpy().transpose(0, 2, 1)
    np.testing.assert_allclose(BatchNorm(3).apply({"params": p}, jnp.asarray(x)), expected, rtol=1e-5, atol=2e-5)
    other.train()
    statistics: dict = {}
    for seed in range(3):
        x = inputs(seed)
        expected = other(torch.tensor(x.transpose(0, 2, 1).copy())).detach().numpy().transpose(0, 2, 1)
        got, statistics = train(BatchNorm(3), {"params": p, "statistics": statistics}, x)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(statistics["mean"], other.running_mean.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(statistics["variance"], other.running_var.numpy(), rtol=1e-5)
