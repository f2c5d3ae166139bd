"""Ctrl-C at random moments: a command ends with exit code 130, and what it leaves is whole."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_training_process import SMALL, environment
from tests.tiny import commands as tiny
from wavejax.atomic import is_leftover
from wavejax.audio.files import read_audio
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.inspection import inspect_step
from wavejax.data import Corpus

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="has no such signals")]

MOMENTS = 50
AT_ONCE = 2
EARLY_SECONDS = 1.0
"""By then `python -m wavejax` has begun with what is wavejax."""
CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL}


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A shell that starts the tests in the background has them ignore Ctrl-C, and so all that they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def slowly() -> dict[str, str]:
    """Nothing that was compiled is kept, so that a good part of the moments lies in a compiler."""
    kept = {name: value for name, value in environment().items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return {**kept, "WAVEJAX_COMPILATION_CACHE": "off", "NUMBA_CACHE_DIR": "", "PYTHONFAULTHANDLER": "1"}


def start(arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "wavejax", *arguments]
    # A group of its own, all of which gets Ctrl-C, as from a terminal.
    return subprocess.Popen(
        command, env=slowly(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def check_whole(folder: Path, *, is_steps: bool) -> None:
    """Every file is whole, and none is a temporary one or a lock."""
    for path in folder.rglob("*"):
        if any(".orbax-checkpoint-tmp" in part for part in path.parts):
            continue  # a second Ctrl-C leaves it to the next start, which removes it
        assert not is_leftover(path.name), path
        assert path.suffix != ".lock", path
        assert path.name != "lock", path
        if path.suffix == ".wav":
            read_audio(path)
        elif path.suffix == ".json" and path.is_file():
            json.loads(path.read_text())
        elif path.suffix == ".jsonl":
            assert all(json.loads(line) for line in path.read_text().splitlines())
    if (folder / "out" / "manifest.json").exists():
        corpus = Corpus.open(folder / "out")
        assert all(len(corpus.utterance(index).waveform) for index in range(len(corpus)))
    for step in saved_steps(folder / "out" / "checkpoints") if is_steps else ():
        assert inspect_step(folder / "out" / "checkpoints", step, read_leaves=True).damage is None


def one_moment(arguments: list[str], folder: Path, moment: float, done: Callable[[Path], bool]) -> tuple[str, str]:
    """("how it ended", what is wrong with that or nothing)."""
    folder.mkdir()
    begun = time.monotonic()
    process = start([word.replace("OUT", str(folder / "out")) for word in arguments])
    time.sleep(moment)
    signalled = process.poll() is None
    if signalled:
        os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=300)
    code = process.returncode
    where = f"at {moment:.2f} s, after {time.monotonic() - begun:.2f} s, code {code}: {out[-500:]}{error[-2000:]}"
    if "ault" in error and ("Segmentation" in error or "Fatal Python error" in error):
        return "crash", where
    if not signalled or code == 0:
        return "done", "" if done(folder / "out") else where
    # Python has a handler of its own before ours is there, and none any more when everything is done.
    is_early = moment < EARLY_SECONDS and (not error or "KeyboardInterrupt" in error)
    is_pythons = is_early or (code == -signal.SIGINT and done(folder / "out"))
    if code == 130 and "Traceback" not in error:
        return "130", "" if "interrupted" in error or "stopped at step" in out else where
    return "Python's own", "" if is_pythons else where


def check_moments(arguments: list[str], tmp_path: Path, done: Callable[[Path], bool]) -> None:
    begun = time.monotonic()
    whole = tmp_path / "whole"
    whole.mkdir()
    process = start([word.replace("OUT", str(whole / "out")) for word in arguments])
    said = process.communicate()
    assert process.returncode == 0, said
    assert done(whole / "out"), said
    length = time.monotonic() - begun
    seed = random.randrange(2**32)  # other moments every time: it has to hold for all of them
    moments = [random.Random(seed + number).uniform(0.0, length) for number in range(MOMENTS)]

    def attempt(number: int) -> tuple[str, str]:
        folder = tmp_path / str(number)
        found = one_moment(arguments, folder, moments[number], done)
        check_whole(folder, is_steps="train" in arguments)
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(attempt, range(MOMENTS)))
    print(f"seed {seed}, {length:.1f} s: {dict(Counter(how for how, _ in found))}")
    wrong = [what for _, what in found if what]
    assert wrong == []
    # The same command again, where it was interrupted.
    (number,) = [number for number, (how, _) in enumerate(found) if how == "130"][-1:]
    process = start([word.replace("OUT", str(tmp_path / str(number) / "out")) for word in arguments])
    assert process.communicate() is not None
    assert process.returncode == 0
    assert done(tmp_path / str(number) / "out")


def test_prepare(tmp_path: Path) -> None:
    source = tiny.write_recordings(tmp_path / "source", 100)
    check_moments(
        ["prepare", str(source), "OUT", "--layout", "speakers", "--workers", "2"],
        tmp_path,
        lambda out: (out / "manifest.json").exists(),
    )


def test_vocode(tmp_path: Path, voice: Path) -> None:
    source = tmp_path / "source"
    for number in range(3):
        tiny.write_noise(source / f"{number}.wav", 2.0, seed=number)
    check_moments(
        ["vocode", str(voice), str(source), "--out", "OUT", "--backend", "scan"],
        tmp_path,
        lambda out: all((out / f"{number}.wav").exists() for number in range(3)),
    )


def test_evaluate(tmp_path: Path, voice: Path, corpus: Path) -> None:
    check_moments(
        ["evaluate", str(voice), "--corpus", str(corpus), "--seeds", "0", "--json", "OUT"],
        tmp_path,
        lambda out: out.exists() and "bits_per_sample" in json.loads(out.read_text()),
    )


def test_train(tmp_path: Path, corpus: Path) -> None:
    steps = ["--training.num-steps", "8", "--training.checkpoint-every", "2", "--training.log-every", "1"]
    check_moments(
        ["train", *SMALL, *steps, "--corpus", str(corpus), "--workdir", "OUT"],
        tmp_path,
        lambda out: 8 in saved_steps(out / "checkpoints"),
    )
    assert np.isfinite(saved_steps(tmp_path / "whole" / "out" / "checkpoints")).all()
