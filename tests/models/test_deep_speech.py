"""DeepSpeech: its size, its windows, and a slow form of it in numpy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from tests.models import golden
from tests.tiny.models import cheap_jit
from wavejax.models.deep_speech import DeepSpeechConfig, windows
from wavejax.nn.parameters import initial_recognizer_params


def test_it_has_the_parameters_of_mozillas() -> None:
    assert golden.tree("deep-speech") == golden.read("deep-speech")
    shapes = {name: leaf["shape"] for name, leaf in golden.read("deep-speech").items()}
    inputs, units, classes = 19 * 26, 2048, 29
    dense, lstm = units * units + units, (2 * units) * (4 * units) + 4 * units
    expected = (inputs * units + units) + 3 * dense + lstm + units * classes + classes
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == expected == 47_224_861
    assert shapes["dense_1_kernel"] == [494, 2048]
    assert "lstm/recurrent_bias" not in shapes


def test_a_window_holds_the_frames_around_a_frame() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 3)), jnp.float32)
    found = np.asarray(windows(x, jnp.asarray([7, 4], jnp.int32), 2))
    assert found.shape == (2, 7, 15)
    for row, count in enumerate((7, 4)):
        for frame in range(7):
            around = [x[row, at] if 0 <= at < count else np.zeros(3) for at in range(frame - 2, frame + 3)]
            np.testing.assert_array_equal(found[row, frame], np.concatenate(around))


def test_it_is_what_its_formulas_say() -> None:
    config = DeepSpeechConfig(local_channels=3, context=1, hidden_channels=5, num_classes=4)
    model, rng = config.build(precision="highest"), np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: initial_recognizer_params(model, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: 0.7 * rng.normal(size=leaf.shape).astype(np.float32), shapes)
    x, counts = 4 * rng.normal(size=(1, 6, 3)).astype(np.float32), np.asarray([5], np.int32)
    found = np.asarray(cheap_jit(model.apply)({"params": params}, x, counts))[0]

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    def dense(name: str, h: np.ndarray) -> np.ndarray:
        return np.clip(h @ params[f"{name}_kernel"] + params[f"{name}_bias"], 0, 20)

    hidden, memory = np.zeros(5), np.zeros(5)
    kept = np.where(np.arange(6)[:, None] < 5, x[0], 0)
    for frame in range(6):
        h = np.concatenate([kept[at] if 0 <= at < 6 else np.zeros(3) for at in range(frame - 1, frame + 2)])
        for name in ("dense_1", "dense_2", "dense_3"):
            h = dense(name, h)
        lstm = params["lstm"]
        gates = h @ lstm["input_kernel"] + lstm["input_bias"] + hidden @ lstm["recurrent_kernel"]
        take, keep, new, out = np.split(gates, 4)
        memory = sigmoid(keep) * memory + sigmoid(take) * np.tanh(new)
        hidden = sigmoid(out) * np.tanh(memory)
        logits = dense("dense_5", hidden) @ params["output_kernel"] + params["output_bias"]
        expected = logits - np.log(np.sum(np.exp(logits)))
        np.testing.assert_allclose(found[frame], expected, atol=2e-4)


def test_what_lies_past_an_utterance_changes_nothing_in_it() -> None:
    config = dataclasses.replace(DeepSpeechConfig(), local_channels=3, context=2, hidden_channels=4)
    model = config.build()
    params = {"params": cheap_jit(lambda: initial_recognizer_params(model, jax.random.key(0)))()}
    x, counts = np.random.default_rng(2).normal(size=(2, 9, 3)).astype(np.float32), np.asarray([9, 5], np.int32)
    louder = x.copy()
    louder[1, 5:] = 9
    read = cheap_jit(model.apply)
    one, other = read(params, x, counts), read(params, louder, counts)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1, :5], other[1, :5])
