"""Hearing piece by piece: features of what has come, and a causal network's state."""

import numpy as np

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.waveforms import check_waveform, scaled
from wavejax.tasks.recognizer.features import features_of
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.recognizer.transcripts import Heard, separator_of
from wavejax.text.spec import BLANK


class StreamedFeatures:
    """Frames of a waveform that comes in pieces: those that `features_of` gives of the whole, as soon as they are sure.

    A frame is sure once all its samples have come. Each piece is analysed together with the few hops of sound before
    it, whose frames are then dropped.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._before = -(-spec.pad_left // spec.hop_length) if spec.pad_left else 0  # hops that a frame looks back
        self._kept = np.zeros(0, np.float32)
        self._first = 0  # hop at which the kept samples begin
        self._made = 0  # frames so far

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The frames [n, C] that these samples complete."""
        self._kept = np.concatenate([self._kept, samples])
        spec = self._spec
        total = self._first * spec.hop_length + len(self._kept)
        sure = (total + spec.pad_left - spec.n_fft) // spec.hop_length + 1
        return self._frames(max(sure, self._made))

    def end(self) -> np.ndarray:
        """The last frames, in which the waveform's end is reflected."""
        total = self._first * self._spec.hop_length + len(self._kept)
        return self._frames(max(self._spec.num_frames(total), self._made))

    def _frames(self, until: int) -> np.ndarray:
        found = np.zeros((0, self._spec.num_channels), np.float32)
        if until > self._made:
            found = features_of(self._kept, self._spec)[self._made - self._first : until - self._first]
            self._made = until
        start = max(self._made - self._before, 0)
        self._kept = self._kept[(start - self._first) * self._spec.hop_length :]
        self._first = start
        return found


class Listening:
    """One stream through a causal recogniser."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._features = StreamedFeatures(recognizer.config.spec)  # type: ignore[arg-type]
        self._state = recognizer.initial_state()
        self._waiting = np.zeros((0, recognizer.config.spec.num_channels), np.float32)
        self._words: list[str] = []
        self._word: list[int] = []
        self._before = BLANK  # the class of the newest frame

    def hear(self, waveform: np.ndarray) -> Heard:
        """What was heard after another piece."""
        samples = scaled(check_waveform(waveform)).astype(np.float32)
        self._waiting = np.concatenate([self._waiting, self._features.push(samples)])
        whole = len(self._waiting) // self._step * self._step
        self._advance(self._waiting[:whole])
        self._waiting = self._waiting[whole:]
        return self._heard(is_last=False)

    def end(self) -> Heard:
        """What was heard in all."""
        self._advance(np.concatenate([self._waiting, self._features.end()]))
        self._close()
        return self._heard(is_last=True)

    @property
    def _step(self) -> int:
        return int(self._recognizer.config.model.subsampling)

    def _advance(self, frames: np.ndarray) -> None:
        """Step by step: one program, whatever the size of the pieces."""
        for first in range(0, len(frames), self._step):
            part = frames[first : first + self._step]
            padded = np.pad(part, ((0, self._step - len(part)), (0, 0)))
            self._state, read = self._recognizer.advance(self._state, padded, len(part))
            for label in np.argmax(read, axis=1).tolist():
                self._take(label)

    def _take(self, label: int) -> None:
        """The class of one more frame, as `greedy` reads it."""
        if label not in (BLANK, self._before):
            if label == self._recognizer.text.space:
                self._close()
            else:
                self._word.append(label)
        self._before = label

    def _close(self) -> None:
        if self._word:
            self._words.append(self._recognizer.text.decode(self._word))
        self._word = []

    def _heard(self, *, is_last: bool) -> Heard:
        text = self._recognizer.text
        between = separator_of(text)
        return Heard(
            final=between.join(self._words), partial=text.decode(self._word), is_last=is_last, separator=between
        )
