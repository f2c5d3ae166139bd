"""scripts/setup_environment makes an environment anew only where it has made the one that is there."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

STUB = """#!/bin/sh
[ "$1" = --version ] && echo "Python 3.12"
[ "$2" = venv ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
[ "$1" = -m ] && [ "$2" = pip ] && [ "$(dirname "$0")" = "$(dirname "$WAVEJAX_PYTHON")" ] && exit 1
exit 0
"""
"""A Python that has everything, makes environments and installs nothing."""


@pytest.fixture
def set_up(tmp_path: Path):
    python = tmp_path / "stub" / "python"
    python.parent.mkdir()
    python.write_text(STUB)
    python.chmod(0o755)

    def call(venv: Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "WAVEJAX_VENV": str(venv), "WAVEJAX_PYTHON": str(python)}
        script = ROOT / "scripts" / "setup_environment"
        return subprocess.run([script, ""], env=environment, capture_output=True, text=True)

    return call


def _uv_environment(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (folder / "bin" / "python").chmod(0o755)
    (folder / "pyvenv.cfg").write_text("uv = 0.9\n")


def _notes(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")


@pytest.mark.parametrize("make", [_uv_environment, _notes])
def test_what_others_have_made_is_left_as_it_is(set_up, tmp_path: Path, make) -> None:
    venv = tmp_path / "environment"
    make(venv)
    before = sorted((path, path.read_bytes()) for path in venv.rglob("*") if path.is_file())
    said = set_up(venv)
    assert said.returncode == 1
    assert f"{venv} is there and was not made by this script, so it is left alone" in said.stderr
    assert sorted((path, path.read_bytes()) for path in venv.rglob("*") if path.is_file()) == before


def test_its_own_is_made_used_and_made_anew(set_up, tmp_path: Path) -> None:
    venv = tmp_path / "new folder"
    said = set_up(venv)
    assert (said.returncode, said.stdout) == (0, f"{venv}/bin/python\n"), said.stderr
    assert "making" in said.stderr
    assert "making" not in set_up(venv).stderr
    (venv / "bin" / "python").unlink()  # the Python that it was made of has gone
    assert "making" in set_up(venv).stderr
    (venv / "bin" / "python").unlink()
    (venv / "wavejax-environment").rename(venv / "wavejax-installed-train")  # by an earlier version
    assert set_up(venv).returncode == 0
    assert (venv / "wavejax-environment").is_file()
