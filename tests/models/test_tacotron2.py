"""Tacotron 2: the published sizes, the arithmetic in NumPy, padding that changes nothing, dropout that is an input."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conversion import networks
from tests.models import golden
from tests.tiny.models import cheap_jit
from wavejax.audio.specs import get_spec
from wavejax.checkpoints.leaves import nested
from wavejax.conversion import tacotron2
from wavejax.conversion.tacotron2_original import tacotron2 as original
from wavejax.models.tacotron2 import PRESETS, Tacotron2Config
from wavejax.nn.normalization import initial_statistics
from wavejax.nn.parameters import count_parameters

TINY = Tacotron2Config(
    num_classes=38,
    spec=dataclasses.replace(get_spec("tacotron2"), n_mels=4),
    frames_per_step=2,
    **networks.SMALL_TACOTRON2,
)
MODEL = TINY.build(precision="highest")
STATE = networks.tacotron2(TINY, nested=False)
SYMBOLS = jnp.asarray(np.random.default_rng(1).integers(1, 38, (2, 9)), jnp.int32)
COUNTS, FRAMES = jnp.asarray([9, 6], jnp.int32), jnp.asarray([13, 8], jnp.int32)
NOISE = jnp.asarray(np.random.default_rng(2).uniform(0, 1, (2, 7, TINY.noise_size)), jnp.float32)
MEL = jnp.asarray(np.random.default_rng(3).normal(0, 1, (2, 13, 4)), jnp.float32)


def variables(config: Tacotron2Config = TINY) -> dict[str, Any]:
    """Random weights in the public layout, moved by the table."""
    made: dict[str, Any] = {}
    for rule in tacotron2._rules(config, nested=False):
        made |= dict(zip(rule.targets, rule.make(*(STATE[name] for name in rule.sources)), strict=True))
    return {"params": nested({name: jnp.asarray(value) for name, value in made.items()})}


def kept(row: int, steps: int) -> np.ndarray:
    return np.asarray(NOISE[row, :steps] >= 0.5).reshape(steps, 2, -1)


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_have_frozen_names(name: str) -> None:
    assert golden.tree(name) == golden.read(name)


def test_the_published_network_has_28_193_153_parameters() -> None:
    """NVIDIA's count, which leaves the running statistics out; the small one has 2 to 4 million."""
    counts = {}
    for name in PRESETS:
        shapes: Any = nested({p: jax.ShapeDtypeStruct(leaf["shape"], "f4") for p, leaf in golden.read(name).items()})
        counts[name] = count_parameters(shapes) - count_parameters(initial_statistics(shapes))
    assert counts["tacotron2"] == 28_193_153
    assert 2_000_000 < counts["tacotron-16k-small"] < 4_000_000


def test_speech_is_that_of_the_public_arithmetic() -> None:
    """Free running under the same dropout, every step's frames, gate and attention; float32 beside float64."""
    speak = cheap_jit(lambda noise: MODEL.apply(variables(), SYMBOLS[:1], COUNTS[:1], noise, 2.0, method="speak"))
    said, wanted = speak(NOISE[:1]), original(STATE, np.asarray(SYMBOLS[0]), kept(0, 7), 4)
    for name in ("draft", "mel", "gates", "attention"):
        np.testing.assert_allclose(getattr(said, name)[0], getattr(wanted, name), atol=1e-5, err_msg=name)
    assert wanted.attention.max() < 0.9, "attention is somewhere between"
    assert np.std(wanted.mel - wanted.draft) > 0.1, "the postnet matters"
    assert int(said.num_steps[0]) == 7


def test_given_frames_are_read_as_in_the_public_arithmetic_whatever_the_padding() -> None:
    read = cheap_jit(lambda symbols, mel: MODEL.apply(variables(), symbols, COUNTS, mel, FRAMES, NOISE))
    said = read(SYMBOLS, MEL)
    assert said.mel.shape == (2, 13, 4)
    assert said.num_steps.tolist() == [7, 4]
    teacher = np.asarray(MEL[1, :8]).reshape(4, 8)
    wanted = original(STATE, np.asarray(SYMBOLS[1, :6]), kept(1, 4), 4, teacher)
    np.testing.assert_allclose(said.draft[1, :8], wanted.draft, atol=1e-5)
    np.testing.assert_allclose(said.mel[1, :8], wanted.mel, atol=1e-5)
    np.testing.assert_allclose(said.gates[1, :4], wanted.gates, atol=1e-5)
    np.testing.assert_allclose(said.attention[1, :4, :6], wanted.attention, atol=1e-5)
    other, louder = SYMBOLS.at[1, 6:].set(3), MEL.at[1, 8:].set(9.0)
    again = read(other, louder)
    np.testing.assert_array_equal(again.mel[1, :8], said.mel[1, :8])
    np.testing.assert_array_equal(again.attention[1, :4], said.attention[1, :4])
    assert not np.any(said.attention[1, :, 6:])


def test_each_step_reads_the_steps_before_it_only() -> None:
    read = cheap_jit(lambda mel: MODEL.apply(variables(), SYMBOLS, COUNTS, mel, FRAMES, NOISE))
    one, two = read(MEL), read(MEL.at[0, 6:].add(1))
    np.testing.assert_array_equal(one.draft[0, :8], two.draft[0, :8])
    assert np.abs(one.draft[0, 8:] - two.draft[0, 8:]).max() > 1e-3


def test_a_sentence_ends_with_the_step_whose_gate_says_so() -> None:
    speak = cheap_jit(lambda threshold: MODEL.apply(variables(), SYMBOLS, COUNTS, NOISE, threshold, method="speak"))
    whole = speak(np.float32(2.0))
    chances = 1 / (1 + np.exp(-np.asarray(whole.gates)))
    threshold = np.float32(np.sort(chances.ravel())[-3] - 1e-4)
    said = speak(threshold)
    for row in range(2):
        over = np.flatnonzero(chances[row] > threshold)
        steps = over[0] + 1 if len(over) else 7
        assert int(said.num_steps[row]) == steps
        np.testing.assert_array_equal(said.draft[row, : 2 * steps], whole.draft[row, : 2 * steps])
        assert not np.any(said.attention[row, steps:])


def test_the_noise_decides_which_units_stay() -> None:
    speak = cheap_jit(lambda noise: MODEL.apply(variables(), SYMBOLS, COUNTS, noise, 2.0, method="speak").mel)
    same = jnp.where(NOISE < 0.5, jnp.float32(0.1), jnp.float32(0.9))
    np.testing.assert_array_equal(speak(NOISE), speak(same))
    assert np.abs(speak(NOISE) - speak(1 - same)).max() > 1e-2


def test_offset_and_scale_are_of_the_features_alone() -> None:
    moved = dataclasses.replace(TINY, offset=-6.0, scale=0.4).build(precision="highest")
    given = (SYMBOLS, COUNTS, MEL, FRAMES, NOISE)
    plain = cheap_jit(MODEL.apply)(variables(), *given)
    other = cheap_jit(moved.apply)(variables(), SYMBOLS, COUNTS, MEL / np.float32(0.4) - 6, FRAMES, NOISE)
    for name in ("draft", "mel"):
        np.testing.assert_allclose((getattr(other, name) + 6) * 0.4, getattr(plain, name), atol=2e-5)
    np.testing.assert_allclose(other.attention, plain.attention, atol=1e-5)


def test_training_drops_states_and_takes_the_statistics_of_the_batch_without_its_padding() -> None:
    keys = jax.random.split(jax.random.key(0), 2)
    read = cheap_jit(
        lambda symbols, mel: MODEL.apply(variables(), symbols, COUNTS, mel, FRAMES, NOISE, keys, mutable=["statistics"])
    )
    said, changed = read(SYMBOLS, MEL)
    other, louder = SYMBOLS.at[1, 6:].set(3), MEL.at[1, 8:].set(9.0)
    again, also_changed = read(other, louder)
    np.testing.assert_array_equal(again.mel[1, :8], said.mel[1, :8])
    for one, two in zip(jax.tree.leaves(changed), jax.tree.leaves(also_changed), strict=True):
        np.testing.assert_array_equal(one, two)
    quiet = cheap_jit(MODEL.apply)(variables(), SYMBOLS, COUNTS, MEL, FRAMES, NOISE)
    assert np.abs(quiet.draft - said.draft).max() > 1e-2
    bare = dataclasses.replace(TINY, state_dropout=0.0, convolution_dropout=0.0).build(precision="highest")
    without, _ = bare.apply(variables(), SYMBOLS, COUNTS, MEL, FRAMES, NOISE, keys, mutable=["statistics"])
    assert np.abs(without.draft - said.draft).max() > 1e-2


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"kernel_size": 4}, r"model\.kernel_size must be odd, got 4: use 5"),
        ({"location_kernel_size": 30}, r"model\.location_kernel_size must be odd, got 30: use 31"),
        ({"encoder_channels": 33}, r"model\.encoder_channels must be even, a half for each direction, got 33: use 34"),
        ({"frames_per_step": 0}, r"model\.frames_per_step must be at least 1"),
    ],
)
def test_sizes_are_checked(sizes: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Tacotron2Config(**sizes)
