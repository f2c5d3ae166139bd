"""A recogniser with two readings of what it hears: letter by letter with attention, and frame by frame with CTC."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Num

from wavejax.decoding import (
    Hypothesis,
    Prefixes,
    Search,
    Spike,
    Step,
    align,
    joint_search,
    no_labels,
    one_label_more,
)
from wavejax.nn.spelling import END
from wavejax.tasks.recognizer.product import Recognizer, program_size
from wavejax.tasks.recognizer.spelling import SpellingRecognizer
from wavejax.text.transcripts import Transcript
from wavejax.types import AnyArray

_CTC = 0.3
"""What CTC's log-probability of a text counts; the speller's counts the rest."""
_LETTER = 1.0
"""Added for each letter: without it a text that leaves words out is often the best one."""
_TRIED = 8
"""Letters that may follow a text: the speller's most probable ones."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HybridRecognizer(SpellingRecognizer):
    """A recogniser that spells what a listener hears, whose letters CTC reads as well (Watanabe et al. 2017).

    Greedily it is a recogniser of CTC. A beam scores each text by both from its first letter on: by the sum of the logs
    of both probabilities, of CTC's .3 and of the speller's .7, by its length and by its words. The times of words are
    CTC's.
    """

    config: Any
    """An `AttendSpellRecognizerConfig`, whose module names this class."""

    has_frames: ClassVar[bool] = True
    greedily: ClassVar[str] = Recognizer.greedily
    beam_width: ClassVar[int] = 8
    word_beam_width: ClassVar[int] = 32

    @functools.cached_property
    def _read(self) -> Callable[[Any, Any, Any], Any]:
        model = self.config.model.build()
        return jax.jit(lambda params, x, count: model.apply({"params": params}, x, count, method="hear"))

    @functools.cached_property
    def _begin(self) -> Callable[..., Any]:
        """(memory and state of one text, CTC's probabilities) -> both of `width` texts, and their prefixes."""

        def begin(one: Any, heard: Any, width: int) -> Any:
            repeated = jax.tree.map(lambda leaf: jnp.repeat(leaf, width, axis=0), one)
            rows = (width, _TRIED)
            prefixes = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*rows, *leaf.shape)), no_labels(heard))
            return *repeated, prefixes

        return jax.jit(begin, static_argnums=2)

    @functools.cached_property
    def _joint_step(self) -> Callable[..., Any]:
        model = self.config.model.build()

        def advance(params: Any, memory: Any, heard: Any, state: Any, prefixes: Any, *given: Any) -> Any:
            rows, columns, last = given
            before = Prefixes(*(leaf[rows, columns] for leaf in prefixes))
            state = jax.tree.map(lambda leaf: leaf[rows], state)
            state, written, _ = model.apply({"params": params}, state, last, memory, method="advance")
            _, tried = lax.top_k(written.at[:, END].set(-jnp.inf), _TRIED)
            longer = one_label_more(heard, before, last, tried)
            by_speller = jnp.take_along_axis(written, tried, axis=1)
            added = (1 - _CTC) * by_speller + _CTC * (longer.begins - before.begins[:, None]) + _LETTER
            ending = (1 - _CTC) * written[:, END] + _CTC * (before.ends - before.begins)
            return state, longer, (tried, added, ending)

        return jax.jit(advance)

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
            self._texts(whole[: self._longest_spelled], self.search, longest=1)
            self._log_probs(whole)

    def transcribe(self, waveform: Num[AnyArray, " time"], search: Search | None = None) -> Transcript:
        """What is said in a recording at `sample_rate`: the text, and each word with its time and confidence.

        Args:
            waveform: floating point in [-1, 1], or int16.
            search: its width says how many texts are followed side by side; 0 reads CTC's most probable symbol of each
                frame; None: as `self.search` says.

        Raises TextError: a hot word that the model does not write.
        """
        chosen = self.search if search is None else search
        read = super().transcribe if chosen.width else functools.partial(Recognizer.transcribe, self)
        return read(waveform, chosen)

    def alternatives(
        self, waveform: Num[AnyArray, " time"], search: Search | None = None, num_best: int = 5
    ) -> list[tuple[str, float]]:
        """The best texts of a recording, each with its score. Args as `transcribe`; a beam has `num_best` at least."""
        chosen = search or self.search
        wide = dataclasses.replace(chosen, width=max(chosen.width, num_best))
        found = self._texts(self.features(np.asarray(waveform)), wide, num_best)
        return [(self.text.decode(each.labels).strip(), each.score) for each in found]

    def _spikes(self, features: np.ndarray, search: Search | None) -> tuple[Spike, ...]:
        """The best text's labels, when CTC would read them."""
        found = self._texts(features, search or self.search)
        return align(self._log_probs(features), np.asarray(found[0].labels, np.int64)).spikes if found else ()

    def _texts(
        self, features: np.ndarray, search: Search, num_best: int = 1, *, longest: int | None = None
    ) -> list[Hypothesis]:
        """The best texts of a piece by both readings, the best first."""
        count, config = len(features), self.config
        if not count:
            return []
        if longest is None:
            longest = int(np.ceil(config.data.labels_per_second * count / config.spec.frame_rate))
        padded = np.zeros((1, program_size(count), features.shape[1]), np.float32)
        padded[0, :count] = features
        one = self._listen(self._on_device, padded, np.asarray([count], np.int32))
        read = self._log_probs(features)
        heard = np.zeros((int(config.model.build().output_frames(len(padded[0]))), read.shape[1]), np.float32)
        heard[:, END] = 1.0  # past the end there are blanks, which change nothing
        heard[: len(read)] = np.exp(read)
        memory, state, prefixes = self._begin(one, heard, search.width)

        def advance(state: Any, rows: np.ndarray, columns: np.ndarray, last: np.ndarray) -> tuple[Any, Step]:
            *state, step = self._joint_step(self._on_device, memory, heard, *state, rows, columns, last)
            return state, Step(*(np.asarray(each) for each in step))

        return joint_search(
            (state, prefixes),
            advance,
            width=search.width,
            longest=longest,
            num_best=num_best,
            scorer=search.scorer(self.text),
            end=END,
        )


__all__ = ["HybridRecognizer"]
