"""Speakers told apart by an embedding: synthetic voices of known colour, and what swapping an id does to them."""

import numpy as np
import pytest

from tests.evaluation.sounds import PEAKS, RATE, buzz, embed
from wavejax.evaluation.speakers import (
    Identification,
    centroids,
    cosines,
    grouped_mean,
    shaped_noise,
    sounding_seconds,
    swap,
)


def identified(clips: list[list[np.ndarray]], centres: np.ndarray) -> Identification:
    """Of clips[seed][speaker]."""
    vectors = np.stack([embed(clip) for row in clips for clip in row])
    speakers = len(clips[0])
    return Identification(
        intended=np.tile(np.arange(speakers), len(clips)),
        cosines=cosines(vectors, centres),
        groups=np.repeat(np.arange(len(clips)), speakers),
    )


@pytest.fixture(scope="module")
def centres() -> np.ndarray:
    return centroids([np.stack([embed(buzz(peak, 100 + k)) for k in range(4)]) for peak in PEAKS])


def test_voices_of_their_own_colour_are_recognised(centres):
    found = identified([[buzz(peak, seed) for peak in PEAKS] for seed in range(5)], centres)
    assert found.is_right.all()
    assert (found.margins > 0).all()
    np.testing.assert_array_equal(found.confusion, 5 * np.eye(3, 4))
    assert found.mean(found.is_right) == (1.0, 1.0, 1.0)


def test_a_mistake_is_seen_where_it_is(centres):
    """The second speaker always sounds like the third, the first does in one noise of four."""
    clips = [[buzz(2000.0 if seed == 0 else 250.0, seed), *[buzz(2000.0, seed)] * 2] for seed in range(4)]
    found = identified(clips, centres)
    np.testing.assert_array_equal(found.confusion, [[3, 0, 1, 0], [0, 0, 4, 0], [0, 0, 4, 0]])
    assert found.mean(found.is_right, 0).mean == 0.75
    assert found.mean(found.is_right, 1) == (0.0, 0.0, 0.0)
    overall = found.mean(found.is_right)
    assert overall.mean == pytest.approx(7 / 12)
    assert overall.low < 7 / 12 < overall.high
    np.testing.assert_array_equal(found.margins > 0, found.is_right)


def test_the_voice_follows_the_id_or_it_does_not(centres):
    follows = identified([[buzz(peak, seed) for peak in PEAKS] for seed in range(4)], centres)
    told = swap(follows.cosines.reshape(4, 3, 3))
    assert told.share == (1.0, 1.0, 1.0)
    assert told.shift.low > 0
    assert np.isnan(np.diag(told.moved)).all()
    # A model that ignores the id makes one clip, and that is right for whoever it happens to sound like.
    deaf = identified([[buzz(700.0, seed)] * 3 for seed in range(4)], centres)
    told = swap(deaf.cosines.reshape(4, 3, 3))
    assert told.share == (0.0, 0.0, 0.0)
    assert told.shift.mean == 0.0
    assert deaf.mean(deaf.is_right).mean == pytest.approx(1 / 3)
    # Two ids swapped by mistake: right for the third alone, so no pair moves, and those two move the wrong way.
    crossed = identified([[buzz(PEAKS[k], seed) for k in (1, 0, 2)] for seed in range(4)], centres)
    assert swap(crossed.cosines.reshape(4, 3, 3)).share.mean == 0.0
    assert swap(crossed.cosines[:, :].reshape(4, 3, 3)[:, :2, :2]).shift.high < 0


def test_noise_in_a_voices_colour_fools_the_stub_and_the_page_can_tell(centres):
    """Nearest centroid alone takes the noise for the speaker; `closer_than` does not."""
    real = [[buzz(peak, seed) for peak in PEAKS] for seed in range(4)]
    noise = [[shaped_noise([buzz(peak, 50 + seed)], RATE // 2, seed) for peak in PEAKS] for seed in range(4)]
    voices, control = identified(real, centres), identified(noise, centres)
    assert control.is_right.mean() > 0.9
    assert voices.closer_than(control).all()
    assert not control.closer_than(control).any()


def test_shaped_noise_has_the_colour_and_level_but_not_the_sound():
    recording = buzz(700.0, 0, 4.0)
    noise = shaped_noise([recording, recording[:10]], 3 * RATE, 1)
    assert noise.dtype == np.float32
    assert noise.shape == (3 * RATE,)
    assert np.std(noise) == pytest.approx(np.std(recording), rel=0.05)
    np.testing.assert_allclose(embed(noise[:RATE])[1:-1], embed(recording[:RATE])[1:-1], atol=0.3)
    assert np.abs(np.corrcoef(noise[:RATE], recording[:RATE])[0, 1]) < 0.05
    np.testing.assert_array_equal(noise, shaped_noise([recording, recording[:10]], 3 * RATE, 1))
    assert not np.array_equal(noise, shaped_noise([recording], 3 * RATE, 2))


def test_a_pause_is_measured_against_the_recordings_not_against_itself():
    recording = buzz(700.0, 0, 2.0)
    half = np.concatenate([recording[: RATE // 2], np.zeros(RATE // 2, np.float32)])
    clips = [recording[:RATE], half, 1e-3 * recording[:RATE], np.zeros(RATE, np.float32)]
    np.testing.assert_allclose(sounding_seconds(clips, [recording], RATE), [1.0, 0.5, 0.0, 0.0], atol=0.0126)


def test_centroids_are_mean_directions_of_length_one():
    middle = centroids([np.asarray([[2.0, 0.0], [0.0, 5.0]]), np.asarray([[0.0, -1.0]])])
    np.testing.assert_allclose(middle, [[np.sqrt(0.5), np.sqrt(0.5)], [0.0, -1.0]])
    np.testing.assert_allclose(cosines(np.asarray([[3.0, 0.0]]), middle), [[np.sqrt(0.5), 0.0]])


def test_a_silent_clip_is_nobodys_voice(centres):
    """Not an error, and not the first speaker's either."""
    vectors = np.stack([np.zeros(centres.shape[1]), np.full(centres.shape[1], np.nan), centres[0]])
    found = Identification(intended=np.zeros(3, int), cosines=cosines(vectors, centres), groups=np.arange(3))
    np.testing.assert_array_equal(found.nearest, [-1, -1, 0])
    np.testing.assert_array_equal(found.is_right, [False, False, True])
    np.testing.assert_array_equal(found.confusion[0], [1, 0, 0, 2])
    assert swap(np.zeros((2, 3, 3))).share.mean == 0.0


def test_groups_are_drawn_together():
    """Five clips of one noise that agree are one observation: the interval is as wide as with one clip of each."""
    once = np.asarray([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    alone = grouped_mean(once, np.arange(6))
    together = grouped_mean(np.repeat(once, 5), np.repeat(np.arange(6), 5))
    assert alone == together
    assert alone.low < alone.mean < alone.high
    assert grouped_mean(once, np.zeros(6, int)) == (4 / 6,) * 3


def test_what_points_nowhere_is_refused():
    with pytest.raises(ValueError, match=r"every speaker needs recordings for a centroid, got \[1, 0\]"):
        centroids([np.ones((1, 2)), np.ones((0, 2))])
    with pytest.raises(ValueError, match="zero or not finite: it points nowhere"):
        centroids([np.zeros((1, 2))])
    with pytest.raises(ValueError, match=r"two speakers or more; got \(4, 1, 1\)"):
        swap(np.ones((4, 1, 1)))
    with pytest.raises(ValueError, match="needs a recording of 1024 samples"):
        shaped_noise([np.ones(100, np.float32)], 10, 0)
