"""What the data of all composers share: items of scores by split; and batches of whole phrases."""

import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from wavejax.experiments.metadata import ExperimentError
from wavejax.parallel import Strategy


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)


def shuffled(seed: int, number: int, count: int) -> int:
    """The item with a number of one endless list: all of `count`, in another order each time."""
    epoch, slot = divmod(number, count)
    return int(_order(seed, epoch, count)[slot])


class SplitScores(ABC):
    """Pieces or phrases by split. A batch is a pure function of (seed, step)."""

    config: Any

    @property
    @abstractmethod
    def _by_split(self) -> Mapping[str, Sequence[Any]]:
        """What each split holds."""

    @property
    @abstractmethod
    def _wanted(self) -> str:
        """What an item is called where a split has none."""

    @property
    def labels(self) -> Mapping[str, Any]:
        """Nothing: a model remembers no names of its corpus."""
        return {}

    @property
    def speakers(self) -> Sequence[str]:
        """None."""
        return ()

    def has(self, split: str) -> bool:
        """Whether a split holds an item."""
        return bool(self._by_split.get(split))

    def _split(self, split: str) -> Sequence[Any]:
        """The items of a split. Raises ExperimentError where there are none."""
        if not self.has(split):
            there = ", ".join(name for name, items in self._by_split.items() if items) or "nothing"
            raise ExperimentError(f"the corpus has no {self._wanted} in the split {split!r}, it has {there}")
        return self._by_split[split]


class PhraseBatches(SplitScores):
    """Batches of whole phrases, for two players: {"examples": [B, ...], "mask": bool [B]}."""

    @abstractmethod
    def _example(self, phrase: Any) -> np.ndarray:
        """A phrase as it is written, as the model reads it."""

    def _varied(self, phrase: Any, number: int) -> np.ndarray:
        """An example of training; `number` is that of the item in the endless list."""
        del number
        return self._example(phrase)

    def training(self, start_step: int, rows: slice, strategy: Strategy) -> Iterator[Mapping[str, Any]]:
        """Random phrases: the given rows of the global batches from a step on."""
        del strategy
        size, seed, phrases = self.config.training.batch_size, self.config.training.seed, self._split("train")

        def item(number: int) -> np.ndarray:
            return self._varied(phrases[shuffled(seed, number, len(phrases))], number)

        for step in itertools.count(start_step):
            found = np.stack([item(step * size + row) for row in range(*rows.indices(size))])
            yield {"examples": found, "mask": np.ones(len(found), bool)}

    def held_out(self, split: str, rows: slice) -> Iterator[Mapping[str, Any]]:
        """The phrases of a split, one after the other. Rows that fill up the last batch are masked."""
        size, phrases = self.config.training.batch_size, self._split(split)
        for begin in range(0, len(phrases), size):
            numbers = np.arange(begin, begin + size)[rows]
            found = np.stack([self._example(phrases[min(number, len(phrases) - 1)]) for number in numbers])
            yield {"examples": found, "mask": numbers < len(phrases)}


__all__ = ["PhraseBatches", "SplitScores", "shuffled"]
