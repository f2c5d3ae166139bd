"""Figures of music: each on a piece where its value is known, and constant and empty bars caught by its neighbour."""

import itertools

import numpy as np
import pytest

from wavejax.evaluation import music
from wavejax.evaluation.music import MEASURES, Grid
from wavejax.evaluation.music_report import (
    HELD_OUT,
    MARKOV_CHAIN,
    MusicReport,
    closer_figures,
    distances_to_held_out,
    judge_pieces,
)
from wavejax.evaluation.music_rivals import BarsInARow, ChordChain, independent_codes, struck_anew

GRID = Grid(steps_per_beat=4, steps_per_bar=16)
CHORDS = ((72, 67, 64, 48), (72, 69, 65, 53), (71, 67, 62, 55), (72, 67, 64, 48))
"""C, F, G, C: no parallels, no crossing, all in C major."""


def chorale(bars: int = 4, shift: int = 0) -> np.ndarray:
    """Codes of `CHORDS`, one a beat, each note held for its beat."""
    codes = np.full((16 * bars, 4), -1, np.int16)
    codes[::4] = [np.asarray(CHORDS[beat % 4]) + shift for beat in range(4 * bars)]
    return codes


def held(bars: int = 4) -> np.ndarray:
    """One chord, struck once."""
    codes = np.full((16 * bars, 4), -1, np.int16)
    codes[0] = CHORDS[0]
    return codes


EMPTY = np.zeros((64, 4), np.int16)


def test_holds_sound_on_until_something_happens():
    codes = np.asarray([[-1], [60], [-1], [0], [-1], [62]])
    np.testing.assert_array_equal(music.sounding(codes)[:, 0], [0, 60, 60, 0, 0, 62])
    np.testing.assert_array_equal(music.note_lengths(codes), [2, 1])


@pytest.mark.parametrize("shift", [0, 1, 5, 11])
def test_the_key_is_found_in_any_transposition(shift):
    assert music.key_of(chorale(shift=shift)) == shift % 12
    minor = np.where(np.isin(chorale() % 12, [4, 9, 11]) & (chorale() > 0), chorale() - 1, chorale())
    assert music.key_of(np.where(minor > 0, minor + shift, minor)) == 12 + shift
    assert music.key_of(EMPTY) == 0


def test_each_measure_on_four_chords():
    found = music.measure(chorale(), GRID)
    assert found["empty_bars"] == 0
    assert found["used_pitch_classes"] == np.mean([2, 2, 3, 3])  # c b, g a, e f d, c f g
    assert found["qualified_notes"] == 1
    assert found["notes_per_beat"] == 1
    assert found["in_key"] == 1
    assert found["parallels"] == 0
    assert found["voice_crossing"] == 0
    assert found["chord_changes"] == (3 * 4) / 4  # the bars join on the same chord
    assert found["self_similarity"] == 1
    assert found["distinct_bars"] == 0.25


def test_qualified_notes_count_short_ones():
    codes = np.asarray([[60], [62], [-1], [-1], [64], [65]])
    assert music.qualified_notes(codes, GRID) == 0.25
    assert np.isnan(music.qualified_notes(EMPTY, GRID))


def test_notes_outside_the_key_are_seen():
    codes = chorale()
    codes[0, 1] = 66  # f sharp for a beat, 4 of 256 steps
    assert music.in_key(codes, GRID) == 1 - 4 / 256


def test_parallel_fifths_and_octaves_are_counted_and_nothing_else():
    fifths = np.asarray([[67, 60], [69, 62], [69, 62], [67, 62], [74, 67]])  # parallel, held, oblique, parallel
    assert music.parallels(fifths, Grid(steps_per_beat=1, steps_per_bar=5)) == 1
    octaves = np.asarray([[72, 60], [74, 62], [76, 64]])
    assert music.parallels(octaves, Grid(steps_per_beat=1, steps_per_bar=3)) == 2
    contrary = np.asarray([[67, 60], [69, 50]])  # a fifth, and in contrary motion a twelfth
    assert music.parallels(contrary, Grid(steps_per_beat=1, steps_per_bar=2)) == 0
    sixths = np.asarray([[69, 60], [71, 62]])
    assert music.parallels(sixths, Grid(steps_per_beat=1, steps_per_bar=2)) == 0


def test_crossed_voices_are_seen():
    assert music.voice_crossing(np.asarray([[60, 62], [64, 60], [0, 60], [60, 59]]), GRID) == 1 / 3


def test_tonal_distance_is_none_of_a_unison_and_largest_of_what_is_far_on_the_circle_of_fifths():
    def distance(interval: int) -> float:
        return music.tonal_distance(np.full((4, 2), [60 + interval, 60]), GRID)

    assert distance(0) == distance(12) == 0
    assert distance(7) < distance(2) < distance(6)
    assert np.isnan(music.tonal_distance(EMPTY, GRID))


def test_similarity_and_distinct_bars_tell_repeats():
    codes = np.concatenate([chorale(1), chorale(1), chorale(1, shift=2)])
    assert music.distinct_bars(codes, GRID) == 2 / 3
    assert music.self_similarity(codes, GRID) == 1 / 3


def satisfies(value: float, target: np.ndarray, better: float) -> bool:
    """Whether a value lies within the held-out pieces' range, or beyond it on the side that looks good."""
    low, high = np.nanmin(target), np.nanmax(target)
    return bool(low <= value <= high) or (better > 0 and value > high) or (better < 0 and value < low)


BETTER = {"empty_bars": -1, "qualified_notes": 1, "in_key": 1, "tonal_distance": -1, "parallels": -1}
BETTER |= {"voice_crossing": -1, "self_similarity": 1, "distinct_bars": 1}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("bad", ["held", "empty"])
def test_what_a_constant_or_empty_bar_satisfies_stands_beside_what_it_fails(name, bad):
    """Real pieces are chords of changing rhythm and order; the figures of the bad piece are compared with theirs."""
    rng = np.random.default_rng(0)
    real = []
    for _ in range(6):
        codes = chorale(6)
        for beat in range(24):
            codes[4 * beat] = CHORDS[rng.integers(3)]
            codes[4 * beat + 2, rng.integers(4)] = codes[4 * beat, 0]  # an eighth, now and then a crossing one
        real.append(music.measure(codes, GRID))
    piece = music.measure(held() if bad == "held" else EMPTY, GRID)

    def good(each: str) -> bool:
        target = np.asarray([row[each] for row in real])
        return bool(np.isfinite(piece[each])) and satisfies(piece[each], target, BETTER.get(each, 0))

    if good(name):
        beside = MEASURES[name].beside
        assert beside, f"a {bad} piece does well in {name}, and nothing stands beside it"
        assert not good(beside), f"a {bad} piece does well in {name} and in {beside} beside it"


def test_key_coverage_counts_keys_that_are_equally_frequent():
    assert music.key_coverage([chorale(shift=shift) for shift in range(4)]) == pytest.approx(4)
    assert music.key_coverage([chorale()] * 5) == pytest.approx(1)


def test_a_copy_is_found_in_any_transposition():
    rng = np.random.default_rng(1)
    training = [np.concatenate([chorale(2, shift=int(rng.integers(5))) for _ in range(3)]) for _ in range(3)]
    copies = music.nearest_phrase([chorale(4, shift=6)], training, GRID)
    assert copies.shape == (2,)
    np.testing.assert_allclose(copies, 0, atol=1e-6)
    changed = chorale(2, shift=6)
    changed[4:8, 2] = [50, -1, -1, -1]
    np.testing.assert_allclose(music.nearest_phrase([changed], training, GRID), 4 / 128, atol=1e-6)
    noise = rng.integers(40, 80, (32, 4))
    assert music.nearest_phrase([noise], training, GRID)[0] > 0.5


def test_rivals_are_what_they_are_called():
    training = [chorale(6, shift=shift) for shift in (0, 2, 5)]
    drawn = independent_codes(training, 400, 3)
    for voice in range(4):
        assert set(drawn[:, voice]) <= {*np.concatenate(training)[:, voice], 0}
    np.testing.assert_array_equal(drawn, independent_codes(training, 400, 3))
    chain = ChordChain(training, GRID).draw(96, 1)
    seen = {tuple(map(int, pair)) for each in training for pair in pairs(each)}
    assert {tuple(map(int, pair)) for pair in pairs(chain)} <= seen
    row = BarsInARow(training, GRID).draw(6, 2)
    assert row.shape == (96, 4)
    assert music.nearest_phrase([row], training, GRID).max() < 0.05
    assert (struck_anew(held(), 16)[::16] > 0).all()


def pairs(codes: np.ndarray) -> list[np.ndarray]:
    """What sounds at neighbouring steps."""
    pitch = music.sounding(codes)
    return [np.concatenate(pair) for pair in itertools.pairwise(pitch)]


def test_a_report_has_every_figure_of_every_system(tmp_path):
    pieces = [chorale(4, shift=shift) for shift in range(3)]
    systems = judge_pieces({HELD_OUT: pieces, "model": [held(), held()]}, pieces, GRID)
    report = MusicReport(
        title="model",
        facts=(("system", "model"),),
        figures=(("nats per step (all voices)", "1.0"),),
        systems=systems,
        judged="model",
        render=lambda folder, number: ({"MIDI": f"pieces/{number}.mid"}, b"png"),
        num_shown=2,
    )
    text = "\n".join(report.lines())
    assert all(each.title in text for each in MEASURES.values())
    page = report.write(tmp_path / "report").read_text()
    assert "pieces/1.mid" in page
    assert "phrases nearer than held-out ones" in page
    assert report.to_json()["systems"]["model"]["measures"]["parallels"] == [0, 0]
    with pytest.raises(ValueError, match="compared with 'held-out music', which is not among model"):
        judge_pieces({"model": pieces}, pieces, GRID)
    with pytest.raises(ValueError, match=r"whole numbers \[steps, voices\], got float64"):
        music.measure(np.zeros((4, 4)), GRID)


def test_distances_to_held_out_music_are_counted_beside_the_markov_chains():
    real = [chorale(), chorale(shift=2), held()]
    systems = judge_pieces({HELD_OUT: real, "model": real[:2], MARKOV_CHAIN: [EMPTY, EMPTY]}, real, GRID)
    distances = distances_to_held_out(systems)
    assert set(distances) == {"model", MARKOV_CHAIN}
    spread = systems[0].values["chord_changes"]
    expected = abs(systems[1].values["chord_changes"].mean() - spread.mean()) / spread.std()
    assert distances["model"]["chord_changes"] == pytest.approx(expected)
    assert distances["model"]["empty_bars"] == 0
    assert distances[MARKOV_CHAIN]["empty_bars"] == np.inf  # held-out pieces do not vary in it
    assert distances[MARKOV_CHAIN]["in_key"] == np.inf  # no note, no key
    [(name, words)] = closer_figures(systems, "model")
    assert name == "distance to held-out music below the Markov chain's"
    nearer = sum(distances["model"][each] < distances[MARKOV_CHAIN][each] for each in MEASURES)
    counted = sum(max(distances["model"][each], distances[MARKOV_CHAIN][each]) > 0 for each in MEASURES)
    assert words.startswith(f"{nearer} of {counted} measures")
    [(_, worse)] = closer_figures(
        judge_pieces({HELD_OUT: real, "model": [EMPTY], MARKOV_CHAIN: real[:2]}, real, GRID), "model"
    )
    assert worse.startswith("0 of ")
    assert "; not in empty bars, " in worse
    assert closer_figures(systems[:2], "model") == ()


def test_no_phrase_is_looked_for_where_none_is_asked_for():
    real = [chorale(), held()]
    systems = judge_pieces({HELD_OUT: real, "model": real}, real, GRID, copies=False)
    assert all(system.distances.size == 0 for system in systems)
    report = MusicReport(title="", facts=(), figures=(), systems=systems, judged="model")
    text = "\n".join(report.lines())
    assert "chord changes a bar" in text
    assert "training phrase" not in text
