"""Presets on the command line: by name, every field of their configuration an option."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import tyro

from wavejax.cli.parsing import UsageError, parse
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.families import Preset, get_preset, presets

RENAMED: Mapping[str, str] = {"--training.audio-every": "--training.exhibit-every"}
"""Options of earlier versions -> today's."""


def chosen_preset(name: str) -> Preset:
    """The experiment of a preset, with its family. Raises UsageError where there is none of that name."""
    try:
        return get_preset(name)
    except ExperimentError as error:
        raise UsageError(str(error)) from None


def preset_names() -> tuple[str, ...]:
    """Names of all presets."""
    return tuple(presets())


def parse_with_config(
    kind: Any, command: str, config: Any, arguments: Sequence[str], *, example: str
) -> tuple[Any, Any]:
    """An instance of the dataclass `kind`, and the configuration with what the arguments override.

    Args:
        kind: a frozen, keyword-only dataclass.
        command: as typed after `wavejax`.
        config: whose values are the defaults.
        arguments: what was typed after the command.
        example: shown in the help.

    Raises:
        UsageError: as `parse`.
    """
    with_config = dataclasses.make_dataclass(
        kind.__name__,
        [("config", Annotated[type(config), tyro.conf.arg(name="")], dataclasses.field(default=config))],
        bases=(kind,),
        frozen=True,
        kw_only=True,
    )
    with_config.__doc__ = kind.__doc__
    given: Any = parse(with_config, command, _todays(arguments), example=example, flag_pairs=True)
    return given, given.config


def _todays(arguments: Sequence[str]) -> list[str]:
    """The arguments with options of earlier versions under today's names."""
    todays = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in RENAMED:
            print(f"note: {name} is called {RENAMED[name]} now", file=sys.stderr)
            argument = f"{RENAMED[name]}{equals}{value}"
        todays.append(argument)
    return todays
