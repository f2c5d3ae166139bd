"""`wavejax prepare` and `wavejax features`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from wavejax.cli.inputs import AUDIO_SUFFIXES, OutputError, list_inputs, mel_of, write_features
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_folder
from wavejax.data.scores import STEPS_PER_QUARTER
from wavejax.ranges import SHARE, Range


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Turn a folder of recordings into a corpus that `wavejax train` reads.

    SOURCE is any folder of audio, an LJSpeech-style folder (metadata.csv and wavs/), or one folder per
    speaker (--layout speakers). metadata.csv is id|transcript, or says in a first line id|speaker|transcript|split what
    its columns are; splits.csv (id|split) fixes which recordings are held out. A preparation that was stopped goes on
    when the same command is given again. Broken, empty, silent and too-short recordings are skipped and named, and so
    is every row, file and link that matches nothing.

    A folder of MIDI files without recordings becomes a corpus of scores for composers: files of type 0 and 1 are
    rounded to a grid, the options of sound do not apply, and what is damaged is skipped and named. Where a folder has
    both, its recordings are prepared; --layout scores reads the MIDI files instead.
    """

    source: Positional[Path]
    """The folder of recordings."""
    out: Positional[Path]
    """The folder to write."""
    spec: str = "speech-16k"
    """Features, by name: speech-16k, tacotron2, hifi-gan, r9y9-new, ... (an unknown name lists them)."""
    layout: Literal["auto", "ljspeech", "speakers", "folder", "scores"] = "auto"
    normalize: Literal["none", "peak", "loudness"] = "none"
    """Bring every recording to the same peak (0.95) or loudness (-23 LUFS)."""
    trim: bool = False
    """Cut silent beginnings and ends."""
    min_seconds: Annotated[float, Range(0, 3600)] = 0.3
    """Shorter recordings are skipped."""
    validation: Annotated[float, SHARE] = 0.03
    """Part that is held out for validation."""
    test: Annotated[float, SHARE] = 0.03
    """Part that is held out for tests."""
    workers: Annotated[int | None, Range(1, 1024)] = None
    """Processes; default every core."""
    steps_per_quarter: Annotated[int, STEPS_PER_QUARTER] = 4
    """Of MIDI files: the grid, 4 for sixteenths, 12 to hold triplets as well."""
    overwrite: bool = False
    """Replace a corpus that was prepared there with other settings."""


_OF_SOUND = ("spec", "normalize", "trim", "min_seconds", "workers")


def run_prepare(arguments: Sequence[str]) -> int:
    """`wavejax prepare`."""
    given = parse(Prepare, "prepare", arguments, example="wavejax prepare LJSpeech-1.1/ corpus/ --trim")
    from wavejax.data import prepare
    from wavejax.data.prepare_scores import is_score_source

    if given.layout == "scores" or (given.layout == "auto" and is_score_source(given.source)):
        return _prepare_scores(given)
    report = prepare(
        given.source,
        given.out,
        spec=given.spec,
        layout=given.layout,
        normalize=given.normalize,
        trim=given.trim,
        min_seconds=given.min_seconds,
        validation=given.validation,
        test=given.test,
        workers=given.workers,
        overwrite=given.overwrite,
    )
    print(report)
    return 0


def _prepare_scores(given: Prepare) -> int:
    from wavejax.data.prepare_scores import prepare_scores

    plain = Prepare(source=given.source, out=given.out)
    for name in _OF_SOUND:
        if getattr(given, name) != getattr(plain, name):
            raise UsageError(
                f"--{name.replace('_', '-')} is for recordings, and {given.source} is read as MIDI files: leave it out"
            )
    report = prepare_scores(
        given.source,
        given.out,
        steps_per_quarter=given.steps_per_quarter,
        validation=given.validation,
        test=given.test,
        overwrite=given.overwrite,
    )
    print(report)
    return 0


@dataclass(frozen=True, kw_only=True)
class Features:
    """Write the log-mel features of recordings as NumPy files, float32 [frames, n_mels]."""

    audio: Positional[tuple[Path, ...]]
    """Recordings, or folders of them."""
    out: Path
    """Folder for <name>.npy."""
    spec: str = "speech-16k"
    """Features, by name (an unknown name lists them)."""
    overwrite: bool = False
    """Write files again that are there already."""


def run_features(arguments: Sequence[str]) -> int:
    """`wavejax features`."""
    given = parse(Features, "features", arguments, example="wavejax features speech.wav more/ --out mels/")
    from wavejax.audio.specs import get_spec

    spec, failed = get_spec(given.spec), 0
    check_folder(given.out)
    for path in list_inputs(given.audio, AUDIO_SUFFIXES):
        target = given.out / f"{path.stem}.npy"
        if target.exists() and not given.overwrite:
            print(f"{target} is there already (--overwrite writes it again)")
            continue
        try:
            mel = mel_of(path, spec)
            write_features(target, mel)
        except OutputError:
            raise  # the next would go the same way
        except ValueError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        print(f"{target}: {mel.shape[0]} frames of {spec.n_mels} bands, {spec.name}")
    return 1 if failed else 0


COMMANDS: dict[str, Command] = {"prepare": run_prepare, "features": run_features}
