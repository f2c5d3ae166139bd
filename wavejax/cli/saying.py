"""`wavejax say`: a text as speech."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from tyro.conf import Positional

from wavejax import atomic
from wavejax.audio.files import is_first_part
from wavejax.cli.inputs import InputError
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_file, refusals
from wavejax.cli.sounding import write_blocks
from wavejax.data.texts import MAX_TRANSCRIPT_BYTES, read_text
from wavejax.tasks.families import load
from wavejax.tasks.speaker.product import PITCH, RATE, Speaker, Speech
from wavejax.tasks.vocoder.product import Vocoder
from wavejax.text.transcript_files import SUFFIXES, Format, written
from wavejax.text.transcripts import Transcript, Word

SHIPPED = "shipped"
"""Stands for the recogniser that ships."""
_TEXT_SUFFIXES = (".txt", ".ssml", ".xml")
_FORMATS: dict[str, Format] = {suffix.lower(): form for form, suffix in SUFFIXES.items()}


@dataclass(frozen=True, kw_only=True)
class Say:
    """Say a text.

    Each sentence is said by itself, so it sounds the same alone and inside a text. Without --out or --stream the sound
    goes to VOICE.wav in this folder. With --stream, 16-bit little-endian PCM at the voice's rate goes to standard
    output as soon as it is made. What is said is synthetic: label it so.
    """

    voice: Positional[str]
    """The shipped voice, heart, or a training folder or an exported folder of a speaker."""
    text: Positional[str]
    """What is said: the text itself, a file (NAME.txt, or NAME.ssml), or - for standard input."""
    out: Path | None = None
    """The sound file to write, for example hello.wav."""
    vocoder: str | None = None
    """By which the voice is heard, for example allison; default: the voice's own."""
    rate: Annotated[float, RATE] = 1.0
    """Of speech: 2 is twice as fast."""
    pitch: Annotated[float, PITCH] = 0.0
    """Semitones by which the voice is higher."""
    seed: int = 0
    """Of the vocoder's noise."""
    speaker: str | None = None
    """Name or number, for a voice of several speakers."""
    times: Path | None = None
    """A file for when each word is said: NAME.srt, .vtt (subtitles), .json, .TextGrid (Praat's), or .txt (no times)."""
    stream: bool = False
    """To standard output."""
    play: bool = False
    """Heard while it is made, through aplay, paplay, SoX's play, ffplay, or the Python package sounddevice."""
    check: str | None = None
    """A recogniser listens, and a sentence in which it misses words is said again, up to three times: a shipped model,
    a training folder or an exported folder; without a name the recogniser that ships, or pocketsphinx."""
    overwrite: bool = False
    """Replace files that are there."""


def run_say(arguments: Sequence[str]) -> int:
    """`wavejax say`."""
    example = (
        "wavejax say heart 'Dr. Smith paid $45.50 on Jan. 5th.' --out smith.wav --times smith.srt\n"
        "wavejax say heart story.txt --out story.wav --rate 1.1\n"
        'wavejax say heart "Hello there." --play\n'
        'wavejax say heart "Hello there." --stream | aplay -r 16000 -f S16_LE'
    )
    given = parse(Say, "say", _with_listener(arguments), example=example)
    if given.stream and (given.out is not None or given.times is not None):
        raise UsageError("--stream writes sound to standard output: leave --out and --times out")
    if given.play and (given.stream or given.out is not None or given.times is not None):
        raise UsageError("--play is instead of a file: leave --stream, --out and --times out")
    live = given.stream or given.play
    target = None if live else given.out or Path(f"{Path(given.voice).name}.wav")
    form = None if given.times is None else _form(given.times)
    for path in (target, given.times):
        if path is not None and path.exists() and not (given.overwrite or is_first_part(path)):
            raise InputError(f"{path} is there already: choose another name, or --overwrite")
        check_file(path)
    text = _text(given.text)
    speaker = load(given.voice, kind=Speaker)
    if given.vocoder is not None:
        speaker = speaker.with_vocoder(load(given.vocoder, kind=Vocoder))
    threading.Thread(target=_prepare, args=(speaker,)).start()
    manner: dict[str, Any] = {"seed": given.seed, "rate": given.rate, "pitch": given.pitch, "speaker": given.speaker}
    check = None if given.check is None else _checking(speaker, given.check)
    if target is None:
        sounds = speaker.stream(text, **manner)
        if check is not None:
            sounds = (speech.waveform for speech in check.sentences(text, manner))
        if given.play:
            from wavejax.cli.devices import player

            with player(speaker.sample_rate) as play:
                _pipe(sounds, play)
        else:
            _pipe(sounds, _to_standard_output)
        return 0 if check is None else check.result()
    said = Said()
    sentences = speaker.sentences(text, **manner) if check is None else check.sentences(text, manner)
    code = write_blocks(target, said.sounds(sentences), speaker.sample_rate)
    if code == 0 and given.times is not None and form is not None:
        with refusals():
            atomic.write_text(given.times, written(said.transcript, form))
        print(given.times)
    return code if code or check is None else check.result()


def _checking(speaker: Speaker, listener: str) -> Any:
    """What listens, imported only where it is asked for, as the first sound is waited for."""
    from wavejax.cli.checking import Checking, listener_of

    return Checking(speaker, listener_of(None if listener == SHIPPED else listener, speaker))


def _with_listener(arguments: Sequence[str]) -> list[str]:
    """The arguments, where --check without a name has one."""
    found = list(arguments)
    for place in [place for place, each in enumerate(found) if each == "--check"]:
        if found[place + 1 : place + 2] == [] or found[place + 1].startswith("--"):
            found[place] = f"--check={SHIPPED}"
    return found


def _prepare(speaker: Speaker) -> None:
    """Compile the vocoder while the first sentence is read; errors come again where it is used."""
    with contextlib.suppress(Exception):
        speaker.prepare_vocoder()


def _text(given: str) -> str:
    """What is to be said. Raises InputError or SourceError where a file cannot be read."""
    if given == "-":
        data = sys.stdin.buffer.read(MAX_TRANSCRIPT_BYTES + 1)
        if len(data) > MAX_TRANSCRIPT_BYTES:
            raise InputError(f"standard input holds more than {MAX_TRANSCRIPT_BYTES} bytes: say it in parts")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"standard input is not UTF-8 text ({error}); convert it, e.g. with iconv") from None
    if given.lower().endswith(_TEXT_SUFFIXES) and len(given.split()) == 1:
        if not Path(given).is_file():
            raise InputError(f"there is no file {given}: a text that ends so is written with a space before it")
        return read_text(Path(given), MAX_TRANSCRIPT_BYTES)
    return given


def _form(path: Path) -> Format:
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"--times {path}: the name must end with one of {', '.join(SUFFIXES.values())}")
    return _FORMATS[path.suffix.lower()]


@dataclass
class Said:
    """What has been said so far, without the sound, so that a long text needs the memory of one sentence."""

    words: list[Word] = field(default_factory=list)
    duration: float = 0.0

    def sounds(self, sentences: Iterator[Speech]) -> Iterator[np.ndarray]:
        """The sound of each sentence, whose words are noted."""
        for speech in sentences:
            self.words += [word.later(self.duration) for word in speech.words]
            self.duration += speech.duration
            yield speech.waveform

    @property
    def transcript(self) -> Transcript:
        """When each word is said."""
        return Transcript(words=tuple(self.words), duration=self.duration)


def _pipe(blocks: Iterator[np.ndarray], write: Callable[[bytes], object]) -> None:
    """16-bit samples, each block written as it is made."""
    for block in blocks:
        samples = np.clip(np.round(block.astype(np.float64) * 32768.0), -32768, 32767)
        write(samples.astype("<i2").tobytes())


def _to_standard_output(samples: bytes) -> None:
    sink = cast(BufferedIOBase, sys.stdout.buffer)
    sink.write(samples)
    sink.flush()


COMMANDS: dict[str, Command] = {"say": run_say}
