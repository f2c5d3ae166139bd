"""Names that others have chosen lead nowhere: objects of a bucket, files of a manifest, folders beside the steps."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints.buckets import Memory
from tests.checkpoints.states import META
from wavejax.checkpoints import (
    CheckpointDamaged,
    CheckpointStore,
    CheckpointWriteError,
    load_any,
    open_store,
    read_checkpoint_params,
)
from wavejax.checkpoints.bucket import Bucket
from wavejax.checkpoints.errors import BucketError
from wavejax.checkpoints.fetching import fetched
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.inspection import find_checkpoints, inspect_step, plan_pruning, remove_steps
from wavejax.checkpoints.manifest import MANIFEST_NAME, damaged_files
from wavejax.checkpoints.names import is_below, place_below, step_number
from wavejax.checkpoints.record import Record, digest
from wavejax.checkpoints.urls import CACHE

STATE = {"ema_params": {"w": np.arange(5.0)}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    with CheckpointStore(folder) as store:
        for step in (10, 20):
            store.save(step, {"ema_params": {"w": np.full(5, float(step))}}, META)
    return folder


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "inside" / "run"))


def test_which_names_are_steps_and_which_lie_below(tmp_path):
    names = ("0", "7", "20", "007", "-5", "+5", "5.0", " 5", "5 ", "٣", "²", "1e3", "1_0", "", "9" * 19, "50.bak")
    assert [step_number(name) for name in names] == [0, 7, 20] + [None] * 13
    for name in ("", ".", "..", "/x", "a//b", "a/", "a/./b", "a/../b", "../x", "a\0b", "/"):
        assert not is_below(name)
        with pytest.raises(ValueError, match="is no name of a file below"):
            place_below(tmp_path, name)
    assert place_below(tmp_path, "a/..b/c.. d") == tmp_path / "a/..b/c.. d"
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(ValueError, match="nothing is written there"):
        place_below(tmp_path, "link/etc/x")


STEP = "checkpoints/{step}"
KEYS = (
    *(STEP + "/{outside}/x", STEP + "//{outside}/x", STEP + "/state/{outside}/x", "checkpoints/{outside}/x"),
    *("{outside}/x", STEP + "/../../../../../../../../../../../../..{outside}/x", STEP + "/..", STEP + "/."),
    *(STEP + "/a/../../b", STEP + "/a\0b", STEP + "/../x", STEP + "/./x", STEP + "/x/", STEP + "/x//"),
    *("checkpoints/../x", "checkpoints/./x", "checkpoints//{step}/x", "../x", "./x", "/metrics.jsonl"),
)
REFUSAL = "which is no name of a file below a folder: nothing is fetched from there; remove it if the bucket is yours"


@pytest.mark.parametrize("step", ["5", "6"])
@pytest.mark.parametrize("key", KEYS)
def test_a_hostile_key_of_a_bucket_writes_nothing_anywhere(monkeypatch, tmp_path, key, step):
    """40 buckets, in which an object has an odd name: of the step that is asked for, of another, or beside them."""
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    bucket = one_step(monkeypatch, str(tmp_path / "cache"))
    plant(bucket, key.format(step=step, outside=outside), b"theirs")
    before = set(tmp_path.rglob("*"))
    for door in (load_any, fetched, find_checkpoints):
        with pytest.raises(BucketError, match=REFUSAL):
            door(bucket.workdir)
    for door in (load_any, fetched, find_checkpoints, lambda url: remove_steps(url, (5,)), close):
        seen = key.startswith("checkpoints/")  # else it does not lie below this folder
        with pytest.raises(BucketError, match=REFUSAL) if seen else contextlib.nullcontext():
            door(bucket.url)
    assert not set(tmp_path.rglob("*")) - before - set((tmp_path / "cache").rglob("*")) - {tmp_path / "cache"}
    assert not any(path.read_bytes() == b"theirs" for path in tmp_path.rglob("*") if path.is_file())


def one_step(monkeypatch: pytest.MonkeyPatch, cache: str) -> Memory:
    """A bucket that holds step 5, which this machine has never seen."""
    bucket = Memory(monkeypatch)
    with open_store(bucket.url) as store:
        store.save(5, STATE, META)
    shutil.rmtree(cache)
    return bucket


def plant(bucket: Memory, key: str, data: bytes) -> None:
    """An object of exactly this name below the run: object stores take any."""
    path = f"{bucket.root}/{key}"
    bucket.fs.pipe_file(f"{bucket.root}/checkpoints/plain", data)
    bucket.fs.store[path] = bucket.fs.store.pop(f"{bucket.root}/checkpoints/plain")
    bucket.fs.store[path].path = path


def close(url: str) -> None:
    open_store(url).close()


def test_what_a_console_leaves_for_an_empty_folder_is_no_object(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    bucket = one_step(monkeypatch, str(tmp_path / "cache"))
    for key in ("", "checkpoints/", "checkpoints/5/", "checkpoints/5/state/"):
        plant(bucket, key, b"")
    assert load_any(bucket.workdir).params["w"].tolist() == [0, 1, 2, 3, 4]
    assert Bucket(bucket.url).steps() == (5,)


def test_a_folder_of_this_machine_as_a_bucket_holds_files_and_links_to_files(monkeypatch, tmp_path, saved):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    shutil.copytree(saved, tmp_path / "run")
    record = tmp_path / "run" / "20" / "meta" / "metadata"
    record.rename(tmp_path / "blob")
    record.symlink_to(tmp_path / "blob")
    assert load_any(f"file://{tmp_path}/run").step == 20
    (tmp_path / "run" / "20" / "endless").symlink_to("/dev/zero")
    with pytest.raises(BucketError, match="holds '20/endless', which is no regular file: nothing is fetched"):
        load_any(f"file://{tmp_path}/run")


def test_folders_of_a_bucket_that_are_no_steps_are_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    bucket = one_step(monkeypatch, str(tmp_path / "cache"))
    strange = [f"checkpoints/{name}/{MANIFEST_NAME}" for name in ("007", "6.bak", "٣", "9" * 30)]
    for key in strange:
        plant(bucket, key, b"theirs")
    with open_store(bucket.url) as store:
        assert store.steps() == (5,)
    assert [bucket.fs.cat_file(f"{bucket.root}/{key}") for key in strange] == [b"theirs"] * 4


def write_manifest(folder: Path, files: dict) -> None:
    (folder / MANIFEST_NAME).write_text(json.dumps({"files": files, "sha256": digest(files)}))


SECRET = b"a file of the user's"
NAMES = (
    *("/dev/zero", "/dev/stdin", "/proc/self/mem", "{outside}", "../{up}", "../20/meta/metadata", "..", ".", ""),
    *("state/../../20/meta/metadata", "state/./x", "state//x", "//dev/zero", "meta/metadata/", "./meta/metadata"),
    *("a\0b", "state", "pipe", "zero", "link", "linked/secret", "loop", "socket", "../../run/10/meta/metadata"),
)


@pytest.mark.parametrize("size", ["right", "wrong"])
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_manifest_of_a_step_opens_nothing_outside(run, tmp_path, opened, name, size):
    """48 manifests. Whatever is opened, besides the step's own files, is told by the audit hook of Python."""
    secret, folder = tmp_path / "secret", run / "20"
    secret.write_bytes(SECRET)
    os.mkfifo(folder / "pipe")
    for link, target in {"zero": "/dev/zero", "link": secret, "linked": tmp_path, "loop": folder / "loop"}.items():
        (folder / link).symlink_to(target)
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(folder):
        bound.bind("socket")
    name = name.format(outside=secret, up="../../secret")
    entry = {"bytes": len(SECRET) if size == "right" else 0, "sha256": hashlib.sha256(SECRET).hexdigest()}
    write_manifest(folder, {name: entry})
    opened.clear()
    (problem,) = (text for text in damaged_files(folder) if not text.startswith("wavejax_bookkeeping"))
    assert problem.startswith(name)
    assert "link out of the step" in problem or "no " in problem or "unreadable" in problem
    own = {str(path) for path in folder.iterdir() if path.is_file() and not path.is_symlink()}
    assert set(opened) <= own, "only the manifests, and the bookkeeping that lies beside them"


_OPENED: list[str] = []
_HOOKED: list[bool] = []


def _hear(event: str, arguments: tuple) -> None:
    if _HOOKED and event == "open" and isinstance(arguments[0], str):
        _OPENED.append(arguments[0])


@pytest.fixture
def opened():
    """Names of the files that are opened while a test runs, as Python's audit events tell them."""
    if not hasattr(sys, "_wavejax_test_hook"):  # such a hook stays until the process ends
        sys._wavejax_test_hook = True
        sys.addaudithook(_hear)
    _OPENED.clear()
    _HOOKED.append(True)
    yield _OPENED
    _HOOKED.clear()


def test_a_manifest_is_as_long_as_it_says_and_no_deeper_than_json(run, monkeypatch):
    manifest = run / "20" / MANIFEST_NAME
    manifest.write_text("[" * 10**5)
    assert f"{MANIFEST_NAME} (contents changed)" in damaged_files(run / "20")
    manifest.unlink()
    manifest.symlink_to("/dev/zero")
    assert f"{MANIFEST_NAME} (contents changed)" in damaged_files(run / "20")
    monkeypatch.setattr("wavejax.checkpoints.manifest._LARGEST_MANIFEST", 10)
    assert f"{MANIFEST_NAME} (contents changed)" in damaged_files(run / "10")


@pytest.mark.parametrize("what", ["pipe", "device", "link to a folder"])
def test_a_step_that_holds_what_is_no_file_is_not_read(run, what):
    victim = run / "20" / "meta" / "metadata"
    victim.unlink()
    if what == "pipe":
        os.mkfifo(victim)
    elif what == "device":
        victim.symlink_to("/dev/zero")
    else:
        (run / "20" / "meta").rename(run / "meta")
        (run / "20" / "meta").symlink_to(run / "meta")
    assert read_checkpoint_params(run).step == 10
    with pytest.raises(CheckpointDamaged, match=r"step 20: meta(/metadata)? is no regular file"):
        read_checkpoint_params(run, 20)
    found = inspect_step(run, 20, read_leaves=True)
    assert found.damage is not None
    assert "is no regular file" in found.damage.reason


def test_a_linked_file_is_that_file(run, tmp_path):
    """As git-annex, DVC and the like lay them out: the arrays serve, though the manifest's files are not opened."""
    record = run / "20" / "meta" / "metadata"
    record.rename(tmp_path / "blob")
    record.symlink_to(tmp_path / "blob")
    assert read_checkpoint_params(run).step == 20


def test_a_step_under_another_name_is_not_that_step(run, caplog):
    shutil.copytree(run / "20", run / "50")
    reason = "step 50: it is a copy of step 20: give the folder that name, or remove it"
    damage = inspect_step(run, 50, read_leaves=True).damage
    assert str(damage) == reason
    assert plan_pruning(run, keep_last=1).newest_sound == 20
    with pytest.raises(CheckpointDamaged, match=reason):
        load_any(run, 50)
    assert load_any(run).step == 20
    with CheckpointStore(run) as store:
        restored = store.restore({"ema_params": {"w": np.zeros(5)}})
        assert (restored.step, restored.state["ema_params"]["w"][0]) == (20, 20.0)
        assert f"{reason}. Step 20 is used instead" in caplog.text
        assert store.steps() == (10, 20)


def test_a_copy_in_a_bucket_is_not_that_step_either(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    bucket = one_step(monkeypatch, str(tmp_path / "cache"))
    for name in list(bucket.names()):
        if name.startswith("5/"):
            plant(bucket, f"checkpoints/9/{name[2:]}", bucket.fs.cat_file(f"{bucket.root}/checkpoints/{name}"))
    assert Bucket(bucket.url).steps() == (5, 9)
    with open_store(bucket.url) as store:
        assert store.restore(STATE).step == 5


def test_a_record_from_before_records_held_the_step_still_serves(run):
    record = json.loads((run / "20" / "meta" / "metadata").read_text())
    assert record["step"] == 20
    earlier = {name: value for name, value in record.items() if name not in ("step", "sha256")}
    old = Record.from_json({**earlier, "sha256": digest(earlier)})
    assert old.step is None
    assert old.to_json() == {**earlier, "sha256": digest(earlier)}
    (run / "20" / "meta" / "metadata").write_text(json.dumps(old.to_json()))
    shutil.copytree(run / "20", run / "50")
    assert read_checkpoint_params(run).step == 50


def test_metrics_that_are_no_numbers_are_not_compared():
    body = {"format": 1, "meta": {}, "metrics": {"a": 1, "b": "x", "c": [2], "d": 0.5, "e": 10**400}, "leaves": {}}
    assert Record.from_json({**body, "sha256": digest(body)}).metrics == {"a": 1, "d": 0.5}


STRAYS = (
    *("007", "٣", "5 (copy)", "-5", "5.0", "step_5", "9" * 30, ".replaced-50.bak", ".replaced-007", "damaged-x"),
    *(".deleting-mine", ".fetching-holiday", ".fetching-7-mine", "notes.orbax-checkpoint-tmp"),
)


def test_folders_that_are_no_steps_are_left_alone(run):
    for name in STRAYS:
        (run / name).mkdir()
        (run / name / "note.txt").write_text("mine")
    assert saved_steps(run) == (10, 20)
    assert find_checkpoints(run) == run
    assert plan_pruning(run, keep_last=1).removed == (10,)
    with CheckpointStore(run) as store:
        assert store.restore({"ema_params": {"w": np.zeros(5)}}).step == 20
        store.save(30, STATE, META)
        store.wait()
        store.save(7, STATE, META)
        store.wait()
        assert store.steps() == (10, 20, 30)  # the newest three
    assert all((run / name / "note.txt").read_text() == "mine" for name in STRAYS)


def test_what_a_killed_process_left_is_removed_or_put_back(run):
    for name in (".deleting-10", ".deleting-probe", ".fetching-10-123", "30.orbax-checkpoint-tmp-5"):
        (run / name).mkdir()
    (run / "20").rename(run / ".replaced-20")
    with CheckpointStore(run) as store:
        assert store.steps() == (10, 20)
    assert sorted(path.name for path in run.iterdir()) == ["10", "20"]


def test_a_file_in_the_place_of_a_step_is_not_replaced(run):
    (run / "30").write_text("mine")
    with CheckpointStore(run) as store:
        with pytest.raises(CheckpointWriteError, match="30 is a file, and the checkpoint needs a folder of that name"):
            store.save(30, STATE, META)
    assert (run / "30").read_text() == "mine"
