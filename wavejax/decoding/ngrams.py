"""Language models of words, read and written in the ARPA format."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
NOTHING = -99.0
"""The log10 probability that ARPA files have where there is none."""
LONGEST = 10
"""The highest order."""


class NGramError(ValueError):
    """A file that is no ARPA language model; the message names the line."""


@dataclass(frozen=True)
class NGrams:
    """A back-off model: log10 of p(word | the words before it), and log10 of the weight where those were not seen."""

    order: int
    log_probs: Mapping[tuple[str, ...], float]
    """Of n-grams, the predicted word last."""
    back_offs: Mapping[tuple[str, ...], float]
    """Of histories; 0 where there is none."""

    def __contains__(self, word: str) -> bool:
        return (word,) in self.log_probs

    def log_prob(self, history: Sequence[str], word: str) -> float:
        """log10 p(word | history); of a word that the model does not know that of <unk>, or -99 without one."""
        if word not in self:
            word = UNKNOWN
            if word not in self:
                return NOTHING
        context = tuple(history)[-(self.order - 1) :] if self.order > 1 else ()
        weight = 0.0
        while (*context, word) not in self.log_probs:
            weight += self.back_offs.get(context, 0.0)
            context = context[1:]
        return weight + self.log_probs[(*context, word)]

    def sentence(self, words: Iterable[str]) -> float:
        """log10 of the probability of a whole sentence, its end included."""
        history, total = [START], 0.0
        for word in (*words, END):
            total += self.log_prob(history, word)
            history.append(word)
        return total

    def to_arpa(self) -> str:
        """In the ARPA format, as SRILM and KenLM read it; logs have three decimals."""
        by_order = [sorted(gram for gram in self.log_probs if len(gram) == n) for n in range(1, self.order + 1)]
        lines = ["\\data\\", *(f"ngram {n}={len(grams)}" for n, grams in enumerate(by_order, 1))]
        for n, grams in enumerate(by_order, 1):
            lines += ["", f"\\{n}-grams:"]
            for gram in grams:
                back_off = f"\t{self.back_offs[gram]:.3f}" if gram in self.back_offs else ""
                lines.append(f"{self.log_probs[gram]:.3f}\t{' '.join(gram)}{back_off}")
        return "\n".join([*lines, "", "\\end\\", ""])


def read_arpa(text: str, name: str = "the language model") -> NGrams:
    """The inverse of `NGrams.to_arpa`, for files of any maker.

    Raises NGramError: names the first line that is no part of the format.
    """
    logs: dict[tuple[str, ...], float] = {}
    back_offs: dict[tuple[str, ...], float] = {}
    announced: dict[int, int] = {}
    order, ended = 0, False
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        where = f"line {number} of {name}"
        if not fields or (not announced and fields != ["\\data\\"] and fields[0] != "ngram"):
            continue  # empty lines, and what stands before the model
        if fields == ["\\end\\"]:
            ended = True
            break
        if fields[0] == "ngram" and not order:
            announced |= _announced(fields, where)
        elif fields[0].endswith("-grams:"):
            order += 1
            if fields[0] != f"\\{order}-grams:" or order not in announced:
                raise NGramError(f"{where} is {line!r}; expected the {order}-grams that the head announces")
        elif order:
            gram, log_prob, back_off = _gram(fields, order, where)
            logs[gram] = log_prob
            if back_off is not None:
                back_offs[gram] = back_off
        elif fields != ["\\data\\"]:
            raise NGramError(f"{where} is {line!r}; expected a line like ngram 1=5000")
    if not logs or not ended:
        why = "it does not end with \\end\\" if logs else "no n-grams"
        raise NGramError(f"{name} is no ARPA language model: {why}")
    for n, count in announced.items():
        found = sum(len(gram) == n for gram in logs)
        if found != count:
            raise NGramError(f"{name} announces {count} {n}-grams and holds {found}: it was cut short or damaged")
    return NGrams(max(announced), logs, back_offs)


def _announced(fields: Sequence[str], where: str) -> dict[int, int]:
    order, equals, count = " ".join(fields[1:]).partition("=")
    if not (equals and order.strip().isdigit() and count.strip().isdigit() and 1 <= int(order) <= LONGEST):
        raise NGramError(f"{where} is {' '.join(fields)!r}; expected a line like ngram 1=5000, of order 1 to {LONGEST}")
    return {int(order): int(count)}


def _gram(fields: Sequence[str], order: int, where: str) -> tuple[tuple[str, ...], float, float | None]:
    try:
        numbers = [float(fields[0]), *(float(each) for each in fields[order + 1 :])]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2 or len(fields) < order + 1 or not all(map(math.isfinite, numbers)):
        raise NGramError(f"{where} is no {order}-gram: expected a log10 probability, {order} words, and maybe a weight")
    return tuple(fields[1 : order + 1]), numbers[0], numbers[1] if len(numbers) == 2 else None


__all__ = ["END", "LONGEST", "NOTHING", "START", "UNKNOWN", "NGramError", "NGrams", "read_arpa"]
