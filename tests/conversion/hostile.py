"""Weight files that want to do harm, or are broken in a way that could: name -> (content, what is said of it).

Run as a program it reads all files of a folder and prints, as JSON, what each did: `python hostile.py FOLDER`.
"""

import importlib.util
import io
import json
import os
import resource
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

spec = importlib.util.spec_from_file_location("weight_files", Path(__file__).with_name("weight_files.py"))
assert spec is not None
assert spec.loader is not None
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

MARKER = "HARM"
"""Name of the file that the pickles here would write if they were run."""

ONE = {"w": np.ones(4, np.float32)}
DATA = {"0": np.ones(4, np.float32).tobytes()}
FLOATS = make.storage("Float", "0", 4)


class Hostile(NamedTuple):
    content: Callable[[], bytes]
    says: str


def pickle_in_zip(body: bytes) -> bytes:
    return make.torch_zip(body, DATA)


def of_tensor(offset: int, shape: tuple[int, ...], strides: tuple[int, ...], of: bytes = FLOATS) -> bytes:
    return pickle_in_zip(make.mapping({"w": make.tensor(of, offset, shape, strides)}))


def command() -> bytes:
    return make.group(make.text(f"touch {MARKER}"))


def member_fields(data: bytes, change: Callable[[list[Any]], None]) -> bytes:
    """A ZIP archive with the entry of its first file changed."""
    entry = struct.Struct("<4s6H3L5H2L")
    at = data.index(b"PK\x01\x02")
    fields = list(entry.unpack_from(data, at))
    change(fields)
    return data[:at] + entry.pack(*fields) + data[at + entry.size :]


def zip_of(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def twice_named() -> bytes:
    data = zip_of({"archive/data.pkl": b"one", "archive/data.pkx": b"two"})
    return data.replace(b"archive/data.pkx", b"archive/data.pkl")


def announces_size(size: int, more: int = 0) -> bytes:
    """An array of 1000 numbers, `more` bytes after it, all under a label of `size` bytes."""

    def change(fields: list[Any]) -> None:
        fields[9] = size

    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1000))
    return member_fields(zip_of({"w.npy": buffer.getvalue() + bytes(more)}, zipfile.ZIP_DEFLATED), change)


def overlapping() -> bytes:
    """Every file of the table of contents is the same bytes of the archive."""
    count, packed = 500, zlib.compress(bytes(100_000), 9)[2:-4]
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), 100_000, 5, 0) + b"a.npy" + packed
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(packed), 100_000, 5, 0, 0, 0, 0, 0, 0)
    table = b"".join(entry + b"%05d" % index for index in range(count))
    return local + table + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(table), len(local), 0)


def object_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}, 1], object), allow_pickle=True)
    return zip_of({"w.npy": buffer.getvalue()})


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(-(-(len(header) + 11) // 64) * 64 - 11) + "\n"
    return zip_of({"w.npy": b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data})


def entry(begin: int, end: int, shape: list[int] | None = None, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


def safe(**header: object) -> bytes:
    return make.with_header(json.dumps(header), bytes(16))


def legacy_with(length: int, announced: int) -> bytes:
    body = make.mapping({"w": make.tensor(make.storage("Float", "0", length), 0, (1,), (1,))})
    return make.legacy(body, {"0": (announced, bytes(16))})


def run(module: str, name: str) -> bytes:
    return pickle_in_zip(make.named(module, name) + command() + b"R")


def nested(depth: int) -> bytes:
    return b"]" * depth + b"a" * (depth - 1)


def colliding_keys() -> bytes:
    """Numbers whose hashes are all 1: a dict of them would take quadratic time."""
    prime = (1 << 61) - 1
    inside = b"".join(make.number(index * prime + 1) + b"N" for index in range(40_000))
    return pickle_in_zip(b"}(" + inside + b"u")


def tuple_keys() -> bytes:
    """A tuple of two tuples of two tuples ...: to hash it takes 2^60 steps."""
    return pickle_in_zip(b"})" + b"2\x86" * 60 + b"Ns")


def many_lists() -> bytes:
    """The same list, given to one dict after the other."""
    pair = make.group(make.text("k"), b"N")
    pairs = b"](" + pair + b"q\1" + b"h\1" * 50_000 + b"eq\2"
    return pickle_in_zip(pairs + b"0]" + (make.named("collections", "OrderedDict") + b"h\2\x85Ra") * 5_000)


NOT_NEEDED = r"asks for '{}', which weights do not need; nothing of it was run"
HOSTILE: dict[str, Hostile] = {
    # Pickles that want to run something, one for each way of the pickle machine.
    "os.system": Hostile(lambda: run("os", "system"), NOT_NEEDED.format(r"os\.system")),
    "posix.system": Hostile(lambda: run("posix", "system"), NOT_NEEDED.format(r"posix\.system")),
    "builtins.eval": Hostile(lambda: run("builtins", "eval"), NOT_NEEDED.format(r"builtins\.eval")),
    "getattr": Hostile(lambda: run("builtins", "getattr"), NOT_NEEDED.format(r"builtins\.getattr")),
    "subprocess": Hostile(lambda: run("subprocess", "Popen"), NOT_NEEDED.format(r"subprocess\.Popen")),
    "torch.load": Hostile(lambda: run("torch.serialization", "load"), NOT_NEEDED.format(r"torch\.serialization\.load")),
    "a dotted name": Hostile(
        lambda: pickle_in_zip(make.text("collections") + make.text("abc.sys.modules") + b"\x93" + command() + b"R"),
        NOT_NEEDED.format(r"collections\.abc\.sys\.modules"),
    ),
    "a pickle's class": Hostile(
        lambda: pickle_in_zip(make.named("os", "system") + b"(" + command() + b"t\x81"),
        NOT_NEEDED.format(r"os\.system"),
    ),
    "INST": Hostile(
        lambda: pickle_in_zip(b"(" + make.text(f"touch {MARKER}") + b"ios\nsystem\n"),
        r"uses INST, which weights do not",
    ),
    "OBJ": Hostile(
        lambda: pickle_in_zip(b"(" + make.named("collections", "OrderedDict") + b"o"), r"uses OBJ, which weights do not"
    ),
    "NEWOBJ_EX": Hostile(
        lambda: pickle_in_zip(make.named("collections", "OrderedDict") + b")}\x92"), r"uses NEWOBJ_EX, which weights"
    ),
    "EXT1": Hostile(lambda: pickle_in_zip(b"\x82\x01"), r"uses EXT1, which weights do not need"),
    "PERSID": Hostile(lambda: pickle_in_zip(b"Psomething\n"), r"uses PERSID, which weights do not need"),
    "a call of a text": Hostile(
        lambda: pickle_in_zip(make.text("os.system") + command() + b"R"), r"calls 'os\.system', "
    ),
    "harm in the older form": Hostile(
        lambda: make.legacy(make.named("os", "system") + command() + b"R", {}), NOT_NEEDED.format(r"os\.system")
    ),
    "harm in place of the magic number": Hostile(
        lambda: make.pickled(make.named("os", "system") + command() + b"R"), r"which is none of the forms"
    ),
    "harm in a later pickle": Hostile(
        lambda: make.MAGIC + make.pickled(make.named("os", "system") + command() + b"R"),
        NOT_NEEDED.format(r"os\.system"),
    ),
    # Pickles that take memory or time without end.
    "a long text": Hostile(
        lambda: pickle_in_zip(b"\x8d" + struct.pack("<Q", 1 << 40)), r"announces 1099511627776 bytes"
    ),
    "a long number": Hostile(
        lambda: pickle_in_zip(b"\x8b" + struct.pack("<i", 50_000) + b"\1" * 50_000), r"a number of 3999\d\d bits"
    ),
    "a long frame": Hostile(
        lambda: pickle_in_zip(b"\x95" + b"\xff" * 8 + b"\x8e" + b"\xff" * 8), r"is cut off or damaged \(bytes8"
    ),
    "marks in marks": Hostile(lambda: pickle_in_zip(b"(" * 100_000), r"more than 64 containers inside containers"),
    "lists in lists": Hostile(lambda: pickle_in_zip(nested(100_000)), r"more than 64 containers inside containers"),
    "a list in itself": Hostile(lambda: pickle_in_zip(b"]q\1h\1a"), r"a container contains itself"),
    "a dict in itself": Hostile(
        lambda: pickle_in_zip(b"}q\1(" + make.text("model") + b"h\1" + b"u"), r"a container contains itself \(model\)"
    ),
    "millions of steps": Hostile(lambda: pickle_in_zip(b"N0" * 3_000_000), r"more than 300000 steps"),
    "a pickle without end": Hostile(lambda: pickle_in_zip(bytes(20 << 20)), r"its pickle has \d+ bytes; the most is"),
    "keys that collide": Hostile(colliding_keys, r"holds no tensors by name"),
    "a key of doubled tuples": Hostile(tuple_keys, r"holds no tensors by name"),
    "dicts of one list": Hostile(many_lists, r"dicts have more than 300000 items"),
    "a memory far away": Hostile(lambda: pickle_in_zip(b"Nr" + b"\xff" * 4), r"under the number 4294967295"),
    "a memory that is not there": Hostile(lambda: pickle_in_zip(b"h\7"), r"recalls an object 7 that it does not have"),
    "an empty stack": Hostile(lambda: pickle_in_zip(b"R"), r"takes an object that is not there"),
    "a stack that is left": Hostile(lambda: pickle_in_zip(b"N" * 10), r"ends with 10 objects, expected 1"),
    # Tensors that are not where they say.
    "a huge shape": Hostile(lambda: of_tensor(0, (1 << 20, 1 << 20), (1 << 20, 1)), r"reaches beyond the 4 elements"),
    "a shape that repeats": Hostile(lambda: of_tensor(0, (1 << 20, 1 << 20), (0, 0)), r"it repeats them"),
    "a shape beyond 64 bits": Hostile(lambda: of_tensor(0, (1 << 62, 4), (0, 0)), r"has 4611686018427387904 in it"),
    "a negative shape": Hostile(lambda: of_tensor(0, (-1,), (1,)), r"shape has -1 in it"),
    "a negative stride": Hostile(lambda: of_tensor(3, (4,), (-1,)), r"strides has -1 in it"),
    "a negative offset": Hostile(lambda: of_tensor(-4, (4,), (1,)), r"offset has -4 in it"),
    "an offset out of range": Hostile(
        lambda: of_tensor(1, (4,), (1,)), r"from element 1 on reaches beyond the 4 elements"
    ),
    "more dimensions than any": Hostile(lambda: of_tensor(0, (1,) * 64, (1,) * 64), r"at most 8 whole numbers"),
    "shapes without strides": Hostile(lambda: of_tensor(0, (2, 2), (1,)), r"2 sizes and 1 strides"),
    "a storage of two lengths": Hostile(
        lambda: pickle_in_zip(
            make.mapping({"a": make.tensor(FLOATS, 0, (4,), (1,)), "b": make.storage("Double", "0", 2)})
        ),
        r"'0' is said to be of two kinds or lengths",
    ),
    "a storage that is not there": Hostile(
        lambda: of_tensor(0, (4,), (1,), make.storage("Float", "1", 4)),
        r"announces 16 bytes, and the archive has nothing",
    ),
    "a storage longer than its bytes": Hostile(
        lambda: of_tensor(0, (4,), (1,), make.storage("Float", "0", 1 << 40)), r"announces 4398046511104 bytes, and"
    ),
    "a storage that leads elsewhere": Hostile(
        lambda: of_tensor(0, (4,), (1,), make.storage("Float", "../../etc/passwd", 4)),
        r"'\.\./\.\./etc/passwd' announces",
    ),
    "a view out of range": Hostile(
        lambda: of_tensor(
            0, (4,), (1,), make.storage("Float", "0", 4, make.group(make.text("v"), make.number(2), make.number(4)))
        ),
        r"a view reaches to element 6 of a storage of 4",
    ),
    "a storage of objects": Hostile(
        lambda: of_tensor(0, (4,), (1,), make.storage("Object", "0", 4)), NOT_NEEDED.format(r"torch\.ObjectStorage")
    ),
    "a thousand views": Hostile(
        lambda: make.torch_zip(
            make.mapping(
                {str(i): make.tensor(make.storage("Float", "0", 100_000), 0, (100_000,), (1,)) for i in range(2000)}
            ),
            {"0": bytes(400_000)},
        ),
        r"would take 800000000 bytes, and the file has",
    ),
    "a thousand pairs that are far apart": Hostile(
        lambda: make.torch_zip(
            make.mapping(
                {str(i): make.tensor(make.storage("Float", "0", 100_000), 0, (2,), (99_999,)) for i in range(2000)}
            ),
            {"0": bytes(400_000)},
        ),
        r"would take 800000000 bytes, and the file has",
    ),
    "more tensors than any": Hostile(
        lambda: pickle_in_zip(
            make.tensor(FLOATS, 0, (1,), (1,))
            + b"0cos\nsystem\n".replace(b"os\nsystem", b"torch._utils\n_rebuild_tensor")
            + b"q\x010("
            + FLOATS
            + b"K\x00))tq\x020"
            + b"h\1h\2R0" * 25_000
            + b"N"
        ),
        r"more than 20000 tensors",
    ),
    "an older file's huge storage": Hostile(lambda: legacy_with(1 << 40, 1 << 40), r"announces 1099511627776 elements"),
    "an older file's negative storage": Hostile(lambda: legacy_with(4, -4), r"its place says -4"),
    "an older file's other storages": Hostile(
        lambda: make.legacy(make.described(ONE), {"9": (4, bytes(16))}), r"are not those that its tensors use"
    ),
    # Archives.
    "a path out of the archive": Hostile(
        lambda: zip_of({"archive/data.pkl": b"N.", "../../evil": b"x"}), r"'\.\./\.\./evil', which leads out of it"
    ),
    "an absolute path": Hostile(lambda: zip_of({"/etc/evil.npy": b"x"}), r"'/etc/evil\.npy', which leads out of it"),
    "a drive in a name": Hostile(lambda: zip_of({"C:evil.npy": b"x"}), r"'C:evil\.npy', which leads out of it"),
    "a bomb": Hostile(
        lambda: zip_of({"w.npy": bytes(60_000_000)}, zipfile.ZIP_DEFLATED), r"would expand to 60000000: weights do not"
    ),
    "a bomb with a small label": Hostile(
        lambda: announces_size(8128, more=60_000_000), r"does not expand to the 8128 bytes"
    ),
    "a label of 4 GB": Hostile(lambda: announces_size(0xFFFF_FFF0), r"would expand to 42949\d{5}"),
    "files that overlap": Hostile(overlapping, r"files in the archive overlap"),
    "a compressed archive of PyTorch": Hostile(
        lambda: zip_of({"archive/data.pkl": bytes(50)}, zipfile.ZIP_DEFLATED), r"compressed, which PyTorch's never is"
    ),
    "two files of one name": Hostile(twice_named, r"two files in the archive have the same name"),
    "two pickles": Hostile(lambda: zip_of({"a/data.pkl": b"N.", "b/data.pkl": b"N."}), r"several pickles of PyTorch"),
    "an encrypted file": Hostile(
        lambda: member_fields(make.torch_new(ONE), lambda fields: fields.__setitem__(3, 1)), r"is encrypted"
    ),
    "a million files": Hostile(
        lambda: b"PK" + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFE, 0xFFFE, 1 << 31, 2, 0),
        r"announces 65534 files",
    ),
    "files beyond the end": Hostile(
        lambda: member_fields(make.torch_new(ONE), lambda fields: fields.__setitem__(16, 1 << 30)), r"beyond the end"
    ),
    "an archive of something else": Hostile(
        lambda: zip_of({"word/document.xml": b"<x/>"}), r"an archive without data\.pkl"
    ),
    # safetensors and NumPy.
    "no JSON": Hostile(lambda: make.with_header("{'w': }"), r"its header is no JSON"),
    "JSON without end": Hostile(lambda: make.with_header('{"w":' + "[" * 1_000_000), r"its header is no JSON"),
    "no UTF-8": Hostile(lambda: make.with_header(b'{"\xff": 1}'), r"its header is no JSON"),
    "a header of 2^60 bytes": Hostile(
        lambda: struct.pack("<Q", 1 << 60) + b"{}" * 20, r"announces 1152921504606846976 bytes"
    ),
    "tensors that overlap": Hostile(lambda: safe(a=entry(0, 12), b=entry(8, 16)), r"overlap or leave a gap at byte 8"),
    "a gap": Hostile(lambda: safe(a=entry(0, 4), b=entry(8, 16)), r"overlap or leave a gap at byte 4"),
    "offsets out of range": Hostile(lambda: safe(a=entry(0, 1 << 40)), r"take 1099511627776 bytes, and 16 follow"),
    "offsets that go back": Hostile(lambda: safe(a=entry(8, 0, [2])), r"does not fit in bytes \(8, 0\)"),
    "a shape that lies": Hostile(lambda: safe(a=entry(0, 16, [1 << 40, 1 << 40])), r"does not fit in bytes"),
    "a name twice": Hostile(
        lambda: make.with_header(f'{{"w": {json.dumps(entry(0, 8))}, "w": {json.dumps(entry(8, 16))}}}', bytes(16)),
        r"names something twice",
    ),
    "a dtype of objects": Hostile(
        lambda: safe(a=entry(0, 16, None, "OBJECT")), r"has the dtype 'OBJECT'; known are F64"
    ),
    "a shape of texts": Hostile(lambda: safe(a=entry(0, 16, ["4"])), r"has '4' in it"),  # type: ignore[list-item]
    "arrays of objects": Hostile(object_array, r"'w\.npy' is no array of numbers in NumPy's format"),
    "an array of 10^15 numbers": Hostile(lambda: npy("'<f4'", "(1000000000000000,)"), r"in it, expected whole numbers"),
    "an array longer than its bytes": Hostile(lambda: npy("'<f4'", "(1000000000,)"), r"does not fit in its 0 bytes"),
    "an array of records": Hostile(lambda: npy("[('a', '<f4')]", "(1,)", bytes(4)), r"is no array of numbers"),
    "code in a header": Hostile(lambda: npy("__import__('os').system('id')", "(1,)"), r"is no array of numbers"),
    "brackets in a header": Hostile(lambda: npy("(" * 9000, "(1,)"), r"is no array of numbers"),
    # Other files.
    "nothing": Hostile(lambda: b"", r"which is none of the forms"),
    "a script": Hostile(lambda: b"#!/bin/sh\ntouch HARM\n", r"begins with b'#!/bin/s', which is none of the forms"),
    "escapes for a terminal": Hostile(
        lambda: pickle_in_zip(make.text("\x1b]0;evil\x07") + make.text("x\u202e") + b"\x93"),
        r"asks for '\\x1b\]0;evil\\x07\.x\\u202e'",
    ),
}


def main(folder: Path) -> None:
    """Read every file of a folder, watched by an audit hook; print what each did."""
    from wavejax.conversion.reading import read_weights
    from wavejax.conversion.source import RefusedFile

    events: list[str] = []
    watched = ("os.", "subprocess.", "socket.", "exec", "import", "pickle.", "ctypes.", "shutil.", "tempfile.")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(watched) or (event == "open" and set(str(arguments[1])) & set("wax+")):
            events.append(f"{event} {arguments}")

    report: dict[str, Any] = {}
    sys.addaudithook(hook)
    for path in sorted(folder.iterdir()):
        events.clear()
        began = time.monotonic()
        try:
            read_weights(path)
            said = ""
        except RefusedFile as error:
            said = str(error)
        report[path.name] = {"said": said, "seconds": time.monotonic() - began, "events": list(events)}
    report[""] = {
        "peak": peak(),
        "harm": os.path.exists(MARKER),
        "jax": "jax" in sys.modules,
    }
    print(json.dumps(report))


def peak() -> int:
    """The most bytes that this process has held. On Linux `getrusage` counts the parent's before the fork, too."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(Path(sys.argv[1]))
