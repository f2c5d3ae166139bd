"""Pickles, read by a machine that can build nothing but numbers, texts, lists, dicts and what its caller allows.

Python's own unpickler imports whatever a pickle names and calls it, so it cannot be used on a stranger's file. This one
has no import and no call: a name in a pickle is looked up in a table of the caller's (`Known`). A name that is not in
it is refused, and so is every opcode that weights have no use for. `pickletools.genops` takes the opcodes apart; it is
the part of Python's library that is made for looking at pickles without running them.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

from wavejax.conversion.source import LIMITS, RefusedFile, shown

Known = Mapping[str, Callable[..., Any] | None]
"""Qualified name in a pickle ("collections.OrderedDict") -> what stands for a call of it; None: the result is not
needed, and an `Opaque` stands for it."""

_LARGEST_KEY = 1 << 31
"""Keys beyond it could be chosen so that a dict takes quadratic time."""


class Opaque:
    """Stands for an object that weights do not need: it is not built, and what was to go into it is dropped."""


class Name(str):
    """Stands for a class or function that a pickle names. Nothing is imported."""


class PickleBytes:
    """Pickles as `genops` reads them, one after the other, with an end to what they may take."""

    def __init__(self, data: bytes | bytearray, first: int = 0) -> None:
        self._file = io.BytesIO(data)
        self._file.seek(first)
        self.operations = 0

    def tell(self) -> int:
        """Bytes read so far."""
        return self._file.tell()

    def read(self, count: int) -> bytes:
        """The next bytes, for one opcode's argument."""
        if count > LIMITS.text_bytes:
            raise RefusedFile(f"a text in the pickle announces {shown(count)} bytes; the most is {LIMITS.text_bytes}")
        return self._file.read(count)

    def readline(self) -> bytes:
        """The next line, for one opcode's argument."""
        line = self._file.readline(LIMITS.text_bytes + 1)
        if len(line) > LIMITS.text_bytes:
            raise RefusedFile(f"a line in the pickle has more than {LIMITS.text_bytes} bytes")
        return line


def read_pickle(source: PickleBytes, known: Known, persistent: Callable[[Any], Any]) -> Any:
    """The object that the next pickle of `source` describes, of inert values alone.

    Args:
        known: what the pickle may name.
        persistent: (persistent id) -> what stands for it.

    Raises:
        RefusedFile: the pickle is cut off or malformed, wants something that is not known, or is too large.
    """
    machine = _Machine(known, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(cast(IO[bytes], source)):
            source.operations += 1
            if source.operations > LIMITS.operations:
                raise RefusedFile(f"the pickle has more than {LIMITS.operations} steps, many more than weights need")
            machine.step(opcode.name, argument)
        return machine.result()
    except RefusedFile:
        raise
    except (ValueError, OverflowError, DeprecationWarning) as error:  # what genops says of bytes that are no pickle
        raise RefusedFile(f"the pickle is cut off or damaged ({str(error)[:80]})") from None


class _Machine:
    def __init__(self, known: Known, persistent: Callable[[Any], Any]) -> None:
        self._known, self._persistent = known, persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _CONSTANTS:
            self._stack.append(_checked_number(argument) if opcode not in _FIXED else _FIXED[opcode])
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        else:
            raise RefusedFile(f"the pickle uses {opcode}, which weights do not need; nothing of it was run")

    def result(self) -> Any:
        if len(self._stack) != 1 or self._marks:
            raise RefusedFile(f"the pickle ends with {len(self._stack)} objects, expected 1: it is damaged")
        return self._stack[0]

    def pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise RefusedFile("the pickle takes an object that is not there: it is damaged")
        return self._stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self._stack.append(value)
        return value

    def since_mark(self) -> list[Any]:
        if not self._marks:
            raise RefusedFile("the pickle takes objects since a mark that is not there: it is damaged")
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def mark(self, _: Any) -> None:
        if len(self._marks) >= LIMITS.depth:
            raise RefusedFile(f"the pickle has more than {LIMITS.depth} containers inside containers")
        self._marks.append(len(self._stack))

    def put(self, index: int | None) -> None:
        index = len(self._memo) if index is None else index
        if not 0 <= index < LIMITS.operations:
            raise RefusedFile(f"the pickle remembers an object under the number {shown(index)}: it is damaged")
        self._memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self._memo:
            raise RefusedFile(f"the pickle recalls an object {shown(index)} that it does not have: it is damaged")
        self.push(self._memo[index])

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Opaque):
            raise RefusedFile(f"the pickle appends to {shown(target)}, which is no list: it is damaged")

    def fill(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, dict):
            target.update(as_dict(zip(items[::2], items[1::2], strict=True)))
        elif not isinstance(target, Opaque):
            raise RefusedFile(f"the pickle sets an item of {shown(target)}, which is no dict: it is damaged")

    def name(self, name: Any) -> None:
        if not isinstance(name, str) or name not in self._known:
            raise RefusedFile(
                f"the pickle asks for {shown(name)}, which weights do not need; nothing of it was run. If you trust "
                "the file, save its tensors alone where it came from: torch.save(model.state_dict(), path)"
            )
        self.push(Name(name))

    def stack_name(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise RefusedFile("the pickle names a class by something that is no text: it is damaged")
        self.name(f"{module}.{name}")

    def call(self, _: Any) -> None:
        arguments, callee = self.pop(), self.pop()
        if not isinstance(arguments, tuple) or not isinstance(callee, Name):
            raise RefusedFile(f"the pickle calls {shown(callee)}, which is no name of a function: it is damaged")
        build = self._known[str(callee)]
        if build is None:
            self.push(Opaque())
            return
        try:
            self.push(build(*arguments))
        except TypeError:  # the functions of the table raise none of their own: too many arguments, or too few
            raise RefusedFile(f"the pickle gives {callee} {len(arguments)} arguments, which do not fit") from None

    def build(self, _: Any) -> None:
        self.pop()  # attributes of an object: nothing that is kept has any
        if not isinstance(self.top(), dict | Opaque):
            raise RefusedFile(f"the pickle sets attributes of {shown(self.top())}: it is damaged")

    def persistent(self, _: Any) -> None:
        self.push(self._persistent(self.pop()))


def as_dict(pairs: Any) -> dict[Any, Any]:
    """A dict of those (key, value) whose key is a text or a small whole number."""
    return {key: value for key, value in pairs if _is_key(key)}


def _is_key(key: Any) -> bool:
    # No other kind: what a tuple's hash costs is its maker's choice.
    return isinstance(key, str) or (isinstance(key, int) and abs(key) < _LARGEST_KEY)


def _checked_number(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > 128:
        raise RefusedFile(f"the pickle holds {shown(value)}, which no weight file needs")
    return value


def _numbered(machine: _Machine, count: int) -> tuple[Any, ...]:
    return tuple(machine.pop() for _ in range(count))[::-1]


def _protocol(_: _Machine, version: int) -> None:
    if version > 5:
        raise RefusedFile(f"the pickle is of protocol {version}; known are 0 to 5")


def _drop(machine: _Machine, _: Any) -> None:
    machine.pop()


def _drop_since_mark(machine: _Machine, _: Any) -> None:
    machine.since_mark()


def _paired(machine: _Machine) -> list[Any]:
    items = machine.since_mark()
    if len(items) % 2:
        raise RefusedFile("the pickle gives a dict a key without a value: it is damaged")
    return items


def _make_dict(machine: _Machine, _: Any) -> None:
    items = _paired(machine)
    machine.push(as_dict(zip(items[::2], items[1::2], strict=True)))


_FIXED: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_CONSTANTS = {
    *_FIXED,
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _protocol,
    "FRAME": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": _Machine.mark,
    "POP": _drop,
    "POP_MARK": _drop_since_mark,
    "DUP": lambda machine, _: machine.push(machine.top()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.push(_numbered(machine, 1)),
    "TUPLE2": lambda machine, _: machine.push(_numbered(machine, 2)),
    "TUPLE3": lambda machine, _: machine.push(_numbered(machine, 3)),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "DICT": _make_dict,
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.fill(list(_numbered(machine, 2))),
    "SETITEMS": lambda machine, _: machine.fill(_paired(machine)),
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda machine, _: machine.put(None),
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": lambda machine, argument: machine.name(argument.replace(" ", ".", 1)),
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}
"""Opcode -> what it does. INST, OBJ, NEWOBJ_EX, PERSID, EXT1..4, BYTEARRAY8 and the buffers are not there."""
