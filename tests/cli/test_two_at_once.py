"""Two of one command in one folder: one is refused with a sentence, or both are right."""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_training_process import SMALL, environment
from tests.tiny import commands as tiny
from wavejax.atomic import is_leftover
from wavejax.audio.files import read_audio
from wavejax.checkpoints import load_params
from wavejax.data import Corpus
from wavejax.locks import LockedError

pytestmark = pytest.mark.slow

STARTS = 20
REFUSED = re.compile(r"error: .*(process \d+ on \S+ is .* it since|another process is at work there|is there already)")

EXPORTING = """
import sys
import numpy as np
from wavejax.checkpoints import export_params
from wavejax.locks import LockedError
print("ready", flush=True)
sys.stdin.readline()
done = refused = 0
while done < 40:
    try:
        export_params(sys.argv[1], {"w": np.full(5000, float(done), np.float32)}, {"who": sys.argv[2], "n": done})
        done += 1
    except LockedError:
        refused += 1
print(done, refused)
"""


def two(arguments: list[str]) -> list[tuple[int, str]]:
    """(exit code, standard error) of two that start at nearly the same time."""
    command = [sys.executable, "-m", "wavejax", *arguments]
    processes = []
    for _ in range(2):
        processes.append(
            subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        )
        time.sleep(random.choice([0.0, random.uniform(0.0, 0.5)]))
    return [(process.returncode, error) for process in processes for _, error in [process.communicate(timeout=300)]]


def check_pairs(arguments: list[str], tmp_path: Path, right: Callable[[Path], None]) -> None:
    refused = 0
    for number in range(STARTS):
        folder = tmp_path / str(number)
        folder.mkdir()
        ended = two([word.replace("OUT", str(folder / "out")) for word in arguments])
        assert 0 in [code for code, _ in ended], ended
        for code, error in ended:
            assert "Traceback" not in error
            if code != 0:
                assert code == 1
                assert REFUSED.search(error), error
                assert error.count("error: ") == 1
                refused += 1
        right(folder / "out")
        assert not [path for path in folder.rglob("*") if is_leftover(path.name) or path.suffix == ".lock"]
    print(f"{STARTS} starts of two: {refused} times one was refused")


def test_prepare(tmp_path: Path) -> None:
    source = tiny.write_recordings(tmp_path / "source", 40)

    def right(out: Path) -> None:
        corpus = Corpus.open(out)
        assert len(corpus) == 40
        assert len(corpus.utterance(39).waveform)

    check_pairs(["prepare", str(source), "OUT", "--layout", "speakers", "--workers", "1"], tmp_path, right)


def test_features(tmp_path: Path) -> None:
    source = tiny.write_recordings(tmp_path / "source", 10)

    def right(out: Path) -> None:
        assert len([np.load(path) for path in out.iterdir()]) == 10

    check_pairs(["features", str(source), "--out", "OUT"], tmp_path, right)


def test_export(tmp_path: Path, voice: Path) -> None:
    check_pairs(["export-params", str(voice), "OUT"], tmp_path, lambda out: load_params(out) and None)


def test_exports_in_a_row(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EXPORTING, str(tmp_path / "voice")]
    processes = [
        subprocess.Popen([*command, who], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for who in "ab"
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    while any(process.poll() is None for process in processes):
        if (tmp_path / "voice").exists():
            params, meta = _loaded(tmp_path / "voice")
            assert (params["w"] == meta["n"]).all()
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sorted(path.suffix for path in (tmp_path / "voice").iterdir()) == [".json", ".npz"]
    assert [path.name for path in tmp_path.iterdir()] == ["voice"]


def _loaded(folder: Path) -> tuple[dict, dict]:
    """What is there: the archive that a reader is about to open may be replaced by then, so it reads again."""
    for _ in range(50):
        try:
            return load_params(folder)
        except Exception as error:
            last = error
            time.sleep(0.005)
    raise last


@pytest.mark.parametrize("command", ["vocode", "generate"])
def test_speaking(tmp_path: Path, voice: Path, command: str) -> None:
    source = tiny.write_recordings(tmp_path / "source", 4) / "anna"
    (first, *_) = sorted(source.iterdir())

    def right(out: Path) -> None:
        paths = [out] if out.is_file() else sorted(out.iterdir())
        assert len(paths) == (1 if command == "generate" else 2)
        assert all(len(read_audio(path)[0]) for path in paths)

    arguments = {
        "vocode": ["vocode", str(voice), str(source), "--out", "OUT"],
        "generate": ["generate", str(voice), "OUT.wav", "--mel", str(first)],
    }
    check_pairs(
        arguments[command], tmp_path, right if command == "vocode" else lambda out: right(out.with_suffix(".wav"))
    )


def test_evaluate(tmp_path: Path) -> None:
    for folder in ("reference", "candidate"):
        for number in range(2):
            tiny.write_noise(tmp_path / folder / f"{number}.wav", 1.5, seed=number)

    def right(out: Path) -> None:
        assert (out / "index.html").read_text().endswith("</html>\n")
        report = json.loads((out / "report.json").read_text())
        assert len(report["items"]) == 2
        assert all(len(read_audio(path)[0]) for path in out.rglob("*.wav"))

    folders = ["--reference", str(tmp_path / "reference"), "--candidate", str(tmp_path / "candidate")]
    check_pairs(["evaluate", *folders, "--judges", "none", "--anchors", "mu-law-8", "--output", "OUT"], tmp_path, right)


def test_train(tmp_path: Path, corpus: Path) -> None:
    def right(out: Path) -> None:
        steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
        assert steps == [1, 2, 3, 4], "the second goes on from nowhere, or does nothing once the first is done"
        assert "training.lock" not in os.listdir(out)

    steps = ["--training.num-steps", "4", "--training.checkpoint-every", "1", "--training.log-every", "1"]
    check_pairs(["train", *SMALL, *steps, "--corpus", str(corpus), "--workdir", "OUT"], tmp_path, right)


def test_the_refusal_is_an_error_that_no_supervisor_tries_again() -> None:
    assert issubclass(LockedError, ValueError)
