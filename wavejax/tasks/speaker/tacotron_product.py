"""A trained Tacotron 2: a speaker that decides by attention what it says next, and by its gate when it has ended."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from wavejax.experiments.metadata import ExperimentError
from wavejax.generation.noise import split_index, stream_keys
from wavejax.generation.windows import frame_noise
from wavejax.limits import shown
from wavejax.models.tacotron2 import Spoken
from wavejax.tasks.speaker.lines import Line, in_letters
from wavejax.tasks.speaker.product import SMALLEST_SYMBOLS, Manner, Speaker, program_size
from wavejax.text.phonemes import WORD_BOUNDARY
from wavejax.text.published import in_symbols_of
from wavejax.text.transcripts import Word

_LOG = logging.getLogger(__name__)

_SMALLEST_STEPS = 256
"""Of the shortest programs; longer ones double."""
_BACKWARD, _FORWARD = 1, 4
"""Symbols by which attention may go back, or on, from one step to the next, and still read in order."""
_UNREAD = 3
"""Symbols at the end that need not be attended to: marks, which are silent."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attended:
    """One sentence as it was said: what was made, where each step read, and how it ended."""

    mel: Float[np.ndarray, "frames channels"]
    attention: Float[np.ndarray, "steps symbols"]
    """Each row's sum is 1."""
    gates: Float[np.ndarray, " steps"]
    """Probability of each step to be the last one."""
    ended: bool
    """By its gate; else it was cut after `TacotronConfig.most_steps`."""
    frames_per_step: int

    @property
    def path(self) -> Int[np.ndarray, " steps"]:
        """The symbol that each step attends to most."""
        found: np.ndarray = np.argmax(self.attention, axis=1)
        return found

    @property
    def in_order(self) -> bool:
        """Whether it ended, and read all symbols in order: no step back, no leap, no end left unread."""
        path = np.concatenate([[0], self.path])
        moves = np.diff(path)
        reached = path.max() >= self.attention.shape[1] - 1 - _UNREAD
        return bool(self.ended and reached and moves.min() >= -_BACKWARD and moves.max() <= _FORWARD)

    @property
    def ends(self) -> Int[np.ndarray, " symbols"]:
        """The frame with which each symbol ends, increasing: where the furthest symbol so far is a later one."""
        furthest = np.maximum.accumulate(self.path)
        steps = np.searchsorted(furthest, np.arange(self.attention.shape[1]), side="right")
        ends: np.ndarray = np.minimum(steps * self.frames_per_step, len(self.mel))
        return ends


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AttentiveSpeaker(Speaker):
    """A speaker whose model attends. What it says is a function of the text and the seed, which draws the dropout of
    the prenet: another seed is another reading of the sentence.
    """

    def manner(self, **wishes: Any) -> Manner:
        """How something is said. Raises ExperimentError, as `say`, and where it cannot be asked for."""
        how = super().manner(**wishes)
        if how.rate != 1.0 or how.pitch:
            raise ExperimentError(
                f"{self.config.name} decides itself how fast and how high it speaks: leave rate and pitch out, or use "
                "a speaker with durations, such as heart"
            )
        return how

    def mel(
        self, line: Line, manner: Manner | None = None
    ) -> tuple[Float[np.ndarray, "frames channels"], tuple[Word, ...]]:
        """The mel spectrogram float32 [F, channels] of one sentence, and when its words are said."""
        read = self.read(line)
        said = self.attended(read, 0 if manner is None else manner.seed)
        if not said.ended:
            _LOG.warning(
                "%s did not end the sentence %s by itself: it was cut after %.1f s",
                self.config.name,
                shown(" ".join(word.text for word in line.words)),
                len(said.mel) / self.config.spec.frame_rate,
            )
        return self.with_variance(said.mel), read.timed(said.ends, 1 / self.config.spec.frame_rate)

    def durations(self, line: Line, manner: Manner | None = None) -> Int[np.ndarray, " symbols"]:
        """Frames of each symbol of a sentence as the model reads it (`read`), int32, by where it attends."""
        ends = self.attended(self.read(line), 0 if manner is None else manner.seed).ends
        return np.diff(ends, prepend=0).astype(np.int32)

    def read(self, line: Line) -> Line:
        """A line in the model's symbols. Raises ExperimentError where it wishes for what an attentive model cannot."""
        wished = any(rate != 1.0 for rate in line.rates) or any(line.pitches)
        if wished or any(seconds is not None for seconds in line.seconds):
            raise ExperimentError(
                f"the text asks for a rate, a pitch or a pause of a certain length, but {self.config.name} decides "
                "these itself: leave them out, or use a speaker with durations, such as heart"
            )
        config: Any = self.config
        if config.reads == "letters":
            line = in_letters(line)
        if not config.leading_space and line.symbols[0] == WORD_BOUNDARY:
            words = tuple(dataclasses.replace(each, first=each.first - 1, last=each.last - 1) for each in line.words)
            line = dataclasses.replace(line, symbols=line.symbols[1:], words=words)
        return dataclasses.replace(line, symbols=in_symbols_of(config.text, line.symbols))

    def attended(self, line: Line, seed: int = 0) -> Attended:
        """A sentence, with where each step read."""
        return self.attended_all([line], seed)[0]

    def attended_all(self, lines: Sequence[Line], seed: int = 0) -> list[Attended]:
        """Sentences side by side: faster than one after the other, and the same to rounding. All have the seed's noise.

        Args:
            lines: in the model's symbols, see `read`.
            seed: of the prenet's dropout.
        """
        config: Any = self.config
        symbols = [config.text.encode_symbols(line.symbols) for line in lines]
        counts = np.asarray([len(each) for each in symbols], np.int32)
        padded = np.zeros((len(lines), program_size(int(max(counts)), SMALLEST_SYMBOLS)), np.int32)
        for row, each in zip(padded, symbols, strict=True):
            row[: len(each)] = each
        most = [config.most_steps(int(count)) for count in counts]
        limit = program_size(max(most), _SMALLEST_STEPS)
        said = self._speak(self._on_device, padded, counts, split_index(seed), limit)
        return [self._row(said, row, int(counts[row]), most[row]) for row in range(len(lines))]

    def _row(self, said: Spoken, row: int, num_symbols: int, most: int) -> Attended:
        config: Any = self.config
        gates = 1 / (1 + np.exp(-np.asarray(said.gates[row], np.float64)))
        steps = min(int(said.num_steps[row]), most)
        ended = bool(gates[steps - 1] > config.gate_threshold)
        count = config.model.frames_per_step * steps
        return Attended(
            mel=np.asarray(said.mel[row, :count], np.float32),
            attention=np.asarray(said.attention[row, :steps, :num_symbols]),
            gates=gates[:steps].astype(np.float32),
            ended=ended,
            frames_per_step=config.model.frames_per_step,
        )

    @functools.cached_property
    def _speak(self) -> Callable[..., Spoken]:
        config: Any = self.config
        model = config.model.build()

        def speak(params: Any, symbols: Any, counts: Any, seed: Any, most: int) -> Any:
            keys = jnp.broadcast_to(stream_keys(seed, jnp.zeros((1,), jnp.int32)), (symbols.shape[0], 2))
            noise = frame_noise(keys, jnp.zeros((2,), jnp.uint32), most, config.model.noise_size)
            given = (symbols, counts, noise, config.gate_threshold)
            return model.apply({"params": params}, *given, method="speak")

        return jax.jit(speak, static_argnums=4)


__all__ = ["Attended", "AttentiveSpeaker"]
