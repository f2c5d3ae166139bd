"""Seconds to compose a piece and to render it with the shipped piano, each for the first time and again.

The first time includes compiling, unless an earlier process has kept what it compiled (`JAX_COMPILATION_CACHE_DIR`),
and for the piano that each key is drawn once. The unit is seconds of processor time, all threads together, which other
work on the machine changes less than wall time; `wall_seconds` stand beside it. The check: a piece is composed again
note by note, and its sound again sample by sample.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Keep, WrongResult, forget, result, row
from wavejax.data.scores import Score
from wavejax.tasks.composer.product import Composer
from wavejax.tasks.families import load
from wavejax.tasks.instrument.product import Instrument

SEED = 1


def run(
    *, voice: str = "chorales", bars: int = 16, repeats: int = 3, quick: bool = False, keep: Keep = forget
) -> dict[str, Any]:
    """Measure a composer by its name or folder."""
    if quick:
        bars, repeats = 2, 1
    composer = load(voice, kind=Composer)
    rows: list[dict[str, Any]] = []

    def compose() -> Score:
        return composer.compose(bars, seed=SEED)

    score, first = _timed(compose)
    again = [_timed(compose) for _ in range(repeats)]
    if any(made.voices(4).tolist() != score.voices(4).tolist() for made, _ in again):
        raise WrongResult(f"{voice} does not compose the same piece of the same seed again")
    labels = {"piece": f"{bars} bars of {voice}, {score.seconds:.0f} s at {score.tempo:g} quarter notes a minute"}
    rows += _rows({**labels, "what": "compose"}, first, [took for _, took in again], {"notes": score.num_notes})
    keep(result("composing", rows))
    piano = load("piano", kind=Instrument)

    def render() -> np.ndarray:
        return np.asarray(score.waveform(piano))

    sound, first = _timed(render)
    again_rendered = [_timed(render) for _ in range(repeats)]
    if any(not np.array_equal(made, sound) for made, _ in again_rendered):
        raise WrongResult("the piano does not render the same sound again")
    if len(sound) < score.seconds * piano.sample_rate or not np.abs(sound).max() > 0.01:
        raise WrongResult(f"the piano's sound is too short ({len(sound)} samples) or silent")
    keys = len({note.pitch for track in score.tracks for note in track.notes})
    check = {"samples": len(sound), "keys": keys}
    rows += _rows({**labels, "what": "render, piano"}, first, [took for _, took in again_rendered], check)
    return result("composing", rows)


Took = tuple[float, float]
"""Seconds of processor time and of wall time."""


def _timed(work: Callable[[], Any]) -> tuple[Any, Took]:
    busy, start = time.process_time(), time.perf_counter()
    made = work()
    return made, (time.process_time() - busy, time.perf_counter() - start)


def _rows(labels: dict[str, Any], first: Took, again: list[Took], check: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for the first time, one for all others."""
    return [
        row(
            {**labels, "time": name},
            "CPU s",
            [busy for busy, _ in took],
            check=check,
            wall_seconds=float(np.median([wall for _, wall in took])),
        )
        for name, took in (("first", [first]), ("again", again))
    ]
