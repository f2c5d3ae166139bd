"""ZIP archives, read without trust: PyTorch's files and NumPy's .npz are both of this kind.

Written for this purpose, as Python's own `zipfile` believes an archive's table of contents. Here files may not overlap,
nor have the same name, nor lead out of the archive, nor expand to much more than the archive itself. Nothing is
extracted to a disk.
"""

import itertools
import re
import struct
import zlib
from typing import Any, NamedTuple

from wavejax.conversion.source import LIMITS, RefusedFile, SourceFile, shown

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED, _ENCRYPTED = 0, 8, 1
_IN_EXTRA = 0xFFFFFFFF
"""A 32-bit size or offset that stands in the 64-bit extra field instead."""
_CHUNK = 1 << 20


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    is_compressed: bool
    crc: int
    packed: int
    """Bytes that it takes in the archive."""
    size: int
    """Bytes that it has."""
    header: int
    """Where its local header stands."""


class Archive:
    """The table of contents of a ZIP archive, and its files' bytes.

    Raises:
        RefusedFile: the archive is damaged, encrypted, inconsistent or too large for its bytes.
    """

    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._end, count, size, start = self._find_directory()
        if count > LIMITS.members or size > LIMITS.directory_bytes:
            raise source.refused(
                f"the archive announces {shown(count)} files in {shown(size)} bytes of contents; the most is "
                f"{LIMITS.members} in {LIMITS.directory_bytes}"
            )
        if start + size > self._end:
            raise source.refused("the archive's table of contents reaches beyond its place: the file is damaged")
        self._start = start
        entries = self._entries(bytes(source.read(start, size, "the archive's table of contents")), count)
        self.members = {member.name: member for member in entries}
        self._check(entries)

    def read(self, name: str) -> bytes | bytearray:
        """All bytes of a file; its checksum is verified."""
        member = self._member(name)
        data: bytes | bytearray = self._source.read(
            self.data_offset(name), member.packed, f"{shown(name)} in the archive"
        )
        if member.is_compressed:
            data = self._expanded(member, data)
        if zlib.crc32(data) != member.crc:
            raise self._changed(member)
        return data

    def beginning(self, name: str, count: int) -> bytes | bytearray:
        """The first `count` bytes of a file, or the whole file if it is shorter. The checksum is not verified."""
        member = self._member(name)
        packed = min(member.packed, count if not member.is_compressed else _CHUNK)
        data: bytes | bytearray = self._source.read(self.data_offset(name), packed, f"{shown(name)} in the archive")
        if member.is_compressed:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, count)
            except zlib.error:
                raise self._changed(member) from None
        return data

    def data_offset(self, name: str) -> int:
        """Where the bytes of a file stand in the archive."""
        member = self._member(name)
        local = self._source.read(member.header, _LOCAL.size, f"the header of {shown(name)}")
        signature, *_, name_length, extra_length = _LOCAL.unpack(local)
        there = self._source.read(member.header + _LOCAL.size, name_length, f"the header of {shown(name)}")
        if signature != b"PK\x03\x04" or there != name.encode():
            raise self._source.refused(f"the header of {shown(name)} in the archive is not its own: it is damaged")
        offset = member.header + _LOCAL.size + name_length + extra_length
        if offset + member.packed > self._start:
            raise self._source.refused(f"{shown(name)} reaches into the archive's table of contents: it is damaged")
        return offset

    def verify(self, name: str) -> None:
        """Compare the checksum of a file that is not compressed, without holding it."""
        member, offset, crc = self._member(name), self.data_offset(name), 0
        for begin in range(0, member.packed, _CHUNK):
            count = min(_CHUNK, member.packed - begin)
            crc = zlib.crc32(self._source.read(offset + begin, count, f"{shown(name)} in the archive"), crc)
        if crc != member.crc:
            raise self._changed(member)

    def _changed(self, member: Member) -> RefusedFile:
        return self._source.refused(f"{shown(member.name)} has changed since the archive was written; get it again")

    def _member(self, name: str) -> Member:
        if name not in self.members:
            raise self._source.refused(f"the archive has no file {shown(name)}, which its other files need")
        return self.members[name]

    def _expanded(self, member: Member, data: bytes | bytearray) -> bytes:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            expanded = unpacker.decompress(data, member.size + 1)
        except zlib.error:
            raise self._changed(member) from None
        if len(expanded) != member.size or (expanded and not unpacker.eof):
            raise self._source.refused(
                f"{shown(member.name)} does not expand to the {member.size} bytes that the archive announces"
            )
        return expanded

    def _find_directory(self) -> tuple[int, int, int, int]:
        """(where the end record stands, files, bytes of the table of contents, where that begins)."""
        source = self._source
        begin = max(0, source.size - _END.size - 0xFFFF)
        tail = source.read(begin, source.size - begin, "the end of the archive")
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise source.refused("the archive has no table of contents: the file is cut off; get it again")
        _, disk, first_disk, _, count, size, start, comment = _END.unpack_from(tail, at)
        if at + _END.size + comment != len(tail):
            raise source.refused("something follows the end of the archive: it is damaged")
        at += begin
        if at >= _LOCATOR_64.size:
            locator = source.read(at - _LOCATOR_64.size, _LOCATOR_64.size, "the archive's end")
            signature, _, record, _ = _LOCATOR_64.unpack(locator)
            if signature == b"PK\x06\x07":
                fields = _END_64.unpack(source.read(record, _END_64.size, "the archive's 64-bit end record"))
                if fields[0] != b"PK\x06\x06":
                    raise source.refused("the archive's 64-bit end record is not where it should be: it is damaged")
                return record, *fields[7:]
        if disk or first_disk:
            raise source.refused("the archive is one of several volumes; join them first")
        return at, count, size, start

    def _entries(self, table: bytes, count: int) -> list[Member]:
        found: list[Member] = []
        at = 0
        for _ in range(count):
            if len(table) - at < _ENTRY.size or table[at : at + 4] != b"PK\x01\x02":
                raise self._source.refused(f"the archive announces {count} files and lists {len(found)}: it is damaged")
            fields = _ENTRY.unpack_from(table, at)
            names = at + _ENTRY.size
            extras, end = names + fields[10], names + fields[10] + fields[11] + fields[12]
            found.append(self._entry(fields, table[names:extras], table[extras : extras + fields[11]]))
            at = end
        return found

    def _entry(self, fields: tuple[Any, ...], name: bytes, extra: bytes) -> Member:
        _, _, _, flags, method, _, _, crc, packed, size, _, _, _, _, _, _, header = fields
        try:
            text = name.decode()
        except UnicodeDecodeError:
            raise self._source.refused(f"a file in the archive has the name {shown(name)}, which is no text") from None
        parts = text.split("/")
        if text.startswith("/") or ".." in parts or "\\" in text or "\0" in text or re.match("[A-Za-z]:", text):
            raise self._source.refused(f"a file in the archive has the name {shown(text)}, which leads out of it")
        if flags & _ENCRYPTED:
            raise self._source.refused(f"{shown(text)} in the archive is encrypted; unpack it first")
        if method not in (_STORED, _DEFLATED):
            raise self._source.refused(f"{shown(text)} in the archive is compressed by method {method}; known is 8")
        size, packed, header = self._long(extra, (size, packed, header), text)
        if method == _STORED and packed != size:
            raise self._source.refused(f"{shown(text)} is not compressed but has two sizes, {packed} and {size} bytes")
        return Member(text, method == _DEFLATED, crc, packed, size, header)

    def _long(self, extra: bytes, values: tuple[int, int, int], name: str) -> tuple[int, int, int]:
        """Size, packed size and offset, those that do not fit in 32 bits from the extra field."""
        at, wide = 0, b""
        while at + 4 <= len(extra):
            kind, length = struct.unpack_from("<HH", extra, at)
            wide = extra[at + 4 : at + 4 + length] if kind == 1 else wide
            at += 4 + length
        result = []
        for value in values:
            if value == _IN_EXTRA:
                if len(wide) < 8:
                    raise self._source.refused(f"{shown(name)} in the archive has no 64-bit size: it is damaged")
                value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
            result.append(value)
        return result[0], result[1], result[2]

    def _check(self, entries: list[Member]) -> None:
        source = self._source
        if len(self.members) != len(entries):
            raise source.refused("two files in the archive have the same name: it is not clear which one is meant")
        inside = sorted(entries, key=lambda member: member.header)
        spans = [(each.header, each.header + _LOCAL.size + len(each.name.encode()) + each.packed) for each in inside]
        for before, after in itertools.pairwise(spans):
            if before[1] > after[0]:
                raise source.refused("files in the archive overlap: it is damaged, or made to expand without end")
        if spans and spans[-1][1] > self._start:
            raise source.refused("a file reaches beyond the end of the archive: it is cut off or damaged")
        total = sum(member.size for member in entries)
        if total > LIMITS.expansion * source.size + _CHUNK:
            raise source.refused(
                f"the archive has {source.size} bytes and would expand to {total}: weights do not compress like that"
            )
