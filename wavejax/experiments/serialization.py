"""Configurations as JSON: nested frozen dataclasses out and in, by their own annotations.

Where a field may hold one of several dataclasses, the object names its class under "kind_of". Unknown fields and values
of a wrong type are refused by name, so a checkpoint of another version says what it is about.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from wavejax.limits import shown

T = TypeVar("T")

TAG = "kind_of"


class ConfigError(ValueError):
    """A configuration that does not fit its class."""


def to_json(config: Any) -> Any:
    """A JSON-able copy of a dataclass (or of a value inside one)."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = {field.name: to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
        return {TAG: type(config).__name__, **fields}
    if isinstance(config, tuple | list):
        return [to_json(item) for item in config]
    if config is None or isinstance(config, bool | int | float | str):
        return config
    raise ConfigError(f"a value of type {type(config).__name__} has no place in a configuration: {config!r}")


def from_json(cls: type[T], data: Any, where: str = "config") -> T:
    """The inverse of `to_json`; fields that are missing take their defaults.

    Raises:
        ConfigError: an unknown field, a missing one without default, or a value of a wrong type; it says where.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where} must be an object with the fields of {cls.__name__}, got {shown(data)}")
    named = data.get(TAG, cls.__name__)
    if named != cls.__name__:
        other = named if isinstance(named, str) and named.isidentifier() else shown(named)
        raise ConfigError(f"{where} is a {other}, expected a {cls.__name__}")
    hints = typing.get_type_hints(cls)
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - known - {TAG})
    if unknown:
        raise ConfigError(f"{where} has unknown fields {shown(unknown, 200)}; {cls.__name__} has {sorted(known)}")
    values = {name: _value(hints[name], data[name], f"{where}.{name}") for name in known if name in data}
    try:
        return cls(**values)
    except Exception as error:  # values that nobody meant make a constructor's checks fail in any way
        raise ConfigError(f"{where}: {error}") from None


def _value(hint: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _one_of(arguments, data, where)
    if origin is typing.Literal:
        for known in arguments:
            if type(data) is type(known) and data == known:
                return known
        raise ConfigError(f"{where} must be one of {arguments}, got {shown(data)}")
    if origin is tuple:
        if not isinstance(data, list):
            raise ConfigError(f"{where} must be a list, got {shown(data)}")
        element = arguments[0] if len(arguments) == 2 and arguments[1] is ... else None
        kinds = [element] * len(data) if element is not None else list(arguments)
        if len(kinds) != len(data):
            raise ConfigError(f"{where} must have {len(kinds)} entries, got {len(data)}")
        return tuple(
            _value(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, data, strict=True))
        )
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), data, where)
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if isinstance(hint, type) and type(data) is hint:
        return data
    raise ConfigError(f"{where} must be of type {getattr(hint, '__name__', hint)}, got {shown(data)}")


def _one_of(options: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in options:
        return None
    if isinstance(data, Mapping):
        kinds = [typing.cast(type, option) for option in options if dataclasses.is_dataclass(option)]
        classes = {kind.__name__: kind for kind in kinds}
        named = data.get(TAG) or (next(iter(classes)) if len(classes) == 1 else None)
        if not isinstance(named, str) or named not in classes:
            raise ConfigError(f"{where}.{TAG} must be one of {sorted(classes)}, got {shown(named)}")
        return from_json(classes[named], data, where)
    errors = []
    for option in options:
        try:
            return _value(option, data, where)
        except ConfigError as error:
            errors.append(str(error))
    raise ConfigError(f"{where} fits none of its types: {'; '.join(errors)}")
