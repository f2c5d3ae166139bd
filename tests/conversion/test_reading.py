"""The readers give what the writers wrote: every form, every dtype, views and byte orders."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.conversion import weight_files as make
from wavejax.conversion.reading import WeightFile, read_weights
from wavejax.conversion.source import RefusedFile

WRITERS: Mapping[str, Callable[..., bytes]] = {
    "torch": make.torch_new,
    "torch (older form)": make.torch_old,
    "safetensors": make.safetensors,
    "npz": make.npz,
}


def written(folder: Path, data: bytes) -> Path:
    path = folder / "g_02500000"  # what a file is, its content says
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("form", WRITERS)
def test_every_dtype_comes_back_in_every_form(form: str, tmp_path: Path) -> None:
    arrays = make.examples()
    if form == "npz":  # NumPy's format has no bfloat16
        del arrays["brain.weight"]
    path = written(tmp_path, WRITERS[form](arrays))
    with WeightFile(path) as file:
        assert (file.format, list(file.parts)) == (form, [""])
    found = read_weights(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


def test_compressed_arrays_and_fortran_order(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = written(tmp_path, make.npz({"w": np.asfortranarray(array), "big": array.astype(">f4")}, compressed=True))
    found = read_weights(path)
    np.testing.assert_array_equal(found["w"], array)
    np.testing.assert_array_equal(found["big"], array)
    assert found["big"].dtype == np.float32


@pytest.mark.parametrize("form", ["new", "old"])
def test_views_of_one_storage(form: str, tmp_path: Path) -> None:
    numbers = np.arange(12, dtype=np.float32)
    whole = make.storage("Float", "7", 12)
    body = make.mapping(
        {
            "transposed": make.tensor(whole, 0, (4, 3), (1, 4)),
            "row": make.tensor(whole, 8, (4,), (1,)),
            "viewed": make.tensor(
                make.storage("Float", "7", 12, make.group(make.text("8"), make.number(2), make.number(6))),
                1,
                (2,),
                (2,),
            ),
        }
    )
    data = numbers.tobytes()
    file = make.torch_zip(body, {"7": data}) if form == "new" else make.legacy(body, {"7": (12, data)})
    found = read_weights(written(tmp_path, file))
    np.testing.assert_array_equal(found["transposed"], numbers.reshape(3, 4).T)
    np.testing.assert_array_equal(found["row"], numbers[8:])
    np.testing.assert_array_equal(found["viewed"], [3, 5])


def test_the_other_byte_order(tmp_path: Path) -> None:
    body = make.described({"w": np.zeros(3, np.float32), "b": np.zeros(2, np.int64)})
    data = {"0": np.array([1.5, -2, 3], ">f4").tobytes(), "1": np.array([1, -7], ">i8").tobytes()}
    found = read_weights(written(tmp_path, make.torch_zip(body, data, more={"archive/byteorder": b"big"})))
    np.testing.assert_array_equal(found["w"], [1.5, -2, 3])
    np.testing.assert_array_equal(found["b"], [1, -7])


def test_a_name_of_a_file_with_a_colon_is_a_name(tmp_path: Path) -> None:
    """PyTorch's archive has the file's name inside: "epoch=3-loss:0.2.ckpt"."""
    data = make.torch_new({"w": np.ones(2, np.float32)}).replace(b"archive/", b"loss:.2/")
    np.testing.assert_array_equal(read_weights(written(tmp_path, data))["w"], 1)


def test_compressed_arrays_are_verified(tmp_path: Path) -> None:
    data = bytearray(make.npz({"w": np.arange(4000.0)}, compressed=True))
    data[len(data) // 2] ^= 1
    with pytest.raises(RefusedFile, match=r"'w\.npy' (has changed since the archive was written|does not expand to)"):
        read_weights(written(tmp_path, bytes(data)))


def test_the_part_that_matters(tmp_path: Path) -> None:
    arrays = {"w": np.ones(2, np.float32)}
    path = written(tmp_path, make.torch_new(arrays, place="generator"))
    np.testing.assert_array_equal(read_weights(path)["w"], 1)
    assert list(read_weights(path, "generator")) == ["w"]
    with pytest.raises(RefusedFile, match=r"g_02500000: it has no part 'ema'; it has 'generator' \(1 tensors\)$"):
        read_weights(path, "ema")
    two = make.mapping({"mpd": make.described(arrays), "msd": make.described(arrays)})
    path = written(tmp_path, make.torch_zip(two, {"0": arrays["w"].tobytes()}))
    with pytest.raises(RefusedFile, match=r"not clear which part is meant; it has 'mpd' \(1 tensors\), 'msd'"):
        read_weights(path)


def test_what_training_scripts_save_beside_weights_is_left_out(tmp_path: Path) -> None:
    options = make.named("argparse", "Namespace") + b")\x81}(" + make.text("rate") + make.number(3) + b"ub"
    arguments = make.group(make.text("x"), make.text("latin1"))
    figure = make.named("numpy.core.multiarray", "scalar") + make.group(
        make.named("numpy", "dtype") + make.group(make.text("f8"), b"\x89", b"\x88") + b"R}b",
        make.named("_codecs", "encode") + arguments + b"R",
    )
    state = make.described({"w": np.ones(2, np.float32)}) + b"}(" + make.text("_metadata") + b"}ub"
    body = make.mapping({"hparams": options, "loss": figure + b"R", "state_dict": state})
    path = written(tmp_path, make.torch_zip(body, {"0": np.ones(2, np.float32).tobytes()}))
    with WeightFile(path) as file:
        assert list(file.parts) == ["state_dict"]
        np.testing.assert_array_equal(file.read("state_dict")["w"], 1)


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    data = bytearray(make.torch_new({"w": np.ones(4, np.float32)}))
    data[data.index(np.ones(4, np.float32).tobytes())] ^= 1
    path = written(tmp_path, bytes(data))
    with pytest.raises(RefusedFile, match=r"'archive/data/0' has changed since the archive was written"):
        read_weights(path)


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_that_is_cut_off_anywhere_is_refused(form: str, tmp_path: Path) -> None:
    data = WRITERS[form]({"w": np.arange(3, dtype=np.float32), "b": np.ones(1, np.float32)})
    for length in [*range(0, len(data), len(data) // 40), len(data) - 1]:
        path = written(tmp_path, data[:length])
        with pytest.raises(RefusedFile, match=r"g_02500000: "):
            read_weights(path)


@pytest.mark.parametrize("form", WRITERS)
def test_any_flipped_bit_is_refused_or_gives_arrays(form: str, tmp_path: Path) -> None:
    """No other error, whatever the file says: the same 150 files each time."""
    data = WRITERS[form]({"conv.weight": np.arange(3, dtype=np.float32), "b": np.ones(1, np.float32)})
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        changed = bytearray(data)
        for position in random.integers(0, len(data), random.integers(1, 4)):
            changed[position] ^= 1 << int(random.integers(8))
        path = written(tmp_path, bytes(changed))
        try:
            assert all(isinstance(array, np.ndarray) for array in read_weights(path).values())
        except RefusedFile:
            refused += 1
    assert refused > 15
