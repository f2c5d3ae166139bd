"""`--workdir URL`: training into a bucket, its faults, and the commands that read from there."""

import itertools
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.checkpoints.buckets import Memory
from tests.tiny import commands as tiny
from wavejax.checkpoints.newest import newest_step_of
from wavejax.checkpoints.urls import CACHE, cache_folder
from wavejax.cli import training
from wavejax.tasks.families import load

STEPS, EVERY = 4, 2


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return Memory(monkeypatch)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Called, this is a machine that has never seen the run."""
    numbers = itertools.count()
    return lambda: monkeypatch.setenv(CACHE, str(tmp_path / f"machine{next(numbers)}"))


@pytest.fixture
def train(run, corpus, monkeypatch):
    """Run `wavejax train`, on one device."""
    original = training.train_and_evaluate
    monkeypatch.setattr(
        training, "train_and_evaluate", lambda *given, **options: original(*given, devices=jax.devices()[:1], **options)
    )

    def call(workdir, num_steps: int = STEPS):
        numbers = {"num-steps": num_steps, "checkpoint-every": EVERY, "log-every": 1}
        words = [word for name, value in numbers.items() for word in (f"--training.{name}", str(value))]
        return run("train", "speech-16k-small", *tiny.FLAGS, *words, "--corpus", corpus, "--workdir", workdir)

    return call


def test_training_into_a_bucket(run, train, bucket, elsewhere, tmp_path):
    assert train(tmp_path / "whole").code == 0
    assert train(bucket.workdir, EVERY).code == 0
    elsewhere()
    said = train(bucket.workdir)
    assert said.code == 0, said.error
    assert f"fetching step 2 of {bucket.url}" in said.error
    assert f"wavejax vocode {bucket.workdir} SPEECH.wav" in said.out
    elsewhere()
    a, b = load(bucket.workdir), load(tmp_path / "whole")
    assert (a.step, a.source) == (STEPS, bucket.workdir)
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    listed = run("checkpoints", "list", bucket.workdir)
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == ["2", "4"]
    assert listed.out.count("loss") == 2  # the log of metrics travels along
    assert run("checkpoints", "verify", bucket.workdir).out == "step 2: sound\nstep 4: sound\n"
    said = run("checkpoints", "prune", bucket.workdir, "--keep-last", "1", "--delete")
    assert (said.code, bucket.steps()) == (0, [4])
    assert run("export-params", bucket.workdir, tmp_path / "voice").code == 0
    bucket.fs.put(str(tmp_path / "voice"), f"{bucket.root}/voice", recursive=True)
    exported = load(f"{bucket.workdir}/voice")
    assert exported.step is None
    jax.tree.map(np.testing.assert_array_equal, exported.params, b.params)


def test_a_bucket_that_fails_ends_the_training_with_a_sentence(train, bucket):
    def refuse(operation):
        if operation.startswith("+4/"):
            raise ConnectionError("no route to host")

    bucket.refuse = refuse
    said = train(bucket.workdir)
    assert said.code == 1
    sentence = said.error.splitlines()[-1]
    assert sentence.startswith("error: cannot upload the checkpoint of step 4: cannot write 4/")
    assert "no route to host. Newest checkpoint in the bucket: step 2; on this machine: step 4 (" in sentence
    assert "Last good checkpoint: step 4" in sentence
    assert bucket.steps() == [2]
    bucket.refuse = lambda operation: None
    assert train(bucket.workdir).code == 0
    assert bucket.steps() == [2, 4]


def test_a_bucket_that_cannot_be_reached_is_said_before_training(train, bucket, monkeypatch):
    def down(self, path, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(type(bucket.fs), "find", down)
    said = train(bucket.workdir)
    assert said.code == 1
    assert said.error.splitlines()[-1] == f"error: cannot list {bucket.url}: no route to host"


def test_what_is_no_bucket_is_refused_at_once(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    words = ["train", "speech-16k-small", "--workdir"]
    for more in ((), ("--restarts", "3", "--distributed")):
        said = run(*words, "gs://bucket/run", *more)
        assert said.code == 1
        assert "the bucket gs://bucket/run needs a driver of gs://" in said.error
        assert "pip install 'wavejax-audio[cloud]'" in said.error
        said = run(*words, "nowhere://bucket/run", *more)
        assert said.code == 2
        assert "--workdir: nowhere://bucket/run: Protocol not known" in said.error
    assert list(tmp_path.iterdir()) == []


def test_a_supervisor_looks_for_progress_in_the_bucket(bucket, monkeypatch):
    look = newest_step_of(Path(bucket.workdir))
    assert look() is None
    bucket.fs.pipe_file(f"{bucket.root}/checkpoints/7/wavejax_files.json", b"{}")
    assert look() == 7
    with monkeypatch.context() as patched:

        def down(self, path, **options):
            raise ConnectionError("no route to host")

        patched.setattr(type(bucket.fs), "find", down)
        assert look() == 7  # not that it has vanished
    (cache_folder(bucket.url, "runs") / "8").mkdir(parents=True)
    assert look() == 8
