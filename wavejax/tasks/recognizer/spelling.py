"""A recogniser with an attention decoder: it writes letter by letter, looking where it likes in the recording."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num

from wavejax.decoding import Search, Spelled, Spike, spell
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.recognizer.product import Recognizer, program_size
from wavejax.text.transcripts import Transcript
from wavejax.types import AnyArray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SpellingRecognizer(Recognizer):
    """A recogniser that writes one letter after the other. Times of its words are where it looked for their letters."""

    has_frames: ClassVar[bool] = False
    greedily: ClassVar[str] = "the most probable letter after those before it"

    @functools.cached_property
    def _listen(self) -> Callable[[Any, Any, Any], Any]:
        model = self.config.model.build()

        def listen(params: Any, features: Any, count: Any) -> tuple[Any, Any]:
            memory = model.apply({"params": params}, features, count, method="listen")
            return memory, model.apply({"params": params}, memory, method="initial_state")

        return jax.jit(listen)

    @functools.cached_property
    def _spell(self) -> Callable[..., Any]:
        model = self.config.model.build()

        def advance(params: Any, memory: Any, state: Any, rows: Any, labels: Any) -> Any:
            state = jax.tree.map(lambda leaf: leaf[rows], state)
            return model.apply({"params": params}, state, labels, memory, method="advance")

        return jax.jit(advance)

    def log_probs(self, features: AnyArray) -> np.ndarray:
        """Raises ExperimentError: its letters depend on each other, so they have no probabilities frame by frame."""
        raise ExperimentError(f"{self.config.name} {_NO_FRAMES}")

    def compile(self, num_samples: int) -> None:
        """Compile the programs that read a recording of `num_samples` samples, unless they are compiled already."""
        frames = max(self.config.spec.num_frames(num_samples), 1)
        if program_size(frames) not in self._compiled:
            self._compiled.add(program_size(frames))
            self._spelled(np.zeros((frames, self.config.spec.num_channels), np.float32), 1, 1, longest=1)

    def transcribe(self, waveform: Num[AnyArray, " time"], search: Search | None = None) -> Transcript:
        """What is said in a recording at `sample_rate`: the text, and each word with its confidence and rough time.

        Args:
            waveform: floating point in [-1, 1], or int16.
            search: its width says how many texts are followed side by side; None: the most probable letter each time.

        Raises ExperimentError: a search with a language model or hot words.
        """
        signal = np.asarray(waveform)
        features, spikes = self.features(signal), list[Spike]()
        cuts = self.cuts(features, self._longest_spelled)
        for first, piece in zip([0, *cuts], np.split(features, cuts), strict=True):
            place = first // self.config.model.subsampling
            if first:
                spikes.append(Spike(self.text.space, place, place + 1, 0.0))
            spikes += [
                spike._replace(first=spike.first + place, last=spike.last + place)
                for spike in self._spikes(piece, search)
            ]
        return self._transcript(tuple(spikes), len(signal))

    @property
    def _longest_spelled(self) -> int:
        """Frames that are spelled at once, at most."""
        return self._longest

    def _spikes(self, features: np.ndarray, search: Search | None) -> tuple[Spike, ...]:
        """What is written in one piece of a recording."""
        spelled = self._spelled(features, _width(search, 1, self.config.name), 1)
        return spikes_of(spelled[0]) if spelled else ()

    def alternatives(
        self, waveform: Num[AnyArray, " time"], search: Search | None = None, num_best: int = 5
    ) -> list[tuple[str, float]]:
        """The best texts of a recording, each with its score (`wavejax.decoding.Spelled`). Args as `transcribe`."""
        width = max(_width(search, 16, self.config.name), num_best)
        found = self._spelled(self.features(np.asarray(waveform)), width, num_best)
        return [(self.text.decode(each.labels).strip(), each.score) for each in found]

    def align(self, waveform: Num[AnyArray, " time"], text: str) -> Transcript:
        """Raises ExperimentError: attention does not run through a recording in order."""
        raise ExperimentError(f"{self.config.name} {_NO_FRAMES}: align with a model of CTC (listener-16k)")

    def _spelled(self, features: np.ndarray, width: int, num_best: int, *, longest: int | None = None) -> list[Spelled]:
        config, count = self.config, len(features)
        if not count:
            return []
        padded = np.zeros((1, program_size(count), features.shape[1]), np.float32)
        padded[0, :count] = features
        memory, state = self._listen(self._on_device, padded, np.asarray([count], np.int32))
        places = int(config.model.build().output_frames(count))
        if longest is None:
            longest = int(np.ceil(config.data.labels_per_second * count / config.spec.frame_rate))

        def advance(state: Any, rows: np.ndarray, labels: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
            given = np.asarray(rows, np.int32), np.asarray(labels, np.int32)
            state, log_probs, weights = self._spell(self._on_device, memory, state, *given)
            return state, np.asarray(log_probs), np.asarray(weights)[:, :places]

        memory, state = jax.tree.map(lambda leaf: jnp.repeat(leaf, width, axis=0), (memory, state))
        return spell(state, advance, width=width, longest=longest, num_best=num_best)


_NO_FRAMES = "writes letter by letter, and has no letters of single frames"


def _width(search: Search | None, default: int, name: str) -> int:
    if search is None:
        return default
    if search.ngrams is not None or search.hot_words:
        raise ExperimentError(
            f"{name} has learnt spelling itself and takes no language model and no hot words: leave them out, or use a "
            "model of CTC (listener-16k)"
        )
    return max(search.width, 1)


def spikes_of(spelled: Spelled) -> tuple[Spike, ...]:
    """Labels where they were looked for. A place lies not before the one of the label before it."""
    places = np.maximum.accumulate(np.asarray(spelled.places, np.int64))
    return tuple(
        Spike(label, int(place), int(place) + 1, log_prob)
        for label, place, log_prob in zip(spelled.labels, places, spelled.log_probs, strict=True)
    )


__all__ = ["SpellingRecognizer", "spikes_of"]
