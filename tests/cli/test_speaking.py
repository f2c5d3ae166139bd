"""`vocode` and `generate`: what they write, and everything that can be wrong with what they are given."""

import errno
import io
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.tiny import commands as tiny
from tests.tiny import notes
from wavejax.audio import read_audio
from wavejax.audio.specs import get_spec
from wavejax.checkpoints import export_params
from wavejax.experiments.metadata import metadata
from wavejax.tasks.families import load

SPEC = get_spec("speech-16k")


@pytest.fixture(scope="module")
def babble(tmp_path_factory):
    return tiny.export(tmp_path_factory.mktemp("exports") / "babble", tiny.unconditional())


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A vocoder of two speakers."""
    config = tiny.config(num_speakers=2, global_channels=3)
    return tiny.export(tmp_path_factory.mktemp("exports") / "pair", config, ("anna", "bert"))


def mel_of(seconds=0.1):
    frames = round(seconds * SPEC.frame_rate)
    return np.random.default_rng(3).normal(-5, 1, (frames, SPEC.n_mels)).astype(np.float32)


def test_vocode_reads_recordings_features_and_folders_alike(run, tmp_path, voice):
    wav = tiny.write_noise(tmp_path / "in" / "speech.wav", 0.1)
    mel = load(voice).mel(read_audio(wav)[0])
    np.save(tmp_path / "in" / "frames-first.npy", mel)
    np.save(tmp_path / "in" / "bands-first.npy", mel.T)
    np.savez(tmp_path / "in" / "archive.npz", mel=mel[None], other=np.zeros(3))
    said = run("vocode", voice, tmp_path / "in", "--out", tmp_path / "out", "--seed", "3")
    assert said.code == 0
    assert said.out.count("times_real_time") == 4
    names = ("speech", "frames-first", "bands-first", "archive")
    spoken = [read_audio(tmp_path / "out" / f"{name}.wav")[0] for name in names]
    assert len(spoken[0]) == 1600
    expected = np.clip(load(voice)(mel, seed=3), -1, 1)
    for waveform in spoken:
        np.testing.assert_allclose(waveform, expected, atol=1 / 32768, rtol=0)
    again = run("vocode", voice, tmp_path / "in", "--out", tmp_path / "out")
    assert (again.code, again.out.count("is there already")) == (0, 4)
    other = run("vocode", voice, wav, "--out", tmp_path / "out", "--seed", "4", "--overwrite")
    assert other.code == 0
    assert not np.array_equal(read_audio(tmp_path / "out" / "speech.wav")[0], spoken[0])


def test_vocode_in_folds_says_what_became_of_the_seams(run, tmp_path, voice):
    np.save(tmp_path / "long.npy", mel_of(1.1))
    said = run("vocode", voice, tmp_path / "long.npy", "--out", tmp_path, "--folds", "3", "--probability-floor", "0.01")
    assert said.code == 0, said.error
    assert "3 folds; " in said.error
    assert "of 2 seams merged" in said.error
    assert len(read_audio(tmp_path / "long.wav")[0]) == 17_600
    said = run("vocode", voice, tmp_path / "long.npy", "--out", tmp_path, "--folds", "50", "--overwrite")
    assert (said.code, "use at most" in said.error) == (1, True)
    said = run("vocode", voice, "-", "--stream", "--folds", "2")
    assert (said.code, "--folds needs the whole recording" in said.error) == (2, True)


def pipe(run, monkeypatch, data, *arguments):
    sink = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        patch.setattr(sys, "stdout", SimpleNamespace(buffer=sink))
        said = run("vocode", *arguments, "-", "--stream")
    return said, np.frombuffer(sink.getvalue(), "<i2")


def test_a_stream_of_frames_becomes_the_same_samples(run, monkeypatch, tmp_path, voice):
    mel = mel_of()
    np.save(tmp_path / "a.npy", mel)
    assert run("vocode", voice, tmp_path / "a.npy", "--out", tmp_path).code == 0
    said, samples = pipe(run, monkeypatch, mel.tobytes(), voice)
    assert (said.code, said.out) == (0, "")
    written, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(samples, written)


def test_a_stream_that_ends_within_a_frame_says_so_and_keeps_its_samples(run, monkeypatch, voice):
    said, samples = pipe(run, monkeypatch, mel_of().tobytes()[:-5], voice)
    assert said.code == 1
    assert "standard input ended within a frame: 315 bytes are left, a frame of speech-16k has 320" in said.error
    assert len(samples) == 7 * SPEC.hop_length


def test_a_stream_of_bad_frames_is_refused(run, monkeypatch, voice):
    mel = mel_of()
    mel[5, 3] = np.nan
    said, _ = pipe(run, monkeypatch, mel.tobytes(), voice)
    assert said.code == 1
    assert "frame 5 holds a value that is not finite" in said.error


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist"),
        (b"", "is empty (0 bytes)"),
        (b"RIFF and then nothing", "cannot be decoded"),
        ("cut", "is cut short"),
        ("zero", "holds no samples (zero length)"),
        ("nan", "holds NaN or infinity, first at sample 7"),
        ("short", "is too short: 100 samples at 16000 Hz, one frame of speech-16k takes 200"),
    ],
)
def test_a_bad_recording_is_named_and_the_next_one_spoken(run, tmp_path, voice, content, sentence):
    bad = tmp_path / "bad.wav"
    if isinstance(content, bytes):
        bad.write_bytes(content)
    elif content == "cut":
        tiny.write_noise(bad)
        bad.write_bytes(bad.read_bytes()[:1000])
    elif content == "zero":
        soundfile.write(bad, np.zeros(0), tiny.RATE)
    elif content == "nan":
        soundfile.write(bad, np.where(np.arange(2000) == 7, np.nan, 0.1), tiny.RATE, subtype="FLOAT")
    elif content == "short":
        tiny.write_noise(bad, 100 / tiny.RATE)
    good = tiny.write_noise(tmp_path / "good.wav", 0.05)
    said = run("vocode", voice, bad, good, "--out", tmp_path / "out")
    assert said.code == 1
    assert sentence in said.error
    assert str(bad) in said.error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.wav"]


@pytest.mark.parametrize(
    ("array", "options", "sentence"),
    [
        (mel_of()[:, :79], (), "features have shape (8, 79); spec 'speech-16k' has 80 mel bands on one axis"),
        (mel_of().astype(np.int32), (), "a.npy holds int32 values"),
        (np.full((4, 80), np.nan, np.float32), (), "values that are not finite, the first in frame 0"),
        (np.zeros((0, 80), np.float32), (), "no frames"),
        (np.array([{"a": 1}]), (), "holds Python objects (pickled), which are not read"),
        (mel_of(), ("--spec", "tacotron2"), "Features of 'tacotron2' cannot become features of 'speech-16k'"),
        (mel_of(), ("--spec", "nv-wavenet"), "do not convert exactly"),
        (mel_of(), ("--speaker", "anna"), "knows no speakers, but speaker='anna' was given"),
    ],
)
def test_features_that_do_not_fit_are_refused(run, tmp_path, voice, array, options, sentence):
    np.save(tmp_path / "a.npy", array)
    said = run("vocode", voice, tmp_path / "a.npy", "--out", tmp_path / "out", *options)
    assert said.code == 1
    assert sentence in said.error
    assert not (tmp_path / "out").exists()


def test_lossy_conversion_is_made_when_asked_for(run, tmp_path, voice):
    np.save(tmp_path / "a.npy", mel_of())
    said = run("vocode", voice, tmp_path / "a.npy", "--out", tmp_path, "--spec", "nv-wavenet", "--allow-lossy")
    assert said.code == 0


def test_speakers_are_known_by_name_and_number(run, tmp_path, pair):
    np.save(tmp_path / "a.npy", mel_of(0.05))
    for speaker, sentence in (("carla", "unknown speaker 'carla'; this model knows 0: anna, 1: bert"), ("2", "'2'")):
        said = run("vocode", pair, tmp_path / "a.npy", "--out", tmp_path / speaker, "--speaker", speaker)
        assert said.code == 1
        assert sentence in said.error
    assert "give speaker, one of 0: anna" in run("vocode", pair, tmp_path / "a.npy", "--out", tmp_path / "x").error
    for speaker in ("bert", "1"):
        assert run("vocode", pair, tmp_path / "a.npy", "--out", tmp_path / speaker, "--speaker", speaker).code == 0
    described = run("info", pair).out
    assert "speaker ids     2\nspeakers        anna, bert" in described
    assert "features        speech-16k: 16000 Hz, hop 200, 80 channels\n" in described
    assert (tmp_path / "bert" / "a.wav").read_bytes() == (tmp_path / "1" / "a.wav").read_bytes()


def test_two_inputs_of_one_name_are_refused_before_anything_is_made(run, tmp_path, voice):
    first, second = tiny.write_noise(tmp_path / "a" / "x.wav"), tiny.write_noise(tmp_path / "b" / "x.wav")
    said = run("vocode", voice, first, second, "--out", tmp_path / "out")
    assert said.code == 1
    assert "would both be written to x" in said.error
    assert not (tmp_path / "out").exists()
    said = run("vocode", voice, first, "--out", tmp_path / "a", "--overwrite")
    assert said.code == 1
    assert "would be overwritten by its own reading" in said.error
    (tmp_path / "empty").mkdir()
    assert "holds no file" in run("vocode", voice, tmp_path / "empty", "--out", tmp_path / "out").error


def test_ctrl_c_keeps_what_was_made(run, tmp_path, voice, monkeypatch):
    wav = tiny.write_noise(tmp_path / "speech.wav", 0.1)

    def interrupted(*_, num_samples=None, **__):
        if num_samples == 1:  # the compilation
            return
        yield np.full((1, 1024), 0.25, np.float32)
        yield np.full((1, 512), -0.25, np.float32)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("wavejax.experiments.sound.stream", interrupted)
        said = run("vocode", voice, wav, "--out", tmp_path / "out")
    assert said.code == 130
    assert "interrupted: the first 0.10 s are kept in" in said.error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["speech.partial.wav"]
    kept, _ = read_audio(tmp_path / "out" / "speech.partial.wav")
    np.testing.assert_array_equal(kept, np.repeat(np.float32([0.25, -0.25]), [1024, 512]))
    assert run("vocode", voice, wav, "--out", tmp_path / "out").code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["speech.wav"]


def test_a_full_disk_loses_nothing_that_was_there(run, tmp_path, voice, monkeypatch):
    wav = tiny.write_noise(tmp_path / "speech.wav", 0.05)
    assert run("vocode", voice, wav, "--out", tmp_path / "out").code == 0
    before = (tmp_path / "out" / "speech.wav").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("wavejax.atomic.os.replace", full)
    said = run("vocode", voice, wav, "--out", tmp_path / "out", "--overwrite", "--seed", "1")
    assert said.code == 1
    assert "speech.wav cannot be written: No space left on device" in said.error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["speech.wav"]
    assert (tmp_path / "out" / "speech.wav").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(run, tmp_path, voice):
    wav = tiny.write_noise(tmp_path / "speech.wav", 0.05)
    (tmp_path / "file").write_text("in the way")
    said = run("vocode", voice, wav, "--out", tmp_path / "file")
    assert said.code == 1
    assert "cannot be written" in said.error
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize(("name", "at"), [("params.npz", 0.5), ("config.json", 0.6), ("params.npz", None)])
def test_a_damaged_export_is_named(run, tmp_path, voice, name, at):
    copy = tmp_path / "voice"
    shutil.copytree(voice, copy)
    if at is None:
        (copy / name).unlink()
    else:
        tiny.flip_byte(copy / name, at)
    said = run("vocode", copy, tiny.write_noise(tmp_path / "a.wav"), "--out", tmp_path / "out")
    assert said.code == 1
    assert name in said.error or "config" in said.error
    assert not (tmp_path / "out").exists()


def test_what_is_no_model_is_said(run, tmp_path):
    said = run("vocode", "no-such-voice", "a.wav", "--out", tmp_path)
    assert said.code == 1
    assert "there is no folder no-such-voice, and no shipped voice of that name" in said.error
    (tmp_path / "empty").mkdir()
    said = run("vocode", tmp_path / "empty", "a.wav", "--out", tmp_path)
    assert "holds neither exported parameters (config.json) nor checkpoints" in said.error


def test_generate_speaks_alone_and_after_a_prompt(run, tmp_path, babble):
    said = run("generate", babble, tmp_path / "a.wav", "--seconds", "0.1", "--seed", "2")
    assert said.code == 0
    assert "0.10 s of sound" in said.out
    waveform, rate = read_audio(tmp_path / "a.wav")
    assert (len(waveform), rate) == (1600, 16_000)
    prompt = tiny.write_noise(tmp_path / "prompt.wav", 0.1, rate=8000)
    said = run("generate", babble, tmp_path / "b.flac", "--seconds", "0.05", "--prompt", prompt)
    assert said.code == 0
    assert len(read_audio(tmp_path / "b.flac")[0]) == 800
    said = run("generate", babble, tmp_path / "a.wav")
    assert said.code == 1
    assert "is there already" in said.error


def test_generate_and_vocode_send_each_other_the_right_models(run, tmp_path, voice, babble):
    said = run("generate", voice, tmp_path / "a.wav")
    assert "is conditioned on features: give them with --mel, or use `wavejax vocode`" in said.error
    np.save(tmp_path / "mel.npy", mel_of())
    said = run("generate", voice, tmp_path / "a.wav", "--mel", tmp_path / "mel.npy", "--seconds", "1")
    assert said.code == 1
    assert "16000 samples (prompt included) need 80 frames of 200 samples, the features have 8" in said.error
    assert run("generate", voice, tmp_path / "a.wav", "--mel", tmp_path / "mel.npy").code == 0
    assert len(read_audio(tmp_path / "a.wav")[0]) == 1600


HEARD = {
    "vocoder": "wavejax vocode {} SPEECH.wav --out spoken/",
    "babbler": "wavejax generate {} SOUND.wav --seconds 5",
    "instrument": "wavejax play {} C4 --out spoken/",
}


@pytest.mark.parametrize(
    ("command", "kind", "wanted"),
    [
        (("vocode", "M", "x.wav", "--out", "out"), "instrument", "a vocoder"),
        (("vocode", "M", "x.wav", "--out", "out"), "babbler", "a vocoder"),
        (("vocode", "M", "-", "--stream"), "babbler", "a vocoder"),
        (("play", "M", "C4", "--out", "out"), "vocoder", "an instrument"),
        (("play", "M", "C4", "--out", "out"), "babbler", "an instrument"),
        (("generate", "M", "x.wav"), "instrument", "a babbler"),
        (("generate", "M", "x.wav", "--mel", "x.npy"), "babbler", "a vocoder"),
        (("generate", "M", "x.wav", "--mel", "x.npy"), "instrument", "a vocoder"),
    ],
)
def test_a_model_of_another_kind_is_refused_with_the_command_that_suits_it(
    run, tmp_path, monkeypatch, voice, babble, command, kind, wanted
):
    monkeypatch.chdir(tmp_path)
    piano = notes.untrained()
    model = {
        "vocoder": lambda: voice,
        "babbler": lambda: babble,
        "instrument": lambda: export_params(tmp_path / "piano", piano.params, metadata(piano.config, {})),
    }[kind]()
    said = run(*(model if word == "M" else word for word in command))
    article = "an" if kind == "instrument" else "a"
    assert said.code == 1
    assert said.error == f"error: {model} is {article} {kind}, not {wanted}: use `{HEARD[kind].format(model)}`\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"piano"}, "nothing was written"


@pytest.mark.parametrize("temperature", ["-1", "nan"])
def test_a_temperature_that_is_none_is_refused(run, tmp_path, babble, temperature):
    said = run("generate", babble, tmp_path / "a.wav", "--temperature", temperature)
    assert said.code == 2
    assert "--temperature must be at least 0 and at most 10 (1 draws as the model says" in said.error
