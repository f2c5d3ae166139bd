"""Checkpoints in a bucket: what counts there, what is fetched from there, and what a fault in between costs."""

import itertools
import json
import logging
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.checkpoints.buckets import Memory
from tests.checkpoints.states import META, assert_equal_bits, tiny_state, trained
from wavejax.checkpoints import CheckpointDamaged, CheckpointNotFound, CheckpointWriteError, open_store
from wavejax.checkpoints.bucket import Bucket
from wavejax.checkpoints.errors import BucketError
from wavejax.checkpoints.folder import saved_steps
from wavejax.checkpoints.inspection import find_checkpoints, inspect_step, plan_pruning, remove_steps
from wavejax.checkpoints.reading import load_any
from wavejax.checkpoints.urls import CACHE, as_url, below, cache_folder, working_folder
from wavejax.extras import MissingExtra
from wavejax.parallel import get_strategy

MANIFEST = "wavejax_files.json"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Memory:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return Memory(monkeypatch)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Called, this is a machine that has never seen the run."""
    numbers = itertools.count()
    return lambda: monkeypatch.setenv(CACHE, str(tmp_path / f"machine{next(numbers)}"))


def save(url: str, *steps: int, **options) -> None:
    with open_store(url, **options) as store:
        for step in steps:
            store.save(step, {"w": np.full(5, step)}, META)


def restored(url: str) -> tuple[int, list[int]]:
    with open_store(url) as store:
        found = store.restore({"w": np.zeros(5, np.int64)})
    return found.step, found.state["w"].tolist()


def a_data_file(bucket: Memory, step: int) -> str:
    """The object that holds the arrays of a step."""
    names = [name for name in bucket.names() if name.startswith(f"{step}/state/") and "/d/" in name]
    return max(names, key=lambda name: bucket.fs.size(f"{bucket.root}/checkpoints/{name}"))


def test_the_bucket_holds_what_the_folder_holds_and_the_manifest_comes_last(bucket):
    save(bucket.url, 1, 2)
    folder = cache_folder(bucket.url, "runs")
    on_disk = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert bucket.names() == on_disk
    for step in ("1", "2"):
        written = [name for name in bucket.done if name.startswith(f"+{step}/")]
        assert written[-1] == f"+{step}/{MANIFEST}"
        assert len(written) > 5


def test_an_empty_cache_goes_on_bit_for_bit(bucket, elsewhere):
    strategy, whole = get_strategy("spmd"), trained(6)
    with open_store(bucket.url) as store:
        store.save(4, trained(4), META, metrics={"loss": 0.5})
    elsewhere()
    with open_store(bucket.url) as store:
        assert store.steps() == (4,)
        found = store.restore(strategy.abstract(jax.eval_shape(tiny_state)))
        assert (found.step, found.meta, store.damage_reports) == (4, META, [])
        store.save(6, trained(2, found.state), META)
    elsewhere()
    with open_store(bucket.url) as store:
        last = store.restore(strategy.abstract(jax.eval_shape(tiny_state)))
    assert_equal_bits(strategy.fetch(last.state), strategy.fetch(whole))


@pytest.mark.parametrize("fails_at", [MANIFEST, "meta/metadata"])
def test_an_upload_that_fails_is_no_checkpoint_and_loses_nothing(bucket, elsewhere, caplog, fails_at):
    def refuse(operation: str) -> None:
        if operation == f"+4/{fails_at}":
            raise ConnectionError("the network is down")

    save(bucket.url, 2)
    bucket.refuse = refuse
    expected = (
        rf"cannot upload the checkpoint of step 4: cannot write 4/{fails_at} to {bucket.url}: the network is down\. "
        rf"Newest checkpoint in the bucket: step 2; on this machine: step 4 \(.*checkpoints\)"
    )
    with pytest.raises(CheckpointWriteError, match=expected):
        save(bucket.url, 4)
    assert caplog.text.count("another try") == 2
    assert bucket.steps() == [2]
    bucket.refuse = lambda operation: None
    here = cache_folder(bucket.url, "runs").parents[4]
    elsewhere()
    with caplog.at_level(logging.WARNING, "wavejax"):
        assert restored(bucket.url) == (2, [2] * 5)
    assert "the upload of step 4 was interrupted; it is removed" in caplog.text
    assert not [name for name in bucket.names() if name.startswith("4/")]
    with pytest.MonkeyPatch.context() as back:  # the machine that had it goes on from there, and makes the upload good
        back.setenv(CACHE, str(here))
        assert restored(bucket.url) == (4, [4] * 5)
    assert bucket.steps() == [2, 4]


def test_a_fault_that_passes_costs_a_warning(bucket, caplog):
    faults = iter([ConnectionError("once"), OSError("twice")])

    def refuse(operation: str) -> None:
        if operation == f"+1/{MANIFEST}" and (fault := next(faults, None)):
            raise fault

    bucket.refuse = refuse
    save(bucket.url, 1)
    assert bucket.steps() == [1]
    assert "once; another try" in caplog.text
    assert "twice; another try" in caplog.text


def test_a_refusal_is_not_tried_again(bucket, caplog):
    def refuse(operation: str) -> None:
        if operation.startswith("+1/"):
            raise PermissionError("access denied")

    bucket.refuse = refuse
    with pytest.raises(CheckpointWriteError, match=r"access denied.*in the bucket: none; on this machine: step 1"):
        save(bucket.url, 1)
    assert "another try" not in caplog.text


def test_an_object_that_did_not_arrive_whole_is_noticed(bucket, monkeypatch):
    inner = Bucket.put_file

    def cut(self, name, path):
        if name.endswith("meta/metadata"):
            self.write(name, path.read_bytes()[:-1])
        else:
            inner(self, name, path)

    monkeypatch.setattr(Bucket, "put_file", cut)
    with pytest.raises(CheckpointWriteError, match="does not hold what was uploaded: 1/meta/metadata"):
        save(bucket.url, 1)
    assert bucket.steps() == []


def test_a_changed_byte_in_the_bucket_is_stepped_over(bucket, elsewhere, caplog):
    save(bucket.url, 2, 4)
    bucket.flip_byte(a_data_file(bucket, 4))
    elsewhere()
    with open_store(bucket.url) as store:
        found = store.restore({"w": np.zeros(5, np.int64)})
        assert found.state["w"].tolist() == [2] * 5
        (report,) = store.damage_reports
        assert (report.step, report.leaves) == (4, ("w",))
        assert any("contents changed" in name for name in report.files)
        assert f"damaged checkpoint in {bucket.url}: step 4" in caplog.text
        assert store.steps() == (2,)
        assert store.save(4, {"w": np.full(5, 44)}, META)  # the same step can be saved again
    elsewhere()
    assert restored(bucket.url) == (4, [44] * 5)


def test_an_incomplete_step_of_the_bucket_is_stepped_over(bucket, elsewhere):
    save(bucket.url, 2, 4)
    bucket.fs.rm_file(f"{bucket.root}/checkpoints/{a_data_file(bucket, 4)}")
    elsewhere()
    assert restored(bucket.url) == (2, [2] * 5)


def test_nothing_sound_is_an_error_that_names_the_bucket(bucket, elsewhere):
    save(bucket.url, 2)
    bucket.flip_byte(a_data_file(bucket, 2))
    elsewhere()
    with pytest.raises(CheckpointDamaged, match=f"no sound checkpoint in {bucket.url}:\n  step 2"):
        restored(bucket.url)


def test_a_damaged_copy_is_fetched_again(bucket, caplog):
    save(bucket.url, 2, 4)
    path = cache_folder(bucket.url, "runs") / a_data_file(bucket, 4)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert restored(bucket.url) == (4, [4] * 5)
    assert "It is fetched from memory://" in caplog.text


def test_the_bucket_keeps_what_the_rules_keep(bucket, elsewhere):
    rules = {"keep_last": 2, "keep_every": 4, "best": ("loss", "min")}
    losses = {1: 0.3, 2: 0.1, 3: 0.4, 4: 0.5, 5: 0.6, 6: 0.7, 7: 0.8}

    def train(*steps: int) -> None:
        with open_store(bucket.url, **rules) as store:
            for step in steps:
                store.save(step, {"w": np.full(5, step)}, META, metrics={"loss": losses[step]})

    train(1, 2, 3, 4)
    assert bucket.steps() == [2, 3, 4]
    removed = [name for name in bucket.done if name.startswith("-1/")]
    assert removed[0] == f"-1/{MANIFEST}"
    assert not [name for name in bucket.names() if name.startswith("1/")]
    elsewhere()
    train(5, 6, 7)  # the metrics of steps that are not here are read in the bucket
    assert bucket.steps() == [2, 4, 6, 7]


def test_what_cannot_be_removed_costs_a_warning(bucket, caplog):
    def refuse(operation: str) -> None:
        if operation.startswith("-1/"):
            raise PermissionError("objects are locked")

    bucket.refuse = refuse
    save(bucket.url, 1, 2, 3, keep_last=2)
    assert bucket.steps() == [1, 2, 3]
    assert "objects are locked; the checkpoint itself is in the bucket" in caplog.text


def test_replacing_a_step_replaces_it_in_the_bucket(bucket, elsewhere):
    save(bucket.url, 1)
    elsewhere()
    with open_store(bucket.url) as store:
        assert not store.save(1, {"w": np.full(5, 7)}, META)
        assert store.save(1, {"w": np.full(5, 7)}, META, force=True)
    removed = [name for name in bucket.done if name.startswith("-")]
    assert removed[0] == f"-1/{MANIFEST}"
    elsewhere()
    assert restored(bucket.url) == (1, [7] * 5)


def test_a_cache_of_another_run_is_set_aside(bucket, caplog):
    save(bucket.url, 1, 2)
    folder = cache_folder(bucket.url, "runs")
    (folder.parent / "metrics.jsonl").write_text('{"step": 2}\n')
    bucket.fs.rm(bucket.root, recursive=True)
    with open_store(bucket.url) as store:
        assert store.steps() == ()
    (aside,) = folder.parent.glob("checkpoints-of-another-run-*")
    assert saved_steps(aside) == (1, 2)
    assert (aside / "metrics.jsonl").exists()
    assert "belongs to a run that" in caplog.text


def test_metrics_travel_along(bucket, elsewhere):
    metrics = cache_folder(bucket.url, "runs").parent / "metrics.jsonl"
    metrics.parent.mkdir(parents=True)
    metrics.write_text('{"step": 1}\n')
    save(bucket.url, 1)
    elsewhere()
    save(bucket.url, 2)
    assert (cache_folder(bucket.url, "runs").parent / "metrics.jsonl").read_text() == '{"step": 1}\n'


def test_reading_fetches_what_it_needs_and_changes_nothing(bucket, elsewhere):
    with open_store(bucket.url) as store:
        for step in (2, 4):
            store.save(step, trained(step), META)
    before = bucket.names()
    elsewhere()
    for where in (bucket.url, bucket.workdir, Path(bucket.workdir)):
        params, meta, step = load_any(where)
        assert (meta, step) == (META, 4)
        assert_equal_bits(params, jax.tree.map(np.asarray, trained(4).ema_params))
    assert saved_steps(cache_folder(bucket.url, "read")) == (4,)
    assert load_any(bucket.workdir, 2).step == 2
    with pytest.raises(CheckpointNotFound, match=r"no checkpoint of step 3 in memory://.*; steps found: 2, 4"):
        load_any(bucket.workdir, 3)
    bucket.flip_byte(a_data_file(bucket, 4))
    elsewhere()
    load_any(bucket.workdir)  # the averages of step 4 may be sound all the same, but they need not be
    assert saved_steps(cache_folder(bucket.url, "read")) == (2, 4)
    assert bucket.names() == before


def test_a_copy_for_reading_follows_the_bucket(bucket):
    def save_params(value: int) -> None:
        with open_store(bucket.url) as store:
            store.save(1, {"ema_params": {"w": np.full(5, value)}}, META, force=True)

    save_params(1)
    assert load_any(bucket.url).params["w"].tolist() == [1] * 5
    save_params(2)
    assert load_any(bucket.url).params["w"].tolist() == [2] * 5


def test_looking_and_pruning(bucket, elsewhere):
    save(bucket.url, 1, 2, 3)
    bucket.flip_byte(a_data_file(bucket, 2))
    elsewhere()
    directory = find_checkpoints(bucket.workdir)
    assert saved_steps(directory) == (1, 2, 3)
    damaged = [step for step in (1, 2, 3) if inspect_step(directory, step, read_leaves=True).damage is not None]
    assert damaged == [2]
    plan = plan_pruning(directory, keep_last=1)
    assert plan.removed == (1, 2)
    bucket.done.clear()
    remove_steps(bucket.workdir, plan.removed)
    assert bucket.done[0] == f"-1/{MANIFEST}"
    assert bucket.steps() == [3]
    with pytest.raises(CheckpointNotFound, match=r"no checkpoint in memory://.*nowhere, nor exported"):
        find_checkpoints(f"{bucket.workdir}/nowhere")


def test_a_bucket_that_cannot_be_read_is_no_empty_one(bucket, elsewhere, monkeypatch):
    save(bucket.url, 1)
    elsewhere()

    def down(self, path, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(type(bucket.fs), "find", down)
    with pytest.raises(BucketError, match=r"cannot list memory://.*/run/checkpoints: no route to host"):
        open_store(bucket.url)


def test_what_a_url_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert as_url("runs/a") is as_url(Path("/runs/a")) is as_url("C:/run") is None
    assert as_url(Path("gs://bucket/run")) == as_url("GS://bucket/run/") == "gs://bucket/run"
    assert as_url("file:///mnt/run") == as_url(Path("file:///mnt/run")) == "file:///mnt/run"
    for wrong in ("gs://", Path("gs://"), "gs://bucket/../run", "gs://bucket//run"):
        with pytest.raises(ValueError, match="names no folder: give a URL such as gs://bucket/run"):
            as_url(wrong)
    monkeypatch.setenv(CACHE, str(tmp_path))
    assert working_folder("s3://bucket/a/run") == tmp_path / "runs/s3/bucket/a/run"
    assert working_folder("file:///mnt/run") == tmp_path / "runs/file/mnt/run"
    assert working_folder("a/run") == Path("a/run")
    assert (below("a/run", "c"), below("gs://b/run/", "c")) == (Path("a/run/c"), "gs://b/run/c")
    monkeypatch.delenv(CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert working_folder("s3://bucket/run") == tmp_path / "x/wavejax/runs/s3/bucket/run"


def test_a_driver_that_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtra, match=r"s3://bucket/run needs a driver of s3://.*'wavejax-audio\[cloud\]'"):
        Bucket("s3://bucket/run")
    with pytest.raises(ValueError, match="nowhere://bucket/run: Protocol not known"):
        Bucket("nowhere://bucket/run")


def test_a_folder_of_this_machine_can_be_the_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    url = f"file://{tmp_path}/bucket/checkpoints"
    save(url, 1, 2, 3, keep_last=2)
    assert saved_steps(tmp_path / "bucket" / "checkpoints")[-2:] == (2, 3)
    shutil.rmtree(tmp_path / "cache")
    assert restored(url) == (3, [3] * 5)
    run = json.loads((tmp_path / "bucket/checkpoints/wavejax_run.json").read_text())
    assert list(run) == ["run"]
