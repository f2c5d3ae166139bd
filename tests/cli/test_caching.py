"""Whole commands with what earlier ones compiled: sooner, with the same samples, whatever became of the folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.caching import CACHE
from wavejax.cli.main import COMMANDS, WITHOUT_JAX
from wavejax.compilation_cache import SWITCH

ROOT = Path(__file__).resolve().parents[2]
_IMPORTED = """
import sys
import wavejax.cli.main as program
code = program.main(sys.argv[1:])
print("IMPORTED", *sorted({name.partition(".")[0] for name in sys.modules}))
sys.exit(code)
"""


def in_a_process(*arguments: object, **environment: str) -> tuple[str, str]:
    """Standard output and error of a Python process that ends well."""
    ours = ("JAX_COMPILATION", "NUMBA_CACHE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def vocode(tmp_path, voice):
    """Speaks a recording in a process of its own; returns the file's bytes and what was said on standard error."""
    speech = tiny.write_noise(tmp_path / "speech.wav", 0.05)

    def call(backend: str, **environment: str) -> tuple[bytes, list[str]]:
        options = ("--out", tmp_path / "out", "--overwrite", "--backend", backend)
        _, said = in_a_process("-m", "wavejax", "vocode", voice, speech, *options, **environment)
        return (tmp_path / "out/speech.wav").read_bytes(), said.splitlines()

    return call


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "compiled").rglob("*") if path.is_file())


@pytest.mark.parametrize("backend", ["scan", pytest.param("cpu", marks=pytest.mark.slow)])
def test_damage_to_every_file_changes_no_sample(tmp_path, vocode, backend):
    cache = tmp_path / "cache"
    cold, said = vocode(backend, **{CACHE: str(cache)})
    assert len(said) == 1
    files = kept(cache)
    assert any(path.name.startswith("jit_") for path in files)
    assert any(path.name.startswith("numba-") for path in files) == (backend == "cpu")
    contents = {path: path.read_bytes() for path in files}
    times = {path: path.stat().st_mtime_ns for path in files}
    warm, _ = vocode(backend, **{CACHE: str(cache)})
    assert warm == cold
    assert {path: path.read_bytes() for path in kept(cache)} == contents, "something was compiled a second time"
    assert all(path.stat().st_mtime_ns > times[path] for path in files), "something was kept and not used"
    rng = np.random.default_rng(0)
    for number, path in enumerate(files):
        damaged = bytearray(contents[path])
        if number % 2:
            del damaged[rng.integers(len(damaged)) :]
        else:
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
    mended, said = vocode(backend, **{CACHE: str(cache)})
    assert mended == cold
    assert len(said) == 1
    assert [path.name for path in kept(cache)] == [path.name for path in files]


def test_off_and_a_folder_that_cannot_be_written_make_the_same_sound(tmp_path, vocode):
    off, said = vocode("scan", **{CACHE: str(tmp_path / "cache"), SWITCH: "off"})
    assert len(said) == 1
    assert not (tmp_path / "cache").exists()
    (tmp_path / "file").write_text("")
    refused, said = vocode("scan", **{CACHE: str(tmp_path / "file")})
    assert refused == off
    assert [line for line in said if not line.startswith("compiled in")] == [
        line for line in said if "cannot be kept in" in line and "Not a directory" in line
    ]
    assert len(said) == 2


def imported_by(*arguments: object) -> set[str]:
    out, _ = in_a_process("-c", _IMPORTED, *arguments)
    return set(out.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("prepare", "--help"), ("voices", "--help")])
def test_what_only_prints_does_not_wait_for_jax(arguments):
    assert not imported_by(*arguments) & {"jax", "flax", "orbax", "optax", "numba"}


@pytest.mark.parametrize("command", ["vocode", "generate", "play"])
def test_what_makes_sound_waits_neither_for_checkpoints_nor_for_training(command):
    loaded = imported_by(command, "--help")
    assert "flax" in loaded
    assert not loaded & {"orbax", "optax", "tensorboardX", "grain", "matplotlib"}


def test_commands_without_jax_are_commands():
    assert set(WITHOUT_JAX) < set(COMMANDS)
