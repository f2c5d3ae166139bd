"""Help that teaches, errors that are one sentence, exit codes."""

import subprocess
import sys

import pytest

import wavejax
from wavejax.cli.main import COMMANDS, main
from wavejax.experiments.metadata import ExperimentError
from wavejax.extras import MissingExtra


def test_the_help_names_every_command_and_shows_an_example(run):
    said = run("--help")
    assert said.code == 0
    assert all(f"  {name} " in said.out for name in COMMANDS)
    assert "Example" in said.out
    assert run("--version").out == f"wavejax {wavejax.__version__}\n"
    assert run().code == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(run, name):
    said = run(name, "--help")
    assert said.code == 0
    assert f"wavejax {name}" in said.out.partition("Example:")[2]


def test_an_unknown_command_names_the_nearest(run):
    said = run("vocod", "x")
    assert said.code == 2
    assert said.error.startswith("error: there is no command 'vocod' (did you mean vocode?): choose one of prepare,")
    assert said.error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("vocode", "m", "--sed", "3"), "unrecognized options: --sed, 3; did you mean --seed?"),
        (("vocode", "m", "a.wav"), "say where to: --out FOLDER"),
        (("vocode", "m", "a.wav", "--stream"), "--stream and the input - belong together"),
        (("vocode",), "missing: MODEL"),
        (("generate", "m", "a.wav", "--seconds", "-1"), "--seconds must be above 0 and at most 43200 (12"),
        (("train",), "name a preset first"),
        (("train", "--workdir", "w"), "the preset comes first"),
        (("train", "speech16k-small"), "no preset 'speech16k-small' (did you mean speech-16k-small?)"),
        (("train", "nsynth", "--workdir", "w"), "'nsynth' is conditioned on learned features that no spec describes"),
        (("train", "speech-16k-small"), "missing: --workdir."),
        (
            ("train", "speech-16k-small", "--workdir", "w", "--training.batch-sise", "8"),
            "unrecognized options: --training.batch-sise, 8; did you mean --training.batch-size?",
        ),
        (
            ("train", "speech-16k-small", "--workdir", "w", "--training.batch-size", "many"),
            "error parsing --training.batch-size: invalid literal for int() with base 10: 'many'",
        ),
        (
            ("train", "speech-16k-small", "--workdir", "w", "--optimizer.schedule", "linear"),
            "--optimizer.schedule",
        ),
        (
            ("train", "speech-16k-small", "--workdir", "w", "--data.crop-length", "4001"),
            "data.crop_length 4001 is not a multiple of the hop length 200: use 4000",
        ),
    ],
)
def test_a_wrong_command_line_is_one_sentence_with_the_remedy(run, arguments, sentence):
    said = run(*arguments)
    assert said.code == 2
    assert sentence in said.error
    assert said.error.count("\n") == 1
    assert said.out == "" or arguments == ("train",)


def test_a_traceback_is_shown_when_asked_for(monkeypatch):
    monkeypatch.setenv("WAVEJAX_TRACEBACK", "1")
    with pytest.raises(ExperimentError, match="no shipped voice"):
        main(["info", "nowhere/at/all"])


def test_a_missing_extra_is_one_sentence(run, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise MissingExtra("preparing a corpus needs the package array_record: pip install 'wavejax-audio[train]'")

    monkeypatch.setattr("wavejax.data.prepare", refuse)
    said = run("prepare", tmp_path, tmp_path / "out")
    assert (said.code, said.error.count("\n")) == (1, 1)
    assert "pip install 'wavejax-audio[train]'" in said.error


def test_a_defect_is_not_disguised_as_bad_input(monkeypatch):
    def broken(_):
        raise TypeError("a defect")

    monkeypatch.setattr("wavejax.cli.describing.COMMANDS", {"voices": broken})
    with pytest.raises(TypeError, match="a defect"):
        main(["voices"])


def test_the_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "wavejax", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("wavejax ")
