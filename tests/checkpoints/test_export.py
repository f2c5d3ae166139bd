"""Exported parameters come back bit for bit or not at all, and a folder is one export at any moment."""

import errno
import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoints.states import META, assert_equal_bits, tiny_state
from wavejax.checkpoints import (
    CheckpointDamaged,
    CheckpointNotFound,
    CheckpointStore,
    CheckpointWriteError,
    export,
    export_params,
    load_any,
    load_params,
)
from wavejax.checkpoints.export import check_export
from wavejax.locks import LockedError, exclusive

PARAMS = {
    "layers": {"kernel": np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 3, 2), "bias": np.zeros(3, np.float32)},
    "half": jnp.asarray([1.5, -2.25, 0.1], jnp.bfloat16),
    "table": np.arange(5, dtype=np.int32),
    "scale": np.float32(0.25),
}


def _on_host(params: dict) -> dict:
    return {name: _on_host(leaf) if isinstance(leaf, dict) else np.asarray(leaf) for name, leaf in params.items()}


def test_parameters_come_back_bit_for_bit(tmp_path: Path) -> None:
    folder = export_params(tmp_path / "made" / "voice", PARAMS, META)
    params, meta = load_params(folder)
    assert_equal_bits(params, _on_host(PARAMS))
    assert meta == META
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "params.npz"]
    assert [path.name for path in folder.parent.iterdir()] == ["voice"]
    with np.load(folder / "params.npz", allow_pickle=False) as archive:  # NumPy alone can read it
        np.testing.assert_array_equal(archive["layers/kernel"], PARAMS["layers"]["kernel"])
    leaves = json.loads((folder / "config.json").read_text())["record"]["leaves"]
    assert leaves["half"]["dtype"] == "bfloat16"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "voice"
    export_params(folder, PARAMS, {"version": 1})
    newer = {**PARAMS, "table": np.arange(9, dtype=np.int32)}
    replace = os.replace

    def full_before(name: str) -> None:
        def replace_or_fail(source: Path, target: Path) -> None:
            if target.name.startswith(name):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            replace(source, target)

        monkeypatch.setattr("os.replace", replace_or_fail)

    for name in ("params", "config"):
        full_before(name)
        with pytest.raises(CheckpointWriteError, match=r"cannot export parameters to .*voice: .*No space left"):
            export_params(folder, newer, {"version": 2})
        assert load_params(folder)[1] == {"version": 1}
        assert_equal_bits(load_params(folder)[0], _on_host(PARAMS))
        with pytest.raises(CheckpointWriteError, match="No space left"):
            export_params(tmp_path / "other", newer, {})
        assert [path.name for path in tmp_path.iterdir()] == ["voice"]
    monkeypatch.setattr("os.replace", replace)
    (folder / ".0123456789ab.partial").write_text("left by a process that was killed")
    for version in (2, 3, 4):
        export_params(folder, newer, {"version": version})
        params, meta = load_params(folder)
        assert meta == {"version": version}
        assert_equal_bits(params, _on_host(newer))
        assert len(list(folder.iterdir())) == 2


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    folder = export_params(tmp_path / "voice", PARAMS, META)
    draw = np.random.default_rng(0)
    for path in sorted(folder.iterdir()):
        original = path.read_bytes()
        for position in draw.choice(len(original), size=60, replace=False):
            data = bytearray(original)
            data[position] ^= int(draw.integers(1, 256))
            path.write_bytes(data)
            if path.name == "config.json" and _same_json(data, original):
                continue  # a space became another space
            with pytest.raises(CheckpointDamaged, match=path.name.replace(".", r"\.")):
                load_params(folder)
        path.write_bytes(original)
    assert load_params(folder)[1] == META


def _same_json(data: bytes, other: bytes) -> bool:
    try:
        return json.loads(data) == json.loads(other)
    except ValueError:
        return False


def test_a_changed_leaf_is_named(tmp_path: Path) -> None:
    folder = export_params(tmp_path / "voice", PARAMS, META)
    archive = folder / "params.npz"
    data = bytearray(archive.read_bytes())
    at = data.find(np.asarray(PARAMS["table"]).tobytes())
    data[at] ^= 1
    archive.write_bytes(data)
    with pytest.raises(CheckpointDamaged, match=r"params\.npz has changed .*leaves: table\. Copy the folder again"):
        load_params(folder)
    archive.write_bytes(bytes(data)[: len(data) // 2])
    with pytest.raises(CheckpointDamaged, match=r"leaves: half, layers/bias, layers/kernel, scale, table\."):
        load_params(folder)
    archive.unlink()
    with pytest.raises(CheckpointDamaged, match=r"params\.npz cannot be read"):
        load_any(folder)


def test_an_export_does_not_touch_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(CheckpointWriteError, match=r"holds other things \(thesis.tex\)"):
        export_params(tmp_path, PARAMS, META)
    with pytest.raises(CheckpointWriteError, match=r"holds other things \(a file\)"):
        export_params(tmp_path / "thesis.tex", PARAMS, META)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    folder = export_params(tmp_path / "voice", PARAMS, META)
    (folder / "notes.txt").write_text("mine")
    export_params(folder, PARAMS, {"version": 2})
    assert (folder / "notes.txt").read_text() == "mine"
    with pytest.raises(TypeError, match="meta must be JSON-able"):
        export_params(folder, PARAMS, {"array": np.zeros(2)})


def test_a_folder_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    """As a Hugging Face folder, which has a config.json, and arrays with names that could be ours."""
    folder = tmp_path / "model"
    folder.mkdir()
    for content in ('{"architectures": ["Some"]}', '{"archive": "params.npz"}', "[]", "no JSON"):
        (folder / "config.json").write_text(content)
        for name in ("params_a.npz", "params.npz", "params-0123456789ab.npz"):
            (folder / name).write_text("precious")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        for call in (check_export, lambda folder: export_params(folder, PARAMS, META)):
            with pytest.raises(
                CheckpointWriteError, match=r"its config\.json is not that of an export, or has been ch"
            ):
                call(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointWriteError, match=r"holds other things \(params-0123456789ab\.npz, params\.npz, para"):
        check_export(folder)
    (tmp_path / "empty").mkdir()
    check_export(tmp_path / "empty")
    check_export(tmp_path / "missing")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "model"]


def test_an_export_removes_what_exports_have_written_and_nothing_else(tmp_path: Path) -> None:
    folder = export_params(tmp_path / "voice", PARAMS, META)
    older = np.arange(3, dtype=np.int32)
    export_params(folder, {"table": older}, META)
    (stale,) = folder.glob("params-*.npz")
    kept = stale.read_bytes()
    (folder / "params-mine.npz").write_text("mine")
    (folder / "params_average.npz").write_text("mine")
    (folder / "params-0123456789ab.npz").write_text("mine")
    export_params(folder, PARAMS, META)
    assert not stale.exists()
    stale.write_bytes(kept)  # killed before it could be removed
    export_params(folder, PARAMS, META)
    names = {path.name for path in folder.iterdir()}
    mine = {"params-mine.npz", "params_average.npz", "params-0123456789ab.npz"}
    assert mine < names
    assert len(names - mine) == 2
    assert_equal_bits(load_params(folder)[0], _on_host(PARAMS))


def test_two_exports_to_one_folder_do_not_meet(tmp_path: Path) -> None:
    """The longest name there is, and an export while another is under way."""
    folder = tmp_path / ("é" * 127)
    export_params(folder, PARAMS, META)
    lock = export._lock_of(folder)
    with exclusive(lock, str(folder), "exporting to"), pytest.raises(LockedError, match="is exporting to it since"):
        export_params(folder, PARAMS, {"version": 2})
    assert load_params(folder)[1] == META
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_parameters_load_from_whatever_a_path_holds(tmp_path: Path) -> None:
    state = tiny_state()
    with CheckpointStore(tmp_path / "run" / "checkpoints") as store:
        store.save(1, state, META)
        store.save(2, state.replace(ema_params={"w": jnp.ones((2,))}), META)
    export_params(tmp_path / "voice", PARAMS, {"exported": True})
    loaded = load_any(tmp_path / "voice")
    assert (loaded.meta, loaded.step) == ({"exported": True}, None)
    assert_equal_bits(loaded.params, _on_host(PARAMS))
    for path in (tmp_path / "run", tmp_path / "run" / "checkpoints"):
        assert load_any(path).step == 2
        assert load_any(str(path)).params["w"].tolist() == [1, 1]
    assert_equal_bits(load_any(tmp_path / "run", step=1).params, _on_host(state.ema_params))
    with pytest.raises(CheckpointNotFound, match=r"nowhere does not exist; give an exported folder"):
        load_any(tmp_path / "nowhere")
    with pytest.raises(CheckpointNotFound, match=r"holds neither exported parameters \(config.json\) nor checkpoints"):
        load_any(tmp_path)
    with pytest.raises(CheckpointNotFound, match=r"it has no config\.json"):
        load_params(tmp_path)
