"""The checksum sees every bit and every place, and does not care where the array lives."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from wavejax.checkpoints import leaf_checksum, tree_checksums

DTYPES = ["float32", "bfloat16", "float16", "int32", "uint8", "int16", "bool", "float8_e4m3fn", "int4", "uint4"]


def _array(dtype: str, shape: tuple[int, ...] = (8, 6)) -> np.ndarray:
    draw = np.random.default_rng(3).integers(-8 if dtype == "int4" else 0, 2 if dtype == "bool" else 8, size=shape)
    array = draw.astype(np.dtype(dtype) if dtype in np.sctypeDict else np.dtype(getattr(ml_dtypes, dtype)))
    return array * np.asarray(1.3, array.dtype) if "float" in dtype else array


def _by_definition(array: np.ndarray) -> int:
    """The checksum as the module's text states it, with Python's integers."""
    total = 0
    if "int4" in str(array.dtype):
        array = array.astype(np.int8).view(np.uint8) & np.uint8(15)  # the other half of the byte is not defined
    words = np.frombuffer(array.tobytes(), {1: "<u1", 2: "<u2"}.get(array.dtype.itemsize, "<u4")).tolist()
    for position, word in enumerate(words):
        mixed = word ^ ((position * 0x9E3779B9 + 1) % 2**32)
        mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B % 2**32
        mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 % 2**32
        total += mixed ^ mixed >> 16
    return total % 2**32


@pytest.mark.parametrize("dtype", DTYPES)
def test_host_device_and_shards_agree_with_the_definition(dtype: str) -> None:
    array = _array(dtype)
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(AxisType.Auto,) * 2)
    specs = [PartitionSpec(), PartitionSpec("x"), PartitionSpec("x", "y"), PartitionSpec(None, "y")]
    versions = {f"sharded {spec}": jax.device_put(array, NamedSharding(mesh, spec)) for spec in specs}
    versions |= {"one device": jnp.asarray(array), "numpy": array, "transposed memory": np.asfortranarray(array)}
    expected = _by_definition(array)
    assert tree_checksums(versions) == dict.fromkeys(versions, expected)


def test_wide_and_odd_leaves_agree_with_the_definition() -> None:
    cases = [np.float64(0.1), np.arange(5, dtype=np.int64), np.asarray([1 + 2j, -3j]), np.zeros((0, 3), np.float32)]
    for case in cases:
        assert leaf_checksum(case) == _by_definition(np.asarray(case))
    assert leaf_checksum(jnp.asarray([1 + 2j, -3j], jnp.complex64)) == _by_definition(np.asarray([1 + 2j, -3j], "c8"))
    assert leaf_checksum(3) == _by_definition(np.asarray(3))
    key = jax.random.split(jax.random.key(5), 3)
    assert leaf_checksum(key) == _by_definition(np.asarray(jax.random.key_data(key)))
    assert leaf_checksum(jnp.zeros((0, 3))) == 0
    with pytest.raises(TypeError, match="a checkpoint holds numbers"):
        leaf_checksum(np.asarray(["text"]))


def test_every_single_flipped_bit_changes_it() -> None:
    array = _array("float32", (7,))
    sums = {leaf_checksum(array)}
    for byte in range(array.nbytes):
        for bit in range(8):
            raw = bytearray(array.tobytes())
            raw[byte] ^= 1 << bit
            sums.add(leaf_checksum(np.frombuffer(bytes(raw), np.float32)))
    assert len(sums) == 1 + 8 * array.nbytes


def test_places_signs_and_payloads_count() -> None:
    array = np.asarray([1.0, 2.0, 0.0, np.nan], np.float32)
    negative_zero = array * np.asarray([1, 1, -1, 1], np.float32)
    other_nan = array.view(np.uint32) + np.asarray([0, 0, 0, 1], np.uint32)
    variants = [array, array[[1, 0, 2, 3]], negative_zero, other_nan.view(np.float32), np.append(array, np.float32(0))]
    assert len({leaf_checksum(variant) for variant in variants}) == len(variants)
    assert leaf_checksum(np.zeros(4, np.float32)) != leaf_checksum(np.zeros(5, np.float32))
