"""A command ends at once and cleanly when it is told to, whatever it is doing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="has no such signals")

BEGINNING = """
import os, signal, sys, threading, time
from pathlib import Path
from wavejax import atomic, interruption
from wavejax.locks import exclusive
signal.signal(signal.SIGINT, signal.default_int_handler)
interruption.install()
folder = Path(sys.argv[1])
"""
READY = "print('ready', flush=True)\n"
IN_NATIVE_CODE = (
    READY
    + """
import ctypes
while True:
    ctypes.CDLL(None).sleep(60)  # Python's own handlers would wait for it
"""
)
SWALLOWED = (
    READY
    + """
while True:
    try:
        time.sleep(0.01)
    except BaseException:
        pass
"""
)
WRITING = """
with exclusive(folder / "lock", "x", "y"), atomic.replacing(folder / "file") as partial:
    partial.write_text("half")
    sys.stdout.write("printed before")
    os.write(1, b"ready\\n")
    time.sleep(60)
"""
REACTING = """
def keep(number):
    (folder / "kept").write_text(str(number))
    return False

with interruption.reacting(lambda number: True), interruption.reacting(keep):
    print("ready", flush=True)
    time.sleep(60)
"""
FAILING = """
def keep(number):
    raise OSError("the disk is full")

with interruption.reacting(keep):
    print("ready", flush=True)
    time.sleep(60)
"""
FLAGGED = """
from wavejax.training.signals import SignalFlag
with SignalFlag() as flag:
    print("ready", flush=True)
    while not flag.number:
        time.sleep(0.01)
    print("saving", flag.number, flush=True)
    time.sleep(60 if sys.argv[2:] else 0)
print("saved")
"""
FORKING = """
import multiprocessing
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
child.start()
child.terminate()  # which is not meant for this process
child.join()
time.sleep(0.2)
print("ready", flush=True)
time.sleep(60)
"""


def start(code: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", BEGINNING + code, str(folder), *arguments]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(command, env=buffered, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", process.communicate()
    return process


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
@pytest.mark.parametrize("code", [IN_NATIVE_CODE, SWALLOWED, WRITING, FORKING])
def test_it_ends_at_once_and_leaves_nothing_half_written(tmp_path: Path, code: str, number: int, word: str) -> None:
    process = start(code, tmp_path)
    begun = time.monotonic()
    process.send_signal(number)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (128 + number, f"error: {word}\n")
    assert time.monotonic() - begun < 5
    assert out == ("printed before" if code is WRITING else "")
    assert list(tmp_path.iterdir()) == []


def test_it_says_so_where_standard_error_is_another_for_a_moment(tmp_path: Path) -> None:
    inside = f"import contextlib, io\nwith contextlib.redirect_stderr(io.StringIO()):\n    {READY.strip()}\n"
    code = f"{inside}    time.sleep(60)\n"
    process = start(code, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "error: interrupted\n")


def test_who_has_asked_to_reacts_first(tmp_path: Path) -> None:
    process = start(REACTING, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == "error: interrupted\n"
    assert process.returncode == 130
    assert (tmp_path / "kept").read_text() == "2"


def test_a_reaction_that_fails_is_told_and_ends_it_too(tmp_path: Path) -> None:
    process = start(FAILING, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == "error: the disk is full\nerror: interrupted\n"
    assert process.returncode == 130


def test_a_training_keeps_the_first_and_the_second_acts_at_once(tmp_path: Path) -> None:
    process = start(FLAGGED, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("saving 2\nsaved\n", "")
    assert process.returncode == 0
    process = start(FLAGGED, tmp_path, "slowly")
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "saving 15\n"
    process.send_signal(signal.SIGTERM)  # the same again, as schedulers send it
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "error: interrupted\n")
    assert process.returncode == 130


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """A shell starts what runs in the background with Ctrl-C ignored."""
    code = "signal.signal(signal.SIGINT, signal.SIG_IGN)\ninterruption.install()\nassert interruption.is_installed()\n"
    beginning = BEGINNING.replace(
        "signal.signal(signal.SIGINT, signal.default_int_handler)\ninterruption.install()\n", code
    )
    script = beginning + READY + "time.sleep(0.5)\nprint('on')\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("on\n", "")
