"""The world's integers, arrays and processes: what NumPy, JAX and multiprocessing hand over is what it says."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.commands import config, params_of
from wavejax.audio.companding import SampleCoding, mu_law_encode, quantize
from wavejax.audio.feature_range import OutOfRange
from wavejax.experiments.metadata import ExperimentError
from wavejax.generation import ConditioningError, encode_conditioning, forks, init_state, pack, replay, run_block
from wavejax.generation.engine import block_noise
from wavejax.generation.noise import seed_words, split_index
from wavejax.tasks.vocoder.product import SampleVocoder

CONFIG = config(num_speakers=2, global_channels=3)
VOICE = SampleVocoder(config=CONFIG, params=params_of(CONFIG), labels={"speakers": ["anna", "bert"]})
MEL = np.full((3, 80), -5.0, np.float32)
INTEGERS = [np.int32(3), np.int64(3), np.uint8(3), jnp.int32(3), jnp.uint32(3), np.asarray(3)]


@pytest.mark.parametrize("seed", INTEGERS, ids=lambda seed: f"{type(seed).__name__}-{seed.dtype}")
def test_any_integer_is_a_seed_and_a_speaker(seed: object) -> None:
    np.testing.assert_array_equal(seed_words(seed), split_index(3))
    want = VOICE(MEL, seed=3, speaker=1, num_samples=20)
    speaker = type(seed)(1) if isinstance(seed, np.generic) else 1
    np.testing.assert_array_equal(VOICE(MEL, seed=seed, speaker=speaker, num_samples=20), want)
    assert VOICE.speaker_id(np.int64(1)) == VOICE.speaker_id(jnp.int32(1)) == VOICE.speaker_id("bert") == 1


def test_seeds_mean_the_same_traced_and_whole() -> None:
    for seed in (0, 3, 2**31 - 1, -1, -(2**31)):
        np.testing.assert_array_equal(jax.jit(seed_words)(jnp.int32(seed)), split_index(seed))
        np.testing.assert_array_equal(seed_words(np.int32(seed)), split_index(seed))
    np.testing.assert_array_equal(seed_words(split_index(2**40)), split_index(2**40))
    for wrong in (np.zeros(3, np.int32), np.asarray(3.0), jnp.float32(3), np.zeros(2, np.int32)):
        with pytest.raises(TypeError, match="seed must be an integer"):
            seed_words(wrong)
    with pytest.raises(ExperimentError, match=r"unknown speaker np.int64\(7\); this model knows 0: anna, 1: bert"):
        VOICE.speaker_id(np.int64(7))


def test_the_pure_layer_takes_what_load_returns() -> None:
    """Parameters, frames, state, conditioning and noise of NumPy: a loop in JAX cannot index those as they are."""
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(VOICE.params))
    results = []
    for convert in (lambda tree: tree, lambda tree: jax.tree.map(np.asarray, tree)):
        decoder = convert(pack(VOICE.model, VOICE.params))
        conditioning = convert(encode_conditioning(decoder, MEL[None], np.asarray([1])))
        state = convert(init_state(decoder, conditioning, seed=np.int32(3)))
        noise = convert(block_noise(decoder, state, 8))
        state, samples = run_block(decoder, state, conditioning, noise, np.int64(8))
        replayed, outputs = replay(decoder, convert(state), conditioning, np.asarray(samples.values))
        results.append([samples.waveform, outputs, replayed.position])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(results[0][0][0], VOICE(MEL, seed=3, speaker=1, num_samples=8, backend="scan"))


@pytest.mark.slow
def test_everything_runs_without_jit() -> None:
    with jax.disable_jit():
        slow = VOICE(MEL[:1], speaker="anna", num_samples=3, backend="scan")
        assert VOICE(MEL[:1], speaker="anna", num_samples=3).shape == (3,)
    np.testing.assert_allclose(slow, VOICE(MEL[:1], speaker="anna", num_samples=3, backend="scan"), atol=1e-5)


def test_frames_come_one_by_one_or_several_at_a_time() -> None:
    want = VOICE(MEL, speaker=0)
    for pieces in ([MEL[0], MEL[1], MEL[2]], [MEL[:2], MEL[2]], [jnp.asarray(MEL[0]), MEL[1:]]):
        np.testing.assert_array_equal(np.concatenate(list(VOICE.stream(iter(pieces), speaker=0))), want)
    np.testing.assert_array_equal(np.concatenate(list(VOICE.stream(MEL[0], speaker=0))), VOICE(MEL[:1], speaker=0))
    for wrong in (np.zeros(79, np.float32), np.zeros((2, 79), np.float32), np.zeros((1, 2, 80), np.float32)):
        message = rf"stream takes frames \[F, 80\] or single ones \[80\], got the shape \({wrong.shape[0]},"
        with pytest.raises(ConditioningError, match=message):
            next(VOICE.stream(iter([wrong]), speaker=0))


def test_a_mel_that_no_recording_has_is_refused_at_every_door() -> None:
    linear = np.full((3, 80), 1e4, np.float32)
    for door in (VOICE, VOICE.conditioning):
        with pytest.raises(
            OutOfRange, match=r"between 1e.04 and 1e.04, but those of spec 'speech-16k'.*linear mel values"
        ):
            door(linear, speaker=0)
    with pytest.raises(OutOfRange, match="linear mel values"):
        next(VOICE.stream(iter(linear), speaker=0))


def test_a_product_compares_and_shows_itself() -> None:
    assert VOICE == VOICE
    assert SampleVocoder(config=CONFIG, params=VOICE.params) != VOICE
    assert len(repr(VOICE)) < 200
    assert len({VOICE, VOICE}) == 1


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, list])
def test_no_class_means_not_a_number(make) -> None:
    waveform = make([0.1, np.nan, 0.2])
    if make is not list:
        for kind in ("mu_law", "linear", "continuous"):
            coding = SampleCoding(kind=kind)
            with pytest.raises(ValueError, match=r"1 of 3 samples to encode are not a number .* first at index 1"):
                coding.encode(np.float32(waveform) if make is np.asarray else waveform)
    for encode in (mu_law_encode, quantize):
        with pytest.raises(ValueError, match="not a number"):
            encode(np.float32(waveform) if make is not jnp.asarray else waveform, 256)
    with pytest.raises(ValueError, match="not a number"):
        VOICE.encode(np.float32(waveform))
    assert np.asarray(mu_law_encode(np.float32([np.inf, -np.inf]), 256)).tolist() == [255, 0]  # clipped, as documented


def test_a_fork_after_the_first_sound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    forks.refuse_after_fork()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of any fork
        child = os.fork()
    if not child:  # nothing but the check: pytest's own state is not ours
        try:
            forks.refuse_after_fork()
        except RuntimeError as error:
            os._exit(7 if "start workers by spawn" in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    monkeypatch.setattr(forks, "_first", [os.getpid() + 1])
    with pytest.raises(RuntimeError, match=r"was forked from \d+ after that had generated, and would wait for ever"):
        VOICE(MEL, speaker=0)


@pytest.mark.slow
def test_a_worker_that_was_forked_says_so_and_ends(tmp_path: Path) -> None:
    """And one that was forked before the first sound speaks."""
    script = tmp_path / "forked.py"
    script.write_text(
        "import multiprocessing, sys, warnings, wavejax\n"
        "warnings.simplefilter('ignore')\n"
        "def speak(_):\n"
        "    return BABBLE(0.01, speaker=0).shape\n"
        "BABBLE = wavejax.load('babble')\n"
        "if 'after' in sys.argv: BABBLE(0.01, speaker=0)\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "    print(pool.map(speak, [0]))\n"
    )
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    runs = {
        when: subprocess.run(
            [sys.executable, str(script), when], env=environment, capture_output=True, text=True, timeout=240
        )
        for when in ("before", "after")
    }
    assert runs["after"].returncode == 1
    assert "RuntimeError: process" in runs["after"].stderr
    assert "start workers by spawn" in runs["after"].stderr
    assert (runs["before"].returncode, runs["before"].stdout.strip()) == (0, "[(160,)]")
