"""What is saved comes back, bit for bit, on any devices; what cannot be saved or restored is explained."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import wavejax.checkpoints.store as store_module
from tests.checkpoints.states import META, assert_equal_bits, odd_state, tiny_state, trained
from wavejax.atomic import PathNotText
from wavejax.checkpoints import (
    CheckpointMismatch,
    CheckpointNotFound,
    CheckpointStore,
    CheckpointWriteError,
    read_checkpoint_params,
)
from wavejax.checkpoints.inspection import find_checkpoints
from wavejax.parallel import get_strategy
from wavejax.training import create_train_state


def test_every_kind_of_leaf_comes_back(tmp_path: Path) -> None:
    state = odd_state()
    with CheckpointStore(tmp_path / "run" / "checkpoints") as store:
        assert store.save(3, state, {"shape": (1, 2), **META})
        restored = store.restore(state)
    assert_equal_bits(restored.state, state)
    assert (restored.meta, restored.step) == ({"shape": [1, 2], **META}, 3)


def test_resuming_is_exact_on_the_same_devices_and_close_on_others(tmp_path: Path) -> None:
    straight = trained(12)
    with CheckpointStore(tmp_path) as store:
        store.save(5, trained(5), META)
    for name, num_devices in [("spmd", 8), ("pmap", 2)]:
        strategy = get_strategy(name, jax.devices()[:num_devices])
        with CheckpointStore(tmp_path) as store:
            halfway = store.restore(strategy.abstract(jax.eval_shape(tiny_state))).state
        assert all(leaf.sharding == strategy.replicated for leaf in jax.tree.leaves(halfway))
        finished = trained(7, halfway, name, num_devices)
        if (name, num_devices) == ("spmd", 8):
            assert_equal_bits(strategy.fetch(finished), strategy.fetch(straight))
        else:  # another order of float32 sums
            close = lambda got, want: np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)  # noqa: E731
            jax.tree.map(close, strategy.fetch(finished), strategy.fetch(straight))


def test_a_sharded_array_is_restored_to_another_sharding(tmp_path: Path) -> None:
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(AxisType.Auto,) * 2)
    array = np.arange(64, dtype=np.float32).reshape(8, 8)
    with CheckpointStore(tmp_path) as store:
        store.save(1, {"w": jax.device_put(array, NamedSharding(mesh, PartitionSpec("x", "y")))}, {})
        for spec in [PartitionSpec("y"), PartitionSpec(None, "x"), PartitionSpec()]:
            sharding = NamedSharding(mesh, spec)
            got = store.restore({"w": jax.ShapeDtypeStruct((8, 8), jnp.float32, sharding=sharding)}).state["w"]
            assert got.sharding == sharding
            np.testing.assert_array_equal(got, array)


def test_the_state_may_be_donated_as_soon_as_save_returns(tmp_path: Path) -> None:
    double = jax.jit(lambda tree: jax.tree.map(lambda x: x * 2, tree), donate_argnums=0)
    state = {str(i): jnp.full((500, 500), jnp.float32(i)) for i in range(4)}
    with CheckpointStore(tmp_path) as store:
        store.save(1, state, {})
        for _ in range(5):
            state = double(state)
        target = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in state.items()}
        restored = store.restore(target).state
    assert {name: np.unique(leaf).tolist() for name, leaf in restored.items()} == {str(i): [i] for i in range(4)}


def test_which_steps_stay(tmp_path: Path) -> None:
    losses = {1: 5.0, 2: 1.0, 3: 4.0, 4: 3.0, 5: 2.0, 6: 2.0, 7: 2.0}
    with CheckpointStore(tmp_path, keep_last=2, keep_every=4, best=("loss", "min")) as store:
        for step, loss in losses.items():
            store.save(step, {"w": jnp.full((2,), jnp.float32(step))}, META, metrics={"loss": loss})
    assert store.steps() == (2, 4, 6, 7)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["2", "4", "6", "7"]
    with CheckpointStore(tmp_path, keep_last=2, best=("loss", "max")) as store:
        store.save(8, {"w": jnp.zeros((2,))}, META, metrics={"loss": 2.5})
        store.wait()
        assert store.steps() == (4, 7, 8)
        assert store.restore({"w": jnp.zeros((2,))}, step=4).state["w"].tolist() == [4, 4]


def test_a_saved_step_is_left_alone_unless_forced(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        assert store.save(4, {"w": jnp.zeros(())}, {})
        assert not store.save(4, {"w": jnp.ones(())}, {})
        assert store.restore({"w": jnp.zeros(())}).state["w"] == 0
        assert store.save(4, {"w": jnp.ones(())}, {}, force=True)
        assert store.restore({"w": jnp.zeros(())}).state["w"] == 1
        assert store.steps() == (4,)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["4"]


def test_what_a_kill_left_is_cleaned_up_by_the_next_run_only(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        store.save(1, {"w": jnp.ones(())}, {})
        store.save(2, {"w": jnp.ones(())}, {})
    (tmp_path / "3.orbax-checkpoint-tmp").mkdir()
    (tmp_path / "3.orbax-checkpoint-tmp" / "state").write_text("half written")
    (tmp_path / ".deleting-0").mkdir()
    (tmp_path / "2").rename(tmp_path / ".replaced-2")  # killed while a forced save was under way
    with CheckpointStore(tmp_path, read_only=True) as reader:
        assert reader.steps() == (1,)
        assert (tmp_path / "3.orbax-checkpoint-tmp" / "state").exists()
        with pytest.raises(ValueError, match="is read-only; open another"):
            reader.save(9, {"w": jnp.ones(())}, {})
    with CheckpointStore(tmp_path) as store:
        assert store.steps() == (1, 2)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["1", "2"]
    with pytest.raises(ValueError, match="is closed; open another"):
        store.save(9, {"w": jnp.ones(())}, {})
    store.close()


def test_another_model_is_refused_leaf_by_leaf(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        store.save(7, tiny_state(), META)
        wider = jax.eval_shape(lambda: tiny_state(width=6))
        with pytest.raises(CheckpointMismatch) as caught:
            store.restore(wider)
        text = str(caught.value)
        assert "step 7" in text
        assert "params/input/kernel: saved float32[3, 4], expected float32[3, 6]" in text
        assert "It was saved with config={'model': 'tiny', 'layers': 2}, spec={'sample_rate': 16000}" in text
        assert "more" in text
        assert text.count("\n") <= 12

        def other_optimizer() -> object:
            return create_train_state(tiny_state().params, optax.sgd(0.1, momentum=0.9), key=0)

        missing = r"missing in the checkpoint: opt_state/0/trace/input/kernel float32\[3, 4\]"
        with pytest.raises(CheckpointMismatch, match=missing):
            store.restore(jax.eval_shape(other_optimizer))
        with pytest.raises(CheckpointMismatch, match=r"only in the checkpoint: step int32\[\]"):
            store.restore({"params": tiny_state().params})
        half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), tiny_state().params)
        with pytest.raises(CheckpointMismatch, match=r"saved float32\[1\], expected bfloat16\[1\]"):
            store.restore(tiny_state().replace(params=half))
        assert store.steps() == (7,)  # nothing was moved or marked as damaged


def test_nothing_to_restore_is_said_plainly(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        with pytest.raises(CheckpointNotFound, match="no checkpoint in "):
            store.restore({"w": jnp.zeros(())})
        store.save(2, {"w": jnp.zeros(())}, {})
        with pytest.raises(CheckpointNotFound, match=r"no checkpoint of step 5 in .*; steps found: 2"):
            store.restore({"w": jnp.zeros(())}, step=5)


def test_what_is_asked_wrongly_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep_last=1 must be 2 or more"):
        CheckpointStore(tmp_path, keep_last=1)
    with pytest.raises(ValueError, match="keep_every=0 must be 1 or more"):
        CheckpointStore(tmp_path, keep_every=0)
    with CheckpointStore(tmp_path) as store:
        with pytest.raises(TypeError, match="meta must be JSON-able"):
            store.save(1, {"w": jnp.zeros(())}, {"array": np.zeros(2)})
        with pytest.raises(ValueError, match="two leaves named 'a/b'"):
            store.save(1, {"a/b": jnp.zeros(()), "a": {"b": jnp.zeros(())}}, {})
        assert store.steps() == ()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointWriteError, match=r"cannot keep checkpoints in .*file/run: .*choose a folder"):
        CheckpointStore(tmp_path / "file" / "run")


@pytest.mark.parametrize("url", ["gs://bucket/run", "s3://bucket/run", Path("gs://bucket/run")])
def test_the_url_of_a_bucket_is_refused(url: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^(gs|s3)://bucket/run is a URL, and this needs a folder: .*open_store"):
        CheckpointStore(url)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o555)
    if os.geteuid() == 0:  # whom no permission stops
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(
        CheckpointWriteError, match=r"cannot keep checkpoints in .*: the folder is not writable; choose"
    ):
        CheckpointStore(tmp_path)
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_vanishes_is_not_made_anew(tmp_path: Path, replaced: bool) -> None:
    folder = tmp_path / "run"
    with CheckpointStore(folder) as store:
        store.save(1, {"w": jnp.ones((3,))}, META)
        store.wait()
        folder.rename(tmp_path / "elsewhere")
        if replaced:
            folder.mkdir()
        with pytest.raises(
            CheckpointWriteError, match=r"step 2 to .*(No such file|another has taken its place).*none$"
        ):
            store.save(2, {"w": jnp.zeros((3,))}, META)
        # No thread of Orbax waits for a folder; the end of the process would have to wait for the thread.
        assert not any("serialize" in thread.name for thread in threading.enumerate())
        if replaced:
            folder.rmdir()
        (tmp_path / "elsewhere").rename(folder)
        assert store.save(2, {"w": jnp.zeros((3,))}, META)
        assert store.restore({"w": jnp.ones((3,))}).state["w"].tolist() == [0, 0, 0]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["1", "2"]


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(tmp_path)
    store.save(1, {"w": jnp.ones((3,))}, META)
    store.wait()

    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "write_manifest", full)
        store.save(2, {"w": jnp.zeros((3,))}, META)
        with pytest.raises(CheckpointWriteError, match=r"step 2 to .*No space left.*untouched: 1$"):
            store.wait()
        assert store.save(1, {"w": jnp.zeros((3,))}, META, force=True)
        with pytest.raises(CheckpointWriteError, match=r"step 1 to .*No space left.*untouched: 1$"):
            store.wait()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["1"]
    assert store.restore({"w": jnp.zeros((3,))}).state["w"].tolist() == [1, 1, 1]
    assert store.save(2, {"w": jnp.zeros((3,))}, META)  # there is room again
    store.close()
    assert store.steps() == (1, 2)


_SAVE_UNDER_A_LIMIT = """
import resource, sys
import numpy as np
from wavejax.checkpoints import CheckpointStore, CheckpointWriteError
noise = np.random.default_rng(0).normal(size=300_000)
with CheckpointStore(sys.argv[1]) as store:
    store.save(1, {"w": noise[:1000]}, {})
    store.wait()
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    try:
        store.save(2, {"w": noise}, {})
        store.wait()
    except CheckpointWriteError as error:
        print(error)
    print(store.save(3, {"w": noise[:1000]}, {}), store.restore({"w": noise[:1000]}).step, store.steps())
"""


@pytest.mark.slow
def test_a_write_that_the_system_refuses_loses_nothing(tmp_path: Path) -> None:
    # A limit on the size of files, which holds for every writer in the process, stands in for a disk that fills up.
    command = [sys.executable, "-c", _SAVE_UNDER_A_LIMIT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert "cannot write the checkpoint of step 2 to" in done.stdout
    assert "File too large" in done.stdout
    assert "checkpoints on disk, untouched: 1" in done.stdout
    assert done.stdout.splitlines()[-1] == "True 3 (1, 3)"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["1", "3"]


def test_the_folder_is_orbax_s_own_format(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        store.save(1, tiny_state(), META)
    with ocp.StandardCheckpointer() as reader:
        tree = reader.restore(tmp_path / "1" / "state")
    np.testing.assert_array_equal(tree["params"]["input"]["kernel"], tiny_state().params["input"]["kernel"])
    record = json.loads((tmp_path / "1" / "meta" / "metadata").read_text())
    assert record["meta"] == META
    assert record["leaves"]["step"]["dtype"] == "int32"


def test_reading_disturbs_nothing(tmp_path: Path) -> None:
    state = trained(3)
    with CheckpointStore(tmp_path) as store:
        store.save(3, state, META)
        store.wait()
        (tmp_path / "4.orbax-checkpoint-tmp").mkdir()
        before = sorted(tmp_path.rglob("*"))
        params, meta, step = read_checkpoint_params(tmp_path)
        assert sorted(tmp_path.rglob("*")) == before
    assert_equal_bits(params, jax.tree.map(np.asarray, state.ema_params))
    assert (meta, step) == (META, 3)
    current = read_checkpoint_params(tmp_path, 3, subtree="params").params
    assert_equal_bits(current, jax.tree.map(np.asarray, state.params))
    with pytest.raises(CheckpointNotFound, match=r"no part 'weights'; it has ema_params, key, opt_state, params, step"):
        read_checkpoint_params(tmp_path, subtree="weights")
    with pytest.raises(CheckpointNotFound, match="no checkpoint of step 4"):
        read_checkpoint_params(tmp_path, 4)


def test_a_folder_whose_name_is_no_text_is_refused_before_a_step_is_made(tmp_path):
    """Orbax would write nothing, read nothing, and leave it to the end of a training to say so."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xff"))
    for open_it in (CheckpointStore, read_checkpoint_params, find_checkpoints):
        with pytest.raises(PathNotText, match=r"/r\\xff is not UTF-8"):
            open_it(folder)
    assert not folder.exists()
