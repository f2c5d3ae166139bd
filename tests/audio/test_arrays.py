"""Files of features: what a file announces is compared with what it holds."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from wavejax.audio import arrays
from wavejax.audio.arrays import ArrayFileError, array_bytes, read_array
from wavejax.audio.orientation import axes_of

MEL = np.random.default_rng(0).normal(size=(80, 80)).astype(np.float32)


def header(shape: str, descr: str = "<f4") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_numpy_reads_them(tmp_path: Path, dtype: str, order: str) -> None:
    array = np.asarray(MEL[:31], dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", other=np.zeros(3), mel=array)
    np.savez_compressed(tmp_path / "b.npz", whatever=array)
    for name in ("a.npy", "a.npz", "b.npz"):
        found = read_array(tmp_path / name)
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert axes_of(found) is None


def test_what_wavejax_writes_says_which_way_round_and_numpy_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(array_bytes(MEL))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), MEL)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), MEL)
    found = read_array(tmp_path / "a.npy")
    assert axes_of(found) == axes_of(found[5:20]) == "frames-first"
    np.testing.assert_array_equal(found, MEL)


def refused(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ArrayFileError, match=message):
        read_array(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("(1000000, 1000000)"), r"it announces 1000000x1000000 values, 4000000000000 bytes, and 0 are there"),
        (header("(80, -1)") + bytes(400), "it announces 80x-1 values"),
        (header(f"({10**30}, 80)"), f"it announces {10**30}x80 values"),
        (header("(80, 80)") + bytes(25_599), "25600 bytes, and 25599 are there"),
        (header("(2,)", "|O") + bytes(16), r"holds Python objects \(pickled\)"),
        (header("(" * 9000), "is no sound NumPy file"),
        (header("(1, 2", "<f4"), "is no sound NumPy file"),
        (header("(1,)", "\\x00f4"), "is no sound NumPy file"),
        (b"\x93NUMPY\x09\x09" + header("(1,)")[8:], "is no sound NumPy file"),
        (b"\x93NUM", "is no sound NumPy file"),
        (b"", "is no sound NumPy file"),
        (b"PK\x03\x04 and then nothing", "is no sound NumPy file"),
    ],
    ids=range(12),
)
def test_damaged_and_lying_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    refused(tmp_path / "a.npy", content, message)


def archive(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in names.items():
            made.writestr(name, content)
    return buffer.getvalue()


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = archive({"mel.npy": header("(50000, 80)") + bytes(16_000_000)})
    (tmp_path / "a.npz").write_bytes(content)
    assert read_array(tmp_path / "a.npz").shape == (50_000, 80), "silence packs well"
    monkeypatch.setattr(arrays, "MOST_UNPACKED", 1_000_000)
    refused(tmp_path / "a.npz", content, r"unpacks to 16000128 bytes out of \d+: that is no array of features")
    lying = content.replace(struct.pack("<I", 16_000_128), struct.pack("<I", 1_000))
    refused(tmp_path / "a.npz", lying, "is no sound NumPy file")


def test_several_arrays_are_named(tmp_path: Path) -> None:
    refused(
        tmp_path / "a.npz", archive({"b.npy": b"1", "a.npy": b"2"}), r"holds the arrays a, b: call the features `mel`"
    )
    refused(tmp_path / "a.npz", archive({}), "is no sound NumPy file|holds the arrays")
