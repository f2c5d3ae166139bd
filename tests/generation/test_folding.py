"""Folds: where they are cut, what they sound like, and that their seams do what they say."""

import itertools

import numpy as np
import pytest

from tests.tiny.models import inputs, make
from wavejax.generation import ConditioningError, generate, generate_folded
from wavejax.generation.folding import automatic_folds, fold_frames, join_folds, plan_folds

MODEL, PARAMS = make("speech-16k-small")
HOP = MODEL.hop_length
FRAMES = inputs(MODEL, 1, 200)["local_conditioning"]
WARM_UP = 150
"""The de-emphasis forgets more slowly than these small networks: .85^150 is nothing."""


def test_a_fold_that_forgets_its_beginning_is_the_unfolded_recording():
    """With a receptive field of a few samples and the noise of the samples' own positions, folds merge at once."""
    whole = generate(MODEL, PARAMS, local_conditioning=FRAMES, seed=7)
    folded, seams = generate_folded(MODEL, PARAMS, FRAMES, folds=4, seed=7, warm_up=WARM_UP)
    assert folded.shape == whole.shape == (1, 200 * HOP)
    assert len(seams) == 3
    assert all(seam.is_merged and seam.shift == 0 for seam in seams)
    np.testing.assert_allclose(folded, whole, atol=1e-6)
    through = generate(MODEL, PARAMS, local_conditioning=FRAMES, seed=7, folds=4)
    np.testing.assert_allclose(through, whole, atol=0.02)  # its shorter warm-up leaves .85^40 of the silence before it


def test_speakers_temperatures_and_stream_ids_reach_every_fold():
    model, params = make("speech-16k+speakers")
    frames = inputs(model, 1, 150)["local_conditioning"]
    heat = np.linspace(0.2, 1.5, 150, dtype=np.float32)[None]
    options = {
        "global_conditioning": np.asarray([2]),
        "temperature": heat,
        "stream_ids": np.asarray([5]),
        "num_samples": 150 * model.hop_length - 3,
    }
    whole = generate(model, params, local_conditioning=frames, **options)
    folded, _ = generate_folded(model, params, frames, folds=3, warm_up=WARM_UP, **options)
    np.testing.assert_allclose(folded, whole, atol=1e-6)
    options["global_conditioning"] = np.asarray([1])
    other, _ = generate_folded(model, params, frames, folds=3, warm_up=WARM_UP, **options)
    assert np.abs(other - whole).max() > 1e-3


def test_progress_counts_every_fold_once():
    calls = []
    generate(
        MODEL,
        PARAMS,
        local_conditioning=FRAMES,
        folds=3,
        block_size=64,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_seams_go_to_the_quietest_frame_near_the_even_split():
    frames = np.zeros((400, 3))
    frames[[110, 195, 301]] = -5
    folds, length = plan_folds(frames, 4, 10, 70)
    assert [fold.seam for fold in folds] == [0, 1105, 1955, 3015]
    assert all((fold.seam - 70) // 10 - fold.first_frame >= 4 for fold in folds[1:])  # room before the warm-up's end
    assert all(fold.first_frame + length > -(-after.seam // 10) for fold, after in itertools.pairwise(folds))
    assert folds[-1].first_frame + length >= 400
    cut = fold_frames(np.arange(400), folds, length)
    assert cut.shape == (4, length)
    assert cut[0, 0] == 0
    assert cut[-1, -1] == 399


@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5, 4.0])
def test_a_voiced_seam_is_brought_into_phase(phase):
    """A tone of 125 Hz at 16 kHz whose second fold has another phase keeps its level over the seam."""
    hop, frames = 200, np.zeros((200, 1))
    folds, length = plan_folds(frames, 2, hop, 1000)
    n = np.arange(length * hop)
    tone = [np.sin(2 * np.pi * 125 * (n + fold.first_frame * hop) / 16000 + i * phase) for i, fold in enumerate(folds)]
    joined, (seam,) = join_folds(np.asarray(tone, np.float32), folds, hop, 200 * hop)
    assert seam.is_voiced
    assert seam.is_merged == (phase == 0)
    assert abs(seam.shift) <= 64
    assert seam.correlation > 0.99
    levels = np.sqrt(np.mean(np.square(joined[: 62 * 640].reshape(-1, 640)), axis=-1))  # five periods each
    np.testing.assert_allclose(levels, np.sqrt(0.5), rtol=0.02)


def test_a_seam_goes_where_the_folds_agree():
    """Independent noise but for one stretch, within a frame of the planned place, in which both folds are the same."""
    hop, rng = 64, np.random.default_rng(0)
    folds, length = plan_folds(np.zeros((100, 1)), 2, hop, 320)
    noise = rng.normal(size=(2, length * hop)).astype(np.float32)
    planned, start = folds[1].seam, folds[1].first_frame * hop
    same = np.arange(planned + hop // 2 - 40, planned + hop // 2 + 40)
    noise[1, same - start] = noise[0, same]
    joined, (seam,) = join_folds(noise, folds, hop, 100 * hop)
    assert (seam.position, seam.shift) == (planned + hop // 2, 0)
    assert seam.correlation > 0.999
    np.testing.assert_allclose(joined[same[0] : seam.position], noise[0, same[0] : seam.position], atol=1e-6)
    np.testing.assert_allclose(joined[seam.position : 6000], noise[1, seam.position - start : 6000 - start], atol=1e-6)


def test_an_unvoiced_seam_keeps_its_power():
    """Independent noise in the two folds: a linear fade would lose 3 dB in the middle."""
    hop, rng, middle = 64, np.random.default_rng(0), []
    folds, length = plan_folds(np.zeros((100, 1)), 2, hop, 320)
    for _ in range(300):
        joined, (seam,) = join_folds(rng.normal(size=(2, length * hop)).astype(np.float32), folds, hop, 100 * hop)
        middle.append(joined[seam.position - 8 : seam.position + 8])
    assert 10 * np.log10(np.mean(np.square(middle))) == pytest.approx(0, abs=0.7)


def test_a_shift_at_the_last_seam_leaves_no_hole_at_the_end():
    hop = 200
    folds, length = plan_folds(np.zeros((60, 1)), 2, hop, 1000)
    n = np.arange(length * hop)
    tone = [np.sin(2 * np.pi * 100 * n / 16000 + 2.0 * i).astype(np.float32) for i in range(2)]
    joined, (seam,) = join_folds(np.asarray(tone), folds, hop, 60 * hop)
    assert seam.shift
    assert np.abs(joined[-160:]).max() > 0.9


def test_automatic_folds_grow_with_the_recording():
    assert automatic_folds(10, 200, 2000, 16) == 1
    assert automatic_folds(200, 200, 2000, 16) == 4
    assert automatic_folds(10_000, 200, 2000, 16) == 16


def test_what_folds_refuse():
    with pytest.raises(ValueError, match=r"20 folds of 200 frames leave 10 frames a fold.*use at most"):
        generate(MODEL, PARAMS, local_conditioning=FRAMES, folds=20)
    with pytest.raises(ValueError, match="folds must be at least 1 or 'auto', got 0"):
        generate(MODEL, PARAMS, local_conditioning=FRAMES, folds=0)
    with pytest.raises(ValueError, match="does not go with return_state: leave folds at 1"):
        generate(MODEL, PARAMS, local_conditioning=FRAMES, folds=2, return_state=True)
    with pytest.raises(ConditioningError, match=r"folds need the frames of one recording.*\(2, 200, 3\)"):
        generate(MODEL, PARAMS, local_conditioning=np.repeat(FRAMES, 2, axis=0), folds=2)
    free, free_params = make("unconditional-mu-law-scalar")
    with pytest.raises(ConditioningError, match=r"folds need the frames of one recording.*got none"):
        generate(free, free_params, num_samples=100, folds=2)
