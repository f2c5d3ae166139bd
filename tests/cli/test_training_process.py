"""`wavejax train` as schedulers see it: exit codes, several processes, restarts."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.checkpoints.folder import saved_steps
from wavejax.supervision.life_signs import HEARTBEAT
from wavejax.tasks.families import load
from wavejax.training import ProfileHook

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

    def supervise(command, progress, policy, say, incidents):
        say("hello")
        calls.append((command, progress(), policy.restarts, policy.hang_seconds, policy.compile_seconds, incidents))
        return 137

    monkeypatch.setattr("wavejax.cli.training.supervise", supervise)
    (tmp_path / "w" / "checkpoints" / "30").mkdir(parents=True)
    arguments = ["train", *SMALL, "--workdir", str(tmp_path / "w"), "--restarts", "4", "--compile-minutes", "3"]
    arguments += ["--hang-minutes", "2"]
    said = run(*arguments)
    assert (said.code, said.error) == (137, "supervisor: hello\n")
    assert calls == [([sys.executable, "-m", "wavejax", *arguments], 30, 4, 120.0, 180.0, None)]
    said = run(*arguments[:-1], "0")
    assert said.code == 2
    assert "--hang-minutes must be above 0" in said.error
    where = ["--coordinator", "host:1", "--num-processes", "2", "--process-id", "1"]
    assert run(*arguments, *where).code == 137
    incidents = calls[-1][-1]
    assert incidents.path == tmp_path / "w" / "restarts.jsonl"
    assert incidents.process == f"1 on {socket.gethostname()}"
    assert run(*arguments, "--distributed").code == 137
    assert calls[-1][-1].process == socket.gethostname()


def test_a_supervised_training_trains_and_gives_signs_of_life(run, tmp_path, corpus, ending, monkeypatch):
    monkeypatch.setattr("faulthandler.enable", lambda file: None)
    monkeypatch.setenv(HEARTBEAT, str(tmp_path / "beat"))
    arguments = ("train", *SMALL, "--workdir", tmp_path / "w", "--restarts", "4")
    assert run(*arguments, "--corpus", corpus).code == 0
    assert (tmp_path / "beat").read_text() == "step 7"
    assert run(*arguments, "--corpus", tmp_path / "nowhere").code == 1
    assert (tmp_path / "beat").read_text() == "final"


def test_steps_to_profile_are_a_range(run, tmp_path, corpus, monkeypatch):
    hooks = []

    def end(config, workdir, *, hooks: list, **options):
        seen.extend(hooks)
        return SimpleNamespace(step=7)

    seen = hooks
    monkeypatch.setattr("wavejax.cli.training.train_and_evaluate", end)
    arguments = ["train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "w", "--profile-steps"]
    assert run(*arguments, "100:105").code == 0
    (hook,) = [hook for hook in seen if isinstance(hook, ProfileHook)]
    assert (hook.first, hook.last, hook.folder) == (100, 105, tmp_path / "w" / "profile")
    for wrong in ("105:100", "0:3", "some", "3:"):
        said = run(*arguments, wrong)
        assert said.code == 2
        assert f"--profile-steps {wrong}: give FIRST:LAST, as 100:105" in said.error


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


STATED_SECONDS = 30.0  # the shortest notice that a scheduler gives, on a Spot machine


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
@pytest.mark.parametrize(
    ("whom", "code"), [("training", 143), ("supervisor", 143), ("both", 143), ("supervisor by SIGKILL", -9)]
)
def test_whoever_is_told_to_end_the_training_saves(tmp_path, corpus, whom, code):
    command = command_line(tmp_path, corpus, "--restarts", "2", steps=10**6, every=10**6)
    metrics = tmp_path / "metrics.jsonl"
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as supervisor:
        errors: list[str] = []  # it has to be read, or both stop where the pipe is full
        reader = threading.Thread(target=lambda: errors.append(supervisor.stderr.read()))
        reader.start()
        while last_step(metrics) < 3:
            assert supervisor.poll() is None
            time.sleep(0.05)
        assert saved_steps(tmp_path / "checkpoints") == ()
        (child,) = children(supervisor.pid)
        asked, last = time.monotonic(), last_step(metrics)
        if whom in ("training", "both"):  # as schedulers do that send it to every process of a job
            os.kill(child, signal.SIGTERM)
        if whom != "training":
            supervisor.send_signal(signal.SIGKILL if "SIGKILL" in whom else signal.SIGTERM)
        while os.path.exists(f"/proc/{child}/exe"):  # not of one that has ended
            time.sleep(0.02)
        took = time.monotonic() - asked
        supervisor.wait()
        reader.join()
    assert supervisor.returncode == code, errors
    (saved,) = saved_steps(tmp_path / "checkpoints")
    assert took < STATED_SECONDS
    print(f"{whom}: asked at step {last}, saved step {saved}, ended after {took:.2f} s")
    assert load(tmp_path).step == saved >= last
    assert not list((tmp_path / "checkpoints").glob("*tmp*"))
