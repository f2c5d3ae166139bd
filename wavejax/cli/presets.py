"""Presets on the command line: by name, every field of their configuration an option."""

import dataclasses
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any

import tyro

from wavejax.cli.parsing import UsageError, parse
from wavejax.models.wavenet_presets import PRESETS
from wavejax.tasks.vocoder_config import VocoderConfig, preset, preset_names


def chosen_preset(name: str) -> VocoderConfig:
    """The experiment of a preset. Raises UsageError: no such one, or one that cannot be trained as a vocoder."""
    presets = ", ".join(preset_names())
    if name not in PRESETS:
        near = get_close_matches(name, preset_names(), n=1, cutoff=0.4)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"there is no preset {name!r}{meant}: choose one of {presets}")
    try:
        return preset(name)
    except KeyError as error:
        raise UsageError(f"{error.args[0]}; choose one of {presets}") from None


def parse_with_config(
    kind: Any, command: str, config: VocoderConfig, arguments: Sequence[str], *, example: str
) -> tuple[Any, VocoderConfig]:
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
        [("config", Annotated[VocoderConfig, tyro.conf.arg(name="")], dataclasses.field(default=config))],
        bases=(kind,),
        frozen=True,
        kw_only=True,
    )
    with_config.__doc__ = kind.__doc__
    given: Any = parse(with_config, command, arguments, example=example, flag_pairs=True)
    return given, given.config


def how_to_hear(config: VocoderConfig, where: object) -> str:
    """The command that lets a model be heard."""
    speaker = " --speaker NAME" if config.model.num_speakers else ""
    given = {"play": "C4 --out spoken/", "vocode": "SPEECH.wav --out spoken/", "generate": "SOUND.wav --seconds 5"}
    return f"wavejax {config.command} {where} {given[config.command]}{speaker}"
