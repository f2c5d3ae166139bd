"""The scripts that make environments, as far as they need no package index, and the locked versions."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def setup(*arguments, **environment):
    return subprocess.run(
        [ROOT / "scripts" / "setup_environment", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def wanted(extras):
    """What the project itself asks for with these extras, those that name the project's own extras resolved."""
    listed = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
    for line in (line for extra in extras for line in EXTRAS[extra]):
        requirement = Requirement(line)
        listed += wanted(requirement.extras) if requirement.name == PROJECT["project"]["name"] else [requirement]
    return listed


def locked(path):
    """(requirement, hashes) of each entry of a lock."""
    text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    for line in text.splitlines():
        if not line.startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line)
            yield Requirement(requirement), hashes


def chosen(path, python, system, machine):
    """Name -> version that a lock gives to one kind of machine."""
    place = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "os_name": "posix",
    }
    found = {}
    for requirement, _ in locked(path):
        if requirement.marker is None or requirement.marker.evaluate(place):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{path.name} gives {name} twice on Python {python}"
            (version,) = requirement.specifier
            assert version.operator == "=="
            found[name] = version.version
    return found


def test_there_is_a_lock_for_contributors_and_for_pods():
    assert [path.name for path in LOCKS] == ["dev.txt", "train-tpu-cloud.txt"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_file_of_a_lock_has_a_hash_and_no_index_is_named(path):
    for requirement, hashes in locked(path):
        assert requirement.url is None
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest.strip()) for digest in hashes), requirement
    assert "://" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_holds_what_the_project_asks_for(path, python):
    asked = [*wanted(path.stem.split("-")), *map(Requirement, PROJECT["build-system"]["requires"])]
    machines = MACHINES if path.stem == "dev" else MACHINES[:1]  # of a TPU's library there are no other wheels
    for system, machine in machines:
        found = chosen(path, python, system, machine)
        for requirement in asked:
            version = found.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement} is not in {path.name}: run scripts/lock"
            assert requirement.specifier.contains(version), f"{path.name} has {version}, the project asks {requirement}"


def test_what_the_classifiers_promise_is_what_the_locks_serve():
    promised = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if ":: Python :: 3." in line]
    assert promised == list(PYTHONS)
    assert f"PYTHONS=({' '.join(PYTHONS)})" in (ROOT / "scripts" / "lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("inside", ["thesis.doc", "bin/python", "pyvenv.cfg"])
def test_a_folder_that_the_script_did_not_make_is_left_alone(tmp_path, inside):
    """A home, a project, or an environment made by something else, which may have no pip."""
    kept = tmp_path / "mine" / inside
    kept.parent.mkdir(parents=True)
    kept.write_text("precious")
    done = setup(WAVEJAX_VENV=str(tmp_path / "mine"))
    assert done.returncode == 1
    assert f"{tmp_path / 'mine'} is there and was not made by this script, so it is left alone" in done.stderr
    assert kept.read_text() == "precious"
    assert sum(path.is_file() for path in (tmp_path / "mine").rglob("*")) == 1


def test_a_python_that_is_not_there_is_named(tmp_path):
    done = setup("--python", "3.99", WAVEJAX_VENV=str(tmp_path / "new"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "found no Python 3.99 with its venv module" in done.stderr
    assert not (tmp_path / "new").exists()


def test_an_unknown_option_is_refused_before_anything_is_made(tmp_path):
    done = setup("--highest", WAVEJAX_VENV=str(tmp_path / "new"))
    assert done.returncode == 1
    assert "there is no option --highest" in done.stderr
    assert not (tmp_path / "new").exists()
