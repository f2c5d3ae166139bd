"""Is every word of a text said, once and whole? What a recogniser heard, laid beside the phonemes of the text.

Recognisers take one sound for another all the time, so only what no mishearing explains counts: `RUN` or more phonemes
that are said in the text and not in the sound, or the other way round. A word of one or two phonemes can therefore be
missing, or be there twice, unnoticed.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from wavejax.audio.resampling import resample
from wavejax.evaluation.judges import NAN, heard_words, stock_decoder
from wavejax.evaluation.measures import JUDGED_RATE, Candidate, Column, Item, Measure, Scorer
from wavejax.evaluation.words import edit_distance
from wavejax.text import TextSpec, sentences_of
from wavejax.text.phonemes import CONSONANTS, VOWELS, without_stress
from wavejax.text.russian.sounds import PHONES, VOWEL_PHONES
from wavejax.text.spec import Language
from wavejax.text.transcripts import Transcript

RUN = 3
"""Phonemes without a partner, one after the other, that are a failure."""
_OTHER_KIND = 1.5
"""What a vowel heard as a consonant costs, where another sound of its own kind, or none, costs 1."""

_VOWELS = frozenset((*VOWELS, *VOWEL_PHONES))
_PHONEMES = frozenset((*CONSONANTS, *VOWELS, *PHONES))
"""Of all languages, whose writing differs: AA is English and aa Russian."""

_OPENING = 0.5
_NEVER = (math.inf, (0, 0, 0))

Kind = Literal["skipped", "cut", "repeated", "added", "no end"]
Listen = Callable[[Float[np.ndarray, " time"], int], Sequence[str]]
"""A waveform [T] and its sample rate -> the phonemes that are heard in it, without stress."""


class ExpectedWord(NamedTuple):
    """A word of the text."""

    text: str
    phones: tuple[str, ...]
    """Without stress."""


class Failure(NamedTuple):
    """Words that are not said as the text has them."""

    kind: Kind
    """skipped; cut: a part of a word is missing; repeated; added: what the text does not have; no end: the last words
    are missing, or it goes on after them."""
    words: str
    place: int
    """Number of the first of the words; of what is added, of the word before it."""
    num_words: int = 1
    """Words concerned."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}" if self.words else self.kind


@runtime_checkable
class Listener(Protocol):
    """A recogniser, as `wavejax.load` gives it."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def text(self) -> TextSpec:
        """The symbols that it writes: letters, or phonemes."""

    def transcribe_greedily(self, waveform: np.ndarray) -> Transcript:
        """What is said in a recording, as it sounds: no language model makes likely words of it."""


def hard_failures(said: Sequence[ExpectedWord], heard: Sequence[str]) -> tuple[Failure, ...]:
    """The words that are skipped, cut or repeated, what is added, and whether the end is said; in order.

    Args:
        said: the words of a sentence.
        heard: phonemes, as a `Listen` gives them.
    """
    owners = [number for number, word in enumerate(said) for _ in word.phones]
    phones = [phone for word in said for phone in word.phones]
    return tuple(
        failure
        for first, last, begins, ends in _unpaired(phones, heard)
        if (failure := _missing(said, owners, first, last) or _surplus(said, owners, phones, first, heard[begins:ends]))
    )


def phones_of(text: str, language: Language = "en") -> tuple[str, ...]:
    """The phonemes of a text without stress. Raises TextError as `sentences_of`."""
    return tuple(phone for word in said_words(text, language) for phone in word.phones)


def said_words(text: str, language: Language = "en") -> tuple[ExpectedWord, ...]:
    """The words of a text as they are spoken. Raises TextError as `sentences_of`."""
    words = (word for sentence in sentences_of(text, language) for word in sentence.words)
    return tuple(ExpectedWord(word.text, tuple(map(without_stress, word.phones))) for word in words)


def listening(listener: Listener) -> Listen:
    """What a recogniser of letters or phonemes hears; letters are read aloud again."""

    def listen(waveform: Float[np.ndarray, " time"], rate: int) -> Sequence[str]:
        sound = waveform if rate == listener.sample_rate else resample(waveform, rate, listener.sample_rate)
        heard = listener.transcribe_greedily(sound)
        if not listener.text.phonemic:
            return phones_of(heard.text, listener.text.language)
        return [bare for symbol in heard.symbols if (bare := without_stress(symbol.text)) in _PHONEMES]

    return listen


def stock_listening() -> Listen:
    """What pocketsphinx hears with its own English model. Raises MissingExtra where it is not installed."""
    decoder = stock_decoder("the check of words")

    def listen(waveform: Float[np.ndarray, " time"], rate: int) -> Sequence[str]:
        sound = waveform if rate == JUDGED_RATE else resample(waveform, rate, JUDGED_RATE)
        return phones_of(" ".join(heard_words(decoder, sound)))

    return listen


def failing_words(listen: Callable[[], Listen] = stock_listening) -> Measure:
    """The measure of words that fail among those of the transcript, in English; pocketsphinx listens by default."""

    def open_failures(items: Sequence[Item]) -> Scorer:
        expected, hear = [said_words(item.transcript) for item in items], listen()

        def score(candidate: Candidate) -> tuple[float, ...]:
            said = expected[candidate.item]
            found = hard_failures(said, hear(candidate.waveform, JUDGED_RATE))
            return (min(sum(each.num_words for each in found) / len(said), 1.0) if said else NAN,)

        return score

    column = Column(name="failures", title="hard failures", better="lower", bar=0.02)
    return Measure(name="failures", columns=(column,), open=open_failures, aligned=False)


def _unpaired(said: Sequence[str], heard: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Runs in one best alignment: (first, last, first, last) of `said` and `heard`, one of the two empty."""
    run = (0, 0, 0, 0)
    for i, j in [*_paired(said, heard), (len(said), len(heard))]:
        _, at, _, beside = run
        if i - at >= RUN:
            yield at, i, beside, beside
        if j - beside >= RUN:
            yield i, i, beside, j
        run = (i, i + 1, j, j + 1)


def _paired(said: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Numbers of the phonemes that stand beside each other, equal or mistaken, in one alignment of the least cost.

    A run without partners costs `_OPENING` more than its phonemes, so that what is missing is missing in one piece
    (Gotoh 1982).
    """
    costs: dict[tuple[int, int, int], tuple[float, tuple[int, int, int]]] = {(0, 0, 0): (0.0, (0, 0, 0))}
    for i, j in itertools.product(range(len(said) + 1), range(len(heard) + 1)):
        for step, (back_i, back_j) in enumerate(
            ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        ):  # pair, only said, only heard
            if back_i < 0 or back_j < 0:
                continue
            own = 1.0 if step else _mistaken(said[back_i], heard[back_j])
            before = (
                (costs[back][0] + own + _OPENING * (step not in (0, back[2])), back)
                for back in ((back_i, back_j, each) for each in range(3))
                if back in costs
            )
            if (cheapest := min(before, default=None)) is not None:
                costs[(i, j, step)] = cheapest
    at = min(((len(said), len(heard), step) for step in range(3)), key=lambda each: costs.get(each, _NEVER)[0])
    found = []
    while at != (0, 0, 0):
        if at[2] == 0:
            found.append((at[0] - 1, at[1] - 1))
        at = costs[at][1]
    return found[::-1]


def _mistaken(one: str, other: str) -> float:
    if one == other:
        return 0.0
    return 1.0 if (one in _VOWELS) == (other in _VOWELS) else _OTHER_KIND


def _missing(said: Sequence[ExpectedWord], owners: Sequence[int], first: int, last: int) -> Failure | None:
    """What it means that phonemes `first` to before `last` are not heard; None where there are none."""
    if first == last:
        return None
    phones = [phone for word in said for phone in word.phones]
    first, last = min(_slides(phones, first, last), key=lambda run: _breaks(owners, *run))
    lost = {number: owners[first:last].count(number) for number in dict.fromkeys(owners[first:last])}
    whole = [number for number, count in lost.items() if count == len(said[number].phones)]
    cut = [number for number, count in lost.items() if number not in whole and 2 * count >= len(said[number].phones)]
    words = sorted([*whole, *cut]) or [max(lost, key=lambda number: lost[number])]
    kind: Kind = "no end" if last == len(owners) else "skipped" if whole else "cut"
    return Failure(kind, " ".join(said[number].text for number in words), words[0], len(words))


def _slides(phones: Sequence[str], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Runs that are missing just as well: of S T R S, without S T R or without T R S the rest is the same."""
    yield first, last
    low, high = first, last
    while low and phones[low - 1] == phones[high - 1]:
        low, high = low - 1, high - 1
        yield low, high
    while last < len(phones) and phones[first] == phones[last]:
        first, last = first + 1, last + 1
        yield first, last


def _breaks(owners: Sequence[int], first: int, last: int) -> int:
    """How many of a run's two ends lie inside of a word."""
    return sum(0 < place < len(owners) and owners[place - 1] == owners[place] for place in (first, last))


def _surplus(
    said: Sequence[ExpectedWord], owners: Sequence[int], phones: Sequence[str], place: int, heard: Sequence[str]
) -> Failure:
    """What it means that more is heard before phoneme `place`: what was just said again, or what the text has not."""
    size = len(heard)
    turned = [[*heard[turn:], *heard[:turn]] for turn in range(size)]  # where it begins is the alignment's choice
    windows = [
        (min(edit_distance(phones[first : first + size], each) for each in turned), first)
        for first in range(max(place - size, 0), min(place, len(phones) - size) + 1)
    ]
    windows = [(distance, first) for distance, first in windows if 3 * distance <= size]
    if windows:
        _, first = min(windows, key=lambda each: (each[0], _breaks(owners, each[1], each[1] + size), each[1]))
        words = list(dict.fromkeys(owners[first : first + size]))
        return Failure("repeated", " ".join(said[number].text for number in words), words[0], len(words))
    before = owners[place - 1] if place else 0
    return Failure("no end" if place == len(phones) else "added", "", before)


__all__ = [
    "RUN",
    "ExpectedWord",
    "Failure",
    "Kind",
    "Listen",
    "Listener",
    "failing_words",
    "hard_failures",
    "listening",
    "phones_of",
    "said_words",
    "stock_listening",
]
