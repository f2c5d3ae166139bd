"""Speech that was made of written sentences: judges of quality, and a recogniser that counts wrong words.

No recording of them is needed. The sentences ship with the package, so that nobody can select favourites.
"""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from wavejax.atomic import write_json, write_text
from wavejax.audio.files import write_audio
from wavejax.audio.resampling import resample
from wavejax.documents import read_json
from wavejax.evaluation.judges import JUDGES, JudgeUnusable, word_error
from wavejax.evaluation.measures import JUDGED_RATE, Candidate, Item, Measure
from wavejax.evaluation.report import STYLE
from wavejax.evaluation.spoken_words import Listen, failing_words, stock_listening
from wavejax.evaluation.words import spoken_words
from wavejax.extras import MissingExtra
from wavejax.ownership import marked, refuse_foreign_report

TEXTS_FILE = Path(__file__).parent / "texts" / "english-sentences.json"
JUDGES_OF_SENTENCES = ("distillmos", "p808", "words", "failures")
"""Those that need no recording."""
_OF_WORDS = ("words", "failures")
"""Judges whose figures are shares of words."""
Part = Literal["plain", "hard"]


class WrittenSentence(NamedTuple):
    """A sentence of the list."""

    part: Part
    text: str
    """As it is written."""
    words: str
    """What is to be heard, in small letters."""


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedSentence:
    """What a system made of a sentence, and the judges' figures."""

    system: str
    sentence: WrittenSentence
    waveform: Float[np.ndarray, " time"]
    """float32 at `JUDGED_RATE`."""
    figures: Mapping[str, float]
    """By judge; NaN where one could not judge."""


def english_sentences(part: Part | None = None) -> tuple[WrittenSentence, ...]:
    """The sentences of the list, 30 plain and 20 hard ones; of one part if it is named."""
    listed = read_json(TEXTS_FILE)
    plain = [WrittenSentence("plain", text, " ".join(spoken_words(text))) for text in listed["plain"]]
    hard = [WrittenSentence("hard", text, words) for text, words in listed["hard"]]
    return tuple(each for each in (*plain, *hard) if part in (None, each.part))


def judge_sentences(
    systems: Mapping[str, Callable[[str], tuple[Float[np.ndarray, " time"], int]]],
    sentences: Sequence[WrittenSentence],
    *,
    judges: Sequence[str] = JUDGES_OF_SENTENCES,
    listen: Callable[[], Listen] = stock_listening,
    say: Callable[[str], None] = lambda said: None,
) -> "SentenceReport":
    """Let systems say sentences, and judge them.

    Args:
        systems: by name a function of a text, which returns (waveform, sample rate).
        sentences: what is said.
        listen: opens what listens for words that are skipped, repeated or cut; pocketsphinx by default.
        judges: names from `JUDGES_OF_SENTENCES`; of those that are not installed the report says why they are missing.
        say: is told what is being done.

    Raises ValueError: a judge that needs recordings, or that there is not.
    """
    for name in judges:
        if name not in JUDGES_OF_SENTENCES:
            raise ValueError(f"there is no judge {name!r} of sentences: choose from {', '.join(JUDGES_OF_SENTENCES)}")
    made: list[tuple[str, WrittenSentence, np.ndarray]] = []
    for system, speak in systems.items():
        say(f"{system} says {len(sentences)} sentences")
        for sentence in sentences:
            waveform, rate = speak(sentence.text)
            sound = np.asarray(waveform, np.float32)
            made.append((system, sentence, sound if rate == JUDGED_RATE else resample(sound, rate, JUDGED_RATE)))
    items = [Item(id=str(i), waveform=sound, transcript=each.words) for i, (_, each, sound) in enumerate(made)]
    figures: list[dict[str, float]] = [{} for _ in made]
    missing: dict[str, str] = {}
    for name in judges:
        measure = _measure(name, listen)
        say(f"{measure.columns[0].title} listens")
        try:
            score = measure.open(items)
        except (MissingExtra, JudgeUnusable) as error:
            missing[name] = str(error)
            continue
        for number, (_, _, sound) in enumerate(made):
            figures[number][name] = score(Candidate(number, sound, 0.0))[0]
    rows = [
        JudgedSentence(system=system, sentence=sentence, waveform=sound, figures=found)
        for (system, sentence, sound), found in zip(made, figures, strict=True)
    ]
    return SentenceReport(rows=tuple(rows), missing=missing)


def _measure(name: str, listen: Callable[[], Listen] = stock_listening) -> Measure:
    if name == "failures":
        return failing_words(listen)
    return word_error() if name == "words" else JUDGES[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class SentenceReport:
    """What judges say of systems that speak. `wavejax evaluate` prints its lines."""

    rows: tuple[JudgedSentence, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    """Judges that are not installed -> why."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Description for the page; `system` is its title."""

    @property
    def systems(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(dict.fromkeys(row.system for row in self.rows))

    def mean(self, system: str, part: Part, judge: str) -> float:
        """A judge's figure for a system's sentences of one part: a mean; of words the wrong or failing ones among all.

        NaN where nothing was judged.
        """
        own = [row for row in self.rows if row.system == system and row.sentence.part == part and judge in row.figures]
        weights = [len(row.sentence.words.split()) if judge in _OF_WORDS else 1 for row in own]
        known = [
            (row.figures[judge], w) for row, w in zip(own, weights, strict=True) if math.isfinite(row.figures[judge])
        ]
        return sum(value * w for value, w in known) / sum(w for _, w in known) if known else math.nan

    def lines(self) -> list[str]:
        """For the terminal."""
        judges = [name for name in JUDGES_OF_SENTENCES if any(name in row.figures for row in self.rows)]
        titles = [_measure(name).columns[0].title for name in judges]
        width = max(len(name) for name in (*self.systems, "system"))
        lines = [f"{'system':<{width}}  sentences  " + "  ".join(titles)]
        for system in self.systems:
            for part in ("plain", "hard"):
                count = sum(row.system == system and row.sentence.part == part for row in self.rows)
                if not count:
                    continue
                cells = [self._cell(system, part, name).rjust(len(t)) for name, t in zip(judges, titles, strict=True)]
                lines.append(f"{system:<{width}}  {count:2} {part:<6}  " + "  ".join(cells))
        lines += [f"{name} does not judge: {why}" for name, why in self.missing.items()]
        return [*lines, *(f"{name}: {value}" for name, value in self.facts.items() if name != "system")]

    def _cell(self, system: str, part: Part, judge: str) -> str:
        value = self.mean(system, part, judge)
        return f"{100 * value:.1f} %" if judge in _OF_WORDS else f"{value:.2f}"

    def to_json(self) -> dict[str, Any]:
        """All results, sentence by sentence."""
        return {
            "facts": dict(self.facts),
            "missing": dict(self.missing),
            "sentences": [
                {"system": row.system, **row.sentence._asdict(), "figures": dict(row.figures)} for row in self.rows
            ],
        }

    def write(self, folder: Path) -> Path | None:
        """Writes index.html with players, report.md, report.json and audio/SYSTEM-NUMBER.wav.

        Raises FileExistsError: the folder has a file with one of these names that is not from a report.
        """
        refuse_foreign_report(folder)
        cards = []
        for number, row in enumerate(self.rows):
            name = f"audio/{self.systems.index(row.system)}-{number:03}.wav"
            write_audio(folder / name, row.waveform, JUDGED_RATE)
            figures = ", ".join(f"{judge} {value:.2f}" for judge, value in row.figures.items())
            cards.append(
                f'<div class="card"><b>{html.escape(row.system)}</b>'
                f'<audio controls preload="none" src="{name}"></audio>'
                f"<p>{html.escape(row.sentence.text)}</p><p>{html.escape(figures)}</p></div>"
            )
        title, text = self.facts.get("system", "speakers"), "\n".join(self.lines())
        write_json(folder / "report.json", marked({"title": title, **self.to_json()}), indent=1)
        write_text(folder / "report.md", f"# {title}\n\n```\n{text}\n```\n")
        page = (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
            f"<h1>{html.escape(title)}</h1><p>All of it is synthetic speech.</p><pre>{html.escape(text)}</pre>"
            f'<div class="grid">{"".join(cards)}</div></body></html>\n'
        )
        write_text(folder / "index.html", page)
        return folder / "index.html"


__all__ = [
    "JUDGES_OF_SENTENCES",
    "JudgedSentence",
    "SentenceReport",
    "WrittenSentence",
    "english_sentences",
    "judge_sentences",
]
