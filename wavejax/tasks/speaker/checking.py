"""A text said and listened to: sentences with words that are skipped, repeated or cut are said again."""

import dataclasses
from collections.abc import Iterator

from wavejax.evaluation.spoken_words import ExpectedWord, Failure, Listen, hard_failures
from wavejax.tasks.speaker.lines import Line
from wavejax.tasks.speaker.product import RATE, Manner, Speaker, Speech, said_lines
from wavejax.text.phonemes import without_stress

ATTEMPTS = 3
"""Times that a sentence is said at most."""
_SLOWER = 0.9
"""The rate of each attempt, times that of the one before."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckedSpeech:
    """A sentence, as the attempt with the fewest failures said it."""

    speech: Speech
    text: str
    """Its words as they are written."""
    failures: tuple[Failure, ...]
    """What the listener misses in it; empty: nothing."""
    first_failures: tuple[Failure, ...]
    """What it missed in the first attempt."""
    attempts: int

    @property
    def report(self) -> str:
        """In one line."""
        found = "; ".join(map(str, self.first_failures)) or "every word is heard"
        if self.attempts == 1:
            return f"{self.text!r}: {found}"
        now = "; ".join(map(str, self.failures)) or "now every word is heard"
        return f"{self.text!r}: {found}; said {self.attempts} times: {now}"


def checked(
    speaker: Speaker, text: str, listen: Listen, manner: Manner | None = None, *, attempts: int = ATTEMPTS
) -> Iterator[CheckedSpeech]:
    """Each sentence of a text as soon as it has been said and heard.

    A parallel speaker says a sentence the same way every time: its durations are not drawn. So each further attempt has
    another seed, which only changes the vocoder's noise, and is a tenth slower than the one before.

    Args:
        speaker: says it.
        text: as for `Speaker.say`.
        listen: `wavejax.evaluation.spoken_words.listening(recognizer)` for instance.
        manner: how the first attempt says it, from `Speaker.manner`.
        attempts: times that a sentence is said at most.

    Raises TextError and ExperimentError as `Speaker.say`.
    """
    how = manner or speaker.manner()
    for line, is_last in said_lines(text, speaker.language):
        first: tuple[Failure, ...] | None = None
        best: tuple[tuple[Failure, ...], Speech] | None = None
        number = 0
        while number < attempts and (best is None or best[0]):
            speech = speaker.said(line, _again(how, number), is_last=is_last)
            found = hard_failures(words_of(speech), listen(speech.waveform, speech.sample_rate))
            first = found if first is None else first
            if best is None or _weight(found) < _weight(best[0]):
                best = found, speech
            number += 1
        if best is None or first is None:
            raise ValueError(f"attempts must be at least 1, got {attempts}")
        yield CheckedSpeech(
            speech=best[1], text=_written(line), failures=best[0], first_failures=first, attempts=number
        )


def words_of(speech: Speech) -> tuple[ExpectedWord, ...]:
    """The words that are said in it, as they are written, with their phonemes."""
    return tuple(
        ExpectedWord(word.text, tuple(without_stress(symbol.text) for symbol in word.symbols)) for word in speech.words
    )


def _again(manner: Manner, number: int) -> Manner:
    rate = max(manner.rate * _SLOWER**number, RATE.low)
    return dataclasses.replace(manner, seed=manner.seed + number, rate=rate)


def _weight(failures: tuple[Failure, ...]) -> int:
    return sum(each.num_words for each in failures)


def _written(line: Line) -> str:
    return " ".join(word.text for word in line.words)


__all__ = ["ATTEMPTS", "CheckedSpeech", "checked", "words_of"]
