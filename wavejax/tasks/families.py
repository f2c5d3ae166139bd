"""The families that ship: one row each, and the doors that know them all."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import jax

from wavejax.experiments.family import Family
from wavejax.experiments.loading import (
    FindFamily,
    Loaded,
    averaged,
    export_product,
    load_with_family,
    of_kind,
    shipped_folder,
    unmistakable,
    voices,
)
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.product import Product
from wavejax.limits import shown
from wavejax.models.wavenet_presets import PRESETS
from wavejax.tasks.upgrades import upgraded
from wavejax.training import Hook, Logger, TrainState

FAMILIES: Mapping[str, str] = {
    "vocoder": "wavejax.tasks.vocoder.wavenet",
    "wavernn": "wavejax.tasks.vocoder.wavernn",
    "vocos": "wavejax.tasks.vocoder.vocos",
    "published-vocos": "wavejax.tasks.vocoder.published_vocos",
    "hifi-gan": "wavejax.tasks.vocoder.hifi_gan",
    "babbler": "wavejax.tasks.babbler.family",
    "instrument": "wavejax.tasks.instrument.family",
    "recognizer": "wavejax.tasks.recognizer.conv_ctc",
    "deep-speech": "wavejax.tasks.recognizer.deep_speech",
    "listen-attend-spell": "wavejax.tasks.recognizer.listen_attend_spell",
    "attend-spell": "wavejax.tasks.recognizer.attend_spell",
    "composer": "wavejax.tasks.composer.family",
    "musegan": "wavejax.tasks.composer.musegan",
    "published-musegan": "wavejax.tasks.composer.published_musegan",
    "speaker": "wavejax.tasks.speaker.family",
    "tacotron": "wavejax.tasks.speaker.tacotron",
}
"""Name -> the module whose `FAMILY` is the card; strings, so that nothing is imported before it is asked for."""

P = TypeVar("P", bound=Product[Any])


def get_family(name: str) -> Family[Any, Any]:
    """The card of a family that ships. Raises ExperimentError, which lists them."""
    if name not in FAMILIES:
        raise ExperimentError(
            f"no family that ships is called {name!r}: there are {', '.join(FAMILIES)}. For one of your own pass "
            "its card (family=...)"
        )
    card: Family[Any, Any] = importlib.import_module(FAMILIES[name]).FAMILY
    return card


def finder(family: Family[Any, Any] | None = None) -> FindFamily:
    """How metadata find their family's card: among those that ship, and one's own."""

    def find(meta: Mapping[str, Any], where: str) -> Family[Any, Any]:
        name = upgraded(meta).get("family")
        if not isinstance(name, str):
            raise ExperimentError(f"{where} does not say of which family it is, but {shown(name)}")
        if family is not None and name == family.name:
            return family
        if name not in FAMILIES:
            raise ExperimentError(
                f"{where} belongs to the family {shown(name)}; those that ship are {', '.join(FAMILIES)}. Load one of "
                "your own with its card: wavejax.load(..., family=CARD)"
            )
        return get_family(str(name))

    return find


class Preset(NamedTuple):
    """A complete experiment by name, and the card of its family."""

    family: Family[Any, Any]
    config: Any


def presets() -> dict[str, Preset]:
    """All experiments that ship, by name."""
    families = [get_family(name) for name in FAMILIES]
    return {name: Preset(family, config) for family in families for name, config in sorted(family.presets.items())}


def get_preset(name: str) -> Preset:
    """The experiment called `name`, with its family. Raises ExperimentError, which lists the names."""
    found = presets()
    if name in PRESETS and name not in found:
        raise ExperimentError(
            f"{name!r} is conditioned on learned features that no spec describes, so no family trains it: import it as "
            f"a library model (wavejax.models.wavenet_presets), or choose one of {', '.join(found)}"
        )
    if name not in found:
        near = get_close_matches(name, found, n=1, cutoff=0.4)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ExperimentError(f"there is no preset {name!r}{meant}: choose one of {', '.join(found)}")
    return found[name]


def preset(name: str) -> Any:
    """The experiment called `name`: a frozen configuration; `dataclasses.replace` makes another.

    Raises ExperimentError, which lists the names.
    """
    return get_preset(name).config


def load_any_family(path: str | Path, step: int | None = None, family: Family[Any, Any] | None = None) -> Loaded:
    """A product and the card of its family; arguments as in `load`."""
    found = load_with_family(path, step, finder(family))
    return found._replace(product=found.family.completed(found.product, load))


def load(
    path: str | Path,
    step: int | None = None,
    *,
    kind: type[P] = Product,  # type: ignore[assignment]
    family: Family[Any, Any] | None = None,
) -> P:
    """A trained model from a training folder, an exported folder, or the name of one that ships with the package.

    Args:
        path: the folder, its URL (gs://bucket/run), or a name from `wavejax voices`. The bare name of a model that
            ships means that model; a folder of the same name is written "./allison".
        step: of a training folder, a particular step; default the newest sound one.
        kind: what is expected: `Vocoder`, `Instrument`, `Babbler`, ...
        family: the card of a family that does not ship.

    Raises:
        ExperimentError: nothing is there, or another kind; the message says which command suits it.
        CheckpointError: damaged.
    """
    where = str(path) if shipped_folder(path) else unmistakable(path)
    product: P = of_kind(load_any_family(path, step, family), kind, where)
    return product


def export(
    source: str | Path,
    folder: str | Path,
    step: int | None = None,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    temperature: float | None = None,
    changes: Mapping[str, Any] | None = None,
    average_with: Sequence[str | Path] = (),
    family: Family[Any, Any] | None = None,
) -> Path:
    """Write the averaged parameters of a training folder as a small inference folder that `wavejax.load` reads.

    Of the corpus only the folder's name is kept. bfloat16 halves the size; `wavejax evaluate` says what it costs.
    `temperature` becomes that of all draws for which no other is asked; `changes` are further fields of the
    configuration and their new values. The parameters of the folders of `average_with` count as much as its own.

    Raises ExperimentError where the model has no such field or a folder holds another model, ConfigError where a field
    cannot have such a value.
    """
    heat = {} if temperature is None else {"temperature": temperature}
    changes = {**(changes or {}), **heat}
    loaded = [load_any_family(source, step, family), *(load_any_family(each, None, family) for each in average_with)]
    return export_product(averaged(loaded), folder, dtype=dtype, changes=changes)


def train_and_evaluate(
    config: Any,
    workdir: str | Path,
    *,
    family: Family[Any, Any] | None = None,
    init_from: str | Path | None = None,
    corpus: Any = None,
    console: Logger | None = None,
    loggers: Iterable[Logger] = (),
    hooks: Iterable[Hook] = (),
    devices: Sequence[jax.Device] | None = None,
) -> TrainState:
    """Train `config` in `workdir` until `config.training.num_steps`, resuming from its newest sound checkpoint.

    The batches, dropout masks and averages of a resumed run are those of one that was never stopped.

    Under `wavejax.parallel.initialize_processes` every process makes the same call, with the same arguments and a
    workdir that all of them see: each draws its own rows of the global batch, all of them write the checkpoints, and
    process 0 alone logs. A run may go on with another number of processes or devices.

    Args:
        config: the experiment, e.g. `wavejax.preset("speech-16k")`.
        workdir: holds `checkpoints/`, `metrics.jsonl` and TensorBoard's `events/`; shared by all processes. Or the URL
            of a bucket, e.g. "gs://bucket/run": checkpoints and metrics go there from process 0, by way of a folder in
            ~/.cache/wavejax (or $WAVEJAX_CACHE) that also holds the rest.
        family: the card of a family that does not ship; default that of the configuration.
        init_from: start from these parameters (a training folder, an export or a voice) where the workdir has no
            checkpoint yet; speakers that are new keep their fresh rows.
        corpus: use this one, which is open already, instead of the one that the configuration names.
        console: progress, on process 0; default a bar on the terminal.
        loggers: further ones; on process 0 they get what TensorBoard gets.
        hooks: further ones.
        devices: train on these; default all of them.

    Returns:
        The last state, on the devices.

    Raises:
        ValueError: among others, a batch that the devices do not divide.
        ExperimentError, SpecMismatch, CheckpointError: see their messages.
        LockedError: another training works in the folder.
        NonFiniteError: loss or gradient stopped being finite; names step, examples and last good checkpoint.
    """
    from wavejax.experiments.running import train  # here, because whoever only loads a model needs no training

    return train(
        get_family(config.family) if family is None else family,
        config,
        workdir,
        find_family=finder(family),
        init_from=init_from,
        corpus=corpus,
        console=console,
        loggers=loggers,
        hooks=hooks,
        devices=devices,
    )


__all__ = [
    "FAMILIES",
    "Preset",
    "export",
    "finder",
    "get_family",
    "get_preset",
    "load",
    "load_any_family",
    "preset",
    "presets",
    "train_and_evaluate",
    "voices",
]
