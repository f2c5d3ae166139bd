"""`wavejax compose`: a composer writes a piece, as MIDI, sound, picture and page."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional

from wavejax.cli.inputs import InputError
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_file
from wavejax.data.keys import parse_key
from wavejax.data.players import NotePlayer, Sine
from wavejax.data.scores import TEMPOS, Score
from wavejax.data.soundfonts import SoundFont
from wavejax.ranges import TEMPERATURE, Range
from wavejax.tasks.composer.product import MOST_BARS, TAKES, Composer
from wavejax.tasks.composer.publishing import ENDINGS, publish
from wavejax.tasks.families import load
from wavejax.tasks.instrument.product import Instrument


@dataclass(frozen=True, kw_only=True)
class Compose:
    """Compose a piece: TUNE.mid, TUNE.wav, TUNE.png (a piano roll) and TUNE.html (a page with all of them).

    Freely, or around the voices of a MIDI file: one track is a melody, which is harmonised; tracks called soprano,
    alto, tenor and bass are those voices; all four of them are a beginning, which --bars continues.
    """

    model: Positional[str]
    """The shipped composer, chorales, or a training folder or an exported folder of one."""
    out: Path
    """TUNE: the files' common beginning."""
    bars: Annotated[int | None, Range(1, MOST_BARS)] = None
    """How many bars. Default: those of --given, or 16."""
    tempo: Annotated[float | None, TEMPOS] = None
    """Quarter notes a minute. Default: that of --given, or 90."""
    given: Path | None = None
    """A MIDI file whose notes are kept."""
    key: str | None = None
    """What the composer aims at: G, Bb major, F# minor or Em. Default: that of --given, or any."""
    seed: int = 0
    """Another seed, another piece."""
    temperature: Annotated[float | None, TEMPERATURE] = None
    """Below 1 more careful with pitches, and a little with the rhythm; 0 takes what is most probable throughout.
    Default: what the composer was exported with."""
    takes: Annotated[int, TAKES] = 1
    """Compose as many pieces, and keep the one that the composer finds most probable."""
    instrument: str = "piano"
    """What plays it: piano, the one that ships; sine, which takes no time; or a file of yours, a SoundFont (.sf2)."""
    overwrite: bool = False
    """Replace files that are there."""


def run_compose(arguments: Sequence[str]) -> int:
    """`wavejax compose`."""
    example = (
        "wavejax compose chorales --out tune --bars 16 --key G --seed 1\n"
        "wavejax compose chorales --out hymn --given melody.mid --tempo 80"
    )
    given = parse(Compose, "compose", arguments, example=example)
    targets = [given.out.with_name(f"{given.out.name}{ending}") for ending in ENDINGS]
    there = [path for path in targets if path.exists()]
    if there and not given.overwrite:
        raise UsageError(f"{there[0]} is there already: choose another --out, or --overwrite")
    for path in targets:
        check_file(path)
    key = None if given.key is None else _key(given.key)
    player = _player(given.instrument)
    composer = load(given.model, kind=Composer)
    kept = _read(given.given, composer)
    start, pieces = time.perf_counter(), []
    heat, takes = given.temperature, given.takes
    for codes in composer.bars(given.bars, given=kept, key=key, seed=given.seed, temperature=heat, takes=takes):
        pieces.append(codes)
        print(f"\rbar {len(pieces)}", end="", file=sys.stderr, flush=True)
    print("", file=sys.stderr)
    score = composer.score_of(np.concatenate(pieces), given=kept, tempo=given.tempo)
    took = time.perf_counter() - start
    written = publish(score, given.out, player, facts=_facts(given, composer, score))
    seconds = time.perf_counter() - start - took
    for path in written:
        print(path)
    print(f"{score.num_bars} bars in {took:.1f} s, {score.seconds:.0f} s of sound in {seconds:.1f} s")
    return 0


def _player(name: str) -> NotePlayer:
    if name == "sine":
        return Sine()
    if name == "piano":
        return load("piano", kind=Instrument)
    if Path(name).suffix.lower() not in (".sf2", ".sf3"):
        raise UsageError(f"--instrument: {name!r} is neither piano nor sine nor a SoundFont (.sf2, .sf3)")
    return SoundFont(name)


def _key(text: str) -> str:
    try:
        return parse_key(text)
    except ValueError as error:
        raise UsageError(f"--key: {error}") from None


def _read(path: Path | None, composer: Composer) -> Score | None:
    if path is None:
        return None
    if not path.is_file():
        raise InputError(f"{path} is no file: --given takes a MIDI file")
    return Score.from_midi(path, composer.config.model.steps_per_beat)


def _facts(given: Compose, composer: Composer, score: Score) -> dict[str, str]:
    """What the page says of the piece."""
    facts = {"composer": given.model, "seed": str(given.seed), "tempo": f"{score.tempo:g} quarter notes a minute"}
    if given.given is not None:
        facts["given"] = given.given.name
    if score.key is not None:
        facts["key"] = score.key
    heat = composer.config.temperature if given.temperature is None else given.temperature
    if given.takes > 1:
        facts["takes"] = f"the most probable of {given.takes}"
    return {**facts, "temperature": f"{heat:g}", "instrument": given.instrument}


COMMANDS: dict[str, Command] = {"compose": run_compose}
