"""Checkpoints of other programs are neither renamed nor removed."""

from pathlib import Path

import jax.numpy as jnp
import pytest

from wavejax.checkpoints import CheckpointStore, CheckpointWriteError, foreign
from wavejax.checkpoints.foreign import is_own_unfinished, refuse_foreign_checkpoints
from wavejax.checkpoints.storage import ARRAYS, RECORD


def test_a_folder_of_another_programs_checkpoints_is_refused(tmp_path: Path) -> None:
    (tmp_path / "100" / "default").mkdir(parents=True)
    (tmp_path / "200.orbax-checkpoint-tmp-7" / "default").mkdir(parents=True)
    with pytest.raises(CheckpointWriteError, match=r"it holds checkpoints of another program \(100\)"):
        CheckpointStore(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["100", "200.orbax-checkpoint-tmp-7"]


def test_what_another_program_is_writing_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "200.orbax-checkpoint-tmp-7" / "default").mkdir(parents=True)
    (tmp_path / "3.orbax-checkpoint-tmp-7" / "state.orbax-checkpoint-tmp").mkdir(parents=True)
    assert not is_own_unfinished(tmp_path / "200.orbax-checkpoint-tmp-7")
    with CheckpointStore(tmp_path) as store:
        store.save(1, {"w": jnp.ones(())}, {})
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["1", "200.orbax-checkpoint-tmp-7"]
    refuse_foreign_checkpoints(tmp_path)
    refuse_foreign_checkpoints(tmp_path / "missing")
    assert foreign._ITEMS == (ARRAYS, RECORD)
