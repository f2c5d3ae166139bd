"""Figures of music in voices, arrays in, numbers out: what a listener with a score would count.

A piece is codes [T, V] on a grid of steps, the highest voice first: 1 .. 127 strikes that MIDI pitch, -1 holds the note
before, 0 rests. Most figures are those of Dong et al. 2018 (MuseGAN, arXiv 1709.06298, section 5.2) and of harmony
lessons. A bar that is empty, or a chord that never changes, does well in many of them, so each such figure names
another one, `beside`, in which that bar does badly.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from wavejax.evaluation.bootstrap import Interval, paired_bootstrap

HOLD = -1

MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How well each degree of the chromatic scale fits a key (Krumhansl & Kessler 1982)."""
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_MINOR_SCALE = (0, 2, 3, 5, 7, 8, 9, 10, 11)
"""Natural minor, and the raised sixth and seventh degrees, which chorales in minor use throughout."""
PHRASE_BARS = 2
"""Bars of a phrase that is looked for among the training pieces."""
_TRANSPOSITIONS = range(-12, 13)
_NEVER = np.int8(127)
"""Of two notes one of which is missing: no transposition."""

Codes = Int[np.ndarray, "_ voices"]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The grid that pieces lie on."""

    steps_per_beat: int = 4
    steps_per_bar: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.steps_per_beat <= self.steps_per_bar:
            raise ValueError(
                f"a bar has at least one beat and a beat one step, got {self.steps_per_bar} steps a bar and "
                f"{self.steps_per_beat} a beat"
            )


def sounding(codes: Codes) -> Int[np.ndarray, "steps voices"]:
    """The pitch that sounds in each voice at each step; 0 where none does, also where nothing is there to be held."""
    step = np.arange(len(codes))[:, None]
    changed = np.maximum.accumulate(np.where(codes == HOLD, -1, step), axis=0)
    found = np.take_along_axis(np.asarray(codes, np.int64), np.maximum(changed, 0), axis=0)
    return np.where(changed < 0, 0, np.maximum(found, 0))


def struck(codes: Codes) -> Bool[np.ndarray, "steps voices"]:
    """Where a note begins."""
    return np.asarray(codes) > 0


def pitch_classes(codes: Codes) -> Float[np.ndarray, "12"]:
    """How long each pitch class sounds, in steps of all voices."""
    pitch = sounding(codes)
    return np.bincount(pitch[pitch > 0] % 12, minlength=12).astype(np.float64)


def key_of(codes: Codes) -> int:
    """The key whose profile fits the piece's pitch classes best: 0 .. 11 major by tonic, C first, 12 .. 23 minor.

    The correlation with `MAJOR_PROFILE` and `MINOR_PROFILE` in all transpositions decides (Krumhansl 1990, chapter 4).
    0 for a piece without notes.
    """
    profile = pitch_classes(codes)
    if not np.ptp(profile):
        return 0
    fits = [np.corrcoef(np.roll(each, tonic), profile)[0, 1] for each in _PROFILES for tonic in range(12)]
    return int(np.argmax(fits))


_PROFILES = (MAJOR_PROFILE, MINOR_PROFILE)


def scale_of(key: int) -> tuple[int, ...]:
    """The pitch classes of a key (see `key_of`)."""
    return tuple((degree + key) % 12 for degree in (_MAJOR_SCALE if key < 12 else _MINOR_SCALE))


# --- one piece -------------------------------------------------------------------------------------------------------


def empty_bars(codes: Codes, grid: Grid) -> float:
    """Share of the bars of single voices in which nothing sounds."""
    return float(np.mean([not part.any() for part in _bars_of_voices(codes, grid)]))


def used_pitch_classes(codes: Codes, grid: Grid) -> float:
    """Pitch classes in a bar of a single voice, on average."""
    return float(np.mean([len(np.unique(part[part > 0] % 12)) for part in _bars_of_voices(codes, grid)]))


def qualified_notes(codes: Codes, grid: Grid) -> float:
    """Share of notes that last half a beat or longer; NaN without notes."""
    lengths = note_lengths(codes)
    return float(np.mean(lengths >= max(grid.steps_per_beat // 2, 1))) if len(lengths) else np.nan


def notes_per_beat(codes: Codes, grid: Grid) -> float:
    """Notes that begin in a beat of a single voice, on average."""
    return float(struck(codes).mean() * grid.steps_per_beat)


def in_key(codes: Codes, grid: Grid) -> float:
    """Share of the sounding steps whose pitch class belongs to the piece's own key; NaN without notes."""
    profile = pitch_classes(codes)
    return float(profile[list(scale_of(key_of(codes)))].sum()) / float(profile.sum()) if profile.sum() else np.nan


def tonal_distance(codes: Codes, grid: Grid) -> float:
    """Distance between the tonal centroids of two voices in the same beat, on average over beats and pairs.

    Harte et al. 2006 map a chroma to six coordinates on the circles of fifths, minor thirds and major thirds. NaN where
    no two voices ever sound in one beat.
    """
    pitch, size = sounding(codes), grid.steps_per_beat
    beats = pitch[: len(pitch) // size * size].reshape(-1, size, pitch.shape[1])
    chroma = (beats[..., None] % 12 == np.arange(12)) & (beats > 0)[..., None]
    weight = chroma.sum(axis=1).astype(np.float64)  # [beats, voices, 12]
    total = weight.sum(axis=-1, keepdims=True)
    centroid = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0) @ _centroid_map()
    heard = total[..., 0] > 0
    distances = [
        np.linalg.norm(centroid[:, a] - centroid[:, b], axis=-1)[heard[:, a] & heard[:, b]]
        for a, b in itertools.combinations(range(pitch.shape[1]), 2)
    ]
    every = np.concatenate(distances) if distances else np.zeros(0)
    return float(every.mean()) if len(every) else np.nan


def parallels(codes: Codes, grid: Grid) -> float:
    """Parallel fifths and octaves of two voices in a bar: both move the same way, from such an interval to the same."""
    pitch = sounding(codes)
    before, after = pitch[:-1], pitch[1:]
    count = 0
    for a, b in itertools.combinations(range(pitch.shape[1]), 2):
        move_a, move_b = after[:, a] - before[:, a], after[:, b] - before[:, b]
        together = (move_a * move_b > 0) & (np.minimum(before[:, [a, b]], after[:, [a, b]]) > 0).all(axis=1)
        first, then = (np.abs(each[:, a] - each[:, b]) % 12 for each in (before, after))
        count += int(np.sum(together & (first == then) & np.isin(first, (0, 7))))
    return count / max(len(pitch) / grid.steps_per_bar, 1e-9)


def voice_crossing(codes: Codes, grid: Grid) -> float:
    """Share of steps at which a voice sounds above one that is written higher; NaN where no two voices ever sound."""
    pitch = sounding(codes)
    crossed, both = np.zeros(len(pitch), bool), np.zeros(len(pitch), bool)
    for a, b in itertools.combinations(range(pitch.shape[1]), 2):
        sound = (pitch[:, a] > 0) & (pitch[:, b] > 0)
        both |= sound
        crossed |= sound & (pitch[:, a] < pitch[:, b])
    return float(crossed[both].mean()) if both.any() else np.nan


def chord_changes(codes: Codes, grid: Grid) -> float:
    """How often in a bar the set of sounding pitch classes changes."""
    pitch = sounding(codes)
    chords = [frozenset(row[row > 0] % 12) for row in pitch]
    changes = sum(one != other for one, other in itertools.pairwise(chords))
    return changes / max(len(pitch) / grid.steps_per_bar, 1e-9)


def self_similarity(codes: Codes, grid: Grid) -> float:
    """Share of steps and voices that sound alike in two bars of the piece, on average; NaN for a piece of one bar."""
    bars = _whole_bars(sounding(codes), grid)
    pairs = [float(np.mean(bars[a] == bars[b])) for a, b in itertools.combinations(range(len(bars)), 2)]
    return float(np.mean(pairs)) if pairs else np.nan


def distinct_bars(codes: Codes, grid: Grid) -> float:
    """Share of the bars that no earlier bar is equal to; NaN without a whole bar."""
    bars = _whole_bars(np.asarray(codes), grid)
    return len({bar.tobytes() for bar in np.ascontiguousarray(bars)}) / len(bars) if len(bars) else np.nan


def note_lengths(codes: Codes) -> Int[np.ndarray, " notes"]:
    """Steps that each note of all voices lasts."""
    lengths = []
    for voice in np.asarray(codes).T:
        change = np.flatnonzero(np.append(voice != HOLD, True))
        begins = change[:-1][voice[change[:-1]] > 0]
        lengths.append(change[np.searchsorted(change, begins) + 1] - begins)
    return np.concatenate(lengths) if lengths else np.zeros(0, np.int64)


def _bars_of_voices(codes: Codes, grid: Grid) -> list[np.ndarray]:
    """What sounds in each bar of each voice; a last bar may be shorter."""
    pitch, size = sounding(codes), grid.steps_per_bar
    return [
        pitch[start : start + size, voice] for start in range(0, len(pitch), size) for voice in range(codes.shape[1])
    ]


def _whole_bars(rows: np.ndarray, grid: Grid) -> np.ndarray:
    size = grid.steps_per_bar
    return rows[: len(rows) // size * size].reshape(-1, size, rows.shape[1])


def _centroid_map() -> Float[np.ndarray, "12 6"]:
    pitch = np.arange(12)
    angles = [(pitch * 7 * np.pi / 6, 1.0), (pitch * 3 * np.pi / 2, 1.0), (pitch * 2 * np.pi / 3, 0.5)]
    return np.column_stack([radius * wave(angle) for angle, radius in angles for wave in (np.sin, np.cos)])


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of a piece."""

    title: str
    of: Callable[[Codes, Grid], float]
    digits: int = 3
    beside: str = ""
    """The measure in which an empty bar, or a chord that never changes, does badly where it does well in this one."""


MEASURES: Mapping[str, Measure] = {
    "empty_bars": Measure(title="empty bars", of=empty_bars, beside="used_pitch_classes"),
    "used_pitch_classes": Measure(title="pitch classes a bar and voice", of=used_pitch_classes, digits=2),
    "qualified_notes": Measure(title="notes of half a beat or longer", of=qualified_notes, beside="notes_per_beat"),
    "notes_per_beat": Measure(title="notes a beat and voice", of=notes_per_beat, digits=2),
    "in_key": Measure(title="in key", of=in_key, beside="used_pitch_classes"),
    "tonal_distance": Measure(title="tonal distance of voices", of=tonal_distance, beside="chord_changes"),
    "parallels": Measure(title="parallel fifths and octaves a bar", of=parallels, beside="chord_changes"),
    "voice_crossing": Measure(title="steps with crossed voices", of=voice_crossing, beside="used_pitch_classes"),
    "chord_changes": Measure(title="chord changes a bar", of=chord_changes, digits=2),
    "self_similarity": Measure(title="similarity of two bars", of=self_similarity, beside="distinct_bars"),
    "distinct_bars": Measure(title="bars unlike all before", of=distinct_bars, beside="self_similarity"),
}
"""What is measured of each piece, by name."""


def measure(codes: np.ndarray, grid: Grid) -> dict[str, float]:
    """All `MEASURES` of a piece; NaN where one means nothing. Raises ValueError on codes that are no [T >= 1, V]."""
    array = np.asarray(codes)
    if array.ndim != 2 or not array.size or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"a piece is whole numbers [steps, voices], got {array.dtype} of shape {array.shape}")
    return {name: each.of(array, grid) for name, each in MEASURES.items()}


# --- many pieces -----------------------------------------------------------------------------------------------------


def mean_with_interval(values: Sequence[float] | np.ndarray, seed: int = 0) -> Interval | None:
    """Mean and 95 % bootstrap interval over pieces, those left out of which the figure means nothing; None of one."""
    known = np.asarray([value for value in values if np.isfinite(value)], np.float64)
    return paired_bootstrap(np.zeros_like(known), known, seed=seed) if len(known) > 1 else None


def key_coverage(pieces: Sequence[Codes]) -> float:
    """How evenly the pieces are spread over the 24 keys: the exponential of the entropy of their keys, 1 .. 24.

    Of few pieces it is low for that reason alone: compare equally many.
    """
    if not pieces:
        return np.nan
    share = np.bincount([key_of(piece) for piece in pieces], minlength=24) / len(pieces)
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share))))


def phrases(codes: Codes, grid: Grid, *, hop: int | None = None) -> Int[np.ndarray, "phrases cells"]:
    """What sounds in each phrase of `PHRASE_BARS` bars, flattened; one phrase every `hop` steps (default: a phrase)."""
    pitch, size = sounding(codes), PHRASE_BARS * grid.steps_per_bar
    starts = range(0, len(pitch) - size + 1, size if hop is None else hop)
    rows = [pitch[start : start + size].reshape(-1) for start in starts]
    return np.asarray(rows, np.int8).reshape(len(rows), size * codes.shape[1])


def nearest_phrase(pieces: Sequence[Codes], training: Sequence[Codes], grid: Grid) -> Float[np.ndarray, " phrases"]:
    """For each phrase of the pieces, the share of steps and voices that differ from the nearest training phrase.

    All training phrases that begin with a beat are tried in all transpositions by up to an octave: 0 is a copy.
    """
    known = np.concatenate([phrases(piece, grid, hop=grid.steps_per_beat) for piece in training])
    asked = np.concatenate([phrases(piece, grid) for piece in pieces])
    ones = np.ones(known.shape[1], np.float32)
    distances = np.ones(len(asked))
    for number, phrase in enumerate(asked):
        apart = np.where((known > 0) & (phrase > 0)[None], known - phrase[None], _NEVER)
        silent = ((known == 0) & (phrase == 0)[None]).astype(np.float32) @ ones
        alike = [(apart == shift).astype(np.float32) @ ones for shift in _TRANSPOSITIONS]
        distances[number] = 1.0 - float(np.max(np.max(alike, axis=0) + silent)) / len(phrase)
    return distances


def share_closer(generated: np.ndarray, held_out: np.ndarray) -> float:
    """Share of generated phrases nearer to the training pieces than the nearest held-out phrase in a hundred is.

    Held-out music repeats what tradition repeats, cadences above all: only beyond that is a phrase called a copy.
    """
    return float(np.mean(generated < np.quantile(held_out, 0.01)))


__all__ = [
    "MEASURES",
    "PHRASE_BARS",
    "Grid",
    "Measure",
    "chord_changes",
    "distinct_bars",
    "empty_bars",
    "in_key",
    "key_coverage",
    "key_of",
    "mean_with_interval",
    "measure",
    "nearest_phrase",
    "note_lengths",
    "notes_per_beat",
    "parallels",
    "phrases",
    "pitch_classes",
    "qualified_notes",
    "scale_of",
    "self_similarity",
    "share_closer",
    "sounding",
    "struck",
    "tonal_distance",
    "used_pitch_classes",
    "voice_crossing",
]
