"""Where results go is found out before work begins; what is a user's stays; names do nothing to a terminal."""

import errno
import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest

import wavejax.cli.judging
from tests.tiny import commands as tiny
from wavejax import locks
from wavejax.audio.files import FIRST_PART, is_first_part, read_audio, write_audio
from wavejax.cli import sounding

SMALL = ["speech-16k-small", *tiny.FLAGS]
HOSTILE = "vo\x1b]0;title\x07 ice's"


@pytest.fixture
def no_work(monkeypatch):
    """Whatever begins to work fails the test."""

    def work(*_, **__):
        raise AssertionError("work began")

    for name in (
        *("cli.speaking.load", "cli.speaking.load_any_family", "cli.playing.load", "cli.corpora.mel_of"),
        *("tasks.vocoder.evaluation.judge_vocoder", "cli.judging.judge_folders", "tasks.families.load_any_family"),
        *("cli.speakers.score_speakers", "experiments.running._train", "checkpoints.inspection.plan_pruning"),
    ):
        monkeypatch.setattr(f"wavejax.{name}", work)


@pytest.fixture
def file(tmp_path) -> Path:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file"


def test_every_command_finds_out_first_whether_it_can_write(run, no_work, tmp_path, file, voice, corpus, monkeypatch):
    wav = tiny.write_noise(tmp_path / "a.wav")
    lines = [
        ("vocode", voice, wav, "--out", file),
        ("vocode", voice, wav, "--out", file / "below"),
        ("features", wav, "--out", file),
        ("play", "piano", "C4", "--out", file),
        ("generate", voice, file / "x.wav"),
        ("generate", voice, tmp_path / "x.mp3"),
        ("generate", voice, tmp_path / f"{'x' * 252}.wav"),
        ("evaluate", "--reference", tmp_path, "--candidate", tmp_path, "--json", file / "x.json"),
        ("evaluate", "--reference", tmp_path, "--candidate", tmp_path, "--json", tmp_path),
        ("evaluate", "--reference", tmp_path, "--candidate", tmp_path, "--output", file),
        ("train", *SMALL, "--corpus", corpus, "--workdir", file),
        ("export-params", voice, file),
        ("export-params", voice, file / "below"),
    ]
    for line in lines:
        before = sorted(path.name for path in tmp_path.iterdir())
        said = run(*line)
        assert said.code == 1, line
        assert str(line[-1]) in said.error, line
        assert said.error.count("error: ") == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert file.read_text() == "in the way"


def test_evaluate_and_prune_find_out_first(run, tmp_path, file, voice, corpus, training, monkeypatch):
    def work(*_, **__):
        raise AssertionError("work began")

    for option in ("--json", "--output"):
        said = run("evaluate", voice, "--corpus", corpus, "--seeds", 0, option, file / "x")
        assert (said.code, said.out) == (1, "")
        assert "cannot be written" in said.error
    monkeypatch.setattr("wavejax.checkpoints.inspection.plan_pruning", work)

    def refuse(path, **_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("wavejax.atomic.prove_folder", refuse)
    said = run("checkpoints", "prune", training, "--keep-last", 1, "--delete")
    assert said.code == 1
    assert "checkpoints cannot be written: Read-only file system" in said.error


@pytest.mark.parametrize("command", ["vocode", "features"])
def test_on_a_full_disk_the_rest_is_not_computed_in_vain(run, tmp_path, voice, monkeypatch, command):
    for name in ("a", "b", "c"):
        tiny.write_noise(tmp_path / "in" / f"{name}.wav", 0.05)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wavejax.atomic.os.replace", full)
    where = [tmp_path / "in", "--out", tmp_path / "out"]
    said = run(command, *([voice] if command == "vocode" else []), *where)
    assert said.code == 1
    assert said.error.count("cannot be written: No space left on device") == 1
    assert "b." not in said.error


def test_too_little_room_is_said_before_a_recording_is_spoken(run, tmp_path, voice, monkeypatch):
    wav = tiny.write_noise(tmp_path / "a.wav", 0.2)
    monkeypatch.setattr("wavejax.atomic.shutil.disk_usage", lambda path: type("U", (), {"free": 1000})())
    monkeypatch.setattr("wavejax.cli.speaking._compile", lambda *_: pytest.fail("work began"))
    said = run("vocode", voice, wav, "--out", tmp_path / "out")
    assert said.code == 1
    assert "a.wav cannot be written: No space left on device: 0.0 MB are needed, 0.0 free" in said.error


def test_what_evaluate_found_is_printed_before_it_is_written(run, tmp_path, voice, corpus, monkeypatch):
    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("wavejax.atomic.write_json", refuse)
    said = run("evaluate", voice, "--corpus", corpus, "--seeds", 0, "--json", tmp_path / "x.json")
    assert said.code == 1
    assert "bits per sample" in said.out
    assert "x.json cannot be written: Read-only file system" in said.error


def test_files_and_pages_of_the_users_are_not_replaced(run, no_work, tmp_path):
    for name in ("notes.json", "index.html"):
        (tmp_path / name).write_text("mine")
    folders = ("evaluate", "--reference", tmp_path, "--candidate", tmp_path)
    for option, path, named in (
        ("--json", tmp_path / "notes.json", "notes.json"),
        ("--output", tmp_path, "index.html"),
    ):
        said = run(*folders, option, path)
        assert said.code == 1
        assert f"{named} cannot be written: it is there already, and wavejax has not written it" in said.error
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"notes.json": "mine", "index.html": "mine"}


def test_two_reports_into_one_folder_do_not_meet(run, no_work, tmp_path):
    with locks.exclusive(tmp_path / ".wavejax.lock", "x", "writing a report into"):
        said = run("evaluate", "--reference", tmp_path, "--candidate", tmp_path, "--output", tmp_path)
    assert said.code == 1
    assert f"process {os.getpid()} on" in said.error
    assert "is writing a report into it since" in said.error


def test_a_second_training_in_a_folder_is_one_sentence(run, tmp_path, corpus):
    with locks.exclusive(tmp_path / "run" / "training.lock", "x", "training in"):
        said = run("train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "run")
    assert said.code == 1
    assert f"run: process {os.getpid()} on" in said.error
    assert "is training in it since" in said.error
    assert not (tmp_path / "run").exists()


def test_a_first_part_is_told_from_what_a_user_has(run, tmp_path, voice):
    """`x.partial.wav` may be a user's, or spoken from x.partial: only what carries the comment goes."""
    for suffix in ("wav", "flac"):
        write_audio(tmp_path / f"a.{suffix}", np.zeros(100, np.float32), 16000, comment=FIRST_PART)
        assert is_first_part(tmp_path / f"a.{suffix}")
        write_audio(tmp_path / f"b.{suffix}", np.zeros(100, np.float32), 16000)
        assert not is_first_part(tmp_path / f"b.{suffix}")
        (tmp_path / f"c.{suffix}").write_text("no sound")
        assert not is_first_part(tmp_path / f"c.{suffix}")
    out = tmp_path / "out"
    for name in ("x", "x.partial"):
        tiny.write_noise(tmp_path / "in" / f"{name}.wav", 0.05)
    write_audio(out / "x.partial-2.wav", np.zeros(100, np.float32), 16000)
    write_audio(out / "x.partial-3.wav", np.zeros(100, np.float32), 16000, comment=FIRST_PART)
    assert run("vocode", voice, tmp_path / "in" / "x.partial.wav", "--out", out).code == 0
    assert run("vocode", voice, tmp_path / "in", "--out", out).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["x.partial-2.wav", "x.partial.wav", "x.wav"]
    write_audio(out / "x.partial.wav", np.zeros(100, np.float32), 16000, comment=FIRST_PART)
    said = run("vocode", voice, tmp_path / "in" / "x.partial.wav", "--out", out)
    assert "is there already" not in said.out, "a part of x is no reading of x.partial"


def test_what_was_made_is_kept_under_a_name_that_is_no_other_files(tmp_path):
    long = "é" * 125 + "a"
    for target, name in (
        (tmp_path / "x.wav", "x.partial-2.wav"),
        (tmp_path / f"{long}.wav", "é" * 121 + ".partial.wav"),
    ):
        (tmp_path / "x.partial.wav").write_text("mine")

        def blocks():
            yield np.full(50, 0.5, np.float32)
            raise KeyboardInterrupt

        assert sounding.write_blocks(target, blocks(), 16000) == 130
        assert (tmp_path / "x.partial.wav").read_text() == "mine"
        assert len(read_audio(tmp_path / name)[0]) == 50
        assert is_first_part(tmp_path / name)
        assert sounding.write_blocks(target, iter([np.full(60, 0.5, np.float32)]), 16000) == 0
        assert not (tmp_path / name).exists()
        assert target.exists()


def test_names_of_255_bytes_are_read_and_written(run, tmp_path, voice):
    wav = tiny.write_noise(tmp_path / "in" / f"{'é' * 125}a.wav", 0.05)
    assert len(os.fsencode(wav.name)) == 255
    assert run("vocode", voice, wav, "--out", tmp_path / "out").code == 0
    assert run("features", wav, "--out", tmp_path / "out").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{wav.stem}.npy", wav.name]
    assert run("export-params", voice, tmp_path / ("v" * 255)).code == 0
    assert run("prepare", tmp_path / "in", tmp_path / ("c" * 255), "--workers", 1, "--min-seconds", "0.01").code == 0
    assert (
        run("evaluate", "--reference", tmp_path / "in", "--candidate", tmp_path / "out", "--json", "x" * 256).code == 1
    )


def test_no_name_makes_a_terminal_obey_and_commands_can_be_copied(run, tmp_path, voice):
    folder = tmp_path / HOSTILE
    assert run("export-params", voice, folder).code == 0
    wav = tiny.write_noise(tmp_path / "in" / "a\x1b[2J.wav", 0.05)
    for line in (
        ("info", folder),
        ("export-params", voice, folder),
        ("vocode", folder, wav, "--out", tmp_path / "out"),
        ("vocode", folder, tmp_path / "no\x1b[2Jsuch.wav", "--out", tmp_path / "out"),
        ("generate", folder, tmp_path / "x.wav"),
        ("info", tmp_path / "in"),
        ("no\x1b[2Jcommand",),
    ):
        said = run(*line)
        assert "\x1b" not in said.out + said.error, line
        assert "\x07" not in said.out + said.error, line
    plain = tmp_path / "a voice; it's"
    said = run("export-params", voice, plain)
    command = said.out.partition("; wavejax ")[2]
    assert shlex.split(command)[:2] == ["vocode", str(plain)]


def test_json_of_results_is_marked(run, tmp_path, voice, corpus):
    path = tmp_path / "x.json"
    for _ in range(2):  # which replaces its own
        assert run("evaluate", voice, "--corpus", corpus, "--seeds", 0, "--json", path).code == 0
    assert json.loads(path.read_text())["made_by"] == "wavejax"
    assert wavejax.cli.judging.check_json(path) is None
