"""What a checkpoint or an exported folder says of itself, and whether its parameters are those of that model."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import wavejax
from wavejax.experiments.config import ExperimentConfig
from wavejax.experiments.family import Data, Family
from wavejax.experiments.serialization import ConfigError, from_json, to_json
from wavejax.limits import (
    LARGEST_WEIGHT,
    LONGEST_CONTEXT,
    LONGEST_HOP,
    LONGEST_RECEPTIVE_FIELD,
    MOST_SPEAKERS,
    TooLarge,
    check_sizes,
    shown,
)
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

    A configuration is built only once its numbers are within `wavejax.limits`, as the folder may be a stranger's.

    Raises:
        ExperimentError: another family's, a configuration that this version does not understand or whose sizes nothing
            can mean, or labels of another form.
    """
    meta = family.upgraded(meta)
    if meta.get("family") != family.name:
        raise ExperimentError(f"{where} belongs to the family {shown(meta.get('family'))}, not to {family.name!r}")
    try:
        check_sizes(meta.get("config"))
        config = from_json(family.config, meta["config"])
        _check_reach(config)
        return Described(config, _labels(meta.get("labels", {})))
    except (ConfigError, KeyError, TooLarge) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ExperimentError(
            f"{where} was written by wavejax {shown(meta.get('wavejax'))} and this is {wavejax.__version__}: {said}"
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


def _labels(labels: Any) -> dict[str, Any]:
    """The labels of a corpus, whose speakers are names. Raises ConfigError where they are of another form."""
    if not isinstance(labels, dict):
        raise ConfigError(f"labels must be an object with names, got {shown(labels)}")
    speakers = labels.get("speakers", [])
    if not isinstance(speakers, list) or not all(isinstance(name, str) for name in speakers):
        raise ConfigError(f"labels.speakers must be a list of names, got {shown(speakers)}")
    if len(speakers) > MOST_SPEAKERS:
        raise ConfigError(f"labels.speakers has {len(speakers)} names, more than the {MOST_SPEAKERS} that are read")
    return labels


def _check_reach(config: Any) -> None:
    """Raises TooLarge where a model remembers, or conditions on, more than can be meant: several sizes together."""
    limits = {
        "receptive_field": LONGEST_RECEPTIVE_FIELD,
        "lookback": LONGEST_CONTEXT,
        "lookahead": LONGEST_CONTEXT,
        "hop_length": LONGEST_HOP,
    }
    for name, most in limits.items():
        try:
            value = getattr(config.model, name, None)
        except Exception as error:  # as in a constructor: of values that nobody meant
            raise ConfigError(f"the model's {name} cannot be told: {error}") from None
        if value is not None and not 0 <= value <= most:
            raise TooLarge(f"the model's {name} is {shown(value, 30)}, but a file may announce 0 to {most} there")


def check_weights(params: Params, where: str) -> None:
    """Refuse parameters that hold what no training ends with: the message names the leaf.

    Raises ExperimentError where one is not finite, or larger than `limits.LARGEST_WEIGHT`: such a model would make a
    constant of full scale, or noise, and say nothing.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if leaf.size and not max(leaf.max(), -leaf.min()) <= LARGEST_WEIGHT:  # of NaN both are NaN
            bad = leaf[~(np.abs(leaf) <= LARGEST_WEIGHT)]
            raise ExperimentError(
                f"{where} cannot be used: {_name(path)} holds {bad.size} of {leaf.size} values that are not finite or "
                f"beyond {LARGEST_WEIGHT:g}, the first is {bad[0]}. It was damaged, or its training diverged: use an "
                "earlier checkpoint"
            )


def check_params(params: Params, expected: Any, where: str) -> None:
    """Refuse parameters that are not those of the model that the metadata describe: the message names the leaves.

    Args:
        params: what was read, or the leaves that will be, by name (`checkpoints.LeafInfo`).
        expected: shapes as `jax.eval_shape` gives them, in the same tree.
        where: in errors.
    """
    wanted, given = (
        {name: tuple(leaf.shape) for name, leaf in leaves_by_name(tree).items()} for tree in (expected, params)
    )
    for name, leaf in leaves_by_name(params).items():
        if str(leaf.dtype).startswith(("complex", "key<")):
            raise ExperimentError(f"{where} does not hold the model it describes: {shown(name)} is of {leaf.dtype}")
    wrong = [
        f"{name}: expected {wanted.get(name, 'nothing')}, got {given.get(name, 'nothing')}"
        for name in sorted(wanted.keys() | given.keys())
        if wanted.get(name) != given.get(name)
    ]
    if wrong:
        wrong = [each if len(each) < 200 else f"{each[:200]}..." for each in wrong]
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ExperimentError(f"{where} does not hold the model it describes: {'; '.join(wrong[:5])}{more}")


def leaves_by_name(tree: Any) -> dict[str, Any]:
    """A tree's leaves by name, whatever has a shape; of a flat mapping by its own names."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: hasattr(node, "shape"))
    return {_name(path): leaf for path, leaf in leaves}


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(key.key) for key in path)
