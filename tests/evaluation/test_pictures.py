"""Pictures: size, orientation, scales, whole files, and the missing extra."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wavejax.audio.specs import get_spec
from wavejax.evaluation.pictures import compare_picture, spectrogram_image

SPEC = get_spec("speech-16k")


def sweep(length: int = 16000, top: float = 6000.0) -> np.ndarray:
    time = np.arange(length) / 16000
    return (0.3 * np.sin(np.pi * top * time**2 * 16000 / length)).astype(np.float32)


def test_spectrogram_image_shows_time_to_the_right_and_pitch_upwards() -> None:
    image = spectrogram_image(sweep(), SPEC)
    assert image.dtype == np.uint8
    assert image.shape == (160, 80, 3)
    brightest = image.astype(int).sum(axis=2).argmax(axis=0)
    assert brightest[5] > 130
    assert brightest[-5] < 30
    assert np.all(np.diff(brightest[5:-5:10]) < 0)


def test_spectrogram_image_is_absolute() -> None:
    loud, quiet = (spectrogram_image(level * sweep(), SPEC).astype(int).sum() for level in (1.0, 0.05))
    assert quiet < 0.8 * loud
    silent = spectrogram_image(np.zeros(4000, np.float32), SPEC)
    assert silent.max() <= 6
    shifted = spectrogram_image(0.1 * sweep(), SPEC, (-105.0, -25.0))
    np.testing.assert_allclose(shifted.astype(int), spectrogram_image(sweep(), SPEC).astype(int), atol=1)


def test_compare_picture_is_a_whole_png_of_1200_by_900(tmp_path: Path) -> None:
    path = tmp_path / "new" / "compare.png"
    compare_picture(path, sweep(), sweep(15803, 3000.0), SPEC, title="a sweep")
    assert [entry.name for entry in path.parent.iterdir()] == ["compare.png"]
    with Image.open(path) as image:
        assert image.size == (1200, 900)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # Bright colours of the map: the two mels have them in different places, the waveforms and margins nowhere.
    bright = (pixels[:, :1100, 0] > 200) & (pixels[:, :1100, 2] < 130)
    rows = np.flatnonzero(bright.sum(axis=1) > 3)
    assert rows.min() > 150
    assert rows.max() > 600
    assert not np.array_equal(bright[200:430], bright[617:847])


def test_silence_and_one_file_over_another_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "compare.png"
    path.write_bytes(b"old")
    compare_picture(str(path), np.zeros(4000, np.float32), np.zeros(4000, np.float32), SPEC)
    with Image.open(path) as image:
        assert image.size == (1200, 900)


@pytest.mark.parametrize("bad", [np.zeros(0, np.float32), np.full(4000, np.nan, np.float32)])
def test_a_recording_that_cannot_be_shown_is_named(tmp_path: Path, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"the generated recording of .* is empty or not finite"):
        compare_picture(tmp_path / "compare.png", sweep(), bad, SPEC)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_image_still_works_and_the_picture_names_the_extra() -> None:
    program = """
import sys
sys.modules["matplotlib"] = None
import numpy as np
from wavejax.audio.specs import get_spec
from wavejax.evaluation import compare_picture, spectrogram_image
spec = get_spec("speech-16k")
spectrogram_image(np.zeros(4000, np.float32), spec)
compare_picture("never.png", np.zeros(4000, np.float32), np.zeros(4000, np.float32), spec)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'wavejax-audio[plot]'" in done.stderr
