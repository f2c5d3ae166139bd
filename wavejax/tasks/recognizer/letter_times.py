"""When each letter of a transcript is said, from a corpus' alignment of its words and phones.

A word's letters share the time of its phones: of n letters over m phones, letter i takes the phones from m i / n to
m (i + 1) / n, and a part of a phone where these are no whole numbers. So "knee" gets its "e"s in the vowel, and a short
phone is a short letter. That is a rough guess of what letter a sound belongs to, but it never leaves the word.

A space takes the pause between its words. Where two words follow without one, and between two equal letters ("ll"), one
frame in the middle belongs to no label: a CTC model needs it for the space, or for the blank that keeps the letters
apart, and places it by itself.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wavejax.data.alignments import AlignedUtterance, Interval
from wavejax.text import TextError, TextSpec

_LEFT_OPEN = 0.5
"""Frames on each side of a border without a pause that belong to no letter: the middle of one frame lies in them."""


def letter_times(
    text: str, spec: TextSpec, aligned: AlignedUtterance, seconds_per_frame: float
) -> Float[np.ndarray, "two letters"] | None:
    """Where each letter of a text begins and ends, in frames, float32 [2, L]; increasing, and none overlaps.

    Aligned words are normalised as the text was, one by one. Their letters must be the text's, whatever spaces are
    between them ("forty-five" may be one word or two).

    Args:
        text: normalised; its characters are the labels.
        spec: which normalised it, one of letters.
        aligned: the words of the same recording, and their phones.
        seconds_per_frame: of the model's result.

    Returns None where the words have other letters than the text, or the alignment has no words.
    """
    letters, parts = "", []
    for word in aligned.words:
        try:
            own = spec.normalize(word.text).replace(" ", "")
        except TextError:
            return None
        letters += own
        if own:
            parts.append(_shared(word, aligned.phones, len(own)))
    if not letters or letters != text.replace(" ", ""):
        return None
    said = iter(np.concatenate(parts, axis=1).T / seconds_per_frame)
    times = np.asarray([(np.nan, np.nan) if character == " " else next(said) for character in text])
    for place in range(len(text)):
        if text[place] == " " and 0 < place < len(text) - 1:
            times[place] = times[place - 1][1], times[place + 1][0]
            if times[place][1] - times[place][0] < 2 * _LEFT_OPEN:
                middle = times[place].mean()
                times[place] = middle
                _leave_open(times, place - 1, place + 1, middle)
        elif place and text[place] == text[place - 1] and times[place][0] - times[place - 1][1] < 2 * _LEFT_OPEN:
            _leave_open(times, place - 1, place, (times[place - 1][1] + times[place][0]) / 2)
    return _increasing(np.nan_to_num(times)).T.astype(np.float32)


def _shared(word: Interval, phones: Sequence[Interval], count: int) -> Float[np.ndarray, "two letters"]:
    """Seconds in which each of a word's `count` letters begins and ends."""
    inside = [each for each in phones if word.start <= (each.start + each.end) / 2 <= word.end and each.seconds > 0]
    borders = [each.start for each in inside] + [inside[-1].end] if inside else [word.start, word.end]
    places = np.linspace(0, len(borders) - 1, count + 1)
    moments = np.interp(places, np.arange(len(borders)), borders)
    return np.stack([moments[:-1], moments[1:]])


def _leave_open(times: np.ndarray, before: int, after: int, middle: float) -> None:
    """End the letter before and begin the one after half a frame from where they meet."""
    times[before][1] = max(min(times[before][1], middle - _LEFT_OPEN), times[before][0])
    times[after][0] = min(max(times[after][0], middle + _LEFT_OPEN), times[after][1])


def _increasing(times: np.ndarray) -> np.ndarray:
    """Pairs that do not run backwards: rounded times may, by less than a millisecond."""
    return np.maximum.accumulate(times.reshape(-1)).reshape(times.shape)


__all__ = ["letter_times"]
