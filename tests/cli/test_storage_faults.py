"""The working folder fails while a training writes into it: a sentence, the last good step, and nothing is lost."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.checkpoints.folder import saved_steps
from wavejax.cli import training
from wavejax.tasks.families import load
from wavejax.training import Hook

STEPS, EVERY, AT = 8, 2, 5


class FailsAt(Hook):
    """Breaks something after a step, once the checkpoint of the step before is on disk."""

    def __init__(self, breaks: Callable[[], None], checkpoints: Path) -> None:
        self.breaks, self.checkpoints = breaks, checkpoints

    def on_step(self, step, state, metrics):
        if step == AT:
            while AT - 1 not in saved_steps(self.checkpoints):
                pass
            self.breaks()


@pytest.fixture
def train(run, corpus, monkeypatch):
    """Run `wavejax train`, which something may happen to."""

    def call(workdir: Path, breaks: Callable[[], None] | None = None, log_every: int = 1):
        original = training.train_and_evaluate

        def broken(config, folder, *, hooks, **options):
            first = [] if breaks is None else [FailsAt(breaks, workdir / "checkpoints")]
            return original(config, folder, hooks=[*first, *hooks], devices=jax.devices()[:1], **options)

        numbers = {"num-steps": STEPS, "checkpoint-every": EVERY, "log-every": log_every}
        words = [word for name, value in numbers.items() for word in (f"--training.{name}", str(value))]
        with monkeypatch.context() as patched:
            patched.setattr(training, "train_and_evaluate", broken)
            return run("train", "speech-16k-small", *tiny.FLAGS, *words, "--corpus", corpus, "--workdir", workdir)

    return call


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def assert_sound(workdir: Path, run) -> None:
    assert saved_steps(workdir / "checkpoints")[-1] == AT - 1
    said = run("checkpoints", "verify", workdir)
    assert said.code == 0, said.out + said.error


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """The folder of an undisturbed training; empty until somebody trains."""
    return tmp_path_factory.mktemp("undisturbed") / "run"


def assert_goes_on(workdir: Path, whole: Path, train) -> None:
    """The same command completes the training, as if nothing had happened."""
    assert train(workdir).code == 0
    if not whole.exists():
        assert train(whole).code == 0
    a, b = load(workdir), load(whole)
    assert a.step == b.step == STEPS
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)


def test_the_folder_vanishes(train, run, tmp_path):
    workdir, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    said = train(workdir, lambda: workdir.rename(elsewhere))
    assert said.code == 1
    assert said.error.splitlines()[-1].startswith("error: ")
    assert "Last good checkpoint: step 4, which is not there any more" in said.error.splitlines()[-1]
    assert_sound(elsewhere, run)


@pytest.mark.slow
def test_the_folder_vanishes_before_a_save_and_comes_back(train, run, tmp_path, whole):
    workdir, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    said = train(workdir, lambda: workdir.rename(elsewhere), log_every=1000)
    assert said.code == 1
    assert "Last good checkpoint: step 4, which is not there any more" in said.error.splitlines()[-1]
    assert_sound(elsewhere, run)
    assert "cannot write the checkpoint of step 6" in said.error.splitlines()[-1]
    assert not workdir.exists()  # a folder made anew would hide that the old one is gone
    elsewhere.rename(workdir)
    assert_goes_on(workdir, whole, train)


@pytest.mark.slow
@pytest.mark.parametrize("log_every", [1, 1000])
def test_the_disk_is_full(train, run, small_disk, whole, log_every):
    workdir, filler = small_disk / "run", small_disk / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(b"x" * 512)
                except OSError:
                    return

    said = train(workdir, fill, log_every)
    assert said.code == 1
    assert "No space left on device" in said.error.splitlines()[-1]
    assert "Last good checkpoint: step 4" in said.error.splitlines()[-1]
    filler.unlink()
    assert_sound(workdir, run)
    assert_goes_on(workdir, whole, train)


@pytest.mark.slow
@pytest.mark.parametrize("log_every", [1, 1000])
def test_the_folder_becomes_read_only(train, run, small_disk, whole, log_every):
    def remount(mode: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{mode}", small_disk], check=True)

    workdir = small_disk / "run"
    said = train(workdir, lambda: remount("ro"), log_every)
    assert said.code == 1
    assert "Read-only file system" in said.error.splitlines()[-1]
    assert "Last good checkpoint: step 4" in said.error.splitlines()[-1]
    assert_sound(workdir, run)
    said = train(workdir)  # still read-only
    assert said.code == 1
    assert "cannot keep checkpoints in" in said.error
    remount("rw")
    assert_goes_on(workdir, whole, train)
