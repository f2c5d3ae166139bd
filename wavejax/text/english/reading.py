"""English text as it is read aloud: sentences of words with their phonemes; each word knows its characters."""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from wavejax.text.english.characters import BREAK
from wavejax.text.english.inflections import with_s
from wavejax.text.english.marks import Marked, Tone
from wavejax.text.english.markup import marked
from wavejax.text.english.parts_of_speech import Context, part_of_speech
from wavejax.text.english.places import Phones, Spoken
from wavejax.text.english.scanning import Item, ends_paragraph, items
from wavejax.text.lexicon import english_lexicon
from wavejax.text.phonemes import is_vowel
from wavejax.text.pronunciation import Pronunciation, pronounced
from wavejax.text.reading import Pause, Reading, Sentence, Word

LONGEST_SENTENCE = 400
"""Words; a longer one is cut at the last comma before, or here."""


def read_english(text: str) -> Reading:
    """How English text is read aloud, word by word; with no sentences where nothing is spoken.

    Numbers, money, dates, times, units, abbreviations, addresses and the like become words. `[word](phonemes)` says how
    a word sounds: "[Anna](AE1 N AH0)"; a text that begins with <speak> is SSML (speak, p, s, break, say-as, phoneme,
    prosody).

    Raises TextError: a letter of another script, a word of more than 200 letters, or a mark that is not understood; the
    message says where, and what to do.
    """
    source = marked(text)
    return Reading(text=text, sentences=tuple(_sentences(source)), notes=tuple(source.plain.notes))


def english_sentences(text: str) -> Iterator[Sentence]:
    """The sentences of `read_english(text)` one after the other, each read when it is asked for."""
    yield from _sentences(marked(text))


@dataclass
class _Draft:
    """A sentence that is being collected."""

    items: list[Item] = field(default_factory=list)
    num_words: int = 0

    def add(self, item: Item) -> None:
        self.items.append(item)
        self.num_words += len(item.words)


def _sentences(source: Marked) -> Iterator[Sentence]:
    writer, draft = _Writer(source), _Draft()
    for item in items(source.plain.text, source.given):
        draft.add(item)
        if not item.ends_sentence and draft.num_words < LONGEST_SENTENCE:
            continue
        rest = _Draft() if item.ends_sentence else _cut(draft)
        if sentence := writer.sentence(draft.items):
            yield sentence
        draft = rest
    if last := writer.sentence(draft.items):
        yield last


def _cut(draft: _Draft) -> _Draft:
    """What is left of a sentence that is too long, after its last comma; nothing where it has none."""
    place = next((i for i in range(len(draft.items) - 1, 0, -1) if draft.items[i].mark == ","), None)
    rest = _Draft()
    if place is not None:
        for item in draft.items[place + 1 :]:
            rest.add(item)
        del draft.items[place + 1 :]
    return rest


class _Writer:
    """Turns items into words and pauses of the original text."""

    def __init__(self, source: Marked) -> None:
        self._plain, self._breaks = source.plain, iter(source.breaks)
        self._tones = sorted(source.tones, key=lambda tone: (tone.start, -tone.end))
        self._starts = [tone.start for tone in self._tones]

    def sentence(self, found: Sequence[Item]) -> Sentence | None:
        """None where nothing is spoken."""
        spoken = [(word, item) for item in found for word in item.words]
        texts = [word.text for word, _ in spoken]
        written = [self._plain.text[item.start : item.end] for _, item in spoken]
        parts: list[Word | Pause] = []
        number = 0
        for item in found:
            for word in item.words:
                said = _pronounced(word, texts, written, number)
                number += 1
                if said.phones:
                    parts.append(self._word(word.text, item, said))
            if item.mark and (pause := self._pause(item)):
                _add_pause(parts, pause)
        if not any(isinstance(part, Word) for part in parts):
            return None
        if isinstance(parts[-1], Word):
            parts.append(Pause(symbol=".", span=(parts[-1].span[1], parts[-1].span[1])))
        elif parts[-1].symbol == ",":
            parts[-1] = Pause(symbol=".", span=parts[-1].span, seconds=parts[-1].seconds)
        ends = ends_paragraph(self._plain.text, found[-1].end)
        return Sentence(parts=tuple(_with_full_articles(parts)), ends_paragraph=ends)

    def _word(self, text: str, item: Item, said: Pronunciation) -> Word:
        rate, pitch = self._tone(item.start)
        span = self._plain.span(item.start, item.end)
        return Word(text=text, span=span, phones=said.phones, source=said.source, rate=rate, pitch=pitch)

    def _pause(self, item: Item) -> Pause | None:
        span = self._plain.span(item.start, item.end)
        if item.mark == BREAK:
            return Pause(symbol=",", span=span, seconds=next(self._breaks, 0.0))
        if item.words:
            span = (span[1] - 1, span[1])  # the full stop of an abbreviation
        return Pause(symbol=item.mark, span=span)

    def _tone(self, place: int) -> tuple[float, float]:
        """The product of the rates around a place, and the sum of the pitches."""
        rate, pitch = 1.0, 0.0
        for tone in self._around(place):
            rate, pitch = rate * tone.rate, pitch + tone.pitch
        return rate, pitch

    def _around(self, place: int) -> Iterator[Tone]:
        for tone in self._tones[: bisect.bisect_right(self._starts, place)]:
            if place < tone.end:
                yield tone


def _add_pause(parts: list[Word | Pause], pause: Pause) -> None:
    """Pauses side by side are one: the stronger symbol, and the seconds that were asked for; none begins a sentence
    unless its length was asked for."""
    last = parts[-1] if parts else None
    if isinstance(last, Pause):
        symbol = max(last.symbol, pause.symbol, key=",.!?".index)
        asked = [each.seconds for each in (last, pause) if each.seconds is not None]
        span = (last.span[0], max(last.span[1], pause.span[1]))
        parts[-1] = Pause(symbol=symbol, span=span, seconds=sum(asked) if asked else None)
    elif parts or pause.seconds is not None:
        parts.append(pause)


def _pronounced(word: Spoken, texts: Sequence[str], written: Sequence[str], number: int) -> Pronunciation:
    if word.phones is not None:
        return Pronunciation(word.phones, "given")
    if word.is_letter:
        return Pronunciation(_letter(word.text), "lexicon")
    bare = word.text.strip("'")
    if not bare:
        return Pronunciation((), "rule")
    if word.text not in english_lexicon() and bare != word.text and not word.text.endswith("s'"):
        return pronounced(bare)
    return pronounced(word.text, part_of_speech(Context(texts, written, number)))


def _letter(name: str) -> Phones:
    """How a letter is called; with 's of several of them."""
    bare = name.removesuffix("'s")
    phones = ("EY1",) if bare == "a" else english_lexicon().phones(bare) or pronounced(bare).phones
    return phones if bare == name else with_s(phones)


def _with_full_articles(parts: Sequence[Word | Pause]) -> Iterator[Word | Pause]:
    """ "the" before a vowel is DH IY0."""
    for number, part in enumerate(parts):
        following = parts[number + 1] if number + 1 < len(parts) else None
        before_vowel = isinstance(following, Word) and is_vowel(following.phones[0])
        if before_vowel and isinstance(part, Word) and part.text == "the" and part.source != "given":
            part = replace(part, phones=("DH", "IY0"))
        yield part


__all__ = ["LONGEST_SENTENCE", "english_sentences", "read_english"]
