"""A trained speaker: three lines from a text to speech."""

import dataclasses
import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol, SupportsIndex, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, Int

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.orientation import frames_first
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.product import Product
from wavejax.limits import shown
from wavejax.models.parallel_speaker import Prosody
from wavejax.parallel.compiling import quick_options
from wavejax.ranges import Range
from wavejax.stored_programs import StoredProgram
from wavejax.tasks.speaker.config import VoiceConfig
from wavejax.tasks.speaker.lines import Line, is_mark, lines_of, whole_frames
from wavejax.text.spec import Language
from wavejax.text.transcripts import Symbol, Transcript, Word
from wavejax.types import AnyArray

RATE = Range(0.25, 4)
"""Of speech: 2 is twice as fast."""
PITCH = Range(-24, 24)
"""Semitones."""
SMALLEST_SYMBOLS, SMALLEST_FRAMES = 64, 256
"""Of the shortest programs; longer ones double."""
_LEAD_SECONDS = 0.1
"""Of the silence before the first word that stays."""
_PARAGRAPH_SECONDS = 0.4
"""Of silence between paragraphs, beside that between sentences."""


@runtime_checkable
class MelVocoder(Protocol):
    """What makes a mel spectrogram audible: `wavejax.load("universal")` for instance."""

    @property
    def spec(self) -> FeatureSpec:
        """The features that it reads."""

    def __call__(self, mel: AnyArray, *, seed: SupportsIndex = 0) -> np.ndarray:
        """The waveform [F * hop_length] of features [F, channels]."""

    def stream(self, frames: AnyArray, *, seed: SupportsIndex = 0) -> Iterator[np.ndarray]:
        """The same in blocks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speech:
    """Speech that was made of a text, and when each word of it is said."""

    waveform: Float[np.ndarray, " time"]
    """float32 in [-1, 1]."""
    sample_rate: int
    words: tuple[Word, ...]
    """Each with its phones."""

    @property
    def phones(self) -> tuple[Symbol, ...]:
        """Of all words."""
        return tuple(symbol for word in self.words for symbol in word.symbols)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.waveform) / self.sample_rate

    @property
    def transcript(self) -> Transcript:
        """The words with the duration, as `wavejax.text.transcript_files` writes them."""
        return Transcript(words=self.words, duration=self.duration)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manner:
    """How something is said."""

    rate: float = 1.0
    """2 is twice as fast."""
    pitch: float = 0.0
    """Semitones by which it is higher."""
    seed: int = 0
    """Of the vocoder's noise."""
    speaker: int | None = None
    """Id, where the model tells speakers apart."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Speaker(Product[VoiceConfig]):
    """A model that says texts. `speaker.say("Hello there.").waveform` is the sound.

    Each sentence is said by itself, so it sounds the same alone and inside a text, sample for sample.
    """

    kind: ClassVar[str] = "speaker"

    open_vocoder: Callable[[], Any] | None = None
    """Gives the vocoder by which it is heard; `wavejax.load` sets it."""
    open_other: Callable[[str], Any] | None = None
    """Gives another model by its name or folder, such as a recogniser that listens; `wavejax.load` sets it."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.config.spec.sample_rate)

    @property
    def language(self) -> Language:
        """Of the texts that it reads."""
        return self.config.text.language

    def with_vocoder(self, vocoder: MelVocoder) -> "Speaker":
        """The same speaker, heard through another vocoder. Raises ExperimentError where it reads other features."""
        _check_vocoder(self, vocoder)
        return dataclasses.replace(self, open_vocoder=lambda: vocoder)

    @functools.cached_property
    def vocoder(self) -> MelVocoder:
        """By which it is heard; loaded when it is first used. Raises ExperimentError where there is none."""
        if self.open_vocoder is None:
            raise ExperimentError(
                f"{self.config.name} has no vocoder, so it cannot be heard: load it with wavejax.load, or give it one "
                f'with speaker.with_vocoder(wavejax.load("{self.config.vocoder}"))'
            )
        found = self.open_vocoder()
        _check_vocoder(self, found)
        vocoder: MelVocoder = found
        return vocoder

    def prepare_vocoder(self) -> None:
        """Load and compile the vocoder, so that the first sound is not waited for.

        It may run in another thread while the first sentence becomes a mel spectrogram; whoever needs the vocoder
        meanwhile waits for it. Raises ExperimentError where there is none.
        """
        silence = np.full((1, self.config.spec.num_channels), self.config.losses.quietest, np.float32)
        with self._opening:
            for _ in self.vocoder.stream(silence):
                pass

    @functools.cached_property
    def _opening(self) -> AbstractContextManager[bool]:
        """Held while the vocoder is made ready."""
        return threading.Lock()

    def _ready_vocoder(self) -> MelVocoder:
        with self._opening:
            return self.vocoder

    def say(
        self,
        text: str,
        *,
        seed: int = 0,
        rate: float = 1.0,
        pitch: float = 0.0,
        speaker: str | SupportsIndex | None = None,
    ) -> Speech:
        """A text as speech.

        Args:
            text: in the speaker's language, any number of sentences; how it is read, and what may be said of words and
                pauses in it: `wavejax.text.read_english`, `wavejax.text.read_russian`.
            seed: of the vocoder's noise.
            rate: 0.25 to 4; 2 is twice as fast.
            pitch: -24 to 24 semitones by which the voice is higher.
            speaker: name or id, for a model of several speakers.

        Raises:
            TextError: the text cannot be read.
            ExperimentError: the text has no words; rate, pitch or speaker do not fit; or there is no vocoder.
        """
        return joined(list(self.sentences(text, seed=seed, rate=rate, pitch=pitch, speaker=speaker)))

    def sentences(self, text: str, **manner: Any) -> Iterator[Speech]:
        """The speech of each sentence, as soon as it is made; arguments and errors as `say`."""
        how = self.manner(**manner)
        for line, is_last in said_lines(text, self.language):
            yield self.said(line, how, is_last=is_last)

    def said(self, line: Line, manner: Manner, *, is_last: bool = True) -> Speech:
        """The speech of one line; where it is not the last, a paragraph's end is followed by a pause."""
        mel, words = self.mel(line, manner)
        parts = [self._ready_vocoder()(mel, seed=manner.seed), *self._rest(line, is_last)]
        return Speech(waveform=np.concatenate(parts).astype(np.float32), sample_rate=self.sample_rate, words=words)

    def stream(self, text: str, **manner: Any) -> Iterator[np.ndarray]:
        """The waveform of a text in blocks [n], as they are made; arguments and errors as `say`.

        Put together they are what `say` gives. Memory is needed for one sentence at a time.
        """
        how = self.manner(**manner)
        for line, is_last in said_lines(text, self.language):
            mel, _ = self.mel(line, how)
            yield from self._ready_vocoder().stream(mel, seed=how.seed)
            yield from self._rest(line, is_last)

    def _rest(self, line: Line, is_last: bool) -> list[np.ndarray]:
        """The silence after a paragraph that another one follows."""
        pause = line.ends_paragraph and not is_last
        return [np.zeros(round(_PARAGRAPH_SECONDS * self.sample_rate), np.float32)] if pause else []

    def manner(
        self, *, seed: int = 0, rate: float = 1.0, pitch: float = 0.0, speaker: str | SupportsIndex | None = None
    ) -> Manner:
        """How something is said. Raises ExperimentError, as `say`."""
        for name, value, allowed in (("rate", rate, RATE), ("pitch", pitch, PITCH)):
            if value not in allowed:
                raise ExperimentError(f"{name} must be {allowed}, got {value}")
        return Manner(rate=rate, pitch=pitch, seed=seed, speaker=self._speaker_id(speaker))

    def mel(
        self, line: Line, manner: Manner | None = None
    ) -> tuple[Float[np.ndarray, "frames channels"], tuple[Word, ...]]:
        """The mel spectrogram float32 [F, channels] of one sentence, and when its words are said."""
        how, model, spec = manner or Manner(), self.config.model, self.config.spec
        encoded, prosody, durations = self._said(line, how)
        shift = np.full(durations.shape, how.pitch, np.float32)
        shift[0, : len(line.pitches)] += line.pitches
        shift *= math.log(2) / 12 / model.pitch_spread
        chosen = prosody._replace(voicing=(prosody.voicing > 0).astype(np.float32), log_pitch=prosody.log_pitch + shift)
        count = int(durations.sum())
        decode = self._decoder(program_size(count, SMALLEST_FRAMES))
        mel = np.asarray(decode(self._on_device, encoded, durations, chosen))
        skipped = max(int(durations[0, 0]) - round(_LEAD_SECONDS * spec.frame_rate), 0)
        ends = np.cumsum(durations[0, : len(line.symbols)]) - skipped
        return self.with_variance(mel[0, skipped:count]), line.timed(ends, 1 / spec.frame_rate)

    def with_variance(self, mel: Float[np.ndarray, "frames channels"]) -> Float[np.ndarray, "frames channels"]:
        """A mel spectrogram of a sentence whose bands deviate `config.gv_scale` times as much from their means.

        It is as loud as before: the sentence's energy, summed over frames and bands, stays.
        """
        scale, mean = self.config.gv_scale, mel.mean(axis=0)
        if scale == 1:
            return frames_first(mel)
        varied = mean + scale * (mel - mean)
        louder = np.logaddexp.reduce(2 * varied, axis=None) - np.logaddexp.reduce(2 * mel, axis=None)
        return frames_first(np.maximum(varied - louder / 2, math.log(self.config.spec.floor)))

    def durations(self, line: Line, manner: Manner | None = None) -> Int[np.ndarray, " symbols"]:
        """Frames of each symbol of a sentence, int32, the whole silence at its beginning included."""
        return self._said(line, manner or Manner())[2][0, : len(line.symbols)]

    def _said(self, line: Line, how: Manner) -> tuple[Any, Prosody, Int[np.ndarray, "1 size"]]:
        """The encoded symbols of a sentence, how they are said, and their frames, all padded to a program's size."""
        symbols, count = self.config.text.encode_symbols(line.symbols), len(line.symbols)
        size = program_size(count, SMALLEST_SYMBOLS)
        padded = np.zeros((1, size), np.int32)
        padded[0, :count] = symbols
        speaker = None if how.speaker is None else np.asarray([how.speaker], np.int32)
        encoded, predicted = self._encode(self._on_device, padded, np.asarray([count], np.int32), speaker)
        prosody: Prosody = jax.tree.map(np.asarray, predicted)
        said = np.expm1(prosody.log_durations[0, :count].astype(np.float64))
        said = np.maximum(said, 0) / (how.rate * np.asarray(line.rates or (1.0,)))
        for place, seconds in enumerate(line.seconds):
            if seconds is not None:
                said[place] = seconds * self.config.spec.frame_rate
        least = np.asarray([0.0 if is_mark(symbol) else 1.0 for symbol in line.symbols])
        durations = np.zeros((1, size), np.int32)
        durations[0, :count] = whole_frames(said, least)
        return encoded, prosody, durations

    @functools.cached_property
    def _on_device(self) -> Any:
        return jax.device_put(self.params)  # one by one, each shape would be a program

    @functools.cached_property
    def _encode(self) -> StoredProgram:
        model = self.config.model.build()

        def encode(params: Any, symbols: Any, count: Any, speaker: Any) -> Any:
            return model.apply({"params": params}, symbols, count, speaker, method="encode")

        return StoredProgram(encode, f"speaker encodes {self.config.model!r}", quick_options)

    @functools.cached_property
    def _decoders(self) -> dict[int, StoredProgram]:
        return {}

    def _decoder(self, num_frames: int) -> StoredProgram:
        """What makes the mel of that many frames."""
        if num_frames not in self._decoders:
            model = self.config.model.build()

            def decode(params: Any, encoded: Any, durations: Any, prosody: Prosody) -> Any:
                return model.apply({"params": params}, encoded, durations, prosody, num_frames, method="decode")

            identity = f"speaker decodes {num_frames} frames {self.config.model!r}"
            self._decoders[num_frames] = StoredProgram(decode, identity, quick_options)
        return self._decoders[num_frames]

    def _speaker_id(self, speaker: str | SupportsIndex | None) -> int | None:
        count = self.config.model.num_speakers
        if not count:
            if speaker is not None:
                raise ExperimentError(f"{self.config.name} has one voice, but speaker={speaker!r} was given")
            return None
        known = ", ".join(f"{number}: {name}" for number, name in enumerate(self.speakers)) or f"0 to {count - 1}"
        if speaker in self.speakers:
            return self.speakers.index(str(speaker))
        try:
            number = -1 if speaker is None else int(speaker)
        except ValueError:
            number = -1
        if not 0 <= number < count:
            raise ExperimentError(f"{self.config.name} speaks with several voices: give speaker, one of {known}")
        return number


def _check_vocoder(speaker: Speaker, vocoder: Any) -> None:
    given = getattr(vocoder, "spec", None)
    if not isinstance(given, FeatureSpec) or not speaker.config.spec.sounds_as(given):
        raise ExperimentError(
            f"{speaker.config.name} makes the features {speaker.config.spec.name}, but the vocoder reads "
            f"{getattr(given, 'name', given)}: choose a vocoder of {speaker.config.spec.name}"
        )


def said_lines(text: str, language: Language = "en") -> Iterator[tuple[Line, bool]]:
    """Each line of a text with whether it is the last one. Raises ExperimentError where there is none."""
    lines = lines_of(text, language)
    waiting = next(lines, None)
    if waiting is None:
        raise ExperimentError(f"the text {shown(text)} holds no words to say")
    for line in lines:
        yield waiting, False
        waiting = line
    yield waiting, True


def joined(parts: Sequence[Speech]) -> Speech:
    """One speech after the other as one; `parts` holds at least one."""
    starts = np.cumsum([0.0, *(part.duration for part in parts[:-1])])
    words = [word.later(float(start)) for start, part in zip(starts, parts, strict=True) for word in part.words]
    waveform = np.concatenate([part.waveform for part in parts])
    return Speech(waveform=waveform, sample_rate=parts[0].sample_rate, words=tuple(words))


def program_size(count: int, smallest: int) -> int:
    """The next size of a program: the smallest, or twice, four times, ... it."""
    return max(smallest, 1 << max(count - 1, 0).bit_length())


__all__ = [
    "PITCH",
    "RATE",
    "SMALLEST_FRAMES",
    "SMALLEST_SYMBOLS",
    "Manner",
    "MelVocoder",
    "Speaker",
    "Speech",
    "joined",
    "program_size",
    "said_lines",
]
