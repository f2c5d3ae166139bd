"""GRU and LSTM against a slow loop in numpy, against torch, and against plain differentiation through a scan."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.tiny.models import cheap_jit
from wavejax.nn import recurrent as layers
from wavejax.nn.recurrent import GRU, LSTM

LAYERS = {"gru": GRU, "lstm": LSTM}
LENGTHS = (1, 2, 7, 13)
CHANNELS, HIDDEN, BATCH = 3, 5, 2


def make(kind: str, length: int = 7, **options):
    """A layer, its parameters (none of them zero), and inputs [B, T, C]."""
    layer = LAYERS[kind](CHANNELS, HIDDEN, precision="highest", **options)
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(BATCH, length, CHANNELS)), jnp.float32)
    shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), x))
    return layer, jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.6, leaf.shape), leaf.dtype), shapes), x


def start(kind: str):
    """A state that is not zero."""
    rng = np.random.default_rng(2)
    parts = tuple(jnp.asarray(rng.normal(0, 0.5, (BATCH, HIDDEN)), jnp.float32) for _ in range(2))
    return parts[0] if kind == "gru" else parts


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def by_hand(kind: str, params, x, state) -> np.ndarray:
    """h of every step in float64, gate by gate and step by step."""
    p = {name: np.asarray(leaf, np.float64) for name, leaf in params["params"].items()}
    x = np.asarray(x, np.float64)

    def gate(index: int, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = slice(index * HIDDEN, (index + 1) * HIDDEN)
        given = x @ p["input_kernel"][:, at] + p["input_bias"][at]
        return given, h @ p["recurrent_kernel"][:, at] + p["recurrent_bias"][at]

    outputs = []
    h, c = (np.asarray(state, np.float64), None) if kind == "gru" else (np.asarray(part, np.float64) for part in state)
    for t in range(x.shape[1]):
        if kind == "gru":
            r, z = (sigmoid(sum(gate(index, x[:, t], h))) for index in (0, 1))
            given, recurrent = gate(2, x[:, t], h)
            n = np.tanh(given + r * recurrent)
            h = (1 - z) * n + z * h
        else:
            i, f, o = (sigmoid(sum(gate(index, x[:, t], h))) for index in (0, 1, 3))
            c = f * c + i * np.tanh(sum(gate(2, x[:, t], h)))
            h = o * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1)


def step_form(layer, params, x, state):
    """The outputs of all steps, one call of `step` for each."""
    outputs = []
    for t in range(x.shape[1]):
        state, hidden = layer.apply(params, state, x[:, t], method="step")
        outputs.append(hidden)
    return state, jnp.stack(outputs, axis=1)


@pytest.mark.parametrize("kind", sorted(LAYERS))
@pytest.mark.parametrize("length", LENGTHS)
def test_both_forms_are_the_loop_by_hand(kind, length):
    layer, params, x = make(kind, length)
    state = start(kind)
    expected = by_hand(kind, params, x, state)
    last, hidden = cheap_jit(layer.apply)(params, x, state)
    np.testing.assert_allclose(hidden, expected, atol=2e-6)
    stepped_last, stepped = cheap_jit(functools.partial(step_form, layer))(params, x, state)
    np.testing.assert_allclose(stepped, expected, atol=2e-6)
    for one, other in zip(jax.tree.leaves(last), jax.tree.leaves(stepped_last), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_a_recurrence_cut_in_two_goes_on_from_its_state(kind):
    layer, params, x = make(kind, 13)
    _, whole = layer.apply(params, x)
    state, first = layer.apply(params, x[:, :5])
    _, second = layer.apply(params, x[:, 5:], state)
    np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), whole, atol=1e-6)
    same, nothing = layer.apply(params, x[:, :0], state)
    assert nothing.shape == (BATCH, 0, HIDDEN)
    assert same is state


def plainly(kind: str, params, x, state):
    """The same layer as a scan that JAX differentiates by itself."""
    p = params["params"]
    projected = jnp.moveaxis(jnp.matmul(x, p["input_kernel"], precision="highest") + p["input_bias"][None, None], 1, 0)

    def body(carry, given):
        if kind == "gru":
            carry, _ = layers._gru_cell(carry, given, (p["recurrent_kernel"],), p["recurrent_bias"], "highest")
            return carry, carry
        h, c, _ = layers._lstm_cell(*carry, given, (p["recurrent_kernel"],), p["recurrent_bias"], "highest")
        return (h, c), h

    last, hidden = lax.scan(body, state, projected)
    return last, jnp.moveaxis(hidden, 0, 1)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_gradients_are_those_of_plain_differentiation(kind, blocks, monkeypatch):
    """Of the parameters, the inputs and the first state; the loss reads every output and all of the last state.

    A large kernel is multiplied in blocks of its columns, the last of which may be narrower.
    """
    if blocks:
        monkeypatch.setattr(layers, "_LARGE_KERNEL", 1)
        monkeypatch.setattr(layers, "_BLOCK_COLUMNS", 4)
    layer, params, x = make(kind, 11)
    mix = jnp.asarray(np.random.default_rng(3).normal(size=(BATCH, 11, HIDDEN)), jnp.float32)

    def loss(form):
        def total(params, x, state):
            last, hidden = form(params, x, state)
            return jnp.sum(mix * hidden) + sum(jnp.sum(part**2) for part in jax.tree.leaves(last))

        return cheap_jit(jax.grad(total, argnums=(0, 1, 2)))(params, x, start(kind))

    ours, plain = loss(layer.apply), loss(functools.partial(plainly, kind))
    assert min(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(plain)) > 0.01
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_bfloat16_is_close_and_its_state_stays_float32(kind):
    layer, params, x = make(kind)
    rough, _, _ = make(kind, dtype=jnp.bfloat16)
    exact = layer.apply(params, x)[1]
    last, hidden = rough.apply(params, x)
    _, stepped = step_form(rough, params, x, rough.initial_state(BATCH))
    assert {leaf.dtype for leaf in jax.tree.leaves((last, hidden, stepped))} == {jnp.dtype("float32")}
    assert 1e-4 < float(jnp.abs(hidden - exact).max()) < 0.05
    np.testing.assert_allclose(stepped, hidden, atol=0.01)


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_a_fresh_layer_keeps_the_size_of_its_state(kind):
    layer = LAYERS[kind](CHANNELS, 16)
    params = layer.init(jax.random.key(0), jnp.zeros((1, 1, CHANNELS), jnp.float32))["params"]
    for gate in jnp.split(params["recurrent_kernel"], layer.num_gates, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(16), atol=1e-5)
    biases = np.split(np.asarray(params["input_bias"]), layer.num_gates)
    assert [float(bias.mean()) for bias in biases] == ([0, 0, 0] if kind == "gru" else [0, 1, 0, 0])
    assert sorted(params) == ["input_bias", "input_kernel", "recurrent_bias", "recurrent_kernel"]


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_it_is_torchs_layer(kind):
    torch = pytest.importorskip("torch")
    layer, params, x = make(kind, 13)
    other = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](CHANNELS, HIDDEN, batch_first=True)
    names = {
        "weight_ih_l0": "input_kernel",
        "weight_hh_l0": "recurrent_kernel",
        "bias_ih_l0": "input_bias",
        "bias_hh_l0": "recurrent_bias",
    }
    weights = {theirs: torch.tensor(np.asarray(params["params"][ours]).T) for theirs, ours in names.items()}
    other.load_state_dict(weights)
    state = start(kind)
    given = tuple(torch.tensor(np.asarray(part))[None] for part in jax.tree.leaves(state))
    with torch.no_grad():
        expected, last = other(torch.tensor(np.asarray(x)), given[0] if kind == "gru" else given)
    ours, hidden = layer.apply(params, x, state)
    np.testing.assert_allclose(hidden, expected.numpy(), atol=1e-6)
    for one, part in zip(jax.tree.leaves(ours), (last,) if kind == "gru" else last, strict=True):
        np.testing.assert_allclose(one, part[0].numpy(), atol=1e-6)
