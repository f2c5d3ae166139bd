"""What a recogniser makes of recordings whose words are known: error rates, what they consist of, and controls."""

import html
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from wavejax.atomic import write_json, write_text
from wavejax.audio.files import write_audio
from wavejax.evaluation.bootstrap import Interval, paired_bootstrap
from wavejax.evaluation.names import file_names
from wavejax.evaluation.report import STYLE
from wavejax.ownership import marked, refuse_foreign_report


class Edits(NamedTuple):
    """The fewest changes that turn what was said into what was read."""

    substitutions: int
    deletions: int
    insertions: int
    length: int
    """Of what was said."""

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions


def edits(said: Sequence[Hashable], read: Sequence[Hashable]) -> Edits:
    """The changes of one best alignment (Levenshtein 1966); where several are best, substitutions come first."""
    table = np.zeros((len(said) + 1, len(read) + 1), np.int64)
    table[:, 0], table[0] = np.arange(len(said) + 1), np.arange(len(read) + 1)
    for i, expected in enumerate(said, 1):
        for j, got in enumerate(read, 1):
            table[i, j] = min(table[i - 1, j - 1] + (expected != got), table[i - 1, j] + 1, table[i, j - 1] + 1)
    i, j = len(said), len(read)
    substitutions = deletions = insertions = 0
    while i or j:
        differs = bool(i and j and said[i - 1] != read[j - 1])
        if i and j and table[i, j] == table[i - 1, j - 1] + differs:
            i, j, substitutions = i - 1, j - 1, substitutions + differs
        elif i and table[i, j] == table[i - 1, j] + 1:
            i, deletions = i - 1, deletions + 1
        else:
            j, insertions = j - 1, insertions + 1
    return Edits(substitutions, deletions, insertions, len(said))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One recording."""

    id: str
    said: str
    """Its text, normalised."""
    read: str
    waveform: Float[np.ndarray, " time"]
    sample_rate: int

    @property
    def words(self) -> Edits:
        """Changes of words."""
        return edits(self.said.split(), self.read.split())

    @property
    def letters(self) -> Edits:
        """Changes of symbols, spaces included."""
        return edits(self.said, self.read)


class Rate(NamedTuple):
    """An error rate: changes for each unit that was said; above 1 where much is read that was not said."""

    interval: Interval
    """Its 95 % interval is of a bootstrap over recordings."""
    total: Edits

    def __str__(self) -> str:
        mean, low, high = (100 * each for each in self.interval)
        parts = f"{self.total.substitutions} substitutions, {self.total.deletions} deletions"
        return (
            f"{mean:.1f} % [{low:.1f}, {high:.1f}] of {self.total.length}: {parts}, {self.total.insertions} insertions"
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {**self.interval._asdict(), **self.total._asdict()}


def rate(each: Sequence[Edits]) -> Rate:
    """The rate over all recordings; those in which nothing is said count by what is read in them.

    Raises ValueError: nothing is said in any of them.
    """
    total = Edits(*(sum(column) for column in zip(*each, strict=True)))
    if not total.length:
        raise ValueError("nothing is said in these recordings: an error rate needs words")
    lengths = np.asarray([max(edit.length, 1) for edit in each], np.float64)
    errors = np.asarray([edit.errors for edit in each], np.float64) / lengths
    if len(each) < 2:  # one recording has no interval
        return Rate(Interval(float(errors[0]), float(errors[0]), float(errors[0])), total)
    return Rate(paired_bootstrap(np.zeros(len(each)), errors, lengths), total)


@dataclass(frozen=True, kw_only=True)
class RecognitionReport:
    """Readings of recordings, their error rates and the controls. `wavejax evaluate` prints its lines."""

    readings: tuple[Reading, ...]
    silence: Mapping[str, str]
    """What was read in sounds in which nothing is said, by their names."""
    seconds: float
    """Wall time of all readings."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Description for the page; `system` is its title."""

    @property
    def letters(self) -> Rate:
        """Letter error."""
        return rate([reading.letters for reading in self.readings])

    @property
    def words(self) -> Rate:
        """Word error."""
        return rate([reading.words for reading in self.readings])

    @property
    def shuffled(self) -> tuple[Rate, Rate] | None:
        """(letter, word) error where each recording is judged by the next one's text; None of a single recording.

        What reads the recordings is far worse here; what guesses from habit is as good as before. Words go to about
        100 %; letters to somewhat less, since any two sentences of a language have letters in common.
        """
        if len(self.readings) < 2:
            return None
        others = [*self.readings[1:], self.readings[0]]
        pairs = list(zip(others, self.readings, strict=True))
        return (
            rate([edits(other.said, own.read) for other, own in pairs]),
            rate([edits(other.said.split(), own.read.split()) for other, own in pairs]),
        )

    @property
    def times_real_time(self) -> float:
        """Seconds of sound for a second of work."""
        return sum(len(each.waveform) / each.sample_rate for each in self.readings) / max(self.seconds, 1e-9)

    def lines(self) -> list[str]:
        """For the terminal."""
        rows = [("letter error", str(self.letters)), ("word error", str(self.words))]
        if self.shuffled is not None:
            letters, words = (100 * each.interval.mean for each in self.shuffled)
            rows.append(("texts shuffled", f"letters {letters:.1f} %, words {words:.1f} % (a control: near 100 %)"))
        rows += [
            (f"in {name}", repr(read) if read else "nothing, as it should be") for name, read in self.silence.items()
        ]
        rows.append(("speed", f"{self.times_real_time:.1f} times real time, compilation left out"))
        rows += [(name, value) for name, value in self.facts.items() if name != "system"]
        return [f"{name:<16}{value}" for name, value in rows]

    def to_json(self) -> dict[str, Any]:
        """All results, recording by recording."""
        shuffled = self.shuffled
        control = {} if shuffled is None else {"letters": shuffled[0].to_json(), "words": shuffled[1].to_json()}
        return {
            "facts": dict(self.facts),
            "letters": self.letters.to_json(),
            "words": self.words.to_json(),
            "shuffled": control,
            "silence": dict(self.silence),
            "times_real_time": self.times_real_time,
            "readings": [
                {"id": each.id, "said": each.said, "read": each.read, "errors": each.letters._asdict()}
                for each in self.readings
            ],
        }

    def write(self, folder: Path) -> Path | None:
        """Writes index.html with players, the worst reading first, report.md, report.json and audio/ID.wav.

        Raises FileExistsError: the folder has a file with one of these names that is not from a report.
        """
        refuse_foreign_report(folder)
        files = file_names(each.id for each in self.readings)
        for each in self.readings:
            write_audio(folder / f"audio/{files[each.id]}.wav", each.waveform, each.sample_rate)
        title = self.facts.get("system", "recogniser")
        write_json(folder / "report.json", marked({"title": title, **self.to_json()}), indent=1)
        text = "\n".join(self.lines())
        write_text(folder / "report.md", f"# {title}\n\n```\n{text}\n```\n")
        worst = sorted(self.readings, key=lambda each: -each.letters.errors / max(each.letters.length, 1))
        cards = "".join(
            f'<div class="card"><b>{html.escape(each.id)}: {each.letters.errors} of {each.letters.length} letters</b>'
            f'<audio controls preload="none" src="audio/{files[each.id]}.wav"></audio>'
            f"<p>said: {html.escape(each.said)}</p><p>read: {html.escape(each.read) or '(nothing)'}</p></div>"
            for each in worst
        )
        page = (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
            f"<h1>{html.escape(title)}</h1><pre>{html.escape(text)}</pre>"
            f'<h2>Readings, the worst first</h2><div class="grid">{cards}</div></body></html>\n'
        )
        write_text(folder / "index.html", page)
        return folder / "index.html"


__all__ = ["Edits", "Rate", "Reading", "RecognitionReport", "edits", "rate"]
