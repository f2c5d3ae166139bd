"""`wavejax play`: an instrument plays notes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional

from wavejax.audio.files import write_audio
from wavejax.audio.notes import midi_number, note_name
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_folder
from wavejax.generation.backends import BackendName
from wavejax.ranges import TEMPERATURE
from wavejax.tasks.families import load
from wavejax.tasks.instrument.playing import MOST_TAKES, NOTE_SECONDS, TAKES, check_length, mix
from wavejax.tasks.instrument.product import Instrument


@dataclass(frozen=True, kw_only=True)
class Play:
    """Play notes with an instrument: one file a note, all of them rendered side by side.

    Notes are names with their octave (C4 is the middle one, F#3, Bb2) or MIDI numbers, which may lie between two keys
    (60.5). With --chord or --every they are also put together, into mix.wav.
    """

    instrument: Positional[str]
    """The shipped instrument, piano, or a training folder or an exported folder of one."""
    notes: Positional[tuple[str, ...]]
    """For example C4 E4 G4."""
    out: Path
    """Folder for <note>.wav; a note that is named twice gets a number."""
    seconds: Annotated[float, NOTE_SECONDS] = 3.0
    """Length of each note, from its stroke to the end of a short fade."""
    chord: bool = False
    """Also all notes at once, as mix.wav."""
    every: Annotated[float | None, NOTE_SECONDS] = None
    """Also one note after the other, so many seconds apart, as mix.wav."""
    seed: int = 0
    """Of the noise: another seed, another stroke of the same key."""
    takes: Annotated[int, MOST_TAKES] = TAKES
    """Draws of each note, of which the most typical is kept; 1 takes what comes, strokes that differ more."""
    voiced: bool = False
    """Correct stroke, tone and level of each key by what was measured beside the recordings; the piano has such a
    voicing."""
    temperature: Annotated[float | None, TEMPERATURE] = None
    """Below 1 more careful, 0 the most probable value throughout. Default: what the instrument was exported with."""
    backend: BackendName = "auto"
    """What runs the model; auto takes the fastest that is installed."""
    overwrite: bool = False
    """Replace files that are there."""


def run_play(arguments: Sequence[str]) -> int:
    """`wavejax play`."""
    example = (
        "wavejax play piano C4 E4 G4 C5 --out sound/ --chord\n"
        "wavejax play piano C4 D4 E4 F4 G4 --out sound/ --every 0.5 --seconds 1.5"
    )
    given = parse(Play, "play", arguments, example=example)
    if given.chord and given.every is not None:
        raise UsageError("--chord strikes all notes at once and --every one after the other: leave one of them out")
    check_length(len(given.notes), given.takes, given.seconds)
    mixed = given.chord or given.every is not None
    targets = [given.out / name for name in (*_names(given.notes), *(["mix.wav"] if mixed else []))]
    there = [path for path in targets if path.exists()]
    if there and not given.overwrite:
        raise UsageError(f"{there[0]} is there already: choose another --out, or --overwrite")
    check_folder(given.out)
    instrument = load(given.instrument, kind=Instrument)
    rate, start = instrument.sample_rate, time.perf_counter()
    options: dict[str, Any] = {"backend": given.backend}
    if given.temperature is not None:
        options["temperature"] = given.temperature
    options |= {"seed": given.seed, "takes": given.takes, "voiced": given.voiced}
    waveforms = instrument.play(given.notes, seconds=given.seconds, **options)
    took = time.perf_counter() - start
    sounds = [*waveforms, *([mix(waveforms, rate, every=given.every or 0.0)] if mixed else [])]
    for path, waveform in zip(targets, sounds, strict=True):
        clipped = write_audio(path, waveform, rate)
        print(f"{path}: {len(waveform) / rate:.2f} s" + (f"; {clipped} samples clipped" if clipped else ""))
    print(f"{waveforms.size / rate:.1f} s of sound in {took:.1f} s, compilation included")
    return 0


def _names(notes: Sequence[str]) -> list[str]:
    """File names: the key's, with cents where a note lies off it, and a number where it comes again."""
    names: list[str] = []
    for note in notes:
        midi = midi_number(note)
        cents = round(100.0 * (midi - round(midi)))
        stem = f"{note_name(midi)}{f'{cents:+d}c' if cents else ''}"
        again = sum(name.partition(".")[0].partition("-take")[0] == stem for name in names)
        names.append(f"{stem}-take{again + 1}.wav" if again else f"{stem}.wav")
    return names


COMMANDS: dict[str, Command] = {"play": run_play}
