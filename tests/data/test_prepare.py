import errno
import fcntl
import importlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.data.recordings import TINY, write_ljspeech, write_tone
from wavejax.atomic import PathNotText
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus, ManifestError, PrepareError, RecordError, prepare

ROOT = Path(__file__).resolve().parents[2]


def _prepare(source, out, **options):
    return prepare(source, out, **{"spec": TINY, "workers": 1, "progress": False, **options})


def _contents(out):
    """The manifest's text and the bytes of all shards, by name."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Seventy recordings: three shards."""
    source = tmp_path_factory.mktemp("many") / "voice"
    return write_ljspeech(source, {f"u{n:02d}": f"Sentence {n}." for n in range(70)}, seconds=0.35)


@pytest.fixture(scope="module")
def uninterrupted(many, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    _prepare(many, out)
    return _contents(out)


def test_a_prepared_corpus_holds_the_sound_and_its_features(tmp_path):
    source = write_ljspeech(tmp_path / "anna", {"a": "Hello there.", "b": "Good bye!"})
    time = np.arange(22_050) / 44_100
    stereo = np.stack([0.4 * np.sin(2 * np.pi * 300 * time), np.zeros_like(time)], axis=1)
    soundfile.write(source / "wavs" / "a.wav", stereo, 44_100)
    report = prepare(source, tmp_path / "out", workers=1, progress=False)
    corpus = Corpus.open(tmp_path / "out")
    assert corpus.manifest == report.manifest
    assert corpus.speakers == ("anna",)
    spec = get_spec("speech-16k")
    assert report.manifest.sample_rate == 16_000
    assert corpus.spec == spec
    first, second = corpus.utterance(0), corpus.utterance(1)
    assert (first.id, first.transcript, first.speaker) == ("a", "Hello there.", 0)
    assert first.waveform.shape == (8000,)
    assert np.max(np.abs(first.waveform)) == pytest.approx(0.2, abs=0.01), "mixed down by the mean, level kept"
    np.testing.assert_array_equal(first.frames, log_mel_numpy(first.waveform, spec))
    original = soundfile.read(source / "wavs" / "b.wav", dtype="float32")[0]
    np.testing.assert_array_equal(second.waveform, original)
    entry = corpus.entries[1]
    assert entry.source == "wavs/b.wav"
    assert len(entry.source_sha256) == 64
    assert entry.active_runs == ((0, 40),)
    assert corpus.names_of([0]) == []


def test_levels_and_ends_on_request(tmp_path):
    tone = 0.1 * np.sin(0.2 * np.arange(16_000))
    quiet = np.concatenate([np.zeros(8000), tone, np.zeros(8000)])
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", quiet, 16_000)
    _prepare(tmp_path / "in", tmp_path / "peak", normalize="peak", trim=True)
    waveform = Corpus.open(tmp_path / "peak").utterance(0).waveform
    assert np.max(np.abs(waveform)) == pytest.approx(0.95, abs=1e-3)
    assert 16_000 <= len(waveform) <= 16_000 + 2 * 1300, "50 ms are left at each end"
    _prepare(tmp_path / "in", tmp_path / "loudness", normalize="loudness")
    assert np.max(np.abs(Corpus.open(tmp_path / "loudness").utterance(0).waveform)) != pytest.approx(0.1, abs=1e-3)


def _write_bad_recordings(folder):
    folder.mkdir()
    write_tone(folder / "truncated.wav")
    (folder / "truncated.wav").write_bytes((folder / "truncated.wav").read_bytes()[:5000])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.flac").write_text("this is no audio")
    soundfile.write(folder / "no_samples.wav", np.zeros(0), 16_000)
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(folder / "nan.wav", np.full(16_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    write_tone(folder / "short.wav", seconds=0.1)


def test_bad_recordings_are_skipped_by_name_and_reason(tmp_path):
    _write_bad_recordings(tmp_path / "in")
    write_tone(tmp_path / "in" / "good.wav")
    report = _prepare(tmp_path / "in", tmp_path / "out")
    assert [u.id for u in report.manifest.utterances] == ["good"]
    reasons = dict(report.skipped)
    expected = {
        "truncated": "truncated.wav is cut short",
        "empty": "empty.wav is empty",
        "text": "text.flac cannot be decoded",
        "no_samples": "no_samples.wav holds no samples",
        "silent": "silent.wav is silent: it never rises above -120 dB of full scale",
        "nan": "nan.wav holds NaN or infinity",
        "short": "short.wav is too short: 0.100 s, and min_seconds asks for 0.3 s",
    }
    assert reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in reasons[name]
        assert f"skipped {name}: " in str(report)


def test_nothing_usable_is_an_error_with_reasons(tmp_path):
    _write_bad_recordings(tmp_path / "in")
    with pytest.raises(PrepareError, match=r"(?s)none of the 7 recordings in .* can be used:\n  empty: .*is empty"):
        _prepare(tmp_path / "in", tmp_path / "out")
    with pytest.raises(ManifestError, match=r"is not a prepared corpus"):
        Corpus.open(tmp_path / "out")


def test_prompts_that_repeat_stay_together(tmp_path):
    names = {f"{take}{n}": f"Prompt {n}!" for n in range(12) for take in "ab"}
    report = _prepare(write_ljspeech(tmp_path / "in", names), tmp_path / "out", validation=0.3, test=0.3)
    splits = {u.id: u.split for u in report.manifest.utterances}
    assert set(splits.values()) == {"train", "validation", "test"}
    assert all(splits[f"a{n}"] == splits[f"b{n}"] for n in range(12))


def test_processes_make_the_same_corpus(many, uninterrupted, tmp_path):
    report = _prepare(many, tmp_path / "out", workers=2)
    assert report.shards_made == 3
    assert _contents(tmp_path / "out") == uninterrupted


KILLED = """
import os, signal, sys
from tests.data.recordings import TINY
from wavejax.data import prepare, records, shards
target, count = {target}, {count}
owner, name = target
original, calls = getattr(owner, name), []
def dying(*args, **kwargs):
    calls.append(None)
    if len(calls) == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
setattr(owner, name, dying)
prepare(sys.argv[1], sys.argv[2], spec=TINY, workers=1, progress=False)
"""


@pytest.mark.parametrize(
    ("target", "count", "kept"),
    [
        ("(shards, 'encode_record')", 40, 1),  # in the middle of the second shard
        ("(os, 'replace')", 4, 1),  # the second shard is written under its temporary name
        ("(os, 'replace')", 5, 1),  # it is in place, its journal is not
        ("(os, 'replace')", 8, 3),  # all that is missing is the manifest
    ],
)
def test_killed_at_any_moment_and_started_again(many, uninterrupted, tmp_path, target, count, kept):
    out = tmp_path / "out"
    script = KILLED.format(target=target, count=count)
    died = subprocess.run([sys.executable, "-c", script, str(many), str(out)], cwd=ROOT, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    with pytest.raises(ManifestError, match="finish an interrupted one with the same command"):
        Corpus.open(out)
    report = _prepare(many, out)
    assert (report.shards_kept, report.shards_made) == (kept, 3 - kept)
    assert _contents(out) == uninterrupted


def test_the_same_command_again_does_nothing(many, uninterrupted, tmp_path):
    _prepare(many, tmp_path / "out")
    report = _prepare(many, tmp_path / "out")
    assert (report.shards_kept, report.shards_made) == (3, 0)
    assert _contents(tmp_path / "out") == uninterrupted


def test_only_what_changed_is_made_again(many, uninterrupted, tmp_path):
    source = tmp_path / "voice"
    shutil.copytree(many, source)
    _prepare(source, tmp_path / "out")
    write_tone(source / "wavs" / "u69.wav", seconds=0.6)
    report = _prepare(source, tmp_path / "out")
    assert (report.shards_kept, report.shards_made) == (2, 1)
    corpus = Corpus.open(tmp_path / "out")
    assert len(corpus.utterance(69).waveform) == 9600
    assert len(list((tmp_path / "out").glob("shard-*"))) == 3, "the shard it replaces is gone"
    assert len(list((tmp_path / "out" / "journal").glob("shard-*"))) == 3


def test_a_damaged_shard_is_named_and_made_again(many, uninterrupted, tmp_path):
    out = tmp_path / "out"
    _prepare(many, out)
    victim = sorted(out.glob("shard-*"))[1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4] = b"\xff\x00\xff\x00"
    victim.write_bytes(bytes(data))
    with pytest.raises(
        RecordError, match=f"{victim.name} is damaged .*remove the file and run `wavejax prepare` again"
    ):
        list(Corpus.open(out).utterance(i) for i in range(70))
    victim.unlink()
    assert _prepare(many, out).shards_made == 1
    assert _contents(out) == uninterrupted


def test_other_settings_need_another_folder(many, uninterrupted, tmp_path):
    out = tmp_path / "out"
    _prepare(many, out)
    with pytest.raises(PrepareError, match=r"was prepared with other settings .normalize was none, now peak.; choose"):
        _prepare(many, out, normalize="peak")
    assert _contents(out) == uninterrupted
    report = _prepare(many, out, normalize="peak", overwrite=True)
    assert report.shards_made == 3
    assert np.max(np.abs(Corpus.open(out).utterance(0).waveform)) == pytest.approx(0.95, abs=1e-3)


def test_output_folders_that_are_refused(many, tmp_path):
    with pytest.raises(PrepareError, match="is the source itself; choose another folder"):
        _prepare(many, many)
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "thesis.doc").write_text("precious")
    with pytest.raises(PrepareError, match="is not empty and holds no prepared corpus"):
        _prepare(many, tmp_path / "busy")
    assert os.listdir(tmp_path / "busy") == ["thesis.doc"]
    with pytest.raises(PrepareError, match=r"cannot write .*thesis.doc.*: Not a directory. Finished shards in"):
        _prepare(many, tmp_path / "busy" / "thesis.doc" / "out")


def test_a_folder_that_another_preparation_is_just_proving_is_not_taken_for_a_full_one(many, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".97848b0499c1.partial").touch()  # both then ask for the lock
    assert _prepare(many, tmp_path / "out").shards_made == 3


def test_the_folder_is_refused_before_the_source_is_looked_through(many, tmp_path, monkeypatch):
    module = importlib.import_module("wavejax.data.prepare")  # the function has the same name
    monkeypatch.setattr(module, "list_source", lambda *_: pytest.fail("work began"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PrepareError, match=r"cannot write .*file/out: Not a directory"):
        _prepare(many, tmp_path / "file" / "out")
    with pytest.raises(PrepareError, match="is not empty and holds no prepared corpus"):
        _prepare(many, tmp_path)


@pytest.mark.parametrize("inside", [{}, {"monday.txt": "dear"}, {"settings.json": "{}"}, {"settings.json": "no JSON"}])
def test_a_users_journal_is_left_as_it_is(many, tmp_path, inside):
    journal = tmp_path / "out" / "journal"
    journal.mkdir(parents=True)
    (tmp_path / "out" / "letter.txt").write_text("dear")
    for name, content in inside.items():
        (journal / name).write_text(content)
    with pytest.raises(PrepareError, match=r"is not empty and holds no prepared corpus \(journal, letter.txt\)"):
        _prepare(many, tmp_path / "out")
    assert {path.name: path.read_text() for path in journal.iterdir()} == inside
    (tmp_path / "out" / "letter.txt").unlink()
    if inside:
        with pytest.raises(PrepareError, match=r"holds no prepared corpus \(journal\)"):
            _prepare(many, tmp_path / "out")


def test_what_a_user_puts_into_a_corpus_stays(many, uninterrupted, tmp_path):
    out = tmp_path / "out"
    _prepare(many, out)
    mine = [
        *(out / name for name in (".download.partial", "shard-mine.array_record", "notes.txt")),
        *(out / "journal" / name for name in ("monday.txt", "shard-1.json")),
    ]
    theirs = [
        *(out / name for name in (".0123456789ab.partial", "shard-00007-0123456789ab.array_record")),
        out / "journal" / "shard-00007-0123456789ab.array_record.json",
    ]
    for path in [*mine, *theirs]:
        path.write_text("x")
    _prepare(many, out)
    assert all(path.exists() for path in mine)
    assert not any(path.exists() for path in theirs)


def test_two_preparations_of_one_folder(many, tmp_path):
    (tmp_path / "out" / "journal").mkdir(parents=True)
    with (tmp_path / "out" / "journal" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PrepareError, match=r"another preparation is writing to .*Wait for it"):
            _prepare(many, tmp_path / "out")


def test_a_file_system_without_locks_is_said_and_prepared_on(many, tmp_path, monkeypatch, caplog):
    def no_locks(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    _prepare(many, tmp_path / "out")
    assert "out is on a disk without locks (No locks available)" in caplog.text
    assert "make room" not in caplog.text


def test_a_folder_whose_name_is_no_text_is_refused_before_anything_is_written(many, tmp_path):
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/c\xff"))
    with pytest.raises(PathNotText, match=r"/c\\xff is not UTF-8"):
        _prepare(many, out)
    assert not out.exists()
    _prepare(many, tmp_path / "good")
    (tmp_path / "good").rename(out)
    with pytest.raises(PathNotText, match=r"/c\\xff/shard-.* is not UTF-8"):
        Corpus.open(out)


def test_a_disk_that_fills_up(many, tmp_path):
    """A limit on file size makes the system refuse a write in the middle of a shard, as a full disk does."""
    out = tmp_path / "out"
    script = (
        "import resource, sys\n"
        "from wavejax.data import prepare\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "prepare(sys.argv[1], sys.argv[2], workers=1, progress=False)\n"
    )
    failed = subprocess.run(
        [sys.executable, "-c", script, str(many), str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert failed.returncode == 1
    assert "PrepareError: cannot write" in failed.stderr
    assert "make room or choose a folder that can be written, then run the same command again" in failed.stderr
    assert [path.name for path in out.iterdir()] == ["journal"], "nothing half-written is left"


def test_the_disk_is_full_at_the_end(many, tmp_path, monkeypatch):
    out = tmp_path / "out"
    original = os.replace

    def full(source, target):
        if Path(target).name == "manifest.json":
            raise OSError(28, "No space left on device", str(target))
        original(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PrepareError, match=r"cannot write .*manifest.json: No space left on device. Finished shards"):
        _prepare(many, out)
    monkeypatch.undo()
    assert _prepare(many, out).shards_kept == 3


def test_arguments_out_of_range(many, tmp_path):
    for message, options in (
        ("unknown normalisation 'rms'; choose none, peak, loudness", {"normalize": "rms"}),
        ("min_seconds is -1", {"min_seconds": -1.0}),
        ("validation 0.5 and test 0.5 must be parts of the corpus", {"validation": 0.5, "test": 0.5}),
        ("workers is 0; it must be 1 or more", {"workers": 0}),
        ("speech-17k", {"spec": "speech-17k"}),
    ):
        with pytest.raises(ValueError, match=message):
            _prepare(many, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_workers_never_import_jax(many, tmp_path):
    script = (
        "import sys\n"
        "from wavejax.data import prepare\n"
        "prepare(sys.argv[1], sys.argv[2], workers=1, progress=False, normalize='peak', trim=True)\n"
        "assert not {'jax', 'grain'} & set(sys.modules), 'jax was imported'\n"
    )
    subprocess.run([sys.executable, "-c", script, str(many), str(tmp_path / "out")], cwd=ROOT, check=True)


def test_the_manifest_is_json_that_others_can_read(many, tmp_path):
    _prepare(many, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert content["feature_spec"]["hop_length"] == 10
    assert len(content["utterances"]) == sum(count for _, count in content["shards"]) == 70


PIPED = [(24, 1), (16, 6)]


def _without_lengths(folder):
    """Sound recordings that announce too much or nothing; all hold half a second of a tone."""
    folder.mkdir()
    tone = 0.3 * np.sin(0.2 * np.arange(8000))
    for bits, channels in PIPED:
        whole = np.rint(np.repeat(tone, channels) * (2 ** (bits - 1) - 1)).astype("<i4")
        data = whole.view("u1").reshape(-1, 4)[:, : bits // 8].tobytes()
        frame = bits // 8 * channels
        form = struct.pack("<HHIIHH", 1, channels, 16_000, 16_000 * frame, frame, bits)
        head = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", 0x7FFFF000 // frame * frame)
        (folder / f"sox{bits}.wav").write_bytes(b"RIFF" + struct.pack("<I", 0x7FFFF024) + head + data)
    soundfile.write(folder / "piped.flac", tone, 16_000)
    content = bytearray((folder / "piped.flac").read_bytes())
    content[21] &= 0xF0
    content[22:42] = bytes(20)
    (folder / "piped.flac").write_bytes(bytes(content))
    content[21] |= 8  # one flipped bit: 2^35 samples
    (folder / "flipped.flac").write_bytes(bytes(content))


def test_a_length_is_what_decodes(tmp_path):
    _without_lengths(tmp_path / "in")
    report = _prepare(tmp_path / "in", tmp_path / "out")
    assert {u.id: u.num_samples for u in report.manifest.utterances} == {"piped": 8000, "sox16": 8000, "sox24": 8000}
    ((name, reason),) = report.skipped
    assert name == "flipped"
    assert f"is cut short: it announces {1 << 35} samples and holds 8000" in reason


def test_samples_of_16_bits_cast_to_float_are_not_made_noise(tmp_path):
    (tmp_path / "in").mkdir()
    tone = (9000 * np.sin(0.2 * np.arange(8000))).astype(np.float32)
    soundfile.write(tmp_path / "in" / "cast.wav", tone, 16_000, subtype="FLOAT")
    with pytest.raises(PrepareError, match=r"waveform reaches 9000; expected .*divided by 32768.*normalize peak"):
        _prepare(tmp_path / "in", tmp_path / "out")
    _prepare(tmp_path / "in", tmp_path / "out-peak", normalize="peak")
    waveform = Corpus.open(tmp_path / "out-peak").utterance(0).waveform
    np.testing.assert_allclose(waveform, 0.95 / 9000 * tone, atol=2e-4)


HOUR = """
import resource, sys
from wavejax.cli.main import main
code = main(["prepare", sys.argv[1], sys.argv[2], "--workers", "1", "--validation", "0", "--test", "0", *sys.argv[3:]])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--normalize", "loudness", "--trim")], ids=["plain", "loudness"])
def test_an_hour_of_stereo_takes_less_than_600_megabytes(tmp_path, options):
    """3.1 GB when a recording was read, mixed and resampled whole."""
    (tmp_path / "in").mkdir()
    generator = np.random.default_rng(0)
    minute = 0.1 * np.sin(0.02 * np.arange(60 * 44_100)) * (1.0 + 0.1 * generator.standard_normal(60 * 44_100))
    with soundfile.SoundFile(tmp_path / "in" / "hour.wav", "w", 44_100, 2, "PCM_16") as file:
        for _ in range(60):
            file.write(np.stack([minute, 0.5 * minute], axis=1))
    command = [sys.executable, "-c", HOUR, str(tmp_path / "in"), str(tmp_path / "out"), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    code, megabytes = map(int, done.stdout.splitlines()[-1].split())
    assert code == 0
    assert megabytes < 600
    entry = Corpus.open(tmp_path / "out").entries[0]
    assert entry.num_samples == pytest.approx(3600 * 16_000, abs=16_000)
    assert entry.num_frames == entry.num_samples // 200
    (tmp_path / "in" / "hour.wav").unlink()


@pytest.mark.slow
def test_damaged_files_by_the_hundred(tmp_path):
    """1,300 mutations of sound, features and tables: each read or refused in a sentence, at once, in little memory."""
    command = [sys.executable, "-m", "tests.data.mutations", str(tmp_path), "1", "1300"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0
    report = json.loads(done.stdout.splitlines()[-1])
    print(report)
    assert report["failures"] == []
    assert report["counts"]["read"] > 200
    assert report["counts"]["refused"] > 500
    assert report["megabytes"] < 700
    assert report["slowest"][0] < 10


def test_limits_hold_after_trimming(tmp_path):
    click = np.zeros(48_000)
    click[20_000:20_160] = 0.5 * np.random.default_rng(0).standard_normal(160)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "click.wav", click, 16_000)
    write_tone(tmp_path / "in" / "fine.wav", seconds=2.0)
    report = _prepare(tmp_path / "in", tmp_path / "out", trim=True, min_seconds=1.0)
    assert [u.id for u in report.manifest.utterances] == ["fine"]
    ((name, reason),) = report.skipped
    assert name == "click"
    assert "click.wav is too short: 0.150 s once its silent ends are cut, 3.000 s before, and min_seconds" in reason
    assert len(_prepare(tmp_path / "in", tmp_path / "whole", min_seconds=1.0).manifest.utterances) == 2
    _prepare(tmp_path / "in", tmp_path / "short", trim=True, min_seconds=0.1)
    assert Corpus.open(tmp_path / "short").entries[0].num_samples == 2400


def test_channels_that_cancel_are_not_called_silent(tmp_path):
    tone = 0.25 * np.sin(0.2 * np.arange(16_000))
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "anti.wav", np.stack([tone, -tone], axis=1), 16_000)
    soundfile.write(tmp_path / "in" / "quiet.wav", np.zeros((16_000, 2)), 16_000)
    write_tone(tmp_path / "in" / "fine.wav")
    reasons = dict(_prepare(tmp_path / "in", tmp_path / "out").skipped)
    assert "anti.wav has 2 channels that cancel each other when they are averaged to one" in reasons["anti"]
    assert "they peak at -12 dB of full scale" in reasons["anti"]
    assert "quiet.wav is silent" in reasons["quiet"]


def test_what_is_to_be_known_of_a_source_is_in_the_report(tmp_path):
    source = write_ljspeech(tmp_path / "in", {"a": "", "b": ""})
    (source / "metadata.csv").write_text("a|One\u2028two.|\nb|Two.|\na|One\u2028two.|\n")
    with open(os.fsencode(source) + b"/wavs/mod\xe0.wav", "wb"):
        pass
    report = _prepare(source, tmp_path / "out")
    assert [u.transcript for u in report.manifest.utterances] == ["One\u2028two.", "Two."]
    assert "skipped wavs/mod\\xe0.wav: has a name that is not UTF-8 text; rename it" in str(report)
    assert "note on a: is twice in metadata.csv: line 3 repeats line 1" in str(report)
    assert "note on the splits: validation is empty" in str(report)


def test_linked_folders_are_prepared(tmp_path):
    write_tone(tmp_path / "disk" / "a.wav")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "s1").symlink_to(tmp_path / "disk")
    report = _prepare(tmp_path / "in", tmp_path / "out")
    assert [(u.id, u.source) for u in report.manifest.utterances] == [("s1/a", "s1/a.wav")]


def test_the_times_of_phones_are_taken_along(tmp_path):
    source = write_ljspeech(tmp_path / "anna", {"a": "Hello there.", "b": "Good bye!"})
    line = '{"id":"a","phones":[["AA1",0.0,0.5]],"words":[]}\n'
    (source / "alignments.jsonl").write_text(line + line.replace('"a"', '"another"'))
    report = _prepare(source, tmp_path / "out")
    assert (tmp_path / "out" / "alignments.jsonl").read_text() == line
    assert ("alignments.jsonl", "has no alignment of 1 utterances") in report.notes
    with pytest.raises(PrepareError, match="which trimming would make wrong: prepare it without trimming"):
        _prepare(source, tmp_path / "trimmed", trim=True)
    (source / "alignments.jsonl").write_text("{}\n")
    with pytest.raises(PrepareError, match=r"line 1: expected an object with an id.*Correct or remove the file"):
        _prepare(source, tmp_path / "out")
    (source / "alignments.jsonl").unlink()
    _prepare(source, tmp_path / "out")
    assert not (tmp_path / "out" / "alignments.jsonl").exists()
