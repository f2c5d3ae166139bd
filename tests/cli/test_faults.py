"""`wavejax train` over two supervised processes, one of which is killed again and again."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.cli.test_training_process import children, command_line, environment, last_step
from wavejax.checkpoints.folder import TEMPORARY_MARK, saved_steps
from wavejax.tasks.families import load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the trainings in /proc"),
]
EVERY = 5
LIMIT_SECONDS = 300.0


class Supervised:
    """One supervisor, and what it and its training say."""

    def __init__(self, command: list[str]) -> None:
        self.lines: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            self.lines.append((time.monotonic(), line))

    def training(self) -> int | None:
        return next(iter(children(self.process.pid)), None)

    def resumed_from(self, since: float) -> int | None:
        """The step that the training first went on from after a moment."""
        for moment, line in self.lines:
            found = re.search(r"resuming from step (\d+)", line)
            if found and moment > since:
                return int(found[1])
        return None

    def said(self) -> str:
        return "".join(line for _, line in self.lines)

    def ended(self) -> int:
        code = self.process.wait()
        self._reader.join()
        self.process.stderr.close()
        return code


@contextmanager
def job(workdir: Path, corpus: Path, steps: int, *options: str) -> Iterator[list[Supervised]]:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    where = ["--coordinator", f"localhost:{port}", "--num-processes", "2", "--process-id"]
    members = [
        Supervised(command_line(workdir, corpus, *where, str(i), *options, steps=steps, every=EVERY)) for i in range(2)
    ]
    try:
        yield members
    finally:
        for member in members:
            member.process.kill()
            member.ended()


def wait_for(condition, members: list[Supervised]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert all(member.process.poll() is None for member in members), [member.said() for member in members]
        assert time.monotonic() < end, [member.said() for member in members]
        time.sleep(0.002)


def kill_at(moment: str, target: int, victim: int, members: list[Supervised], workdir: Path, draw) -> tuple:
    """(time, newest checkpoint then, what was done)."""
    folder, metrics = workdir / "checkpoints", workdir / "metrics.jsonl"
    wait_for(lambda: all(member.training() is not None for member in members), members)
    if moment == "start":
        time.sleep(draw.uniform(0, 8))
    else:
        wait_for(lambda: last_step(metrics) >= target, members)
    if moment == "save":
        wait_for(lambda: any(folder.glob(f"*{TEMPORARY_MARK}*")), members)
    time.sleep(draw.uniform(0, 0.05))
    training, newest = members[victim].training(), max(saved_steps(folder), default=0)
    if training is not None:
        os.kill(training, signal.SIGKILL)
        wait_for(lambda: members[victim].training() != training, members)
    return time.monotonic(), newest, f"{('coordinator', 'worker')[victim]}, {moment}, step {last_step(metrics)}"


def check_kills(tmp_path: Path, corpus: Path, moments: list[str], steps: int) -> None:
    with job(tmp_path / "whole", corpus, steps) as members:
        assert [member.ended() for member in members] == [0, 0], [member.said() for member in members]
    seed = random.randrange(2**32)  # other moments every time: it has to hold for all of them
    draw, workdir, kills = random.Random(seed), tmp_path / "killed", []
    targets = sorted(draw.sample(range(1, steps - EVERY), len(moments)))
    with job(workdir, corpus, steps, "--restarts", str(len(moments) + 2)) as members:
        for moment, target in zip(moments, targets, strict=True):
            kills.append(kill_at(moment, target, draw.randrange(2), members, workdir, draw))
        codes = [member.ended() for member in members]
    print(f"seed {seed}: {len(kills)} kills: {'; '.join(what for *_, what in kills)}")
    assert codes == [0, 0], [member.said() for member in members]
    for killed, newest, what in kills:
        for member in members:
            resumed = member.resumed_from(killed)
            assert resumed is None or resumed >= newest, f"{what}: {newest} was saved"
    one, other = load(tmp_path / "whole"), load(workdir)
    assert one.step == other.step == steps
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=0)


def test_one_kill_of_one_of_two_processes(tmp_path, corpus):
    check_kills(tmp_path, corpus, ["step"], steps=12)


def test_twenty_kills_of_one_of_two_processes(tmp_path, corpus):
    moments = ["start"] * 3 + ["step"] * 9 + ["save"] * 8
    random.shuffle(moments)
    check_kills(tmp_path, corpus, moments, steps=90)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_hangs_restarts_both(tmp_path, corpus, victim):
    with job(tmp_path, corpus, 60, "--restarts", "3", "--hang-minutes", "1") as members:
        wait_for(lambda: EVERY in saved_steps(tmp_path / "checkpoints"), members)
        stopped = members[victim].training()
        os.kill(stopped, signal.SIGSTOP)
        wait_for(lambda: members[victim].training() != stopped, members)
        codes = [member.ended() for member in members]
    said = [member.said() for member in members]
    assert codes == [0, 0], said
    # Whichever comes first: a supervisor's patience, or that of the collective in the process that is left waiting.
    assert all("restart 1 of 3" in words for words in said), said
    assert all(re.search(r"resuming from step [1-9]", words) for words in said), said
    assert load(tmp_path).step == 60
