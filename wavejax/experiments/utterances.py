"""Whole utterances of a prepared corpus as the data of an experiment: what recognisers and speakers share."""

import functools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wavejax.data import Corpus
from wavejax.data.utterances import Utterances
from wavejax.experiments.family import Figures
from wavejax.parallel import Strategy

_LOG = logging.getLogger(__name__)


class UtteranceData(ABC):
    """A corpus in batches of a few shapes. A family says which utterances it learns from (`listed`)."""

    config: Any
    corpus: Corpus

    @abstractmethod
    def listed(self, split: str) -> Utterances:
        """The utterances of a split that can be learnt from. Raises ValueError where there are none."""

    @property
    def short_steps(self) -> int:
        """Steps at the beginning that take short utterances only."""
        return 0

    @functools.cache  # noqa: B019  (what is left out is named once)
    def utterances(self, split: str) -> Utterances:
        """What `listed` gives, listed once. Raises ValueError where there are none."""
        return self.listed(split)

    def has(self, split: str) -> bool:
        """Whether a split holds an utterance to learn from; where it holds only others, the log says why."""
        if not self.corpus.has(split):
            return False
        try:
            return bool(self.utterances(split))
        except ValueError as error:
            _LOG.warning("%s", error)
            return False

    def training(self, start_step: int, rows: slice, strategy: Strategy) -> Iterator[Mapping[str, Any]]:
        """Utterances of about equal length, without end."""
        config = self.config
        return self.utterances("train").batches(
            batch_size=config.training.batch_size,
            seed=config.training.seed,
            start_step=start_step,
            rows=rows,
            short_steps=self.short_steps,
            num_threads=config.data.num_threads,
        )

    def held_out(self, split: str, rows: slice) -> Iterator[Mapping[str, Any]]:
        """Every utterance of a split once."""
        return self.utterances(split).once(self.config.training.batch_size, rows)


def utterance_figures(
    config: Any,
    *,
    parameters: int,
    macs_per_frame: int,
    product: Callable[[int], tuple[int, int, int]],
    text: str,
    last: tuple[str, str],
) -> Figures:
    """Figures of an experiment with utterances; those of a step are means over the shapes of batches.

    Args:
        config: has `model`, `spec`, `text`, `buckets` and `training`.
        parameters: how many are trained.
        macs_per_frame: multiplications for a frame of features.
        product: frames of a step -> the typical matrix product (`Figures.product`).
        text: what `info` says of the text spec after the number of its symbols.
        last: a further row for `info`.
    """
    spec, longest = config.spec, config.buckets[-1]
    frames = sum(bucket.num_frames for bucket in config.buckets) // len(config.buckets)
    per_step = config.training.batch_size * frames
    return Figures(
        parameters=parameters,
        macs_per_unit=macs_per_frame,
        unit="frames",
        units_per_second=spec.frame_rate,
        units_per_step=per_step,
        row_units=frames,
        product=product(per_step),
        size=config.model.size,
        rows=(
            ("features", f"{spec.name}: {spec.sample_rate} Hz, hop {spec.hop_length}, {spec.num_channels} channels"),
            ("text", f"{config.text.name}: {len(config.text.symbols)} symbols{text}"),
            ("utterances", f"up to {longest.num_frames / spec.frame_rate:g} s and {longest.num_labels} symbols"),
            last,
        ),
    )


__all__ = ["UtteranceData", "utterance_figures"]
