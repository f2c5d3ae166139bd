"""A saved step that a stranger made: no FIFO is waited for, and no array is larger than its record says."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import tensorstore

from tests.checkpoints.states import META
from wavejax.checkpoints import CheckpointDamaged, CheckpointStore, LeafInfo, read_checkpoint_params
from wavejax.checkpoints.manifest import write_manifest

STATE = {"step": 1, "ema_params": {"kernel": np.ones((3, 4), np.float32)}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with CheckpointStore(tmp_path / "run") as store:
        store.save(1, STATE, META)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "name", ["meta/metadata", "state/manifest.ocdbt", "state/_METADATA", "wavejax_files.json", "new"]
)
@pytest.mark.parametrize("make", ["a FIFO", "a device"])
def test_what_never_ends_is_not_read(run: Path, name: str, make: str) -> None:
    path = run / "1" / name
    path.unlink(missing_ok=True)
    if make == "a FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    started = time.monotonic()
    with pytest.raises(CheckpointDamaged, match=rf"step 1: {name} is no regular file"):
        read_checkpoint_params(run)
    assert time.monotonic() - started < 5


def test_json_beside_the_arrays_has_a_size(run: Path) -> None:
    os.truncate(run / "1" / "meta" / "metadata", 2**40)
    with pytest.raises(CheckpointDamaged, match=r"'metadata' is larger than 67,108,864 bytes"):
        read_checkpoint_params(run)


@pytest.mark.parametrize("shape", [(2**22, 2**20), (3, 5)])
def test_an_array_is_no_larger_than_its_record(run: Path, shape: tuple[int, int]) -> None:
    """16 TB of zeros need no byte on disk, and reading them would make room for all."""
    files = {"driver": "ocdbt", "base": (run / "1" / "state").as_uri(), "path": "ema_params.kernel/"}
    tensorstore.KvStore.open(files).result().delete_range(tensorstore.KvStore.KeyRange()).result()
    spec = {"driver": "zarr", "kvstore": files, "metadata": {"shape": list(shape), "chunks": [1, 4], "dtype": "<f4"}}
    tensorstore.open(spec, create=True).result()
    write_manifest(run / "1")
    with pytest.raises(
        CheckpointDamaged, match=rf"kernel announces the shape \({shape[0]}, {shape[1]}\), not float32\[3, 4\]"
    ):
        read_checkpoint_params(run)


def test_what_a_record_declares_may_be_refused_before_it_is_read(run: Path) -> None:
    seen: list[dict[str, LeafInfo]] = []
    read_checkpoint_params(run, accept=lambda meta, leaves: seen.append(dict(leaves)))
    assert seen == [{"kernel": LeafInfo((3, 4), "float32")}]

    def refuse(meta: object, leaves: object) -> None:
        raise KeyError("not this one")

    with pytest.raises(KeyError, match="not this one"):
        read_checkpoint_params(run, accept=refuse)
