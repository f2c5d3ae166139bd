"""What a checkpoint or an exported folder says of itself, and whether its parameters are those of that model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

import wavejax
from wavejax.experiments.config import ExperimentConfig
from wavejax.experiments.family import Data, Family
from wavejax.experiments.serialization import ConfigError, from_json, to_json
from wavejax.types import Params


class ExperimentError(ValueError):
    """Configuration, corpus, checkpoint and product do not fit together; the message says what to change."""


class Described(NamedTuple):
    """What metadata say."""

    config: Any
    """An `ExperimentConfig` of the family."""
    labels: Mapping[str, Any]


def metadata(config: ExperimentConfig, labels: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-able: family, version, configuration with its feature spec (contract 6), and the labels of the corpus."""
    return {
        "family": config.family,
        "wavejax": wavejax.__version__,
        "config": to_json(config),
        "labels": dict(labels),
    }


def read_metadata(meta: Mapping[str, Any], family: Family[Any, Any], where: str) -> Described:
    """The inverse of `metadata`, for a family that is known.

    Raises:
        ExperimentError: another family's, or a configuration that this version does not understand.
    """
    meta = family.upgraded(meta)
    if meta.get("family") != family.name:
        raise ExperimentError(f"{where} belongs to the family {meta.get('family')!r}, not to {family.name!r}")
    try:
        return Described(from_json(family.config, meta["config"]), dict(meta.get("labels", {})))
    except (ConfigError, KeyError) as error:
        raise ExperimentError(
            f"{where} was written by wavejax {meta.get('wavejax')} and this is {wavejax.__version__}: {error}"
        ) from None


def refuse_other_speakers(data: Data, labels: Mapping[str, Any]) -> Data:
    """The data, if its speakers are those that a checkpoint remembers, in their order.

    Raises:
        ExperimentError: others; it prints both lists.
    """
    before, now = list(labels.get("speakers", ())), list(data.labels.get("speakers", ()))
    if before and now and before != now:
        raise ExperimentError(
            f"the model was trained on the speakers {', '.join(map(str, before))}, the corpus has "
            f"{', '.join(map(str, now))}: use the corpus that it was trained on"
        )
    return data


def check_params(params: Params, expected: Any, where: str) -> None:
    """Refuse parameters that are not those of the model that the metadata describe: the message names the leaves.

    Args:
        params: what was read.
        expected: shapes as `jax.eval_shape` gives them, in the same tree.
        where: in errors.
    """
    wanted, given = _shapes(expected), _shapes(params)
    wrong = [
        f"{name}: expected {wanted.get(name, 'nothing')}, got {given.get(name, 'nothing')}"
        for name in sorted(wanted.keys() | given.keys())
        if wanted.get(name) != given.get(name)
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ExperimentError(f"{where} does not hold the model it describes: {'; '.join(wrong[:5])}{more}")


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(key.key) for key in path): tuple(leaf.shape) for path, leaf in leaves}
