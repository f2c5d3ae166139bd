"""A recogniser with two readings of what it hears: letter by letter with attention, and frame by frame with CTC."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num

from wavejax.decoding import Scorer, Search, Spelled, Spike, align, beam_search, text_log_probs
from wavejax.tasks.recognizer.product import Recognizer, program_size
from wavejax.tasks.recognizer.spelling import SpellingRecognizer, spikes_of
from wavejax.text.transcripts import Transcript
from wavejax.types import AnyArray

_CTC = 0.3
"""What CTC's log-probability of a text counts; the speller's counts the rest."""
_LETTERS = 64
"""Texts are padded to a multiple of this, so that few programs are compiled."""


class _Text(NamedTuple):
    labels: tuple[int, ...]
    score: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HybridRecognizer(SpellingRecognizer):
    """A recogniser that spells what a listener hears, whose letters CTC reads as well (Watanabe et al. 2017).

    Greedily it is a recogniser of CTC. A beam takes the best texts of both, and orders them by the sum of the logs of
    both probabilities, of CTC's .3 and of the speller's .7, and by what its words score. The times of words are CTC's.
    """

    config: Any
    """An `AttendSpellRecognizerConfig`, whose module names this class."""

    has_frames: ClassVar[bool] = True
    greedily: ClassVar[str] = Recognizer.greedily
    beam_width: ClassVar[int] = 8

    @functools.cached_property
    def _read(self) -> Callable[[Any, Any, Any], Any]:
        model = self.config.model.build()
        return jax.jit(lambda params, x, count: model.apply({"params": params}, x, count, method="hear"))

    @functools.cached_property
    def _written(self) -> Callable[..., Any]:
        model = self.config.model.build()

        def written(params: Any, memory: Any, labels: Any) -> Any:
            each = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(labels), axis=0), memory)
            return jax.nn.log_softmax(model.apply({"params": params}, each, labels, method="written"))

        return jax.jit(written)

    @property
    def _longest_spelled(self) -> int:
        return round(self.config.piece_seconds * self.config.spec.frame_rate) or self._longest

    log_probs = Recognizer.log_probs
    align = Recognizer.align

    def compile(self, num_samples: int) -> None:
        """Compile the programs that read a recording of `num_samples` samples, unless they are compiled already."""
        frames = max(self.config.spec.num_frames(num_samples), 1)
        size = program_size(min(frames, self._longest))
        if size not in self._compiled:
            self._compiled.add(size)
            whole = np.zeros((size, self.config.spec.num_channels), np.float32)
            piece = whole[: self._longest_spelled]
            self._spelled(piece, self.search.width, 1, longest=1)
            self._by_speller(piece, [()], self.search.width)
            self._log_probs(piece)
            self._log_probs(whole)

    def transcribe(self, waveform: Num[AnyArray, " time"], search: Search | None = None) -> Transcript:
        """What is said in a recording at `sample_rate`: the text, and each word with its time and confidence.

        Args:
            waveform: floating point in [-1, 1], or int16.
            search: its width says how many texts of each reading are compared; 0 reads CTC's most probable symbol of
                each frame; None: as `self.search` says.

        Raises TextError: a hot word that the model does not write.
        """
        chosen = self.search if search is None else search
        read = super().transcribe if chosen.width else functools.partial(Recognizer.transcribe, self)
        return read(waveform, chosen)

    def alternatives(
        self, waveform: Num[AnyArray, " time"], search: Search | None = None, num_best: int = 5
    ) -> list[tuple[str, float]]:
        """The best texts of a recording, each with its score. Args as `transcribe`; a beam has `num_best` at least."""
        chosen, features = search or self.search, self.features(np.asarray(waveform))
        wide = dataclasses.replace(chosen, width=max(chosen.width, num_best))
        found = self._ordered(self._spelled(features, wide.width, wide.width), features, wide)
        return [(self.text.decode(each.labels).strip(), each.score) for each in found[:num_best]]

    def _spikes(self, features: np.ndarray, search: Search | None) -> tuple[Spike, ...]:
        """The best text's labels, when CTC would read them; where it cannot, when the speller looked for them."""
        search = search or self.search
        spelled = self._spelled(features, search.width, search.width)
        if not spelled:
            return ()
        labels = self._ordered(spelled, features, search)[0].labels
        try:
            return align(self._log_probs(features), np.asarray(labels, np.int64)).spikes
        except ValueError:  # more labels than frames
            return next((spikes_of(each) for each in spelled if each.labels == labels), ())

    def _ordered(self, spelled: list[Spelled], features: np.ndarray, search: Search) -> list[_Text]:
        """The texts of both readings, the best first."""
        if not spelled:
            return []
        heard, scorer = self._log_probs(features), search.scorer(self.text)
        found = beam_search(heard, width=search.width, num_best=search.width, scorer=scorer)
        texts = list(dict.fromkeys([*(each.labels for each in spelled), *(each.labels for each in found)]))
        written = {each.labels: each.log_prob for each in spelled if each.ended}
        written |= self._by_speller(features, [labels for labels in texts if labels not in written], search.width)
        scored = []
        for labels, by_ctc in zip(texts, text_log_probs(heard, texts), strict=True):
            words = 0.0 if scorer is None else _added(scorer, labels)
            scored.append(_Text(labels, (1 - _CTC) * written[labels] + _CTC * float(by_ctc) + words))
        return sorted(scored, key=lambda each: (-each.score, each.labels))

    def _by_speller(
        self, features: np.ndarray, texts: list[tuple[int, ...]], width: int
    ) -> dict[tuple[int, ...], float]:
        """Natural log of the speller's probability of each text and its end, by a program for `width` texts."""
        padded = np.zeros((1, program_size(len(features)), features.shape[1]), np.float32)
        padded[0, : len(features)] = features
        memory, _ = self._listen(self._on_device, padded, np.asarray([len(features)], np.int32))
        longest = max(map(len, texts), default=0) // _LETTERS * _LETTERS + _LETTERS
        found = {}
        for first in range(0, len(texts), width):
            some, labels = texts[first : first + width], np.zeros((width, longest), np.int32)
            for row, text in zip(labels, some, strict=False):
                row[: len(text)] = text
            log_probs = np.asarray(self._written(self._on_device, memory, labels), np.float64)
            for each, text in zip(log_probs, some, strict=False):
                found[text] = float(np.sum(each[np.arange(len(text) + 1), [*text, 0]]))
        return found


def _added(scorer: Scorer, labels: tuple[int, ...]) -> float:
    """What a scorer adds to a whole text."""
    state, total = scorer.start(), 0.0
    for label in labels:
        state, added = scorer.extend(state, label)
        total += added
    return total + scorer.end(state)


__all__ = ["HybridRecognizer"]
