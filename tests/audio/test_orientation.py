"""Features of wavejax's own making are never ambiguous; square arrays from elsewhere are asked about."""

import gc

import numpy as np
import pytest

from tests.data.recordings import TINY, counting_corpus
from tests.tiny import commands as tiny
from wavejax.audio import convert_features, get_spec, log_mel, log_mel_numpy, orient_features
from wavejax.audio.orientation import axes_of
from wavejax.cli.inputs import read_features, write_features
from wavejax.tasks.families import load

SPEC = get_spec("speech-16k")
SOUND = (0.1 * np.random.default_rng(0).standard_normal(20_000)).astype(np.float32)
SQUARE = SPEC.n_mels * SPEC.hop_length


def test_features_and_their_views_are_known_by_their_memory() -> None:
    mel = log_mel_numpy(SOUND, SPEC)
    assert [axes_of(each) for each in (mel, mel[:80], mel[3:83], mel[::2], mel[None])] == ["frames-first"] * 5
    assert [axes_of(each) for each in (mel.T, mel[:80].T, mel.T[:, :9])] == ["bands-first"] * 3
    assert axes_of(mel.copy()) is axes_of(mel + 1) is axes_of(np.zeros((80, 80))) is axes_of([[1.0]]) is None
    for known in (mel[3:83], mel[3:83].T, mel[3:83][None]):
        np.testing.assert_array_equal(orient_features(known, SPEC), mel[3:83])


def test_what_is_gone_is_forgotten() -> None:
    for _ in range(3):
        mel = log_mel_numpy(SOUND[:SQUARE], SPEC)
        assert axes_of(mel) == "frames-first"
        del mel
        gc.collect()
        other = np.zeros((80, 80), np.float32)
        assert axes_of(other) is None


def test_every_maker_of_features_says_which_way_round() -> None:
    louder = get_spec("speech-16k").with_statistics(np.zeros(80), np.full(80, 2.0))
    mel = log_mel_numpy(SOUND[:SQUARE], SPEC)
    utterance = counting_corpus([30]).utterance(0)
    assert utterance.frames.shape == (3, TINY.n_mels)
    for made in (mel, log_mel(SOUND[:SQUARE], SPEC), convert_features(mel, SPEC, louder), utterance.frames):
        assert axes_of(made) == "frames-first"


def test_a_square_array_from_elsewhere_is_what_its_giver_says() -> None:
    square = np.random.default_rng(0).normal(size=(80, 80)).astype(np.float32)
    with pytest.raises(ValueError, match=r"cannot be told apart\. Say which come first: axes='frames-first' or axes="):
        orient_features(square, SPEC)
    np.testing.assert_array_equal(orient_features(square, SPEC, "frames-first"), square)
    np.testing.assert_array_equal(orient_features(square, SPEC, "bands-first"), square.T)
    with pytest.raises(ValueError, match=r"shape \(80, 31\); .* or are they not frames-first\?"):
        orient_features(square[:, :31], SPEC, "frames-first")


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory):
    return load(tiny.export(tmp_path_factory.mktemp("exports") / "voice", tiny.config()))


@pytest.mark.parametrize("length", [SQUARE - 1, SQUARE, SQUARE + 199, SQUARE + 200])
def test_a_recording_of_one_second_is_spoken(vocoder, length, monkeypatch) -> None:
    monkeypatch.setattr(type(vocoder), "generate", lambda _, **given: given["local_conditioning"])
    mel = vocoder.mel(SOUND[:length])
    np.testing.assert_array_equal(vocoder(mel), mel)
    if len(mel) == 80:
        np.testing.assert_array_equal(vocoder(mel.T), mel)
        copied = np.array(mel)
        with pytest.raises(ValueError, match="cannot be told apart"):
            vocoder(copied)
        np.testing.assert_array_equal(vocoder(copied, axes="frames-first"), mel)


def test_files_of_features_that_wavejax_wrote_are_known(vocoder, tmp_path) -> None:
    mel = vocoder.mel(SOUND[:SQUARE])
    write_features(tmp_path / "a.npy", mel)
    np.testing.assert_array_equal(vocoder.conditioning(read_features(tmp_path / "a.npy"))["local_conditioning"][0], mel)
    np.save(tmp_path / "b.npy", mel)
    with pytest.raises(ValueError, match="--axes on the command line"):
        vocoder.conditioning(read_features(tmp_path / "b.npy"))
