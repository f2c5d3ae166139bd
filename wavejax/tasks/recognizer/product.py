"""A trained recogniser: three lines from installation to text."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from wavejax.audio.waveforms import check_waveform
from wavejax.decoding import GREEDY, Alignment, NGrams, Search, Spike, align, beam_search, greedy, meeting
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.product import Product
from wavejax.tasks.recognizer.config import RecognizerConfig
from wavejax.tasks.recognizer.features import features_of, quiet_cuts
from wavejax.tasks.recognizer.language import own_language_model, read_language_model
from wavejax.tasks.recognizer.transcripts import Heard, transcript_of
from wavejax.text import TextSpec
from wavejax.text.phonemic import in_phonemes
from wavejax.text.transcripts import Transcript, Word
from wavejax.types import AnyArray

_SMALLEST = 256
"""Frames of the shortest program; longer ones have sizes that double, or half-way between."""
_PAUSE = 0.25
"""Seconds without a letter that an alignment leaves between two of them."""
_BETWEEN_UTTERANCES = 0.4
"""Seconds without a letter after which a long recording goes on with another word."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Recognizer(Product[RecognizerConfig]):
    """A model that writes down what it hears. `recognizer.transcribe(waveform).text` is the text of a recording."""

    kind: ClassVar[str] = "recognizer"
    has_frames: ClassVar[bool] = True
    """Whether it has probabilities frame by frame, and so aligns."""
    greedily: ClassVar[str] = "the most probable symbol of each frame"
    """What `transcribe_greedily` reads."""
    beam_width: ClassVar[int] = 0
    """Texts that a search compares where nothing else is asked; 0: none, unless there is a language model."""
    word_beam_width: ClassVar[int] = Search.width
    """The same with a language model or hot words."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.config.spec.sample_rate)

    @property
    def text(self) -> TextSpec:
        """The symbols that it writes."""
        return self.config.text

    @functools.cached_property
    def language_model(self) -> NGrams | None:
        """The language model in its folder (`language.OWN_NAME`), if there is one.

        Raises SourceError or NGramError where it cannot be read.
        """
        path = own_language_model(self.folder)
        return None if path is None else read_language_model(path, self.text)

    @functools.cached_property
    def search(self) -> Search:
        """How texts are searched where nothing else is asked: with its own language model, if it has one."""
        return self.searched(self.language_model)

    def searched(self, ngrams: NGrams | None, width: int | None = None, **words: Any) -> Search:
        """How texts are searched with a language model, by a beam of `width` or of what suits the recogniser.

        `words` are the further fields of `Search`.
        """
        if width is None:
            width = self.word_beam_width if ngrams is not None or words.get("hot_words") else self.beam_width
        return Search(width=width, ngrams=ngrams, **words) if width else GREEDY

    @functools.cached_property
    def _on_device(self) -> Any:
        return jax.tree.map(jnp.asarray, self.params)

    @functools.cached_property
    def _read(self) -> Callable[[Any, Any, Any], Any]:
        model = self.config.model.build()
        return jax.jit(lambda params, features, count: model.apply({"params": params}, features, count))

    @functools.cached_property
    def _advance(self) -> Callable[[Any, Any, Any, Any], Any]:
        model = self.config.model.build()
        return jax.jit(
            lambda params, state, features, count: model.apply(
                {"params": params}, state, features, count, method="advance"
            )
        )

    def features(self, waveform: AnyArray) -> Float[np.ndarray, "frames channels"]:
        """Frames float32 [F, C] of a waveform [T] at `sample_rate`: floating point in [-1, 1], or int16.

        Raises ValueError where it is neither, or not one channel.
        """
        signal = check_waveform(np.asarray(waveform))
        if signal.ndim != 1:
            raise ValueError(f"waveform has shape {signal.shape}; expected one channel, [T]")
        return features_of(signal, self.config.spec)

    def log_probs(self, features: Float[AnyArray, "frames channels"]) -> Float[np.ndarray, "out classes"]:
        """Natural logs of the classes' probabilities, one frame for `config.model.subsampling` of features.

        Features are padded to one of a few sizes, so that few programs are compiled. Unless the model is causal, a
        recording that is longer than its longest batch is read in pieces, which are cut where it is quiet. It holds
        several utterances, with no space between them: half of the probability of the frame before a cut, and of the
        frame in the middle of a pause, goes to a space.
        """
        cuts = self.cuts(features)
        if not cuts:
            return self._log_probs(np.asarray(features))
        read = np.concatenate([self._log_probs(piece) for piece in np.split(np.asarray(features), cuts)])
        ends = np.asarray(cuts) // self.config.model.subsampling - 1
        places = np.union1d(ends, pauses(read, round(_BETWEEN_UTTERANCES / self._seconds_per_frame)))
        spaces = np.where(np.arange(read.shape[1]) == self.text.space, 0.0, -np.inf)
        read[places] = np.logaddexp(read[places], spaces) - np.log(2.0)
        return read

    def cuts(self, features: Float[AnyArray, "frames channels"], longest: int | None = None) -> list[int]:
        """Frames where a recording is cut that is longer than `longest` frames or, by default, the longest batch."""
        if self.config.model.causal:
            return []
        longest = longest or self._longest
        return quiet_cuts(np.asarray(features), self.config.spec, longest, self.config.model.subsampling)

    @property
    def _longest(self) -> int:
        """Frames that are read at once, at most, unless the model is causal."""
        return self.config.buckets[-1].num_frames

    def _log_probs(self, features: np.ndarray) -> np.ndarray:
        count, model = len(features), self.config.model.build()
        if not count:
            return np.zeros((0, self.text.num_classes), np.float32)
        padded = np.zeros((1, program_size(count), features.shape[1]), np.float32)
        padded[0, :count] = features
        read = self._read(self._on_device, padded, np.asarray([count], np.int32))
        return np.array(read[0, : model.output_frames(count)], np.float32)

    def compile(self, num_samples: int) -> None:
        """Makes the program that reads a recording of so many samples, if it is not there yet."""
        frames = max(self.config.spec.num_frames(num_samples), 1)
        size = program_size(frames if self.config.model.causal else min(frames, self._longest))
        if size not in self._compiled:
            self._compiled.add(size)
            self._log_probs(np.zeros((size, self.config.spec.num_channels), np.float32))

    @functools.cached_property
    def _compiled(self) -> set[int]:
        return set()

    def transcribe(self, waveform: Num[AnyArray, " time"], search: Search | None = None) -> Transcript:
        """What is said in a recording at `sample_rate`: the text, and each word with its time and confidence.

        Silence gives an empty text.

        Args:
            waveform: floating point in [-1, 1], or int16.
            search: how texts are searched; None: as `self.search` says.

        Raises TextError: a hot word that the model does not write.
        """
        signal = np.asarray(waveform)
        log_probs = self.log_probs(self.features(signal))
        chosen = self.search if search is None else search
        if not chosen.width:
            return self._transcript(greedy(log_probs), len(signal))
        best = beam_search(log_probs, width=chosen.width, scorer=chosen.scorer(self.text))[0]
        found = align(log_probs, np.asarray(best.labels, np.int64)) if len(log_probs) else Alignment((), 0.0)
        return self._transcript(found.spikes, len(signal))

    def transcribe_greedily(self, waveform: Num[AnyArray, " time"]) -> Transcript:
        """What is said in a recording, by the most probable symbol of each frame: words as they sound."""
        return self.transcribe(waveform, GREEDY)

    def alternatives(
        self, waveform: Num[AnyArray, " time"], search: Search | None = None, num_best: int = 5
    ) -> list[tuple[str, float]]:
        """The best texts of a recording, each with its score: natural log of its probability, and what words add.

        Args and errors as `transcribe`; a beam holds `num_best` texts at least.
        """
        chosen, log_probs = search or self.search, self.log_probs(self.features(np.asarray(waveform)))
        width = max(chosen.width or Search().width, num_best)
        found = beam_search(log_probs, width=width, num_best=num_best, scorer=chosen.scorer(self.text))
        return [(self.text.decode(each.labels).strip(), each.score) for each in found]

    def align(self, waveform: Num[AnyArray, " time"], text: str) -> Transcript:
        """When each word and letter of a known text is said; letters meet unless there is a pause between them.

        Args:
            waveform: a recording at `sample_rate`.
            text: what is said in it, as written; it is normalised as the model's texts were. A model of phonemes takes
                phonemes, or reads the text aloud.

        Raises:
            TextError: a character that the model does not write, or a text without words.
            ExperimentError: the text is longer than what can be said in the recording.
        """
        signal = np.asarray(waveform)
        labels = self.text.labels(in_phonemes(text, self.text))
        if not len(labels):
            raise ExperimentError(f"the text {text!r} holds no words: give the words that are said in the recording")
        try:
            found = align(self.log_probs(self.features(signal)), labels)
        except ValueError as error:
            raise ExperimentError(str(error)) from None
        longest = round(_PAUSE / self._seconds_per_frame)
        return self._transcript(meeting(found.spikes, longest), len(signal))

    def stream(self, pieces: Iterable[Num[AnyArray, " _"]]) -> Iterator[Heard]:
        """What is said, while it is said: for each piece of a waveform [n] at `sample_rate` what was heard so far.

        The last one, after the pieces end, is final as a whole; it is what `transcribe_greedily` gives of all pieces
        together.
        Pieces may have any size.

        Raises:
            ExperimentError: the model hears a whole utterance before it reads.
        """
        if not self.config.model.causal:
            raise ExperimentError(
                f"{self.config.name} hears a whole utterance before it reads, so it cannot stream: use transcribe, or "
                "train a causal model (listener-16k-causal)"
            )
        from wavejax.tasks.recognizer.streaming import Listening

        listening = Listening(self)
        for piece in pieces:
            yield listening.hear(np.asarray(piece))
        yield listening.end()

    def advance(self, state: Any, features: Any, count: int) -> tuple[Any, np.ndarray]:
        """(state, frames [F, C] of which `count` are heard) -> (state, log-probabilities), of a causal model."""
        state, read = self._advance(self._on_device, state, features[None], np.asarray([count], np.int32))
        return state, np.asarray(read[0], np.float32)

    def initial_state(self) -> Any:
        """The state of a causal model before the first frame."""
        return jax.tree.map(jnp.asarray, self.config.model.build().initial_state(1))

    def _transcript(self, spikes: tuple[Spike, ...], num_samples: int) -> Transcript:
        duration = num_samples / self.sample_rate
        return transcript_of(spikes, self.config.text, self._seconds_per_frame, duration)

    @property
    def _seconds_per_frame(self) -> float:
        return float(self.config.model.subsampling * self.config.spec.hop_length / self.sample_rate)


def pauses(log_probs: Float[np.ndarray, "frames classes"], least: int) -> Int[np.ndarray, " pauses"]:
    """The middle frames of the runs of `least` frames or more in which the blank is the most probable class."""
    quiet = np.concatenate([[False], np.argmax(log_probs, axis=1) == 0, [False]])
    begins, ends = np.flatnonzero(~quiet[:-1] & quiet[1:]), np.flatnonzero(quiet[:-1] & ~quiet[1:])
    long = ends - begins >= least
    return (begins[long] + ends[long]) // 2


def program_size(count: int) -> int:
    """The next size of a program, in frames: 256, 384, 512, 768, ..."""
    size = _SMALLEST
    while size < count:
        size = size * 3 // 2 if (size & (size - 1)) == 0 else size // 3 * 4
    return size


__all__ = ["Heard", "Recognizer", "Transcript", "Word", "pauses", "program_size"]
