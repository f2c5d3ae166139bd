"""The parallel speaker: padding changes nothing, frames follow their symbols, what is asked for is heard."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from tests.tiny.models import cheap_jit
from wavejax.audio.specs import get_spec
from wavejax.models.parallel_speaker import (
    PRESETS,
    Melody,
    ParallelSpeakerConfig,
    Prosody,
    bands_of,
    initial_speaker_params,
    interpolated,
    regulated,
)

TINY = ParallelSpeakerConfig(
    num_classes=7,
    spec=dataclasses.replace(get_spec("speech-16k"), n_mels=5),
    channels=6,
    hidden_channels=8,
    num_encoder_blocks=2,
    num_prosody_blocks=1,
    decoder_channels=4,
    decoder_hidden_channels=8,
    num_decoder_blocks=2,
    num_melody_blocks=1,
    melody_hidden_channels=4,
    kernel_size=3,
)
SYMBOLS = jnp.asarray([[1, 2, 3, 4, 5, 6], [2, 4, 6, 1, 0, 0]], np.int32)
COUNTS = jnp.asarray([6, 4], np.int32)
DURATIONS = jnp.asarray([[2, 3, 0, 1, 4, 2], [1, 2, 2, 3, 0, 0]], np.int32)


def random_params(config: ParallelSpeakerConfig) -> Any:
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: initial_speaker_params(config.build(), jax.random.key(0)))
    return {"params": jax.tree.map(lambda leaf: jnp.asarray(0.4 * rng.normal(size=leaf.shape), jnp.float32), shapes)}


def given(rows: int) -> Prosody:
    rng = np.random.default_rng(1)
    values = [jnp.asarray(rng.normal(size=(rows, 6)), jnp.float32) for _ in range(3)]
    voiced = jnp.asarray(rng.integers(0, 2, (rows, 6)), jnp.float32)
    return Prosody(log_durations=values[0], log_pitch=values[1], voicing=voiced, energy=values[2])


def sung(rows: int, frames: int) -> Melody:
    rng = np.random.default_rng(2)
    voiced = jnp.asarray(rng.integers(0, 2, (rows, frames)), jnp.float32)
    return Melody(log_pitch=jnp.asarray(rng.normal(size=(rows, frames)), jnp.float32), voicing=voiced)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_two_million_parameters_under_frozen_names(name: str) -> None:
    assert golden.tree(name) == golden.read(name)
    shapes = [leaf["shape"] for leaf in golden.read(name).values()]
    assert 1_500_000 < sum(int(np.prod(shape)) for shape in shapes) < 6_000_000
    config = PRESETS[name]
    assert config.macs_per_frame + config.macs_per_symbol / 6 < 800_000


def test_what_lies_past_an_utterance_changes_nothing_in_it() -> None:
    model, params = TINY.build(precision="highest"), random_params(TINY)
    read, melody = cheap_jit(model.apply), sung(2, 14)
    said, bent, mel = read(params, SYMBOLS, COUNTS, DURATIONS, given(2), melody)
    assert mel.shape == (2, 14, 5)
    other = SYMBOLS.at[1, 4:].set(3)
    again_said, again_bent, again = read(params, other, COUNTS, DURATIONS, given(2), melody)
    np.testing.assert_array_equal(bent.log_pitch[1, :8], again_bent.log_pitch[1, :8])
    np.testing.assert_array_equal(mel[1, :8], again[1, :8])
    for one, two in zip(said, again_said, strict=True):
        np.testing.assert_array_equal(one[1, :4], two[1, :4])
    alone = Prosody(*(each[1:, :4] for each in given(2)))
    own = Melody(*(each[1:, :8] for each in melody))
    said_alone, bent_alone, mel_alone = read(params, SYMBOLS[1:, :4], COUNTS[1:], DURATIONS[1:, :4], alone, own)
    np.testing.assert_allclose(bent_alone.log_pitch[0], bent.log_pitch[1, :8], atol=2e-4)
    np.testing.assert_allclose(mel_alone[0], mel[1, :8], atol=2e-4)
    np.testing.assert_allclose(said_alone.energy[0], said.energy[1, :4], atol=2e-4)


def test_frames_follow_their_symbols() -> None:
    where, places = regulated(DURATIONS, 14)
    assert where[0].tolist() == [0, 0, 1, 1, 1, 3, 4, 4, 4, 4, 5, 5, 5, 5]
    assert where[1, :8].tolist() == [0, 1, 1, 2, 2, 3, 3, 3]
    np.testing.assert_allclose(places[0, 2:5, 0], [1 / 6, 3 / 6, 5 / 6], rtol=1e-6)
    np.testing.assert_allclose(places[0, 2:5, 1], [5 / 6, 3 / 6, 1 / 6], rtol=1e-6)
    np.testing.assert_allclose(places[0, 6:10, 2], [0, 0.1, 0.2, 0.3], atol=1e-6)


def test_melody_is_a_line_between_the_middles_of_symbols() -> None:
    durations = jnp.asarray([[2, 0, 4, 2, 0]], jnp.int32)
    values = jnp.asarray([[[0.0], [9.0], [3.0], [0.0], [9.0]]])  # those that take no time do not count
    found = interpolated(values, durations, regulated(durations, 8)[0])[0, :, 0]
    middles = [1.0, 4.0, 7.0]
    np.testing.assert_allclose(found, np.interp(np.arange(8) + 0.5, middles, [0.0, 3.0, 0.0]), atol=1e-6)


def test_energy_is_the_mean_over_a_symbols_frames() -> None:
    model, mel = TINY.build(), np.log(np.random.default_rng(0).uniform(0.1, 1, (1, 12, 5))).astype(np.float32)
    found = np.asarray(model.energy_of(jnp.asarray(mel), DURATIONS[:1]))[0]
    level = (np.log(np.exp(mel[0]).mean(-1)) - TINY.offset) * TINY.scale
    expected = [level[:2].mean(), level[2:5].mean(), 0.0, level[5], level[6:10].mean(), level[10:12].mean()]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_pitch_in_units_and_where_there_is_none() -> None:
    model = TINY.build()
    found = model.to_units(jnp.asarray([[0.0, 200.0, 200.0 * float(np.exp(0.25)), 100.0, 0.0, 0.0]]))
    np.testing.assert_allclose(found[0, :4], [0.0, 0.0, 1.0, -np.log(2) / 0.25], atol=1e-5)


def test_an_unvoiced_symbol_has_no_pitch() -> None:
    model, params, prosody = TINY.build(), random_params(TINY), given(1)
    silent = prosody._replace(voicing=jnp.zeros((1, 6)))
    encoded, _ = model.apply(params, SYMBOLS[:1], COUNTS[:1], method="encode")
    decode = cheap_jit(lambda said: model.apply(params, encoded, DURATIONS[:1], said, 12, method="decode"))
    np.testing.assert_array_equal(decode(silent), decode(silent._replace(log_pitch=prosody.log_pitch + 3)))
    assert np.abs(decode(prosody) - decode(prosody._replace(log_pitch=prosody.log_pitch + 3))).max() > 1e-3


def test_an_unvoiced_frame_has_no_pitch_and_a_voiced_one_a_comb() -> None:
    model, params, melody = TINY.build(), random_params(TINY), sung(1, 12)
    read = cheap_jit(
        lambda given_melody: model.apply(params, SYMBOLS[:1], COUNTS[:1], DURATIONS[:1], given(1), given_melody)[2]
    )
    silent = melody._replace(voicing=jnp.zeros((1, 12)))
    np.testing.assert_array_equal(read(silent), read(silent._replace(log_pitch=melody.log_pitch + 1)))
    one = melody._replace(voicing=jnp.ones((1, 12)))
    assert np.abs(read(one) - read(one._replace(log_pitch=melody.log_pitch + 1))).max() > 1e-3


def test_the_comb_is_what_bands_show_of_a_tone_with_all_harmonics() -> None:
    config = PRESETS["heart-16k"]
    centres, widths = bands_of(config.spec)
    assert np.all(np.diff(centres) > 0)
    f0, model = 210.0, config.build()
    melody = Melody(model.to_units(jnp.full((1, 1), f0)), jnp.ones((1, 1)))
    comb = np.asarray(model.apply({}, melody, method="_comb"))[0, 0, : len(centres)]
    hertz = np.arange(0, 8000, 1.0)
    comb_of_hertz = np.cos(2 * np.pi * hertz / f0)
    triangles = np.maximum(1 - np.abs(hertz[:, None] - centres) / widths, 0)
    expected = (triangles * comb_of_hertz[:, None]).sum(0) / triangles.sum(0)
    np.testing.assert_allclose(comb[2:-2], expected[2:-2], atol=0.03)
    assert np.abs(comb).max() > 0.8


def test_speakers_are_told_apart() -> None:
    config = dataclasses.replace(TINY, num_speakers=2)
    model, params = config.build(), random_params(config)
    encode = cheap_jit(lambda speaker: model.apply(params, SYMBOLS, COUNTS, speaker, method="encode")[0])
    assert np.abs(encode(jnp.asarray([0, 0])) - encode(jnp.asarray([1, 0])))[0].max() > 1e-3
    with pytest.raises(ValueError, match="the model tells 2 speakers apart: say which one speaks"):
        model.apply(params, SYMBOLS, COUNTS, method="encode")


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.kernel_size must be odd, got 4: use 5"):
        dataclasses.replace(TINY, kernel_size=4)
    with pytest.raises(ValueError, match=r"model\.dropout must be at least 0 and below 1, got 1\.0"):
        dataclasses.replace(TINY, dropout=1.0)
