"""Products from folders, and folders from products."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wavejax.checkpoints import LeafInfo, export_params, fetched, load_any
from wavejax.experiments.config import CorpusConfig
from wavejax.experiments.family import Family
from wavejax.experiments.metadata import (
    Described,
    ExperimentError,
    check_params,
    check_weights,
    metadata,
    read_metadata,
)
from wavejax.experiments.product import Product
from wavejax.experiments.serialization import from_json, to_json
from wavejax.limits import shown

_LOGGER = logging.getLogger(__name__)

VOICES = Path(__file__).parent.parent / "voices"
"""Parameters that ship with the package, one folder each."""

FindFamily = Callable[[Mapping[str, Any], str], Family[Any, Any]]
"""(metadata, where they stand) -> the card of their family."""


class Loaded(NamedTuple):
    """A product and the card of its family."""

    family: Family[Any, Any]
    product: Product[Any]


def voices() -> tuple[str, ...]:
    """Names of the models that ship with the package."""
    return tuple(sorted(folder.name for folder in VOICES.glob("*/") if (folder / "config.json").exists()))


def shipped_folder(path: str | Path) -> Path | None:
    """The folder of the model that ships under this name; None where a folder of the user's own is meant.

    A bare name means what ships, whatever lies in the current folder; "./allison" means the folder. So does a `Path`
    without a directory where such a folder exists, since it cannot hold the "./".
    """
    if str(path) not in voices() or (isinstance(path, Path) and path.exists()):
        return None
    return VOICES / str(path)


def unmistakable(path: str | Path) -> str:
    """How a folder of the user's own is written so that it is not taken for a model that ships: ./allison."""
    return f"./{path}" if str(path) in voices() else str(path)


def load_with_family(path: str | Path, step: int | None, find_family: FindFamily) -> Loaded:
    """A product from a training folder, an exported folder, or the name of a model that ships with the package.

    Args:
        path: the folder, its URL (gs://bucket/run), or a name from `voices()`; see `shipped_folder`.
        step: of a training folder, a particular step; default the newest sound one.
        find_family: knows the families.

    Raises:
        ExperimentError: nothing is there, or its parameters are of another model; CheckpointError: damaged.
    """
    shipped = shipped_folder(path)
    if shipped is not None:
        _note_namesake(str(path))
    folder = shipped or fetched(path, step)
    if not folder.exists():
        names = ", ".join(voices()) or "none are installed"
        raise ExperimentError(f"there is no folder {path}, and no shipped voice of that name ({names})")
    home = folder
    if (folder / "checkpoints").is_dir():
        folder = folder / "checkpoints"
    found: list[tuple[Family[Any, Any], Described]] = []

    def accept(meta: Mapping[str, Any], leaves: Mapping[str, LeafInfo]) -> None:
        """Compare what is declared before an array is read: the folder may be a stranger's, or of another model."""
        family = find_family(meta, str(folder))
        described = read_metadata(meta, family, str(folder))
        if shipped is None:  # to trace a model takes as long as to use it once, and what ships is tested
            check_params(leaves, _param_shapes(family, described.config, str(folder)), str(folder))
        found[:] = [(family, described)]

    loaded = load_any(folder, step, accept=accept)
    [(family, (config, labels))] = found
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), loaded.params)
    check_weights(params, str(folder))
    named = {"step": loaded.step, "source": str(path), "folder": home}
    product = family.product(config=config, params=params, labels=labels, **named)
    return Loaded(family, product)


def _note_namesake(name: str) -> None:
    """Say that a model of the user's own lies here under the name of one that ships, and is not the one in use."""
    if any((Path(name) / own).exists() for own in ("config.json", "checkpoints")):
        _LOGGER.warning("%s is the model that ships with wavejax; that of the folder here is ./%s", name, name)


def _param_shapes(family: Family[Any, Any], config: Any, where: str) -> Any:
    try:
        if family.param_shapes is not None:
            return family.param_shapes(config)
        return jax.eval_shape(family.learner(config).init, jax.random.key(0)).ema_params
    except Exception as error:  # sizes that do not fit each other fail in any layer
        first = shown(str(error).strip().partition("\n")[0], 200)
        raise ExperimentError(f"{where} describes a model that cannot be built: {first}") from error


def of_kind(loaded: Loaded, kind: type[Any], where: str) -> Any:
    """The product, if it is one of that kind. Raises ExperimentError, which says what it is and what to do with it."""
    family, product = loaded
    if not isinstance(product, kind):
        wanted = kind.kind if kind.kind != product.kind else kind.__name__  # vocoders that have likelihoods, say
        raise ExperimentError(
            f"{where} is {_a(product.kind)}, not {_a(wanted)}: use `{family.usage(product.config, where)}`"
        )
    return product


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def averaged(loaded: Sequence[Loaded]) -> Loaded:
    """The first product with the mean of the parameters of all, each counting the same.

    Trainings that started from the same parameters often end around better ones (Wortsman et al. 2022, arXiv
    2203.05482). Raises ExperimentError: one of them is another model.
    """
    first = loaded[0]
    for each in loaded[1:]:
        where = f"{each.product.source} cannot be averaged with {first.product.source}"
        if each.family.name != first.family.name:
            raise ExperimentError(f"{where}: it belongs to the family {each.family.name}")
        if each.product.labels != first.product.labels:
            raise ExperimentError(f"{where}: their speakers or symbols differ")
        shapes = [jax.tree.map(lambda leaf: leaf.shape, one.product.params) for one in (first, each)]
        if shapes[0] != shapes[1]:
            raise ExperimentError(f"{where}: their networks have other sizes; average ends of one kind of training")
    trees = [each.product.params for each in loaded]
    params = jax.tree.map(lambda *leaves: np.mean(np.stack(leaves), axis=0, dtype=np.float32), *trees)
    return first._replace(product=dataclasses.replace(first.product, params=params))


def export_product(
    loaded: Loaded,
    folder: str | Path,
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a product's parameters as a small inference folder, which `wavejax.load` reads; returns the folder.

    Of the corpus only the folder's name is kept. bfloat16 halves the size; `wavejax evaluate` says what it costs.
    `changes` replaces fields of the configuration, such as the temperature of draws for which no other is asked.

    Raises ExperimentError on a field that the family's configuration does not have, ConfigError on a value that the
    field cannot have.
    """
    config = loaded.product.config
    data = config.data
    if isinstance(data, CorpusConfig):
        data = dataclasses.replace(data, corpus=Path(data.corpus).name)
    known = {field.name for field in dataclasses.fields(config)}
    for name in changes or {}:
        if name not in known:
            raise ExperimentError(f"{_a(loaded.product.kind)} has no {name} to export with")
    config = dataclasses.replace(config, data=data)
    if changes:
        config = from_json(type(config), {**to_json(config), **changes})
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.dtype(dtype)), loaded.product.params)
    return export_params(folder, params, metadata(config, loaded.product.labels))
