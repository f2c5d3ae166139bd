"""An exported folder that a stranger made is data: whatever it says, it loads or is refused in a sentence, at once."""

import json
import os
import shutil
import socket
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import sealed
from tests.tiny.commands import config, export
from wavejax.checkpoints import CheckpointDamaged, CheckpointError, load_params
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.families import load, presets
from wavejax.tasks.vocoder.product import Vocoder

SECONDS = 10.0
"""In which every folder is refused, on a machine that is busy; most take a thousandth."""


WHOLE = ("packed", "a bomb", "no archive", "nothing", "text")
"""Archives of which nothing is read."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("exported") / "voice", config())


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "voice")


@pytest.fixture(autouse=True)
def at_once(folder: Path) -> Any:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SECONDS


def test_a_folder_that_is_sealed_again_loads(folder: Path) -> None:
    sealed.changed(folder, lambda record: None)
    sealed.with_archive(folder, sealed.packed(sealed.entries(folder)))
    assert isinstance(load(folder), Vocoder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("spec.n_fft", 2**40, r"config\.spec\.n_fft is 1099511627776, but a file may announce 0 to 65536 there"),
        ("spec.n_mels", 10**6, r"config\.spec\.n_mels is 1000000, but"),
        ("spec.sample_rate", 10**12, r"config\.spec\.sample_rate is 1000000000000, but"),
        ("spec.sample_rate", 10**400, r"config\.spec\.sample_rate is 1000.*\.\.\., but"),
        ("spec.hop_length", 2**31, r"config\.spec\.hop_length is"),
        ("model.residual_channels", 2**31, r"config\.model\.residual_channels is 2147483648, but .* 0 to 65536"),
        ("model.gate_channels", 2**62, r"config\.model\.gate_channels is"),
        ("model.skip_channels", -4, r"config\.model\.skip_channels is -4"),
        ("model.skip_channels", 0, r"skip_channels must be at least 1, got 0"),
        ("model.dilations", [1] * 10**6, r"config\.model\.dilations has 1000000 entries, more than the 256"),
        ("model.dilations", [2**30, 2**30], r"config\.model\.dilations\[1\] is 1073741824, but"),
        ("model.dilations", [2**16] * 200, r"the model's receptive_field is 13107201, but .* 0 to 262144"),
        ("model.tail_channels", [4] * 5000, r"config\.model\.tail_channels has 5000 entries"),
        (
            "model.frame_network.num_blocks",
            10**9,
            r"config\.model\.frame_network\.num_blocks is 1000000000, but .* 256",
        ),
        ("model.frame_network.num_blocks", True, r"num_blocks must be of type int, got True"),
        ("model.num_speakers", 10**12, r"config\.model\.num_speakers is"),
        ("model.kernel_size", 10**9, r"config\.model\.kernel_size is"),
        ("model.upsampler.hop_length", 10**9, r"config\.model\.upsampler\.hop_length is"),
        ("model.coding.num_classes", 10**9, r"config\.model\.coding\.num_classes is"),
        ("model.coding.pre_emphasis", float("nan"), r"config\.model\.coding\.pre_emphasis is nan, which is no number"),
        ("spec.floor", float("inf"), r"config\.spec\.floor is inf, which is no number"),
        ("temperature", "hot", r"config\.temperature must be of type float, got 'hot'"),
        ("name", "x" * 10**6, None),
        ("model", None, r"config\.model must be an object with the fields of WaveNetConfig, got None"),
        ("model", [1] * 300, r"config\.model must be an object .*, got \[1, 1, 1.*\.\.\.$"),
        ("model.kind_of", ["WaveNetConfig"], r"config\.model is a \['WaveNetConfig'\], expected a WaveNetConfig"),
        ("model.distribution.kind_of", 7, r"distribution\.kind_of must be one of .*, got 7"),
        ("spec.window", {"hann": 1}, r"config\.spec\.window must be one of \('hann', .*\), got \{'hann': 1\}"),
        ("spec.scale", [1.0] * 79, r"config\.spec: scale of spec 'speech-16k' has 79 values for 80 mel bands"),
        ("spec.hop_length", 320, r"the model's hop_length \d+ is not the spec's 320"),
        ("model.residual_channels", 60_000, r"does not hold the model it describes: .*: expected \(.*60000"),
        ("model.frame_network.num_blocks", 40, r"does not hold the model it describes: .* and \d+ more"),
        ("training.num_steps", 0, r"training\.num_steps must be at least 1 .*, got 0"),
        ("training.num_steps", 2**70, r"config\.training\.num_steps is"),
        ("data.num_threads", 10**9, r"config\.data\.num_threads is"),
    ],
)
def test_what_a_configuration_declares_is_not_believed(
    folder: Path, field: str, value: object, message: str | None
) -> None:
    sealed.with_config(folder, field, value)
    if message is None:
        load(folder)
        return
    with pytest.raises(ExperimentError, match=message) as refused:
        load(folder)
    assert len(str(refused.value)) < 1500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.update(meta=None), r"its meta is None, not an object with names"),
        (lambda record: record.update(meta=[1, 2]), r"its meta is \[1, 2\], not an object"),
        (lambda record: record.update(metrics=7), r"its metrics is 7, not an object"),
        (lambda record: record.update(leaves="all"), r"its leaves is 'all', not an object"),
        (lambda record: record.update(leaves={"a": None}), r"its leaf 'a' is None, without a shape"),
        (lambda record: record["leaves"]["tail_0_bias"].update(shape=[-1]), r"'tail_0_bias' has the shape \[-1\]"),
        (lambda record: record["leaves"]["tail_0_bias"].update(shape=[2**50]), r"'tail_0_bias' has the shape"),
        (lambda record: record["leaves"]["tail_0_bias"].update(shape=4), r"'tail_0_bias' has the shape 4"),
        (lambda record: record["leaves"]["tail_0_bias"].update(dtype="U1000"), r"'U1000': a checkpoint holds numbers"),
        (lambda record: record["leaves"]["tail_0_bias"].update(dtype="datetime64[s]"), r"checkpoint holds numbers"),
        (lambda record: record["leaves"]["tail_0_bias"].update(dtype="timedelta64[s]"), r"checkpoint holds numbers"),
        (lambda record: record["leaves"]["tail_0_bias"].update(dtype="object"), r"checkpoint holds numbers"),
        (lambda record: record["leaves"]["tail_0_bias"].update(dtype=None), r"the dtype None"),
        (lambda record: record["leaves"]["tail_0_bias"].update(dtype="f4," * 9), r"checkpoint holds numbers"),
        (lambda record: record["leaves"].update({"a/" * 9999: {}}), r"its leaf 'a/a/.*\.\.\. is \{\}, without"),
        (
            lambda record: record["leaves"].update({"a/" * 99: {"shape": [], "dtype": "int8", "checksum": 0}}),
            r"its leaf 'a/a.* has a name too long",
        ),
        (lambda record: record.update(format=10**300), r"its format is 1000.*\.\.\., this wavejax reads 1"),
        (lambda record: record.pop("format"), r"its format is None"),
    ],
)
def test_a_record_of_another_form_is_damage(folder: Path, change: Callable[[dict], object], message: str) -> None:
    sealed.changed(folder, change)
    with pytest.raises(CheckpointDamaged, match=rf"config\.json is damaged: .*{message}"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: meta.update(family=["vocoder"]), r"does not say of which family it is, but \['vocoder'\]"),
        (
            lambda meta: meta.update(family="x" * 9999),
            r"belongs to the family 'xxx.*\.\.\.; those that ship are vocoder",
        ),
        (lambda meta: meta.pop("family"), r"does not say of which family it is, but None"),
        (lambda meta: meta.pop("config"), r"this is .*: it has no 'config'"),
        (
            lambda meta: meta.update(config=7),
            r"config must be an object with the fields of WaveNetVocoderConfig, got 7",
        ),
        (lambda meta: meta.update(labels=3), r"labels must be an object with names, got 3"),
        (lambda meta: meta.update(labels={"speakers": 3}), r"labels\.speakers must be a list of names, got 3"),
        (
            lambda meta: meta.update(labels={"speakers": [None]}),
            r"labels\.speakers must be a list of names, got \[None\]",
        ),
        (
            lambda meta: meta.update(labels={"speakers": "anna"}),
            r"labels\.speakers must be a list of names, got 'anna'",
        ),
        (lambda meta: (meta.pop("family"), meta.update(task="vocoder", speakers=5)), r"does not say of which family"),
        (lambda meta: (meta.pop("family"), meta.update(task="vocoder", config=[])), r"does not say of which family"),
    ],
)
def test_a_description_of_another_form_is_refused(folder: Path, change: Callable[[dict], object], message: str) -> None:
    sealed.changed(folder, lambda record: change(record["meta"]))
    with pytest.raises(ExperimentError, match=message):
        load(folder)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "[" * 100 + "]" * 100, "null", "[]", "7", '"x"', "", "{", "{}", "1" * 5000],
)
def test_json_of_another_form_is_damage(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointDamaged, match=r"config\.json is damaged: .*export the parameters again"):
        load(folder)


def test_json_may_be_no_text_and_no_larger_than_a_description(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(CheckpointDamaged, match=r"config\.json is damaged: it is no JSON: 'utf-8' codec"):
        load(folder)
    os.truncate(folder / "config.json", 2**40)  # of which the disk holds nothing
    with pytest.raises(CheckpointDamaged, match=r"is larger than the 67,108,864 bytes that such a file may have"):
        load(folder)


def test_only_regular_files_are_read(folder: Path, tmp_path: Path) -> None:
    def socket_at(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            os.chdir(path.parent)  # a socket's path is short
            made.bind(path.name)

    makers: dict[str, Callable[[Path], object]] = {
        "a FIFO": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a folder": lambda path: path.mkdir(),
        "a socket": socket_at,
    }
    here = Path.cwd()
    for name in ("config.json", "params.npz"):
        kept = folder / name
        content = kept.read_bytes()
        for what, make in makers.items():
            kept.unlink()
            make(kept)
            with pytest.raises(CheckpointDamaged, match=rf"{name} is {what}, not a regular file"):
                load(folder)
            os.chdir(here)
            kept.rmdir() if kept.is_dir() and not kept.is_symlink() else kept.unlink()
            kept.write_bytes(content)
    elsewhere = tmp_path / "elsewhere.npz"
    (folder / "params.npz").rename(elsewhere)
    (folder / "params.npz").symlink_to(elsewhere)
    assert isinstance(load(folder), Vocoder)  # a link to a regular file is one


def _large(array: np.ndarray, num_bytes: int) -> bytes:
    """The header of a float32 array of this size, and no more."""
    header = sealed.npy(array)[:128].replace(str(array.shape).encode(), f"({num_bytes // 4},)".encode())
    return header[:128]


def test_an_archive_is_what_the_description_declares(folder: Path) -> None:
    arrays = sealed.entries(folder)
    zeros = np.zeros(4, np.float32)
    bomb = {**arrays, "tail_0_bias.npy": sealed.npy(np.zeros(2**24, np.float32))}
    cases = {
        "packed": sealed.packed(arrays, zipfile.ZIP_DEFLATED),
        "a bomb": sealed.packed(bomb, zipfile.ZIP_DEFLATED),
        "a header of 8 TB": sealed.packed({**arrays, "tail_0_bias.npy": _large(zeros, 2**43)}),
        "strings": sealed.packed({**arrays, "tail_0_bias.npy": sealed.npy(np.array(["1", "2", "3", "4"]))}),
        "dates": sealed.packed({**arrays, "tail_0_bias.npy": sealed.npy(zeros.astype("M8[s]"))}),
        "pickles": sealed.packed({**arrays, "tail_0_bias.npy": sealed.npy(np.array([1, None, 2, 3], object))}),
        "another shape": sealed.packed({**arrays, "tail_0_bias.npy": sealed.npy(zeros.reshape(2, 2))}),
        "one missing": sealed.packed({name: each for name, each in arrays.items() if name != "tail_0_bias.npy"}),
        "no archive": b"PK\x05\x06 and then nothing",
        "nothing": b"",
        "text": b"not an archive",
    }
    for what, data in cases.items():
        sealed.with_archive(folder, data)
        with pytest.raises(CheckpointDamaged, match=r"params\.npz has changed .* leaves: ") as refused:
            load_params(folder)
        assert ("frame_network" in str(refused.value)) == (what in WHOLE), what
    sealed.with_archive(folder, b"")
    os.truncate(folder / "params.npz", 2**42)
    with pytest.raises(CheckpointDamaged, match=r"params\.npz cannot be read: .* is larger than the [\d,]+ bytes that"):
        load_params(folder)


def test_arrays_that_share_their_bytes_are_not_believed(folder: Path) -> None:
    """A bomb without compression: every entry of the directory points at the same array."""
    sealed.with_archive(folder, _overlapping(sealed.packed(sealed.entries(folder))))
    with pytest.raises(CheckpointDamaged, match="changed or unreadable leaves"):
        load_params(folder)


def _overlapping(data: bytes) -> bytes:
    at = data.rindex(b"PK\x05\x06")
    start, size = int.from_bytes(data[at + 16 : at + 20], "little"), int.from_bytes(data[at + 12 : at + 16], "little")
    directory, entry = data[start : start + size], 0
    for copy in range(200):
        first = data[start : data.index(b"PK\x01\x02", start + 4)]
        directory += first.replace(b".npy", f"{copy:04}".encode())
        entry += 1
    count = int.from_bytes(data[at + 10 : at + 12], "little") + entry
    end = b"PK\x05\x06\0\0\0\0" + count.to_bytes(2, "little") * 2 + len(directory).to_bytes(4, "little")
    return data[:start] + directory + end + start.to_bytes(4, "little") + b"\0\0"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_weights_that_no_training_ends_with_are_refused_by_name(tmp_path: Path, value: float) -> None:
    from tests.tiny.commands import params_of
    from wavejax.checkpoints import export_params
    from wavejax.experiments.metadata import metadata

    params = params_of(config())
    params["tail_0_kernel"] = params["tail_0_kernel"].copy() if "tail_0_kernel" in params else None
    name, leaf = next((name, leaf) for name, leaf in params.items() if isinstance(leaf, np.ndarray))
    leaf.flat[0] = value
    folder = export_params(tmp_path / "voice", params, metadata(config(), {}))
    with pytest.raises(
        ExperimentError, match=rf"voice cannot be used: {name} holds 1 of {leaf.size} values that are not"
    ):
        load(folder)


def test_an_archive_named_elsewhere_is_looked_for_in_the_folder(folder: Path) -> None:
    for name in ("../../etc/passwd", "/dev/zero", "..", "", 7, None):
        content = json.loads((folder / "config.json").read_text())
        content["archive"] = name
        sealed.sealed(folder, content)
        with pytest.raises(CheckpointError, match="cannot be read"):
            load(folder)


def test_no_preset_comes_near_a_limit() -> None:
    """Every published size loads; so do ten times its widths, and the settings of a training of any length."""
    from wavejax.experiments.serialization import to_json
    from wavejax.limits import check_sizes
    from wavejax.models import wavenet_presets, wavernn_presets

    configs = [preset.config for preset in presets().values()]
    configs += [*wavenet_presets.PRESETS.values(), *wavernn_presets.PRESETS.values()]
    for each in configs:
        check_sizes(to_json(each))
        check_sizes(_tenfold(to_json(each)))
    large = to_json(configs[0])
    large["training"] |= {"num_steps": 10**10, "seed": -(2**40)}
    check_sizes(large)


def _tenfold(data: Any, name: str = "") -> Any:
    if isinstance(data, dict):
        return {key: _tenfold(value, key) for key, value in data.items()}
    if isinstance(data, list):
        return [_tenfold(item, name) for item in data]
    return 10 * data if name.endswith(("channels", "n_mels", "n_fft", "sample_rate", "num_blocks")) else data
