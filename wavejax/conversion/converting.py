"""From a public project's weight file to a model of ours, its parameters and a report of what was done."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

import wavejax
from wavejax.audio import FeatureSpec
from wavejax.checkpoints import export_params
from wavejax.checkpoints.leaves import named_leaves, nested
from wavejax.conversion import hifi_gan, originals, tacotron2, tacotron2_original, vocos
from wavejax.conversion.plan import Plan, Shapes, Source
from wavejax.conversion.reading import WeightFile
from wavejax.conversion.rules import ConversionError, apply_rules
from wavejax.conversion.source import RefusedFile, shown
from wavejax.conversion.tensors import Part
from wavejax.conversion.trials import SYMBOLS
from wavejax.types import Params

SOURCES: tuple[Source, ...] = (
    Source("jik876/hifi-gan", hifi_gan.recognises, hifi_gan.plan, originals.hifi_gan),
    Source("gemelo-ai/vocos", vocos.recognises, vocos.plan, originals.vocos),
    Source("NVIDIA/tacotron2", tacotron2.recognises, tacotron2.plan, tacotron2_original.tacotron2, SYMBOLS),
)
"""The projects whose files are converted, one row each."""

T = TypeVar("T")

_LARGEST_DIFFERENCE = 1e-3
"""Of full scale: more is no rounding, it is another network."""
_PREFIXES = ("module.", "generator.")
"""What may stand before each name: by PyTorch's DataParallel, and where the generator was part of a larger module."""


class Parity(NamedTuple):
    """The converted model beside the source's arithmetic, on random inputs."""

    samples: int
    """Numbers that were compared."""
    largest_difference: float
    """Between the two waveforms, full scale being 1, or the largest sample where that is more; likewise of a mel
    spectrogram, of gates and of attention, each by itself."""
    compared_with: str
    unit: str = "samples"
    """What the numbers are."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What was read, and what became of it."""

    file: str
    """Its name, without the folder."""
    sha256: str
    format: str
    part: str
    """Place in the file of the dict of tensors that was taken; "" is the file's own."""
    title: str
    """What it was recognised as."""
    tensors: int
    used: int
    ignored: Mapping[str, str]
    """Name -> reason."""
    parameters: int
    parity: Parity

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self) | {"ignored": dict(self.ignored), "parity": self.parity._asdict()}


@dataclasses.dataclass(frozen=True, eq=False)
class Converted:
    """A model of ours with the weights of a public project."""

    family: str
    """The family whose card reads it."""
    name: str
    """The preset that it is, or is nearest to."""
    model_config: Any
    """Its `build()` is the model: a `ParallelModel`, or a `Tacotron2`."""
    params: Params
    """float32, nested by name."""
    spec: FeatureSpec
    """The features that it reads, or makes."""
    report: Report
    settings: Mapping[str, Any]
    """Further fields of the family's configuration."""

    def metadata(self) -> dict[str, Any]:
        """JSON-able: what an exported folder says of itself, in the form that family cards read."""
        settings = {name: _described(value) for name, value in self.settings.items()}
        config = {"name": self.name, "model": _described(self.model_config), **settings}
        return {
            "family": self.family,
            "wavejax": wavejax.__version__,
            "config": config,
            "labels": {},
            "conversion": self.report.to_json(),
        }

    def export(self, folder: str | os.PathLike[str]) -> Path:
        """Write an inference folder: parameters, configuration, feature spec and report; returns the folder.

        Raises CheckpointWriteError: the folder holds other things, or cannot be written.
        """
        return export_params(folder, self.params, self.metadata())


def convert(path: str | os.PathLike[str], part: str | None = None) -> Converted:
    """Read the weights of a public project; which one it is, the tensors' names decide.

    Args:
        path: a `.pt`, `.pth`, `.ckpt`, `.bin`, `.safetensors` or `.npz` file; nothing in it is run.
        part: which dict of tensors, by its place in the file; default the only one that is recognised.

    Raises:
        RefusedFile: the file is damaged, hostile, of no project that is known, or holds several models.
        ConversionError: its tensors are not those of the model that their names promise; lists all that does not fit.
        OSError: it cannot be opened.
    """
    where = Path(path).name
    with WeightFile(path) as file:
        chosen, source = _recognised(file, part, str(path))
        plan = _planned(source, _shapes(file.parts[chosen]), str(path))
        arrays = file.read(chosen)
        digest, form = file.sha256(), file.format
    tensors = _plain(arrays)
    model = plan.model.build(precision="highest")
    expected = named_leaves(jax.eval_shape(lambda: source.trial.initial(model, jax.random.key(0))))
    shapes = {name: tuple(leaf.shape) for name, leaf in expected.items()}
    applied = apply_rules(f"{path}, taken for {plan.title},", plan.rules, plan.ignored, tensors, shapes)
    params = nested({name: applied.params[name] for name in shapes})
    parity = _compared(plan, source, model, params, tensors, str(path))
    count = sum(array.size for array in applied.params.values())
    report = Report(where, digest, form, chosen, plan.title, len(tensors), applied.used, applied.ignored, count, parity)
    settings = {"spec": plan.spec} if plan.settings is None else plan.settings
    return Converted(plan.family, plan.name, plan.model, params, plan.spec, report, settings)


def _recognised(file: WeightFile, part: str | None, path: str) -> tuple[str, Source]:
    """The part to convert and the project that it is of."""
    if part is not None and part not in file.parts:
        raise RefusedFile(f"{path}: it has no part {shown(part)}; it has {file.described_parts()}")
    found = [
        (name, source)
        for name, tensors in file.parts.items()
        for source in SOURCES
        if part in (None, name) and source.recognises(_shapes(tensors))
    ]
    if not found:
        largest = max(file.parts if part is None else [part], key=lambda name: len(file.parts[name]))
        names = ", ".join(map(shown, list(file.parts[largest])[:4]))
        raise RefusedFile(
            f"{path}: its tensors are of no project that is known, which are "
            f"{', '.join(source.project for source in SOURCES)}; it has {file.described_parts()}, with names like "
            f"{names}"
        )
    if len(found) > 1:
        raise RefusedFile(f"{path}: it holds several models; choose a part of {', '.join(shown(n) for n, _ in found)}")
    return found[0]


def _planned(source: Source, shapes: Shapes, path: str) -> Plan:
    try:
        return source.plan(shapes)
    except ValueError as error:  # the plan's own refusals, and sizes that no model can have
        raise RefusedFile(f"{path}: {error}") from None


def _shapes(part: Part) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in _plain(part).items()}


def _plain(named: Mapping[str, T]) -> dict[str, T]:
    """Tensors under their names without the prefixes that all of them have."""
    for prefix in _PREFIXES * 2:  # in either order
        if all(name.startswith(prefix) for name in named):
            named = {name.removeprefix(prefix): value for name, value in named.items()}
    return dict(named)


def _compared(plan: Plan, source: Source, model: Any, params: Params, tensors: Mapping[str, Any], path: str) -> Parity:
    """Run both on random inputs. Raises ConversionError where they are two networks."""
    trial = source.trial
    pairs = list(zip(*trial.run(source.original, plan.model, model, params, tensors), strict=True))
    difference = max(_difference(wanted, given) for wanted, given in pairs)
    if not difference <= _LARGEST_DIFFERENCE:
        raise ConversionError(
            f"{path}, taken for {plan.title},",
            [f"its sound differs by {difference:.3g} of full scale from that of the source's arithmetic"],
        )
    against = f"the arithmetic of {source.project} in NumPy, float64, on {trial.inputs}"
    return Parity(sum(wanted.size for wanted, _ in pairs), difference, against, trial.unit)


def _difference(wanted: np.ndarray, given: np.ndarray) -> float:
    scale = max(1.0, float(np.max(np.abs(wanted))))
    return float(np.max(np.abs(given - wanted))) / scale if given.shape == wanted.shape else float("inf")


def _described(value: Any) -> Any:
    """A value as `wavejax.experiments.serialization` writes it, but that inner dataclasses do not name their class."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return list(value) if isinstance(value, tuple) else value
    return {"kind_of": type(value).__name__, **dataclasses.asdict(value)}
