"""Damage of any kind, anywhere, is noticed, named, and stepped over."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoints.states import META, assert_equal_bits, tiny_state
from wavejax.checkpoints import CheckpointDamaged, CheckpointStore, load_any, read_checkpoint_params
from wavejax.training import TrainState


def _state(step: int) -> TrainState:
    """A state whose averaged parameters do not compress, so that one file is much the largest."""
    average = np.random.default_rng(step).normal(size=(300, 40)).astype(np.float32)
    return tiny_state(width=40).replace(
        step=jnp.full((), step, jnp.int32),
        ema_params={"input": {"kernel": jnp.asarray(average)}},
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the steps 10 and 20, copied for every kind of damage."""
    folder = tmp_path_factory.mktemp("saved")
    with CheckpointStore(folder) as store:
        for step in (10, 20):
            store.save(step, _state(step), META)
    return folder


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


def _payload(folder: Path) -> Path:
    """The file that holds the arrays: the largest."""
    return max((path for path in folder.rglob("d/*") if path.is_file()), key=lambda path: path.stat().st_size)


def _flip(path: Path, position: int, mask: int = 0x10) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= mask
    path.write_bytes(data)


def test_a_flipped_byte_is_noticed_named_and_stepped_over(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    victim = _payload(run / "20")
    _flip(victim, victim.stat().st_size // 2)
    with CheckpointStore(run) as store, caplog.at_level(logging.WARNING):
        restored = store.restore(_state(0))
        assert restored.step == 10
        assert_equal_bits(restored.state, _state(10))
        (report,) = store.damage_reports
        assert report.step == 20
        assert report.leaves
        assert report.files == (f"{victim.relative_to(run / '20').as_posix()} (contents changed)",)
        assert [record.message for record in caplog.records] == [
            f"damaged checkpoint in {run}: {report}. Step 10 is used instead"
        ]
        # The damaged step is kept aside, and training may save it again.
        assert store.steps() == (10,)
        assert (run / "damaged-20").is_dir()
        assert store.save(20, _state(20), META)
        assert store.restore(_state(0)).step == 20
        assert len(store.damage_reports) == 1


def test_a_wrong_value_is_named_by_its_leaf(run: Path) -> None:
    shutil.rmtree(run / "20" / "state")
    shutil.copytree(run / "10" / "state", run / "20" / "state")  # sound files, but of another step
    with CheckpointStore(run, read_only=True) as store:
        assert store.restore(_state(0)).step == 10
        (report,) = store.damage_reports
        assert set(report.leaves) == {"step", "ema_params/input/kernel"}
        assert str(report).startswith(
            "step 20: checksum mismatch or unreadable: step, ema_params/input/kernel; damaged"
        )
        assert any(name.startswith("state/") for name in report.files)
        assert store.steps() == (10, 20)  # read-only: nothing was moved
    params, _, step = read_checkpoint_params(run)
    assert step == 10
    np.testing.assert_array_equal(params["input"]["kernel"], _state(10).ema_params["input"]["kernel"])
    assert read_checkpoint_params(run, subtree="params").step == 20  # its own leaves are sound


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_remove, _truncate, _empty])
@pytest.mark.parametrize("which", ["arrays", "record", "index"])
def test_missing_and_cut_files_are_named(run: Path, damage: Callable[[Path], None], which: str) -> None:
    folder = run / "20"
    victim = {
        "arrays": _payload(folder),
        "record": folder / "meta" / "metadata",
        "index": folder / "state" / "manifest.ocdbt",
    }[which]
    damage(victim)
    with CheckpointStore(run) as store:
        restored = store.restore(_state(0))
        assert restored.step == 10
        (report,) = store.damage_reports
        named = [name.split(" (")[0] for name in report.files]
        assert named == [victim.relative_to(folder).as_posix()]


def test_without_a_sound_step_each_one_is_named(run: Path) -> None:
    for step in ("10", "20"):
        _truncate(_payload(run / step))
    with CheckpointStore(run) as store:
        with pytest.raises(CheckpointDamaged, match=r"no sound checkpoint in .*\n  step 20: .*\n  step 10: ") as caught:
            store.restore(_state(0))
        assert [report.step for report in caught.value.reports] == [20, 10]
        assert all(report.files for report in caught.value.reports)
        assert store.steps() == (10, 20)  # where nothing better is left, nothing is moved
    with pytest.raises(CheckpointDamaged, match=r"\n  step 20: .*\n  step 10: "):
        read_checkpoint_params(run)
    with pytest.raises(CheckpointDamaged, match="step 20"):
        load_any(run)


def test_a_step_that_was_asked_for_is_not_replaced_by_another(run: Path) -> None:
    _truncate(_payload(run / "20"))
    with CheckpointStore(run) as store:
        with pytest.raises(CheckpointDamaged, match=r"step 20: .*\nrestore another step"):
            store.restore(_state(0), step=20)
        assert store.restore(_state(0), step=10).step == 10


def _all_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]


def _flip_and_restore(run: Path, victim: Path, draw: np.random.Generator) -> None:
    """Flips one random byte of a file of step 20: nothing wrong may come back, nor may the file go unnamed."""
    original = victim.read_bytes()
    position, mask = int(draw.integers(len(original))), int(draw.integers(1, 256))
    _flip(victim, position, mask)
    name = victim.relative_to(run / "20").as_posix()
    where = f"{name} byte {position} ^ {mask:#x}"
    with CheckpointStore(run, read_only=True) as store:
        restored = store.restore(_state(0))
        assert restored.step in (10, 20), where
        assert_equal_bits(restored.state, _state(restored.step))
        assert restored.meta == META, where
        (report,) = store.damage_reports
        assert report.step == 20, where
        assert report.leaves or report.reason.startswith(("its record", "every leaf is sound")), where
        assert [entry.split(" (")[0] for entry in report.files] == [name], where
    victim.write_bytes(original)


def test_flips_anywhere(run: Path) -> None:
    draw = np.random.default_rng(0)
    files = _all_files(run / "20")
    for index in draw.choice(len(files), size=6, replace=False):
        _flip_and_restore(run, files[index], draw)


@pytest.mark.slow
def test_many_flips_anywhere(run: Path) -> None:
    draw = np.random.default_rng(1)
    files = _all_files(run / "20")
    assert len(files) >= 8
    sizes = np.asarray([path.stat().st_size for path in files])
    for index in draw.choice(len(files), size=100, p=sizes / sizes.sum()):  # each byte as likely as any
        _flip_and_restore(run, files[index], draw)
    for path in files:
        for _ in range(4):
            _flip_and_restore(run, path, draw)


def test_orbax_s_bookkeeping_is_not_relied_on_but_hashed(run: Path) -> None:
    own = ("wavejax_files.json", "wavejax_bookkeeping.json")
    names = sorted(path.name for path in (run / "20").iterdir() if path.is_file() and path.name not in own)
    assert "_CHECKPOINT_METADATA" in names
    for name in names:
        (run / "20" / name).write_bytes(b"\x80 no longer what it was")
    with CheckpointStore(run) as store:
        assert store.restore(_state(0)).step == 20
        (report,) = store.damage_reports
        assert report.leaves == ()
        assert [name.split(" (")[0] for name in report.files] == names
        assert store.save(30, _state(30), META)
        assert store.restore(_state(0)).step == 30
        assert len(store.damage_reports) == 1


def test_a_kill_right_after_the_commit_leaves_a_sound_step(run: Path) -> None:
    (run / "20" / "wavejax_bookkeeping.json").unlink()
    (run / "20" / "wavejax_bookkeeping.json.tmp").write_text('{"fi')
    with CheckpointStore(run) as store:
        assert store.restore(_state(0)).step == 20
        assert store.damage_reports == []
