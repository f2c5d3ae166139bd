"""What a recogniser makes of recordings whose words are known: error rates, what they consist of, and controls."""

import dataclasses
import functools
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.atomic import write_json, write_text
from wavejax.audio.files import write_audio
from wavejax.evaluation.boundaries import Boundaries
from wavejax.evaluation.edits import Edits, Rate, edits, pairs, rate
from wavejax.evaluation.latency import Latency
from wavejax.evaluation.names import file_names
from wavejax.evaluation.report import STYLE
from wavejax.ownership import marked, refuse_foreign_report

_CONFUSIONS = 30
"""Of the page: the most frequent ones."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One recording."""

    id: str
    said: str
    """Its text, normalised."""
    read: str
    waveform: Float[np.ndarray, " time"]
    sample_rate: int
    phonemic: bool = False
    """Both texts are phonemes with spaces between them, "|" where there is a pause."""

    @functools.cached_property
    def words(self) -> Edits:
        """Changes of words; of a phonemic reading, of stretches between pauses."""
        return edits(*(_words(each, self.phonemic) for each in (self.said, self.read)))

    @functools.cached_property
    def letters(self) -> Edits:
        """Changes of letters, spaces included, or of phonemes, without pauses."""
        return edits(*(_symbols(each, self.phonemic) for each in (self.said, self.read)))

    def with_text_of(self, other: "Reading") -> "Reading":
        """This reading, held against what was said in another recording."""
        return dataclasses.replace(self, said=other.said)


def _words(text: str, phonemic: bool) -> list[str]:
    return [each.strip() for each in text.split("|")] if phonemic else text.split()


def _symbols(text: str, phonemic: bool) -> Sequence[str]:
    return [each for each in text.split() if each != "|"] if phonemic else text


@dataclass(frozen=True, kw_only=True)
class RecognitionReport:
    """Readings of recordings, their error rates and the controls. `wavejax evaluate` prints its lines."""

    readings: tuple[Reading, ...]
    silence: Mapping[str, str]
    """What was read in sounds in which nothing is said, by their names."""
    seconds: float
    """Wall time of all readings."""
    conditions: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    """The same recordings under worse conditions, by the conditions' names; and recordings of other voices."""
    others: Mapping[str, Mapping[str, tuple[Reading, ...]]] = field(default_factory=dict)
    """What others read, by their names and the conditions; "" is the recordings as they are."""
    latency: Latency | None = None
    """How soon words are printed, if the model streams."""
    boundaries: Boundaries | None = None
    """How far the borders of its alignments are from the corpus' own, if it has any."""
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
        held = [own.with_text_of(other) for other, own in zip(others, self.readings, strict=True)]
        return rate([each.letters for each in held]), rate([each.words for each in held])

    @property
    def phonemic(self) -> bool:
        """Whether phonemes are read, not letters."""
        return self.readings[0].phonemic

    @property
    def confusions(self) -> list[tuple[str, str, int]]:
        """(said, read, how often) of symbols that were mistaken, the most frequent first; "" where there is none."""
        count: Counter[tuple[str, str]] = Counter()
        for each in self.readings:
            sides = (_symbols(text, each.phonemic) for text in (each.said, each.read))
            count.update((str(one or ""), str(other or "")) for one, other in pairs(*sides) if one != other)
        return [(*pair, number) for pair, number in sorted(count.items(), key=lambda item: (-item[1], item[0]))]

    @property
    def times_real_time(self) -> float:
        """Seconds of sound for a second of work."""
        return sum(len(each.waveform) / each.sample_rate for each in self.readings) / max(self.seconds, 1e-9)

    def lines(self) -> list[str]:
        """For the terminal."""
        symbols = "phones" if self.phonemic else "letters"
        rows = [(f"{symbols[:-1]} error", str(self.letters))]
        if not self.phonemic:
            rows.append(("word error", str(self.words)))
        rows += self._beside("")
        for name, readings in self.conditions.items():
            rows += [(name, self._rates(readings)), *self._beside(name)]
        if self.boundaries is not None:
            rows.append(("boundaries", str(self.boundaries)))
        if self.latency is not None:
            rows += [("latency", str(self.latency))]
        if self.shuffled is not None:
            letters, words = (100 * each.interval.mean for each in self.shuffled)
            apart = f"{symbols} {letters:.1f} %" + ("" if self.phonemic else f", words {words:.1f} %")
            rows.append(("texts shuffled", f"{apart} (a control: near 100 %)"))
        rows += [
            (f"in {name}", repr(read) if read else "nothing, as it should be") for name, read in self.silence.items()
        ]
        rows.append(("speed", f"{self.times_real_time:.1f} times real time, compilation left out"))
        rows += [(name, value) for name, value in self.facts.items() if name != "system"]
        width = max(16, *(len(name) + 2 for name, _ in rows))
        return [f"{name:<{width}}{value}" for name, value in rows]

    def _beside(self, condition: str) -> list[tuple[str, str]]:
        """What others read under a condition, one row each."""
        return [(f"  {name}", self._rates(read[condition])) for name, read in self.others.items() if condition in read]

    def _rates(self, readings: Sequence[Reading]) -> str:
        letters, words = (_percent(rate(each)) for each in _edits(readings))
        return f"phones {letters}" if self.phonemic else f"letters {letters}, words {words}"

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
            "conditions": {name: _both(readings) for name, readings in self.conditions.items()},
            "others": {
                name: {condition or "recordings": _both(readings) for condition, readings in read.items()}
                for name, read in self.others.items()
            },
            "latency": None if self.latency is None else self.latency.to_json(),
            "boundaries": None if self.boundaries is None else self.boundaries.to_json(),
            "confusions": self.confusions,
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
            f'<div class="card"><b>{html.escape(each.id)}: {each.letters.errors} of {each.letters.length} symbols</b>'
            f'<audio controls preload="none" src="audio/{files[each.id]}.wav"></audio>'
            f"<p>said: {html.escape(each.said)}</p><p>read: {html.escape(each.read) or '(nothing)'}</p>"
            f"{self._others_of(each.id)}</div>"
            for each in worst
        )
        page = (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
            f"<h1>{html.escape(title)}</h1><pre>{html.escape(text)}</pre>{_confusion_table(self.confusions)}"
            f'<h2>Readings, the worst first</h2><div class="grid">{cards}</div></body></html>\n'
        )
        write_text(folder / "index.html", page)
        return folder / "index.html"

    def _others_of(self, name: str) -> str:
        """HTML of what others read in a recording."""
        found = [
            (system, each.read) for system, read in self.others.items() for each in read.get("", ()) if each.id == name
        ]
        return "".join(f"<p>{html.escape(system)}: {html.escape(read) or '(nothing)'}</p>" for system, read in found)


def _percent(error: Rate) -> str:
    mean, low, high = (100 * each for each in error.interval)
    return f"{mean:.1f} % [{low:.1f}, {high:.1f}]"


def _both(readings: Sequence[Reading]) -> dict[str, Any]:
    """JSON-able."""
    return dict(zip(("letters", "words"), (rate(each).to_json() for each in _edits(readings)), strict=True))


def _edits(readings: Sequence[Reading]) -> tuple[list[Edits], list[Edits]]:
    """Of letters, and of words."""
    return [each.letters for each in readings], [each.words for each in readings]


def _confusion_table(confusions: Sequence[tuple[str, str, int]]) -> str:
    """HTML of the most frequent ones; nothing where there are none."""
    if not confusions:
        return ""
    names = {"": "nothing", " ": "a space"}
    rows = "".join(
        f"<tr><td>{html.escape(names.get(said, said))}</td><td>{html.escape(names.get(read, read))}</td>"
        f"<td>{count}</td></tr>"
        for said, read, count in confusions[:_CONFUSIONS]
    )
    return f"<h2>What was mistaken</h2><table><tr><th>said</th><th>read</th><th>times</th></tr>{rows}</table>"


__all__ = ["Reading", "RecognitionReport"]
