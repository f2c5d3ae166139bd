"""F0 errors by hand, and of a tone."""

import numpy as np
import pytest

from tests.evaluation.sounds import RATE, voice
from wavejax.evaluation.pitch import pitch, pitch_errors


def test_errors_are_the_formula() -> None:
    reference = np.array([0.0, 100.0, 100.0, 200.0, 0.0, 150.0])
    candidate = np.array([0.0, 200.0, 100.0, 0.0, 90.0, 150.0, 7.0])
    errors = pitch_errors(reference, candidate)
    assert errors.cents == pytest.approx(400.0)  # an octave, and twice nothing
    assert errors.voicing == pytest.approx(100 * 2 / 6)
    assert np.isnan(pitch_errors(reference, 0 * reference).cents)
    with pytest.raises(ValueError, match="0 frames"):
        pitch_errors(reference, candidate[:0])


def test_a_voice_one_semitone_up_is_100_cents_off() -> None:
    pytest.importorskip("pyworld", exc_type=ImportError)
    low, high = (pitch(voice(f0=180.0 * factor), RATE) for factor in (1.0, 2 ** (1 / 12)))
    assert np.median(low[low > 0]) == pytest.approx(180, abs=10)
    assert pitch_errors(low, high).cents == pytest.approx(100, abs=5)
    assert pitch_errors(low, low) == (0.0, 0.0)
