"""`wavejax transcribe` and `wavejax align`: recordings into text, and text onto recordings."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, cast

import numpy as np
from tyro.conf import Positional

from wavejax import atomic
from wavejax.audio.files import AUDIO_SUFFIXES, read_audio
from wavejax.cli.inputs import InputError, OutputError, list_inputs
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_file, check_folder, refusals
from wavejax.data.texts import MAX_TRANSCRIPT_BYTES, read_text
from wavejax.decoding import Search
from wavejax.ranges import Range
from wavejax.tasks.families import load
from wavejax.tasks.recognizer.aligning import align_corpus
from wavejax.tasks.recognizer.language import read_language_model
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.text.transcript_files import SUFFIXES, Format, written

_PIECE_BYTES = 3200
"""Of a stream: read at a time, a tenth of a second at 16 kHz."""


@dataclass(frozen=True, kw_only=True)
class Transcribe:
    """Write down what recordings say.

    Without --out the text is printed; of several recordings each line begins with its file's name. With --out each
    recording gets a file <name>.<format> there; files that are there already are skipped, so a stopped run goes on.
    With --stream, `-` reads 16-bit little-endian PCM at the model's rate from standard input; each word is printed as
    soon as it is final, and what may still change is shown on standard error.
    """

    model: Positional[str]
    """A training folder or an exported folder of a recogniser."""
    inputs: Positional[tuple[str, ...]]
    """Recordings (WAV, FLAC, ...), folders of them; or - with --stream."""
    out: Path | None = None
    """Folder for <name>.txt, or what the format is called."""
    format: Format = "txt"
    """txt: the words; json: with times and confidences; srt, vtt: subtitles; textgrid: Praat's, words and symbols."""
    beam: Annotated[int | None, Range(0, 1000)] = None
    """Texts that are followed side by side: 16 with a language model or hot words, 8 where a speller and CTC compare
    theirs. 0 reads the most probable symbol of each frame: words as they sound."""
    lm: Path | None = None
    """A language model instead of the model's own (language.arpa.xz in its folder): an ARPA file, or a text (NAME.txt)
    with a sentence on each line, of which one is made."""
    lm_weight: Annotated[float, Range(0, 100)] = Search.weight
    """What the language model counts."""
    word_bonus: Annotated[float, Range(-100, 100)] = Search.word_bonus
    """With a language model: added for each word, which makes up for what the language model takes."""
    new_word: Annotated[float, Range(-1000, 0)] = Search.new_word
    """With a language model: added for each word that it does not know (the natural log of a probability). 0 lets
    new words be as they are heard; -20 hardly writes any."""
    hot_words: tuple[str, ...] = ()
    """Words that are expected."""
    stream: bool = False
    """Standard input to standard output, with a causal model."""
    overwrite: bool = False
    """Make outputs again that are there already."""


@dataclass(frozen=True, kw_only=True)
class Align:
    """Find out when each word of a known text is said in a recording.

    Given a corpus made by `wavejax prepare` instead of a recording and its text, all its transcripts are laid on their
    recordings, and the times of letters (or phonemes) and words go into its alignments.jsonl. A run that was stopped
    goes on; --overwrite begins anew.
    """

    model: Positional[str]
    """A training folder or an exported folder of a recogniser."""
    audio: Positional[Path]
    """A recording of the text, or the folder of a corpus."""
    text: Positional[str | None] = None
    """What is said, or the name of a file that holds it (NAME.txt); of a corpus nothing."""
    out: Path | None = None
    """The file to write; without it the result is printed."""
    format: Format = "json"
    """txt: the words; json: with times and confidences; srt, vtt: subtitles; textgrid: Praat's, words and symbols."""
    overwrite: bool = False
    """Replace the file if it is there."""


def run_transcribe(arguments: Sequence[str]) -> int:
    """`wavejax transcribe`."""
    example = (
        "wavejax transcribe run/ speech.wav\n"
        "wavejax transcribe run/ recordings/ --out texts/ --format srt --lm sentences.txt\n"
        "arecord -t raw -r 16000 -f S16_LE | wavejax transcribe run/ - --stream"
    )
    given = parse(Transcribe, "transcribe", arguments, example=example)
    if given.stream != (given.inputs == ("-",)):
        raise UsageError("--stream and the input - belong together: wavejax transcribe MODEL - --stream")
    searches = given.beam is not None or bool(given.lm or given.hot_words)
    if given.stream and (given.out is not None or given.format != "txt" or searches):
        raise UsageError("--stream prints words as they come: leave --out, --format, --beam, --lm and --hot-words out")
    if given.beam == 0 and (given.lm or given.hot_words):
        raise UsageError("--beam 0 reads words as they sound: leave it out with --lm and --hot-words, or these with it")
    check_folder(given.out)
    recognizer = load(given.model, kind=Recognizer)  # refuses what is none before any input is looked at
    if given.stream:
        return _stream(recognizer, cast(BufferedIOBase, sys.stdin.buffer))
    inputs = list_inputs(given.inputs, AUDIO_SUFFIXES)
    if given.out is None and len(inputs) > 1 and given.format != "txt":
        raise UsageError(f"several recordings as {given.format} need a folder to go to: --out FOLDER")
    search = _search(given, recognizer)
    failed = 0
    for path in inputs:
        target = None if given.out is None else given.out / f"{path.stem}{SUFFIXES[given.format]}"
        if target is not None and target.exists() and not given.overwrite:
            print(f"{target} is there already (--overwrite makes it again)")
            continue
        try:
            _transcribe(recognizer, path, given.format, target, search, named=len(inputs) > 1)
        except OutputError:
            raise  # the next would go the same way
        except ValueError as error:
            failed += 1
            named = "" if path.name in str(error) else f"{path}: "
            print(f"error: {named}{error}", file=sys.stderr)
    return 1 if failed else 0


def _search(given: Transcribe, recognizer: Recognizer) -> Search:
    """How texts are searched. Raises SourceError, NGramError or TextError where a file or a word cannot be used."""
    ngrams = None
    if given.lm is not None:
        ngrams = read_language_model(given.lm, recognizer.text)
    elif given.beam != 0:
        ngrams = recognizer.language_model
    search = recognizer.searched(
        ngrams,
        given.beam,
        weight=given.lm_weight,
        word_bonus=given.word_bonus,
        new_word=given.new_word,
        hot_words=given.hot_words,
    )
    search.scorer(recognizer.text)  # refuses hot words before any recording is read
    return search


def _transcribe(
    recognizer: Recognizer, path: Path, form: Format, target: Path | None, search: Search, *, named: bool
) -> None:
    """Reads one recording and prints or writes what it says."""
    check_file(target)
    waveform, _ = read_audio(path, recognizer.sample_rate)
    start = time.perf_counter()
    transcript = recognizer.transcribe(waveform, search)
    took = time.perf_counter() - start
    if target is None:
        print(f"{path}: {transcript.text}" if named else written(transcript, form).rstrip("\n"))
        return
    _write(target, written(transcript, form))
    print(f"{target}: {len(transcript.words)} words of {transcript.duration:.2f} s in {took:.2f} s")


def _stream(recognizer: Recognizer, source: BufferedIOBase) -> int:
    """16-bit samples from `source`; words to standard output as they become final."""
    said, shown = "", 0
    for heard in recognizer.stream(_pieces(source)):
        if len(heard.final) > len(said):
            print("\r" + " " * shown + "\r", end="", file=sys.stderr, flush=True)
            print(heard.final[len(said) :], end="", flush=True)
            said, shown = heard.final, 0
        if heard.partial:
            print(f"\r{heard.partial}", end="", file=sys.stderr, flush=True)
            shown = len(heard.partial)
    print(flush=True)
    return 0


def _pieces(source: BufferedIOBase) -> Iterator[np.ndarray]:
    """Waveforms int16 [n], as they come; a last odd byte is no sample."""
    left = b""
    while data := source.read1(_PIECE_BYTES):
        data = left + data
        whole = len(data) // 2 * 2
        left = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2").astype(np.int16)


def run_align(arguments: Sequence[str]) -> int:
    """`wavejax align`."""
    example = (
        'wavejax align run/ speech.wav "What is said in it."\n'
        "wavejax align run/ speech.wav speech.txt --format textgrid --out speech.TextGrid\n"
        "wavejax align run/ corpus/"
    )
    given = parse(Align, "align", arguments, example=example)
    if given.audio.is_dir():
        return _align_corpus(given)
    if given.text is None:
        raise UsageError(f"the text of {given.audio} is missing: wavejax align MODEL AUDIO TEXT, or TEXT.txt")
    if given.out is not None and given.out.exists() and not given.overwrite:
        raise InputError(f"{given.out} is there already: choose another name, or --overwrite")
    check_file(given.out)
    recognizer = load(given.model, kind=Recognizer)
    text = given.text
    if text.lower().endswith(".txt"):
        text = " ".join(read_text(Path(text), MAX_TRANSCRIPT_BYTES).split())
    waveform, _ = read_audio(given.audio, recognizer.sample_rate)
    transcript = recognizer.align(waveform, text)
    if given.out is None:
        print(written(transcript, given.format).rstrip("\n"))
        return 0
    _write(given.out, written(transcript, given.format))
    least = min(transcript.words, key=lambda word: word.confidence)
    print(
        f"{given.out}: {len(transcript.words)} words of {transcript.duration:.2f} s; the least sure one is "
        f"{least.text!r} at {least.start:.2f} s, {least.confidence:.2f}"
    )
    return 0


def _align_corpus(given: Align) -> int:
    """Aligns all of a corpus."""
    if given.text is not None or given.out is not None:
        raise UsageError(f"{given.audio} is a folder: a corpus has its own texts, so leave TEXT and --out out")
    recognizer = load(given.model, kind=Recognizer)
    with refusals():
        done = align_corpus(recognizer, given.audio, overwrite=given.overwrite, say=print)
    for name, why in done.left_out.items():
        print(f"{name} is left out: {why}", file=sys.stderr)
    also = f"; {done.before} were there already" if done.before else ""
    print(f"{done.path}: {done.aligned} recordings aligned{also}; {len(done.left_out)} left out")
    return 0


def _write(path: Path, text: str) -> None:
    with refusals():
        atomic.write_text(path, text)


COMMANDS: dict[str, Command] = {"transcribe": run_transcribe, "align": run_align}
