"""Pictures of scores: what is drawn is what is in the score."""

import struct

import numpy as np
import pytest

from wavejax.data.scores import Note, Score, Track
from wavejax.evaluation.rolls import COLOURS, roll_picture

matplotlib_image = pytest.importorskip("matplotlib.image")


def score(**fields: object) -> Score:
    tune = Track(name="soprano", notes=(Note(0, 8, 72, 127), Note(8, 16, 74, 127)))
    bass = Track(name="bass", notes=(Note(0, 16, 48, 127),))
    drums = Track(name="drums", drums=True, notes=(Note(0, 16, 60, 127),))
    return Score(tracks=(tune, drums, bass), **fields)


def colours_in(path) -> set[str]:
    """The colours of notes that are there, each with the paleness of its velocity."""
    pixels = np.rint(255 * matplotlib_image.imread(path)[..., :3]).astype(int)
    found = set()
    for colour in set(COLOURS) - {"#5b5b5b"}:  # a grey, which letters have as well
        rgb = np.asarray([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
        for strength in (0.35 + 0.6 * 127 / 127, 1.0):
            if (np.abs(pixels - np.rint(255 + strength * (rgb - 255))).max(axis=-1) <= 2).any():
                found.add(colour)
    return found


def test_each_voice_has_its_colour_and_drums_have_none(tmp_path) -> None:
    roll_picture(tmp_path / "new" / "roll.png", score(title="a tune"))
    assert colours_in(tmp_path / "new" / "roll.png") == {COLOURS[0], COLOURS[1]}


def test_long_scores_and_several_take_rows(tmp_path) -> None:
    heights = []
    for number, given in enumerate((score(), score(length=16 * 9), [score(), score(upbeat=4)], Score(tracks=()))):
        path = tmp_path / f"{number}.png"
        roll_picture(path, given)
        width, height = struct.unpack(">II", path.read_bytes()[16:24])
        assert width == 1200
        heights.append(height)
    assert heights[0] == heights[3] < heights[1] == heights[2]


def test_no_score_or_too_few_titles_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="got 0 scores, 0 titles"):
        roll_picture(tmp_path / "roll.png", [])
    with pytest.raises(ValueError, match="got 1 scores, 2 titles"):
        roll_picture(tmp_path / "roll.png", score(), titles=["a", "b"])
    assert not (tmp_path / "roll.png").exists()
