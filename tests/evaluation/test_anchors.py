"""Anchors against the library's own coding, and against what must be true of them."""

import numpy as np
import pytest

from tests.evaluation.sounds import RATE, voice
from wavejax.audio.companding import SampleCoding
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.specs import get_spec
from wavejax.evaluation.alignment import lag_seconds
from wavejax.evaluation.anchors import ANCHORS, CODINGS, griffin_lim, low_pass, make_anchor, random_phases, recode
from wavejax.evaluation.spectra import band_level_differences, log_mel_distance

SPEC = get_spec("speech-16k")


@pytest.mark.parametrize("coding", [*CODINGS.values(), SampleCoding(kind="linear", num_classes=1024, gain=0.55)])
def test_a_recoding_is_encode_and_decode(coding: SampleCoding) -> None:
    sound = voice(seconds=0.5)
    expected = np.asarray(coding.decode(coding.encode(sound)))
    # Another order of arithmetic may take a sample on the edge of a bin to its neighbour: a few samples, one bin.
    off = np.abs(recode(sound, coding) - expected)
    assert np.mean(off > 1e-5) < 0.01
    assert off.max() < 0.03


def test_finer_codings_are_nearer() -> None:
    sound = voice()
    errors = [float(np.abs(recode(sound, CODINGS[f"mu-law-{bits}"]) - sound).mean()) for bits in (8, 9, 10)]
    assert errors[0] > 1.8 * errors[1] > 3.2 * errors[2] > 0


def test_a_low_pass_removes_the_top_and_moves_nothing() -> None:
    sound = voice()
    dull = low_pass(sound, RATE, 4000.0)
    below, above = band_level_differences(sound, dull, RATE, (100.0, 3500.0, 8000.0))
    assert abs(below) < 0.1
    assert above < -4
    assert abs(lag_seconds(sound, dull, RATE)) < 5e-4


@pytest.mark.parametrize("name", ["speech-16k", "tacotron2"])
def test_griffin_lim_sounds_like_its_mel_at_the_same_time(name: str) -> None:
    pytest.importorskip("librosa")
    spec = get_spec(name)
    sound = voice(seconds=1.0)
    made = griffin_lim(log_mel_numpy(sound, spec), spec, len(sound), num_iterations=20)
    assert made.shape == sound.shape
    # Two noises of one spectrum are 5 to 6 dB apart in narrow bands; another sound is 15.
    assert log_mel_distance(sound, made, spec) < 7.0
    assert log_mel_distance(sound, voice(1, seconds=1.0, f0=250.0)[::-1].copy(), spec) > 12.0
    assert abs(lag_seconds(sound, made, RATE)) < 0.004


def test_names_are_refused() -> None:
    with pytest.raises(KeyError, match="no anchor 'mp3'; choose from original"):
        make_anchor("mp3", voice(), SPEC, log_mel_numpy(voice(), SPEC))
    assert "world" in ANCHORS


def test_the_initial_phases_are_the_same_under_either_name_of_their_argument() -> None:
    def before(*, random_state: object = None) -> None: ...

    def since(*, rng: object = None, random_state: object = None) -> None: ...

    (old,), (new,) = random_phases(before).items(), random_phases(since).items()
    assert (old[0], new[0]) == ("random_state", "rng")
    expected = np.random.RandomState(0).random(size=(3, 5))  # what librosa made of the seed 0 before
    assert np.array_equal(old[1].random(size=(3, 5)), expected)
    assert np.array_equal(new[1].random(size=(3, 5)), expected)
