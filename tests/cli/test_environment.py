"""What the environment of a command says wrong is told in a sentence, not in a traceback."""

import logging
import os
import subprocess
import sys

import pytest

from wavejax.cli.main import main


def command(*arguments, **environment):
    """`python -m wavejax ...` in a process of its own."""
    env = {name: value for name, value in os.environ.items() if name not in ("JAX_PLATFORMS", "XLA_FLAGS")}
    return subprocess.run(
        [sys.executable, "-m", "wavejax", *map(str, arguments)],
        env={**env, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_platform_that_is_not_there_is_one_sentence(tmp_path):
    done = command("doctor", JAX_PLATFORMS="cuda")
    assert (done.returncode, done.stderr) == (1, "")
    assert "WRONG devices: JAX cannot start 'cuda', which JAX_PLATFORMS asks for" in done.stdout
    done = command("generate", "babble", tmp_path / "x.wav", "--speaker", "june", JAX_PLATFORMS="nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith("error: JAX cannot start 'nonsense', which JAX_PLATFORMS asks for")
    assert "set JAX_PLATFORMS=cpu" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_setting_that_jax_cannot_be_imported_with_is_one_sentence():
    done = command("info", "run", JAX_DEFAULT_MATMUL_PRECISION="bogus")
    assert done.returncode == 1
    assert done.stderr.startswith("error: JAX cannot be imported (Invalid value ")
    assert "JAX_DEFAULT_MATMUL_PRECISION=bogus" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_command_without_jax_does_not_meet_its_settings(tmp_path):
    done = command("prepare", tmp_path / "missing", tmp_path / "corpus", JAX_DEFAULT_MATMUL_PRECISION="bogus")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'missing'} does not exist")


def test_a_defect_is_shown_as_one_where_the_platforms_start(monkeypatch):
    def broken(arguments):
        raise AssertionError("a defect")

    monkeypatch.setattr("wavejax.cli.describing.COMMANDS", {"voices": broken})
    with pytest.raises(AssertionError, match="a defect"):
        main(["voices"])


def test_a_message_is_said_once_though_another_package_gave_the_root_logger_a_handler(capsys, monkeypatch):
    def speaking(arguments):
        logging.getLogger("wavejax.experiments.running").info("resuming from step 2")
        return 0

    monkeypatch.setattr("wavejax.cli.describing.COMMANDS", {"voices": speaking})
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(handler)
    try:
        assert main(["voices"]) == 0
    finally:
        logging.getLogger().removeHandler(handler)
    assert capsys.readouterr().err == "resuming from step 2\n"
    assert logging.getLogger("wavejax").propagate, "a program that calls `main` has its own handlers back"
