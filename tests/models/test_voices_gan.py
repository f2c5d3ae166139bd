"""Our MuseGAN: what the critic hears, draws whose gradient passes, sizes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavejax.distributions import ScoreCodes
from wavejax.evaluation import music
from wavejax.models.voices_gan import PRESETS, Players, VoicesConfig, heard, sounding, straight_through
from wavejax.nn.parameters import count_parameters
from wavejax.nn.voices_in_turn import VoicesInTurn

SMALL = VoicesConfig(lowest=50, highest=65, bars=2, noise_size=3, channels=4, critic_channels=4)
IN_TURN = dataclasses.replace(SMALL, in_turn=True)


def phrases(codes: np.ndarray, config: VoicesConfig = SMALL) -> jax.Array:
    """Codes [B, T, V] as one class of each voice and step."""
    classes = np.where(codes <= 0, -codes, codes - (config.lowest - 2))
    return jnp.asarray(np.eye(config.num_classes, dtype=np.float32)[classes])


def random_codes(seed: int = 0, rows: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (rows, SMALL.num_steps, SMALL.num_voices)
    pitch, kind = rng.integers(SMALL.lowest, SMALL.highest + 1, shape), rng.random(shape)
    return np.where(kind < 0.7, -1, np.where(kind < 0.8, 0, pitch))


def drawn_by(players: Players, rows: int) -> tuple[jax.Array, jax.Array]:
    """(noise, keys) of some phrases."""
    keys = jax.random.split(jax.random.key(1), rows)
    return players.noise(keys), keys


def test_what_sounds_is_what_the_figures_of_music_say():
    codes = random_codes()
    found = np.asarray(sounding(phrases(codes)))
    for row, piece in zip(found, codes, strict=True):
        pitch = np.where(row.any(axis=-1), row.argmax(axis=-1) + SMALL.lowest, 0)
        np.testing.assert_array_equal(pitch, music.sounding(piece))
    assert set(np.unique(found)) == {0.0, 1.0}


def test_the_critic_hears_intervals_whatever_the_key():
    codes = random_codes(1)
    codes = np.where(codes > 0, np.minimum(codes, SMALL.highest - 5), codes)
    moved = np.where(codes > 0, codes + 5, codes)
    one, other = (np.asarray(heard(phrases(each), SMALL.lowest)) for each in (codes, moved))
    voices, pitches = SMALL.num_voices, SMALL.num_pitches
    first = voices * (2 + pitches + 1)
    np.testing.assert_array_equal(one[..., first:-12], other[..., first:-12])  # motion and intervals
    np.testing.assert_array_equal(np.roll(one[..., -12:], 5, axis=-1), other[..., -12:])  # pitch classes
    assert (one[..., first - voices : first] != other[..., first - voices : first]).any()
    pitch = music.sounding(codes[0])
    step = int(np.flatnonzero((pitch[:, :2] > 0).all(axis=1))[0])
    interval = one[0, step, first + 12 * voices : first + 12 * voices + 12]
    assert interval.argmax() == (pitch[step, 1] - pitch[step, 0]) % 12
    assert interval.sum() == 1


def test_the_critic_is_told_of_crossed_voices_and_parallels():
    codes = random_codes(4, rows=20)
    plain = np.asarray(heard(phrases(codes), SMALL.lowest))
    told = np.asarray(heard(phrases(codes), SMALL.lowest, voice_leading=True))
    np.testing.assert_array_equal(told[..., : plain.shape[-1]], plain)
    crossed = (told[..., plain.shape[-1] :: 3] > 1e-6).any(axis=-1)
    grid = music.Grid(steps_per_beat=4, steps_per_bar=16)
    for row, piece in zip(crossed, codes, strict=True):
        both = (music.sounding(piece) > 0).sum(axis=1) > 1
        assert row[both].mean() == pytest.approx(music.voice_crossing(piece, grid))

    def parallels(*steps: tuple[int, int]) -> tuple[float, float]:
        """(octaves, fifths) of soprano and alto, as the critic and as the figures of music count them."""
        piece = np.zeros((1, SMALL.num_steps, SMALL.num_voices), int)
        piece[0, : len(steps), :2] = steps
        found = np.asarray(heard(phrases(piece), SMALL.lowest, voice_leading=True))[0, :, plain.shape[-1] :]
        assert found[:, 1:3].sum() == 2 * music.parallels(piece[0], grid)
        return float(found[:, 1].sum()), float(found[:, 2].sum())

    assert parallels((57, 50), (59, 52), (60, 53)) == (0, 2)  # fifths, up and up
    assert parallels((62, 50), (64, 52), (64, 52)) == (1, 0)  # octaves, and then they stand
    assert parallels((55, 50), (57, 52)) == (0, 0)  # fourths
    assert parallels((57, 50), (57, 50), (57, 52)) == (0, 0)


def test_both_players_together_have_less_than_a_million_parameters():
    players = PRESETS["musegan-chorales"].build()
    generator, critic = jax.eval_shape(lambda: players.initial_params(jax.random.key(0)))
    assert count_parameters(generator) == 442_508
    assert count_parameters(critic) == 245_425


def test_an_experiment_of_before_draws_all_codes_at_once():
    generator = jax.eval_shape(lambda: VoicesConfig().build().initial_params(jax.random.key(0)))[0]
    assert count_parameters(generator) == 223_248
    assert "heads" not in generator


@pytest.mark.parametrize("config", [SMALL, IN_TURN], ids=["at once", "in turn"])
def test_before_training_three_codes_in_four_hold(config):
    players = config.build()
    params = players.initial_params(jax.random.key(0))[0]
    logits = players.draw(params, *drawn_by(players, 4))[1]
    assert logits.shape == (4, 32, 4, 18)
    held = np.asarray(jax.nn.softmax(logits)[..., 1])
    assert 0.6 < held.mean() < 0.95


def _drawn_in_turn() -> tuple[dict, np.ndarray, np.ndarray, np.ndarray]:
    """(parameters, none of which is zero, classes, logits, Gumbel noise) of eight phrases."""
    players = IN_TURN.build()
    params = players.initial_params(jax.random.key(0))[0]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.3 * rng.standard_normal(leaf.shape).astype(np.float32), params)
    drawn = players.draw(params, *drawn_by(players, 8))
    return (params, *map(np.asarray, drawn))


def test_codes_drawn_in_turn_have_the_logits_that_all_have_at_once():
    """The scan that draws and the products through which the gradient passes are one distribution."""
    _, classes, logits, gumbel = _drawn_in_turn()
    np.testing.assert_array_equal(np.argmax(logits + gumbel, axis=-1), classes)
    assert len(np.unique(classes)) == IN_TURN.num_classes


@pytest.mark.parametrize("config", [SMALL, IN_TURN], ids=["at once", "in turn"])
def test_temperature_1_changes_nothing_and_0_takes_the_most_probable(config):
    players = config.build()
    params, given = players.initial_params(jax.random.key(0))[0], drawn_by(players, 8)
    plain = players.draw(params, *given)[0]
    np.testing.assert_array_equal(plain, players.draw(params, *given, jnp.float32(1))[0])
    cold, logits, _ = players.draw(params, *given, jnp.float32(0))
    again = players.draw(params, given[0], given[1][::-1], jnp.float32(0))[0]
    np.testing.assert_array_equal(cold, again)  # whatever the keys
    np.testing.assert_array_equal(cold, ScoreCodes(num_classes=config.num_classes).mode(logits))
    cool = players.draw(params, *given, jnp.float32(0.5))[0]
    assert (cool != plain).any()


def test_nothing_is_held_that_does_not_sound():
    _, classes, logits, _ = _drawn_in_turn()
    codes = np.where(classes < 2, -classes, classes + IN_TURN.lowest - 2)
    silent = np.stack([music.sounding(piece) for piece in codes])[:, :-1] == 0
    assert (classes[:, 0] != 1).all()
    assert (classes[:, 1:][silent] != 1).all()
    assert (logits[:, 1:][silent][:, 1] < -1e8).all()


def test_a_code_depends_on_what_was_drawn_before_it_and_on_nothing_later():
    """As far as a step: on all voices at the step before, and on the voices above at its own."""
    params, classes, *_ = _drawn_in_turn()
    players = IN_TURN.build()
    plan = players.generator.apply({"params": params}, jnp.ones((8, 3)), method="_plan")
    told = {"params": params["heads"]}
    heads = VoicesInTurn(IN_TURN.num_voices, IN_TURN.coding, IN_TURN.channels // 2, IN_TURN.channels)
    of = jax.jit(lambda codes: heads.apply(told, plan, codes, method="logits"))
    before = np.asarray(of(classes))
    for step, voice in ((3, 0), (3, 2), (7, 3)):
        changed = np.array(classes)
        changed[:, step, voice] = np.where(classes[:, step, voice] == 9, 12, 9)  # another pitch is struck
        after = np.asarray(of(changed))
        moved = np.abs(after - before).max(axis=(0, 3)) > 0
        assert not moved[:step].any()
        assert not moved[step, : voice + 1].any()
        assert moved[step, voice + 1 :].all()
        assert moved[step + 1].all()


def test_crossing_and_parallel_fifths_begin_with_a_low_worth():
    heads = VoicesInTurn(2, IN_TURN.coding, 2, 4)
    plan, codes = jnp.zeros((1, 2, 2)), jnp.asarray([[[9, 2], [11, 2]]])  # a fifth apart; the upper one moves a tone
    params = heads.init(jax.random.key(0), plan, codes, method="logits")["params"]
    params = {name: leaf if name.endswith("bias") else jnp.zeros_like(leaf) for name, leaf in params.items()}
    lower = np.asarray(heads.apply({"params": params}, plan, codes, method="logits"))[0, :, 1, 2:]
    np.testing.assert_array_equal(lower[0], np.where(np.arange(16) > 7, -3.0, 0.0))  # no motion yet
    expected = np.where(np.arange(16) > 9, -3.0, 0.0)
    expected[2] = -4.0  # the fifth again, in the same direction
    expected[14] -= 4.0  # and an octave above it
    np.testing.assert_array_equal(lower[1], expected)


def test_the_gradient_reaches_all_that_draws():
    players = IN_TURN.build()
    params = _drawn_in_turn()[0]
    weights = jax.random.normal(jax.random.key(5), (4, IN_TURN.num_steps, IN_TURN.num_voices, IN_TURN.num_classes))
    keys = jax.random.split(jax.random.key(2), 4)
    slopes = jax.grad(lambda params: jnp.sum(weights * players.fake(params, {}, keys)[0]))(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(slopes):
        assert float(jnp.abs(leaf).max()) > 0, path


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"within 1 \.\. 127, got 60 and 50: give MIDI numbers"):
        VoicesConfig(lowest=60, highest=50)
    with pytest.raises(ValueError, match="voices must be one or more different names"):
        VoicesConfig(voices=("a", "a"))
    with pytest.raises(ValueError, match="bars must be at least 1, got 0"):
        VoicesConfig(bars=0)
    with pytest.raises(ValueError, match="critic_channels must be even"):
        VoicesConfig(critic_channels=7)


def test_draws_are_those_of_the_softmax_and_its_gradient_passes():
    logits = jnp.log(jnp.asarray([[0.5, 0.3, 0.2]]))
    noise = jax.random.uniform(jax.random.key(1), (20_000, 3), minval=1e-6)
    perturbed = logits - jnp.log(-jnp.log(noise))
    drawn = straight_through(perturbed, jnp.argmax(perturbed, axis=-1))
    np.testing.assert_allclose(drawn.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(np.sort(drawn, axis=-1)[:, :2], 0, atol=1e-6)
    np.testing.assert_allclose(drawn.mean(axis=0), [0.5, 0.3, 0.2], atol=0.015)  # four standard deviations
    slope = jax.grad(lambda x: straight_through(x + perturbed[:1], jnp.asarray([0]))[0, 0])(logits)
    assert float(jnp.abs(slope).max()) > 0.01
