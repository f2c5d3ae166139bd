"""One utterance as one record, many records as one ArrayRecord shard.

A record is a msgpack map: the waveform as little-endian int16, the log-mel as little-endian float32, its number of
bands and a CRC-32 of both, because ArrayRecord does not guarantee to detect every damaged byte. Shards are written
atomically: under a temporary name, then renamed.
"""

import errno
import itertools
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from jaxtyping import Float, Int16

from wavejax.atomic import replacing, text_path
from wavejax.extras import require_extra

INT16_SCALE = 32768.0
"""A stored sample is round(32768 x), clipped to [-32768, 32767]; it is read as stored / 32768."""


_BLOCK = 1 << 20  # samples quantized at a time


class RecordError(ValueError):
    """A record or shard is damaged or missing; the message names it and says what to do."""


def quantize_waveform(waveform: Float[np.ndarray, " time"]) -> Int16[np.ndarray, " time"]:
    """The int16 samples that a record stores for a waveform in [-1, 1]; values outside are clipped."""
    samples = np.empty(len(waveform), np.int16)
    for start in range(0, len(waveform), _BLOCK):
        scaled = np.rint(np.asarray(waveform[start : start + _BLOCK], np.float64) * INT16_SCALE)
        samples[start : start + _BLOCK] = np.clip(scaled, -INT16_SCALE, INT16_SCALE - 1)
    return samples


def dequantize_waveform(samples: Int16[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """float32 waveform in [-1, 1) of stored samples."""
    return samples.astype(np.float32) / np.float32(INT16_SCALE)


def encode_record(samples: Int16[np.ndarray, " time"], log_mel: Float[np.ndarray, "frames n_mels"]) -> bytes:
    """One record, as bytes."""
    waveform_bytes = np.ascontiguousarray(samples, "<i2").data.cast("B")
    mel_bytes = np.ascontiguousarray(log_mel, "<f4").data.cast("B")
    n_mels = int(log_mel.shape[1])
    record = {"waveform": b"", "log_mel": b"", "n_mels": n_mels, "crc32": _checksum(waveform_bytes, mel_bytes, n_mels)}
    # The output of msgpack.packb, but without its copies of long recordings while its buffer grows.
    parts = [msgpack.Packer().pack_map_header(len(record))]
    for name, value in record.items():
        parts.append(msgpack.packb(name))
        data = {"waveform": waveform_bytes, "log_mel": mel_bytes}.get(name)
        parts += [msgpack.packb(value)] if data is None else [_binary_header(data.nbytes), data]
    return b"".join(parts)


def _binary_header(length: int) -> bytes:
    """The header that msgpack puts before `length` bytes."""
    for code, form, limit in ((0xC4, ">BB", 1 << 8), (0xC5, ">BH", 1 << 16), (0xC6, ">BI", 1 << 32)):
        if length < limit:
            return struct.pack(form, code, length)
    raise ValueError(f"a recording of {length} bytes is too long for one record; cut it into several")


def decode_record(data: bytes, name: str) -> tuple[Int16[np.ndarray, " time"], Float[np.ndarray, "frames n_mels"]]:
    """Samples int16 [T] and log-mel float32 [F, n_mels] of one record; errors call the record `name`.

    Raises RecordError if `encode_record` cannot have written the record.
    """
    try:
        record = msgpack.unpackb(data)
        waveform_bytes, mel_bytes, n_mels = record["waveform"], record["log_mel"], record["n_mels"]
        sound = record["crc32"] == _checksum(waveform_bytes, mel_bytes, n_mels)
    except (msgpack.UnpackException, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"record of {name} is damaged ({error!r}); {_REPAIR}") from error
    if not sound:
        raise RecordError(f"record of {name} is damaged (its checksum does not match); {_REPAIR}")
    return np.frombuffer(waveform_bytes, "<i2"), np.frombuffer(mel_bytes, "<f4").reshape(-1, n_mels)


_REPAIR = "remove the file and run `wavejax prepare` again with the same arguments: only what is missing is made again"


def _checksum(waveform_bytes: bytes | memoryview, mel_bytes: bytes | memoryview, n_mels: int) -> int:
    return zlib.crc32(mel_bytes, zlib.crc32(waveform_bytes, n_mels))


def write_shard(path: Path, records: Iterable[bytes]) -> int:
    """Writes records as one shard, atomically, and returns their number; without records nothing is written.

    Raises OSError (read-only or full disk) with the final path as its filename; then no file is left behind.
    """
    module = require_extra("array_record.python.array_record_module", "train", "writing a prepared corpus")
    records = iter(records)
    first = next(records, None)
    if first is None:
        return 0
    count = 0
    try:
        with replacing(path) as partial:
            writer = module.ArrayRecordWriter(
                text_path(partial), "group_size:1,uncompressed"
            )  # one record per random access
            try:
                for record in itertools.chain([first], records):
                    writer.write(record)
                    count += 1
            finally:
                writer.close()
    except RuntimeError as error:  # the writer's own error, e.g. when the disk becomes full
        code = errno.ENOSPC if os.strerror(errno.ENOSPC) in str(error) else errno.EIO
        raise OSError(code, str(error), str(path)) from error
    return count


class ShardReader:
    """Random access to the records of several shards, as if they were one list. Safe to use from several threads."""

    def __init__(self, paths: Sequence[Path], counts: Sequence[int]) -> None:
        """`paths` are in the order of the manifest; `counts` gives the number of records that each must hold.

        Raises RecordError naming the first shard that is missing, damaged or holds another number of records.
        """
        for path in paths:
            if not path.is_file():
                raise RecordError(f"shard {path} is missing; {_REPAIR}")
        self._paths = paths
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        try:
            self._source = _open_shards(paths)
            sound = len(self._source) == sum(counts)
        except RuntimeError:
            sound = False
        if not sound:
            raise _find_damage(paths, counts)

    def read(self, shard: int, index: int) -> bytes:
        """The bytes of record `index` of shard `shard`. Raises RecordError naming the shard if it is damaged."""
        try:
            return self._source[int(self._starts[shard]) + index]
        except (RuntimeError, ValueError, IndexError) as error:
            raise RecordError(f"shard {self._paths[shard]} is damaged ({error}); {_REPAIR}") from error


def _open_shards(paths: Sequence[Path]) -> Any:
    module = require_extra("array_record.python.array_record_data_source", "train", "reading a prepared corpus")
    return module.ArrayRecordDataSource([text_path(path) for path in paths])


def _find_damage(paths: Sequence[Path], counts: Sequence[int]) -> RecordError:
    """The error that names the shard that prevents opening all shards together."""
    for path, count in zip(paths, counts, strict=True):
        try:
            found = len(_open_shards([path]))
        except RuntimeError as error:
            return RecordError(f"shard {path} is damaged ({error}); {_REPAIR}")
        if found != count:
            return RecordError(f"shard {path} holds {found} records, the manifest says {count}; {_REPAIR}")
    return RecordError(f"the shards in {paths[0].parent} cannot be opened together; {_REPAIR}")
