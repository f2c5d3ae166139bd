"""`prepare`, `features` and `train`, from recordings to checkpoints, and what each refuses."""

import errno
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.audio.specs import get_spec
from wavejax.checkpoints.manifest import write_manifest
from wavejax.data import Corpus
from wavejax.tasks.families import get_preset

ALONE = ("--workers", "1", "--layout", "speakers")
SMALL = ["speech-16k-small", *tiny.FLAGS]


def test_prepare_names_what_it_skips_and_goes_on(run, tmp_path):
    source = tiny.write_recordings(tmp_path / "in", 4)
    (source / "anna" / "broken.wav").write_bytes(b"RIFF and then nothing")
    (source / "anna" / "empty.wav").write_bytes(b"")
    said = run("prepare", source, tmp_path / "out", *ALONE)
    assert said.code == 0
    assert said.out.startswith("4 utterances, ")
    assert "2 speakers" in said.out
    assert "skipped anna/broken: " in said.out
    assert "skipped anna/empty: " in said.out
    again = run("prepare", source, tmp_path / "out", *ALONE)
    assert "0 shards made" in again.out
    other = run("prepare", source, tmp_path / "out", *ALONE, "--spec", "tacotron2")
    assert other.code == 1
    assert "--overwrite" in other.error or "overwrite" in other.error


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [("speech-17k", "no feature spec is called 'speech-17k'; known are"), ("speech-16k", "does not")],
)
def test_prepare_refuses_in_one_sentence(run, tmp_path, spec, sentence):
    said = run("prepare", tmp_path / "nowhere", tmp_path / "out", "--spec", spec)
    assert said.code == 1
    assert sentence in said.error
    assert not (tmp_path / "out").exists()


def test_features_are_the_corpus_features(run, tmp_path, corpus):
    recordings = corpus.parent / "recordings" / "bert"
    said = run("features", recordings, "--out", tmp_path / "mels")
    assert said.code == 0
    stored = next(u for u in map(Corpus.open(corpus).utterance, range(14)) if u.id.endswith("bert1"))
    np.testing.assert_allclose(np.load(tmp_path / "mels" / "bert1.npy"), stored.frames, atol=1e-3)
    assert "is there already" in run("features", recordings, "--out", tmp_path / "mels").out


def test_features_of_bad_recordings_are_named_and_the_others_written(run, tmp_path):
    good = tiny.write_noise(tmp_path / "good.wav")
    short = tiny.write_noise(tmp_path / "short.wav", 0.005)
    cut = tiny.write_noise(tmp_path / "cut.wav")
    cut.write_bytes(cut.read_bytes()[:2000])
    said = run("features", cut, short, tmp_path / "missing.wav", good, "--out", tmp_path / "mels")
    assert said.code == 1
    assert "cut.wav is cut short" in said.error
    assert "short.wav is too short: 80 samples" in said.error
    assert "missing.wav does not exist" in said.error
    assert [path.name for path in (tmp_path / "mels").iterdir()] == ["good.npy"]


def test_names_that_the_terminal_cannot_say_end_nothing(tmp_path):
    for name in ("grüße 你好", "zz"):
        tiny.write_noise(tmp_path / "in" / f"{name}.wav")
    command = [sys.executable, "-m", "wavejax", "features", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "grüße \\u4f60\\u597d.npy: ".encode("latin-1") in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"grüße 你好.npy", "zz.npy"}


def test_features_of_linked_folders(run, tmp_path):
    tiny.write_noise(tmp_path / "disk" / "a.wav")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "more").symlink_to(tmp_path / "disk")
    (tmp_path / "in" / "gone.wav").symlink_to("../none.wav")
    assert "folder of 1 recordings" in run("info", tmp_path / "in").out
    said = run("features", tmp_path / "in", "--out", tmp_path / "out")
    assert said.code == 0
    assert f"note: {tmp_path / 'in' / 'gone.wav'} is a link to ../none.wav: No such file or directory" in said.error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.npy"]


def test_a_full_disk_leaves_no_features(run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wavejax.atomic.os.replace", full)
    said = run("features", tiny.write_noise(tmp_path / "a.wav"), "--out", tmp_path / "mels")
    assert said.code == 1
    assert "a.npy cannot be written: No space left on device" in said.error
    assert list((tmp_path / "mels").iterdir()) == []


def test_a_training_writes_checkpoints_and_falls_back_to_its_own_steps(run, training, corpus):
    records = [json.loads(line) for line in (training / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["step"] == 2
    said = run("info", training)
    assert said.code == 0
    assert "speech-16k-small: vocoder, training folder, step 2" in said.out
    assert "step 2, loss" in said.out


def test_a_disk_that_fills_up_stops_training_with_the_last_good_step(run, tmp_path, corpus, monkeypatch):
    written = []

    def full_after_one(folder, *rest):
        written.append(folder)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_manifest(folder, *rest)

    steps = ["--training.num-steps", "5", "--training.checkpoint-every", "1"]
    arguments = ["train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "run", *steps]
    with monkeypatch.context() as patched:
        patched.setattr("wavejax.checkpoints.store.write_manifest", full_after_one)
        said = run(*arguments)
    assert said.code == 1
    assert "No space left on device. Free space or make the folder writable, then start again" in said.error
    assert said.error.endswith("checkpoints on disk, untouched: 1. Last good checkpoint: step 1\n")
    said = run(*arguments)
    assert said.code == 0
    assert "resuming from step 1" in said.error
    assert "step 5: done" in said.out


@pytest.mark.slow
def test_new_speakers_start_from_a_trained_model_and_go_on(run, tmp_path, training, corpus):
    arguments = ["train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "two", "--training.num-steps"]
    said = run(*arguments, "1", "--speakers", "--init-from", training)
    assert said.code == 0
    assert "2 speakers: anna, bert" in said.out
    said = run(*arguments, "2", "--speakers")
    assert said.code == 0
    assert "resuming from step 1" in said.error
    assert "step 2: done" in said.out
    said = run("info", tmp_path / "two")
    assert "speakers        anna, bert" in said.out
    wav = tiny.write_noise(tmp_path / "a.wav", 0.05)
    said = run("vocode", tmp_path / "two", wav, "--out", tmp_path / "spoken", "--speaker", "bert")
    assert said.code == 0
    assert (tmp_path / "spoken" / "a.wav").exists()


@pytest.fixture
def asked(monkeypatch):
    """What `train` asks the library for, which then trains nothing."""
    calls = []

    def remember(config, workdir, **options):
        calls.append(SimpleNamespace(config=config, workdir=workdir, **options))
        return SimpleNamespace(step=7)

    monkeypatch.setattr("wavejax.cli.training.train_and_evaluate", remember)
    return calls


def test_every_override_reaches_the_configuration(run, tmp_path, corpus, asked):
    overrides = ["--training.batch-size", "16", "--optimizer.learning-rate", "3e-4", "--training.remat"]
    said = run(
        *("train", *SMALL, *overrides, "--corpus", corpus, "--workdir", tmp_path / "w"),
        *("--speakers", "--overfit-batches", "3", "--init-from", "somewhere"),
    )
    assert said.code == 0
    assert "2 speakers: anna, bert" in said.out
    config = asked[0].config
    assert config.model == tiny.config(num_speakers=2, global_channels=16).model
    assert (config.training.batch_size, config.training.overfit_batches, config.training.remat) == (16, 3, True)
    assert config.optimizer.learning_rate == 3e-4
    assert config.data.corpus == str(corpus)
    assert asked[0].init_from == "somewhere"


def test_several_speakers_are_pointed_out_when_the_model_cannot_tell(run, tmp_path, corpus, asked):
    said = run("train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "w")
    assert "the corpus has 2 speakers, the model does not tell them apart; --speakers" in said.error
    assert "stopped at step 7 of 100000; the same command goes on" in said.out


def test_a_dry_run_says_what_is_needed_and_writes_nothing(run, tmp_path):
    said = run("train", *SMALL, "--workdir", tmp_path / "w", "--dry-run")
    assert said.code == 0
    for words in (
        "speech-16k-small: 2 layers, ",
        " parameters\nmultiplications     ",
        " for each sample, ",
        "receptive field     0.2 ms (4 samples)",
        "MB for a step of 8 x 400 samples",
        "speed (predicted)",
        "time (predicted)",
    ):
        assert words in said.out
    assert not (tmp_path / "w").exists()


def test_a_workdir_of_another_model_is_refused(run, training, corpus):
    before = sorted(path.name for path in (training / "checkpoints").iterdir())
    said = run("train", *SMALL, "--corpus", corpus, "--workdir", training, "--model.skip-channels", "5")
    assert said.code == 1
    assert "5" in said.error
    assert "another workdir" in said.error or "skip" in said.error
    assert sorted(path.name for path in (training / "checkpoints").iterdir()) == before


@pytest.mark.slow
def test_parameters_of_another_model_are_no_start(run, tmp_path, training, corpus):
    said = run(
        *("train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "w"),
        *("--model.skip-channels", "5", "--init-from", training),
    )
    assert said.code == 1
    assert "does not fit the model" in said.error
    assert "skip" in said.error


def test_crops_longer_than_every_recording_are_refused(run, tmp_path, training, corpus):
    copy = tmp_path / "run"  # going on costs less than starting
    shutil.copytree(training, copy)
    said = run("train", *SMALL, "--corpus", corpus, "--workdir", copy, "--data.crop-length", "20000")
    assert said.code == 1
    assert "is as long as a crop" in said.error
    assert "Use a crop length of at most" in said.error


def test_a_corpus_of_another_rate_or_spec_is_refused(run, tmp_path, corpus):
    source = tiny.write_recordings(tmp_path / "in", 4, rate=22050)
    assert run("prepare", source, tmp_path / "c", *ALONE, "--spec", "tacotron2").code == 0
    said = run("train", *SMALL, "--corpus", tmp_path / "c", "--workdir", tmp_path / "w")
    assert said.code == 1
    assert "prepare it again with --spec speech-16k" in said.error
    assert "* sample_rate        22050" in said.error
    babble = ["ibab", "--model.dilations", "1", "--training.no-tensorboard"]
    said = run("train", *babble, "--corpus", tmp_path / "c", "--workdir", tmp_path / "w")
    assert said.code == 1
    assert "the corpus is at 22050 Hz but the model at 16000 Hz" in said.error


def test_a_corpus_that_is_none_is_refused(run, tmp_path):
    said = run("train", *SMALL, "--corpus", tmp_path, "--workdir", tmp_path / "w")
    assert said.code == 1
    assert "wavejax prepare" in said.error
    assert said.error.count("\n") == 1


def test_a_workdir_that_cannot_be_made_is_one_sentence(run, tmp_path, corpus):
    (tmp_path / "file").write_text("")
    said = run("train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "file")
    assert said.code == 1
    assert f"cannot train in {tmp_path / 'file'}: File exists; choose a folder that can be written to" in said.error
    assert said.error.count("error: ") == 1


def test_a_flipped_byte_in_the_newest_checkpoint_is_named_and_the_older_one_used(run, tmp_path, training):
    copy = tmp_path / "run"
    shutil.copytree(training, copy)
    newest = max((p for p in (copy / "checkpoints" / "2").rglob("d/*") if p.is_file()), key=lambda p: p.stat().st_size)
    for place in (0.2, 0.35, 0.5, 0.65, 0.8):  # one of them is in the averaged parameters, which `info` reads
        tiny.flip_byte(newest, place)
    said = run("info", copy)
    assert said.code == 0
    assert "training folder, step 1" in said.out
    assert "step 2" in said.error
    assert "damaged" in said.error


@pytest.mark.parametrize(("name", "command"), [("speech-16k", "vocode"), ("piano", "play"), ("babble-16k", "generate")])
def test_a_model_is_heard_by_the_command_that_suits_it(name, command):
    family, config = get_preset(name)
    assert family.usage(config, "run").startswith(f"wavejax {command} run ")
    if family.with_speakers is not None:
        assert family.usage(family.with_speakers(config, ("anna", "bert")), "run").endswith(" --speaker NAME")
        assert "--speaker" not in family.usage(family.with_speakers(config, ()), "run")


def test_an_option_of_an_earlier_version_is_taken_under_its_new_name(run, tmp_path, corpus, asked):
    said = run("train", *SMALL, "--corpus", corpus, "--workdir", tmp_path / "w", "--training.audio-every=7")
    assert said.code == 0
    assert "note: --training.audio-every is called --training.exhibit-every now" in said.error
    assert asked[0].config.training.exhibit_every == 7


def test_speakers_are_refused_where_none_are_told_apart(run, tmp_path, asked):
    said = run("train", "piano", "--corpus", tmp_path, "--workdir", tmp_path / "w", "--speakers")
    assert (said.code, asked) == (2, [])
    assert "--speakers: piano tells no speakers apart; leave it out" in said.error


def test_export_is_small_whole_and_refuses_other_folders(run, tmp_path, training):
    said = run("export-params", training, tmp_path / "voice")
    assert said.code == 0
    assert f"wavejax vocode {tmp_path / 'voice'} SPEECH.wav" in said.out
    assert sorted(path.name for path in (tmp_path / "voice").iterdir()) == ["config.json", "params.npz"]
    assert "exported parameters" in run("info", tmp_path / "voice").out
    assert run("export-params", training, tmp_path / "mean", "--average-with", tmp_path / "voice", "voice").code == 1
    assert run("export-params", training, tmp_path / "mean", "--average-with", tmp_path / "voice").code == 0
    assert (tmp_path / "mean" / "params.npz").read_bytes() == (tmp_path / "voice" / "params.npz").read_bytes()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    said = run("export-params", training, tmp_path / "mine")
    assert said.code == 1
    assert "diary.txt" in said.error
    said = run("export-params", training, tmp_path / "voice", "--step", "17")
    assert said.code == 1
    assert "no checkpoint of step 17" in said.error


def test_info_describes_corpora_recordings_and_features(run, tmp_path, corpus):
    assert "prepared corpus: 14 utterances" in run("info", corpus).out
    assert "folder of 15 recordings" in run("info", corpus.parent / "recordings").out
    assert "16000 Hz" in run("info", tiny.write_noise(tmp_path / "a.wav")).out
    np.save(tmp_path / "a.npy", np.zeros((3, get_spec("speech-16k").n_mels), np.float32))
    assert "features: shape (3, 80)" in run("info", tmp_path / "a.npy").out
    (tmp_path / "letter.txt").write_text("dear")
    assert "neither a recording" in run("info", tmp_path / "letter.txt").error
    assert run("info", tmp_path / "nothing").code == 1
    assert "wavejax generate babble" in run("voices").out
