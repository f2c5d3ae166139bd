"""One corpus, one training and one export for all tests of the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tiny import commands as tiny
from wavejax.cli.main import main


class Said(NamedTuple):
    code: int
    out: str
    error: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run `wavejax ...` in this process."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    source = tiny.write_recordings(folder / "recordings", 14)
    (source / "anna" / "broken.wav").write_bytes(b"RIFF and then nothing")
    options = ["--workers", "1", "--layout", "speakers", "--validation", "0.25", "--test", "0.25"]
    assert main(["prepare", str(source), str(folder / "prepared"), *options]) == 0
    return folder / "prepared"


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A training folder with the checkpoints of steps 1 and 2."""
    workdir = tmp_path_factory.mktemp("training") / "run"
    steps = ["--training.num-steps", "2", "--training.checkpoint-every", "1"]
    arguments = ["train", "speech-16k-small", "--workdir", str(workdir), "--corpus", str(corpus), *tiny.FLAGS, *steps]
    assert main(arguments) == 0
    return workdir


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported, untrained vocoder."""
    return tiny.export(tmp_path_factory.mktemp("exports") / "voice", tiny.config())
