"""Words and phonemes: error counts, and a language model that has not seen the test sentences."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def spoken_words(transcript: str) -> list[str]:
    """The words of an English transcript as they are spoken: lower case, no punctuation, numbers to 99 spelt out.

    Longer numbers are read digit by digit, as telephone prompts do.
    """
    words: list[str] = []
    for token in re.findall(r"[a-z']+|\d+", transcript.lower().replace("’", "'")):
        if not token.isdigit():
            words += [token.strip("'")] if token.strip("'") else []
        elif len(token) > 2:
            words += [_ONES[int(digit)] for digit in token]
        else:
            number = int(token)
            words += (
                [_ONES[number]] if number < 20 else [_TENS[number // 10], *([_ONES[number % 10]] * (number % 10 > 0))]
            )
    return words


def edit_distance(reference: Sequence[Hashable], heard: Sequence[Hashable]) -> int:
    """Fewest substitutions, deletions and insertions that turn `reference` into `heard` (Levenshtein 1966)."""
    row = list(range(len(heard) + 1))
    for position, expected in enumerate(reference, 1):
        diagonal, row[0] = row[0], position
        for column, got in enumerate(heard, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (expected != got))
    return row[-1]


def bigram_arpa(sentences: Iterable[Sequence[str]], vocabulary: Collection[str], also: Iterable[str] = ()) -> str:
    """A bigram model of the sentences in the ARPA format; words outside the vocabulary are left out.

    Words of the vocabulary in `also` are known to the model even if they occur in no sentence.
    p(w | h) = (n(h, w) + s(h) p(w)) / (n(h) + s(h)), where s(h) counts the different words seen after h (Witten and
    Bell 1991, method C); half a count is added to every word for p(w).
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for sentence in sentences:
        known = ["<s>", *(word for word in sentence if word in vocabulary), "</s>"]
        if len(known) > 2:
            pairs.update(itertools.pairwise(known))
    if not pairs:
        raise ValueError("no sentence holds a word of the vocabulary: a language model needs text of the same language")
    before, kinds, ends = Counter[str](), Counter[str](), Counter[str]()
    for (first, second), count in pairs.items():
        before[first] += count
        kinds[first] += 1
        ends[second] += count
    ends.update(dict.fromkeys((word for word in also if word in vocabulary), 0))
    total = sum(ends.values()) + 0.5 * len(ends)
    probability = {word: (count + 0.5) / total for word, count in ends.items()}
    lines = ["\\data\\", f"ngram 1={len(probability) + 1}", f"ngram 2={len(pairs)}", "", "\\1-grams:"]
    for word in ("<s>", *sorted(probability)):
        log = math.log10(probability[word]) if word in probability else -99.0
        share = kinds[word] / (before[word] + kinds[word]) if before[word] else 1.0
        lines.append(f"{log:.4f} {word} {math.log10(share):.4f}")
    lines += ["", "\\2-grams:"]
    for (first, second), count in sorted(pairs.items()):
        given = (count + kinds[first] * probability[second]) / (before[first] + kinds[first])
        lines.append(f"{math.log10(given):.4f} {first} {second}")
    return "\n".join([*lines, "", "\\end\\", ""])
