"""`wavejax vocode` and `wavejax generate`: a model makes sound."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
from tyro.conf import Positional

from wavejax.audio.conversion import convert_features
from wavejax.audio.feature_range import check_range
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.files import AudioWriteError, check_audio_target, is_first_part, read_audio
from wavejax.audio.orientation import Axes
from wavejax.audio.specs import get_spec
from wavejax.cli.inputs import (
    AUDIO_SUFFIXES,
    FEATURE_SUFFIXES,
    InputError,
    OutputError,
    list_inputs,
    mel_of,
    read_features,
)
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_file, check_folder
from wavejax.cli.sounding import write_blocks
from wavejax.experiments.loading import of_kind
from wavejax.experiments.sound import SoundModel
from wavejax.generation.backends import BackendName
from wavejax.ranges import PROBABILITY_FLOOR, SOUND_SECONDS, TEMPERATURE, Range
from wavejax.tasks.babbler.product import Babbler
from wavejax.tasks.families import load, load_any_family
from wavejax.tasks.vocoder.product import Vocoder


@dataclass(frozen=True, kw_only=True)
class Vocode:
    """Speak recordings or features with a model.

    Recordings (WAV, FLAC, ...) are analysed first; .npy and .npz files hold features, frames or bands first.
    Outputs that are there already are skipped, so a stopped run goes on; Ctrl-C keeps what was made of the current file
    as <name>.partial.wav, which goes once <name>.wav is there. With --stream, `-` reads float32 frames (little endian,
    all bands of one frame after the other) from standard input and writes 16-bit little-endian PCM to standard output
    as soon as it is made.
    """

    model: Positional[str]
    """A training folder, an exported folder, or a shipped voice."""
    inputs: Positional[tuple[str, ...]]
    """Recordings, features, folders of them; or - with --stream."""
    out: Path | None = None
    """Folder for <name>.wav."""
    spec: str | None = None
    """What the features are, if not what the model reads: they are converted where that is exact, or refused."""
    allow_lossy: bool = False
    """Convert features even where something is lost."""
    axes: Literal["auto", "frames-first", "bands-first"] = "auto"
    """Which axis of features comes first, where a square array from elsewhere does not say it."""
    speaker: str | None = None
    """Name or number, for a model of several speakers."""
    seed: int = 0
    """Of the noise: another seed, another reading of the same features."""
    temperature: Annotated[float | None, TEMPERATURE] = None
    """Below 1 more careful, 0 the most probable value throughout. Default: what the voice was exported with, or 1."""
    probability_floor: Annotated[float, PROBABILITY_FLOOR] = 0.0
    """Values less probable than this are never drawn."""
    folds: Annotated[int | Literal["auto"], Range(1, 1000)] = 1
    """Above 1: so many overlapping pieces of each recording at once, faster but with seams; auto chooses."""
    backend: BackendName = "auto"
    """What runs the model; auto takes the fastest that is installed."""
    stream: bool = False
    """Standard input to standard output."""
    overwrite: bool = False
    """Make outputs again that are there already."""


def run_vocode(arguments: Sequence[str]) -> int:
    """`wavejax vocode`."""
    example = (
        "wavejax vocode run/ speech.wav mels/ --out spoken/\n"
        "make_frames | wavejax vocode run/ - --stream | aplay -r 16000 -f S16_LE"
    )
    given = parse(Vocode, "vocode", arguments, example=example)
    if given.stream != (given.inputs == ("-",)):
        raise UsageError("--stream and the input - belong together: wavejax vocode MODEL - --stream")
    if given.stream and given.folds != 1:
        raise UsageError("--folds needs the whole recording and --stream has it in pieces: leave one of them out")
    if given.out is None and not given.stream:
        raise UsageError("say where to: --out FOLDER")
    check_folder(given.out)
    vocoder = load(given.model, kind=Vocoder)  # refuses what is none before any input is looked at
    rate = vocoder.sample_rate
    spec = get_spec(given.spec) if given.spec is not None else None
    if given.stream:
        return _pipe(
            vocoder, given, spec, cast(BufferedIOBase, sys.stdin.buffer), cast(BufferedIOBase, sys.stdout.buffer)
        )
    failed = 0
    warm = False
    for path in list_inputs(given.inputs, (*AUDIO_SUFFIXES, *FEATURE_SUFFIXES)):
        target = Path(given.out or ".") / f"{path.stem}.wav"
        if target.exists() and not (given.overwrite or is_first_part(target)):
            print(f"{target} is there already (--overwrite makes it again)")
            continue
        try:
            if target.resolve() == path.resolve():
                raise InputError(f"{path} would be overwritten by its own reading: choose another --out")
            axes: Axes | None = None if given.axes == "auto" else given.axes
            conditioning = _conditioning(vocoder, path, given.speaker, spec, given.allow_lossy, axes)
            check_file(target, num_bytes=_bytes_of(conditioning, vocoder.spec))
            options: dict[str, Any] = {"temperature": _temperature(given, vocoder)}
            options |= {"probability_floor": given.probability_floor, "backend": given.backend}
            if given.folds == 1:
                warm = warm or _compile(vocoder, conditioning, options)
                blocks = vocoder.blocks(conditioning, seed=given.seed, **options)
            else:
                blocks = _folded(vocoder, conditioning, given, options)
            if code := write_blocks(target, blocks, rate):
                return code
        except (OutputError, AudioWriteError):
            raise  # the next would go the same way
        except ValueError as error:
            failed += 1
            named = "" if path.name in str(error) else f"{path}: "
            print(f"error: {named}{error}", file=sys.stderr)
    return 1 if failed else 0


def _conditioning(
    vocoder: Vocoder,
    path: Path,
    speaker: str | None,
    spec: FeatureSpec | None,
    allow_lossy: bool,
    axes: Axes | None = None,
) -> dict[str, np.ndarray]:
    if path.suffix.lower() in FEATURE_SUFFIXES:
        mel = read_features(path)
        return vocoder.conditioning(mel, speaker=speaker, spec=spec, allow_lossy=allow_lossy, axes=axes)
    if spec is not None and spec != vocoder.spec:
        raise InputError(f"{path} is a recording: --spec {spec.name} is about features (.npy, .npz); leave it out")
    return vocoder.conditioning(mel_of(path, vocoder.spec), speaker=speaker)


def _bytes_of(conditioning: dict[str, np.ndarray], spec: FeatureSpec) -> int:
    """Of the file: 16-bit samples."""
    frames = conditioning.get("local_conditioning")
    return 0 if frames is None else 2 * frames.shape[1] * spec.hop_length


def _compile(vocoder: Vocoder, conditioning: dict[str, np.ndarray], options: dict[str, Any]) -> bool:
    """Make one sample, so that what is timed later is speaking."""
    start = time.perf_counter()
    for _ in vocoder.blocks(conditioning, num_samples=1, **options):
        pass
    print(f"compiled in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return True


def _folded(
    vocoder: Vocoder, conditioning: dict[str, Any], given: Vocode, options: dict[str, Any]
) -> Iterator[np.ndarray]:
    waveform, seams = vocoder.folded(conditioning, folds=given.folds, seed=given.seed, **options)
    merged = sum(seam.is_merged for seam in seams)
    print(f"{len(seams) + 1} folds; {merged} of {len(seams)} seams merged", file=sys.stderr)
    yield waveform


def _temperature(given: "Vocode | Generate", product: SoundModel[Any]) -> float:
    """As asked for, or the voice's own."""
    return product.config.temperature if given.temperature is None else given.temperature


def _pipe(
    vocoder: Vocoder, given: Vocode, spec: FeatureSpec | None, source: BufferedIOBase, sink: BufferedIOBase
) -> int:
    """Frames from `source` to 16-bit samples on `sink`, each block flushed as it is made."""
    given_spec = spec or vocoder.spec
    streamer = vocoder.streamer(
        seed=given.seed,
        speaker=given.speaker,
        temperature=_temperature(given, vocoder),
        probability_floor=given.probability_floor,
        backend=given.backend,
    )
    frame_bytes, rest = 4 * given_spec.n_mels, b""
    while data := source.read1(1 << 16):
        data = rest + data
        count = len(data) // frame_bytes
        rest = data[count * frame_bytes :]
        if not count:
            continue
        frames = np.frombuffer(data[: count * frame_bytes], "<f4").reshape(count, given_spec.n_mels)
        if given_spec != vocoder.spec:
            frames = convert_features(frames, given_spec, vocoder.spec, allow_lossy=given.allow_lossy)
        check_range(frames, vocoder.spec)
        streamer.add_frames(frames[None])
        _write_pcm(sink, streamer.blocks(streamer.available))
    _write_pcm(sink, streamer.blocks(streamer.remaining))
    if rest:
        raise InputError(
            f"standard input ended within a frame: {len(rest)} bytes are left, a frame of {given_spec.name} has "
            f"{frame_bytes} ({given_spec.n_mels} float32)"
        )
    return 0


def _write_pcm(sink: BufferedIOBase, blocks: Iterator[np.ndarray]) -> None:
    for block in blocks:
        samples = np.clip(np.round(block[0].astype(np.float64) * 32768.0), -32768, 32767)
        sink.write(samples.astype("<i2").tobytes())
        sink.flush()


@dataclass(frozen=True, kw_only=True)
class Generate:
    """Make sound with a model that needs no features, or continue a prompt.

    A model that is conditioned on features takes them with --mel; to speak whole recordings use `wavejax vocode`.
    """

    model: Positional[str]
    """A training folder, an exported folder, or a shipped voice."""
    out: Positional[Path]
    """The file to write, .wav or .flac."""
    seconds: Annotated[float | None, SOUND_SECONDS] = None
    """Length; default 3, or as long as --mel lasts."""
    prompt: Path | None = None
    """A recording to continue; it is not part of the output. With --mel, the features cover it first."""
    mel: Path | None = None
    """Features (.npy, .npz) or a recording to take them from, for a conditioned model."""
    spec: str | None = None
    """What the features are, if not what the model reads."""
    axes: Literal["auto", "frames-first", "bands-first"] = "auto"
    """Which axis of features comes first, where a square array from elsewhere does not say it."""
    speaker: str | None = None
    """Name or number, for a model of several speakers."""
    seed: int = 0
    """Of the noise."""
    temperature: Annotated[float | None, TEMPERATURE] = None
    """Below 1 more careful, 0 the most probable value throughout. Default: what the voice was exported with, or 1."""
    overwrite: bool = False
    """Replace the file if it is there."""


def run_generate(arguments: Sequence[str]) -> int:
    """`wavejax generate`."""
    given = parse(Generate, "generate", arguments, example="wavejax generate run/ babble.wav --seconds 5 --seed 1")
    if given.out.exists() and not given.overwrite:
        raise InputError(f"{given.out} is there already: choose another name, or --overwrite")
    check_audio_target(given.out)
    check_file(given.out)
    product, conditioning = _opened(given)
    options: dict[str, Any] = {"temperature": _temperature(given, product)}
    rate = product.sample_rate
    if given.seconds is not None or given.mel is None:
        options["num_samples"] = max(round((3.0 if given.seconds is None else given.seconds) * rate), 1)
    if given.prompt is not None:
        options["prompt"] = read_audio(given.prompt, rate)[0][None]
    _check_length(conditioning, options, product.config.spec)
    with closing(product.blocks(conditioning, seed=given.seed, **options)) as blocks:  # type: ignore[type-var]
        return write_blocks(given.out, blocks, rate)


def _opened(given: Generate) -> tuple[SoundModel[Any], dict[str, Any]]:
    """The model and its conditioning: a babbler, or with --mel a vocoder."""
    if given.mel is not None:
        vocoder = load(given.model, kind=Vocoder)
        spec = get_spec(given.spec) if given.spec is not None else None
        axes: Axes | None = None if given.axes == "auto" else given.axes
        return vocoder, _conditioning(vocoder, given.mel, given.speaker, spec, allow_lossy=False, axes=axes)
    loaded = load_any_family(given.model)
    if isinstance(loaded.product, Vocoder):
        raise InputError(
            f"{loaded.product.config.name} is conditioned on features: give them with --mel, or use `wavejax vocode`"
        )
    babbler: Babbler = of_kind(loaded, Babbler, given.model)
    return babbler, babbler.speaker_conditioning(given.speaker)


def _check_length(conditioning: dict[str, np.ndarray], options: dict[str, Any], spec: FeatureSpec) -> None:
    """Refuse a length that the features do not cover before anything is made."""
    if "local_conditioning" not in conditioning or "num_samples" not in options:
        return
    frames = conditioning["local_conditioning"].shape[1]
    wanted = options["num_samples"] + options["prompt"].shape[1] if "prompt" in options else options["num_samples"]
    if wanted > frames * spec.hop_length:
        raise InputError(
            f"{wanted} samples (prompt included) need {-(-wanted // spec.hop_length)} frames of {spec.hop_length} "
            f"samples, the features have {frames}: ask for at most {frames * spec.hop_length / spec.sample_rate:.2f} "
            "seconds in all, or leave --seconds out"
        )


COMMANDS: dict[str, Command] = {"vocode": run_vocode, "generate": run_generate}
