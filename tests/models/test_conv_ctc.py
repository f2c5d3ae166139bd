"""The convolutional recogniser: padding changes nothing, and pieces are read as the whole."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from tests.models.recognizers import features, random_params
from tests.tiny.models import cheap_jit
from wavejax.models.conv_ctc import PRESETS, ConvCTCConfig
from wavejax.nn.parameters import count_parameters, initial_recognizer_params

SIZES = {"channels": 6, "hidden_channels": 8, "squeeze_channels": 3, "num_blocks": 2, "kernel_size": 5}
TINY = ConvCTCConfig(local_channels=4, num_classes=5, **SIZES)
CAUSAL = dataclasses.replace(TINY, causal=True)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_one_to_two_million_parameters_under_frozen_names(name: str) -> None:
    assert golden.tree(name) == golden.read(name)
    shapes = [leaf["shape"] for leaf in golden.read(name).values()]
    assert sum(int(np.prod(shape)) for shape in shapes) == 1_666_661
    assert PRESETS[name].macs_per_frame < 500_000


@pytest.mark.parametrize("config", [TINY, CAUSAL], ids=["whole", "causal"])
def test_what_lies_past_an_utterance_changes_nothing_in_it(config: ConvCTCConfig) -> None:
    model, params = config.build(precision="highest"), {"params": random_params(config.build(), 0.4)}
    x, counts = features(3, 44), np.asarray([44, 29, 6], np.int32)
    read = cheap_jit(model.apply)
    batch = np.asarray(read(params, x, counts))
    assert batch.shape == (3, 11, 5)
    np.testing.assert_allclose(np.exp(batch).sum(-1), 1, rtol=1e-5)
    louder = x.copy()
    for row, count in enumerate(counts):
        louder[row, count:] += 7.0
    again = np.asarray(read(params, louder, counts))
    for row, count in enumerate(counts):
        frames = int(model.output_frames(count))
        np.testing.assert_array_equal(again[row, :frames], batch[row, :frames])
    # Alone and without padding it is read the same.
    alone = np.asarray(read(params, x[1:2, :29], counts[1:2]))
    np.testing.assert_allclose(alone[0], batch[1, :8], atol=2e-5)


@pytest.mark.parametrize("sizes", [(4,) * 8, (12, 4, 16)])
def test_pieces_are_read_as_the_whole(sizes: tuple[int, ...]) -> None:
    model, params = CAUSAL.build(precision="highest"), {"params": random_params(CAUSAL.build(), 0.4)}
    x = features(2, sum(sizes))
    counts = np.full(2, sum(sizes) - 3, np.int32)  # the last piece is one frame long
    whole = np.asarray(cheap_jit(model.apply)(params, x, counts))

    def advance(params: dict, state: dict, piece: jax.Array, count: jax.Array) -> tuple:
        return model.apply(params, state, piece, count, method="advance")

    program, state, read, first = cheap_jit(advance), model.initial_state(2), [], 0
    for size in sizes:
        count = np.minimum(counts - first, size).astype(np.int32)
        state, part = program(params, state, x[:, first : first + size], count)
        read.append(part)
        first += size
    np.testing.assert_allclose(np.concatenate(read, axis=1), whole, atol=2e-5)


def test_a_causal_network_hears_no_future_and_the_other_one_does() -> None:
    x, counts = features(1, 32), np.asarray([32], np.int32)
    later = x.copy()
    later[:, 16:] += 1.0
    for config, same in ((CAUSAL, True), (TINY, False)):
        model, params = config.build(), {"params": random_params(config.build(), 0.4)}
        read = cheap_jit(model.apply)
        one, other = np.asarray(read(params, x, counts))[0], np.asarray(read(params, later, counts))[0]
        assert np.array_equal(one[:4], other[:4]) == same
        assert not np.allclose(one[4:], other[4:])


def test_what_cannot_be_is_refused() -> None:
    params, x = {"params": random_params(TINY.build(), 0.4)}, jnp.asarray(features(1, 6))
    with pytest.raises(ValueError, match="this network sees the future, so it cannot read piece by piece"):
        TINY.build().apply(params, TINY.build().initial_state(1), x[:, :4], method="advance")
    with pytest.raises(ValueError, match="a piece must be a multiple of 4 frames, got 6: pad the last"):
        CAUSAL.build().apply(params, CAUSAL.build().initial_state(1), x, method="advance")
    with pytest.raises(ValueError, match=r"model\.kernel_size must be odd, got 4: use 5"):
        ConvCTCConfig(kernel_size=4)
    with pytest.raises(ValueError, match=r"model\.channels must be at least 1, got 0"):
        ConvCTCConfig(channels=0)


def test_it_starts_with_few_blanks() -> None:
    params = cheap_jit(lambda: initial_recognizer_params(TINY.build(), jax.random.key(0)))()
    assert count_parameters(params) > 0
    assert params["output_bias"].tolist() == [-2, 0, 0, 0, 0]
