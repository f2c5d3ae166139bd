"""`wavejax train` as schedulers see it: exit codes, several processes, restarts."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.cli import tiny
from wavejax.checkpoints.folder import saved_steps
from wavejax.tasks.supervision import HEARTBEAT
from wavejax.tasks.vocoder import load

SMALL = ["speech-16k-small", *tiny.FLAGS]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ending(monkeypatch):
    """A training that ends at step 7 for the reason that is put in here."""
    reason = SimpleNamespace(value="finished")

    def end(config, workdir, *, hooks, **options):
        for hook in hooks:
            hook.on_end(7, None, reason.value)
        return SimpleNamespace(step=7)

    monkeypatch.setattr("wavejax.cli.training.train_and_evaluate", end)
    return reason


@pytest.mark.parametrize(
    ("reason", "code"), [("finished", 0), ("exhausted", 0), ("interrupted", 130), ("terminated", 143)]
)
def test_the_exit_code_says_how_it_ended(run, tmp_path, corpus, ending, reason, code):
    ending.value = reason
    said = run("train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "w")
    assert said.code == code
    assert "stopped at step 7 of 100000; the same command goes on from there" in said.out


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (("--distributed",), (None, None, None)),
        (("--coordinator", "host:1", "--num-processes", "4", "--process-id", "0"), ("host:1", 4, 0)),
    ],
)
def test_several_processes_are_joined_before_anything_else(run, tmp_path, corpus, ending, monkeypatch, options, given):
    calls = []

    def join(coordinator, *, num_processes, process_id):
        calls.append((coordinator, num_processes, process_id))

    monkeypatch.setattr("wavejax.cli.training.initialize_processes", join)
    assert run("train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "w").code == 0
    assert calls == []
    assert run("train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "w", *options).code == 0
    assert calls == [given]


def test_half_an_address_is_refused(run, tmp_path):
    said = run("train", *SMALL, "--workdir", tmp_path / "w", "--process-id", "1")
    assert said.code == 1
    assert "coordinator=None, num_processes=None, process_id=1: give all three" in said.error


def test_restarts_leave_the_training_to_another_process(run, tmp_path, monkeypatch):
    calls = []

    def supervise(command, progress, policy, say):
        say("hello")
        calls.append((command, progress(), policy.restarts, policy.hang_seconds))
        return 137

    monkeypatch.setattr("wavejax.cli.training.supervise", supervise)
    (tmp_path / "w" / "checkpoints" / "30").mkdir(parents=True)
    arguments = ["train", *SMALL, "--workdir", str(tmp_path / "w"), "--restarts", "4", "--hang-minutes", "2"]
    said = run(*arguments)
    assert (said.code, said.error) == (137, "supervisor: hello\n")
    assert calls == [([sys.executable, "-m", "wavejax", *arguments], 30, 4, 120.0)]
    said = run(*arguments[:-1], "0")
    assert said.code == 2
    assert "hang_seconds=0.0 must be above 0" in said.error


def test_a_supervised_training_trains_and_gives_signs_of_life(run, tmp_path, corpus, ending, monkeypatch):
    monkeypatch.setattr("wavejax.tasks.supervision._end_with_parent", lambda: None)
    monkeypatch.setattr("faulthandler.enable", lambda file: None)
    monkeypatch.setenv(HEARTBEAT, str(tmp_path / "beat"))
    arguments = ("train", *SMALL, "--workdir", tmp_path / "w", "--restarts", "4")
    assert run(*arguments, "--corpus", corpus).code == 0
    assert (tmp_path / "beat").read_text() == "step 7"
    assert run(*arguments, "--corpus", tmp_path / "nowhere").code == 1
    assert (tmp_path / "beat").read_text() == "final"


def command_line(workdir: Path, corpus: Path, *options: str, steps: int = 120, every: int = 10) -> list[str]:
    numbers = {"num-steps": steps, "checkpoint-every": every, "log-every": 1}
    training = [word for name, value in numbers.items() for word in (f"--training.{name}", str(value))]
    return [
        *(sys.executable, "-m", "wavejax", "train", *SMALL, *training, *options),
        *("--corpus", str(corpus), "--workdir", str(workdir)),
    ]


def environment(devices: int = 1) -> dict[str, str]:
    flags = f"--xla_force_host_platform_device_count={devices}"
    return {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def last_step(metrics: Path) -> int:
    """The newest step in a log that is being written."""
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    return max((int(line.split(",")[0].split(":")[1]) for line in lines if line.endswith("}")), default=0)


def children(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def assert_same_parameters(one: Path, other: Path) -> None:
    a, b = load(one), load(other)
    assert a.step == b.step == 120
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=0), a.params, b.params)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
def test_killed_at_random_moments_a_supervised_training_completes(tmp_path, corpus):
    subprocess.run(command_line(tmp_path / "whole", corpus), env=environment(), check=True, capture_output=True)
    command, metrics = command_line(tmp_path / "killed", corpus, "--restarts", "3"), tmp_path / "killed/metrics.jsonl"
    draw = random.Random()  # other moments every time: it has to hold for all of them
    steps = [0, *sorted(draw.sample(range(2, 90), 2))]  # 0: as it starts
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as supervisor:
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.append(supervisor.stderr.read()))
        reader.start()
        for step in steps:
            while not children(supervisor.pid) or last_step(metrics) < step:
                assert supervisor.poll() is None
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.01 if step else 3))
            for child in children(supervisor.pid):
                os.kill(child, signal.SIGKILL)
            while children(supervisor.pid):
                time.sleep(0.005)
        reader.join()
    assert supervisor.returncode == 0, errors
    assert errors[0].count("the training was ended by SIGKILL") == len(steps), errors
    assert_same_parameters(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
def test_sigterm_saves_through_the_supervisor_and_a_lost_supervisor_ends_its_child(tmp_path, corpus):
    for name, number in (("asked", signal.SIGTERM), ("lost", signal.SIGKILL)):
        workdir = tmp_path / name
        command = command_line(workdir, corpus, "--restarts", "2", steps=10**6, every=10**6)
        with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as supervisor:
            while not (workdir / "metrics.jsonl").exists() or (workdir / "metrics.jsonl").stat().st_size == 0:
                assert supervisor.poll() is None
                time.sleep(0.05)
            assert saved_steps(workdir / "checkpoints") == ()
            (child,) = children(supervisor.pid)
            supervisor.send_signal(number)
            supervisor.wait()
            while os.path.exists(f"/proc/{child}/exe"):  # not of one that has ended
                time.sleep(0.05)
            supervisor.communicate()
        assert supervisor.returncode == (143 if number == signal.SIGTERM else -signal.SIGKILL)
        if number == signal.SIGTERM:  # a child that lost its supervisor ends, but need not have saved
            assert len(saved_steps(workdir / "checkpoints")) == 1
