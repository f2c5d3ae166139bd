import msgpack
import numpy as np
import pytest

from wavejax.data.records import (
    RecordError,
    ShardReader,
    decode_record,
    dequantize_waveform,
    encode_record,
    quantize_waveform,
    write_shard,
)


def _record(seed, num_samples=500):
    generator = np.random.default_rng(seed)
    samples = generator.integers(-32768, 32768, num_samples).astype(np.int16)
    return samples, generator.normal(size=(num_samples // 10, 3)).astype(np.float32)


def test_waveforms_are_stored_to_the_last_bit_of_int16():
    every = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(quantize_waveform(dequantize_waveform(every)), every)
    edges = quantize_waveform(np.float32([-2.0, -1.0, 0.4 / 32768, 0.6 / 32768, 1.0, 2.0]))
    np.testing.assert_array_equal(edges, [-32768, -32768, 0, 1, 32767, 32767])


def test_a_record_comes_back_as_it_was():
    samples, log_mel = _record(0)
    decoded = decode_record(encode_record(samples, log_mel), "u")
    np.testing.assert_array_equal(decoded[0], samples)
    np.testing.assert_array_equal(decoded[1], log_mel)


def test_every_flipped_byte_of_a_record_is_noticed():
    data = encode_record(*_record(0, 100))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(RecordError, match="record of u7 is damaged"):
            decode_record(bytes(damaged), "u7")


def _write_two_shards(folder):
    records = [encode_record(*_record(seed)) for seed in range(5)]
    paths = [folder / "a.array_record", folder / "b.array_record"]
    assert write_shard(paths[0], records[:3]) == 3
    assert write_shard(paths[1], iter(records[3:])) == 2
    return paths, records


def test_shards_are_read_in_any_order(tmp_path):
    paths, records = _write_two_shards(tmp_path)
    assert sorted(tmp_path.iterdir()) == paths, "no temporary file stays"
    reader = ShardReader(paths, [3, 2])
    assert [reader.read(1, 1), reader.read(0, 2), reader.read(1, 0)] == [records[4], records[2], records[3]]


def test_nothing_to_write_writes_nothing(tmp_path):
    assert write_shard(tmp_path / "a.array_record", []) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    def records():
        yield encode_record(*_record(0))
        raise KeyError("the source broke")

    with pytest.raises(KeyError, match="the source broke"):
        write_shard(tmp_path / "a.array_record", records())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/a\.array_record'$"):
        write_shard(tmp_path / "file" / "a.array_record", [b"x"])


def test_damaged_shards_are_named(tmp_path):
    paths, _ = _write_two_shards(tmp_path)
    with pytest.raises(RecordError, match=r"a\.array_record holds 3 records, the manifest says 4; remove the file"):
        ShardReader(paths, [4, 2])
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordError, match=r"shard .*b\.array_record is damaged .*run `wavejax prepare` again"):
        ShardReader(paths, [3, 2]).read(1, 0)
    paths[1].unlink()
    with pytest.raises(RecordError, match=r"b\.array_record is missing"):
        ShardReader(paths, [3, 2])


def test_a_flipped_byte_in_a_shard_is_named(tmp_path):
    paths, records = _write_two_shards(tmp_path)
    data = bytearray(paths[1].read_bytes())
    data[data.index(records[3][200:260])] ^= 1
    paths[1].write_bytes(bytes(data))
    with pytest.raises(RecordError, match=r"b\.array_record is damaged"):
        ShardReader(paths, [3, 2]).read(1, 0)


@pytest.mark.parametrize("num_samples", [1, 127, 128, 32_767, 32_768, 40_000])
def test_a_record_is_what_msgpack_makes_of_it(num_samples):
    samples, log_mel = _record(0, num_samples)
    log_mel = np.resize(log_mel, (max(1, num_samples // 10), 3)) if log_mel.size else np.zeros((1, 3), np.float32)
    data = encode_record(samples, log_mel)
    fields = msgpack.unpackb(data)
    assert list(fields) == ["waveform", "log_mel", "n_mels", "crc32"]
    assert msgpack.packb(fields) == data
    np.testing.assert_array_equal(decode_record(data, "u")[0], samples)
