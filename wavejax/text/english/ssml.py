"""A small part of SSML: speak, p, s, break, say-as, phoneme and prosody (W3C Speech Synthesis Markup Language 1.1).

It is read by a strict reader of its own, which knows neither entities of a document nor its type: nothing is expanded,
and nothing is fetched.
"""

import html
import math
import re

from wavejax.limits import DEEPEST_NESTING, shown
from wavejax.text.english import moments, quantities
from wavejax.text.english.characters import BREAK, Plain
from wavejax.text.english.ipa import phonemes_of_ipa
from wavejax.text.english.marks import Marked, Tone, with_phones
from wavejax.text.english.numbers import spelled
from wavejax.text.english.places import Place, Rule, Spoken, letters, words
from wavejax.text.errors import TextError
from wavejax.text.phonemes import phonemes_of
from wavejax.text.reading import Span

LONGEST_BREAK = 10.0
"""Seconds."""
_TAG = re.compile(r"<(/?)([a-z-]{1,20})((?:\s[^<>]{0,2000})?)>")
_ATTRIBUTE = re.compile(r"\s+([a-z:-]{1,30})\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_ENTITY = re.compile(r"&(?:(?:lt|gt|amp|quot|apos)|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_COMMENT = re.compile(r"<!--(?:[^-]|-(?!->))*+-->|<\?xml[^<>]{0,200}\?>")
_TIME = re.compile(r"(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)")
_STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}
_RATES = {"x-slow": 0.5, "slow": 0.8, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
_PITCHES = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "default": 0.0, "high": 3.0, "x-high": 6.0}
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "speak": frozenset(("version", "xmlns", "xml:lang")),
    "p": frozenset(),
    "s": frozenset(),
    "break": frozenset(("time", "strength")),
    "say-as": frozenset(("interpret-as", "format")),
    "phoneme": frozenset(("alphabet", "ph")),
    "prosody": frozenset(("rate", "pitch")),
}
_SAY_AS: dict[str, tuple[Rule, ...]] = {
    "cardinal": (quantities.amount,),
    "number": (quantities.amount,),
    "ordinal": (quantities.ordered,),
    "fraction": (quantities.part,),
    "date": (moments.date, moments.era, quantities.number),
    "time": (moments.clock,),
    "unit": (quantities.measure, quantities.percentage),
    "currency": (quantities.money,),
}
_SPELLED = frozenset(("characters", "spell-out", "digits", "telephone", "verbatim"))


def read_ssml(text: str) -> Marked:
    """The plain text of an SSML document, with what its elements say of it.

    Raises TextError: an element, an attribute or a value that is not understood; the message says where it stands.
    """
    return _Ssml(text).read()


class _Ssml:
    """One reading of an SSML text."""

    def __init__(self, text: str) -> None:
        self.text, self.result = text, Marked(Plain("", [], []))
        self.open: list[tuple[str, dict[str, str], int, int]] = []
        """Name, attributes, place in the plain text, place in the original."""

    def read(self) -> Marked:
        at, done = 0, False
        while at < len(self.text):
            if self.text[at] == "<":
                at = self._tag(at)
                done = done or not self.open
            elif self.text[at] == "&":
                at = self._entity(at)
            else:
                end = min(
                    (e for e in (self.text.find("<", at), self.text.find("&", at)) if e >= 0), default=len(self.text)
                )
                self._text(at, end)
                at = end
        if self.open:
            name, _, _, start = self.open[-1]
            raise TextError(f"the element <{name}> at {start} of the SSML is not closed: write </{name}> where it ends")
        return self.result

    def _text(self, at: int, end: int) -> None:
        if self.open:
            self.result.add(self.text[at:end], at, self.text)
        elif self.text[at:end].strip():
            raise TextError(f"{shown(self.text[at:end])} at {at} stands outside of <speak>: put it before </speak>")

    def _entity(self, at: int) -> int:
        found = _ENTITY.match(self.text, at)
        if found is None:
            raise TextError(f"the & at {at} of the SSML begins no entity: write &amp; for the sign itself")
        start = len(self.result.plain.text)
        self.result.add(html.unescape(found.group()), at, self.text)
        for place in range(start, len(self.result.plain.text)):
            self.result.plain.starts[place], self.result.plain.ends[place] = found.span()
        return found.end()

    def _tag(self, at: int) -> int:
        if skipped := _COMMENT.match(self.text, at):
            return skipped.end()
        found = _TAG.match(self.text, at)
        if found is None:
            raise TextError(
                f"{shown(self.text[at : at + 30])} at {at} of the SSML is no element that is read: there are "
                f"{', '.join(_ATTRIBUTES)}; write &lt; for the sign itself"
            )
        closing, name, rest = found.groups()
        if closing:
            self._close(name, found)
            return found.end()
        empty = rest.endswith("/")
        attributes = self._attributes(name, rest.removesuffix("/"), at)
        if len(self.open) >= DEEPEST_NESTING:
            raise TextError(f"the SSML is nested more than {DEEPEST_NESTING} deep at {at}")
        if (name == "speak") != (not self.open):
            raise TextError(f"<{name}> at {at} of the SSML: one <speak> holds everything else")
        self.open.append((name, attributes, len(self.result.plain.text), at))
        if empty or name == "break":
            self._close(name, found, is_empty=True)
            return found.end() if empty else self._after_break(found)
        return found.end()

    def _after_break(self, found: re.Match[str]) -> int:
        if not self.text.startswith("</break>", found.end()):
            raise TextError(f'<break> at {found.start()} of the SSML holds nothing: write <break time="500ms"/>')
        return found.end() + len("</break>")

    def _attributes(self, name: str, rest: str, at: int) -> dict[str, str]:
        if name not in _ATTRIBUTES:
            raise TextError(
                f"the element <{name}> at {at} of the SSML is not known; there are {', '.join(_ATTRIBUTES)}"
            )
        attributes: dict[str, str] = {}
        end = 0
        while found := _ATTRIBUTE.match(rest, end):
            attributes[found.group(1)] = html.unescape(found.group(2) or found.group(3) or "")
            end = found.end()
        if rest[end:].strip():
            raise TextError(
                f'the attributes {shown(rest.strip())} of <{name}> at {at} cannot be read: write name="value"'
            )
        if unknown := sorted(set(attributes) - _ATTRIBUTES[name]):
            known = ", ".join(sorted(_ATTRIBUTES[name])) or "none"
            raise TextError(f"<{name}> at {at} of the SSML has no attribute {unknown[0]!r}; it has {known}")
        return attributes

    def _close(self, name: str, tag: re.Match[str], *, is_empty: bool = False) -> None:
        if not self.open or self.open[-1][0] != name:
            expected = f"</{self.open[-1][0]}>" if self.open else "nothing"
            raise TextError(f"</{name}> at {tag.start()} of the SSML closes nothing that is open: expected {expected}")
        _, attributes, start, began = self.open.pop()
        span = (began, tag.end())
        if name in {"p", "s"}:
            self.result.sign("\n\n", (tag.start(), tag.end()))
        elif name == "break":
            self.result.sign(BREAK, span)
            self.result.breaks.append(_break(attributes, began))
        elif name == "prosody":
            rate, pitch = (
                _rate(attributes.get("rate", "medium"), began),
                _pitch(attributes.get("pitch", "medium"), began),
            )
            self.result.tones.append(Tone(start, len(self.result.plain.text), rate, pitch))
        elif name in {"say-as", "phoneme"}:
            self._read_as(name, attributes, start, span)

    def _read_as(self, name: str, attributes: dict[str, str], start: int, span: Span) -> None:
        written, end = self.result.plain.text[start:], len(self.result.plain.text)
        if BREAK in written or any(end > start for _, end, _ in self.result.given):
            raise TextError(f"<{name}> at {span[0]} of the SSML holds text alone, no other element")
        if not written.strip():
            raise TextError(f"<{name}> at {span[0]} of the SSML holds no text: put the word between it and </{name}>")
        if name == "phoneme":
            phones = _phones(attributes, span[0])
            self.result.given += with_phones(self.result, start, written, phones, span)
            return
        for place in range(start, end):
            self.result.plain.starts[place], self.result.plain.ends[place] = span
        self.result.given.append((start, end, tuple(_said_as(written.strip(), attributes, span[0]))))


def _phones(attributes: dict[str, str], at: int) -> list[tuple[str, ...]]:
    alphabet, written = attributes.get("alphabet", "ipa"), attributes.get("ph", "")
    read = {"ipa": phonemes_of_ipa, "arpabet": phonemes_of, "x-arpabet": phonemes_of}.get(alphabet)
    if read is None:
        raise TextError(f'the alphabet {alphabet!r} of <phoneme> at {at} is not known: write "arpabet" or "ipa"')
    return [read(each) for each in written.split("|")]


def _said_as(written: str, attributes: dict[str, str], at: int) -> list[Spoken]:
    kind = attributes.get("interpret-as", "")
    if kind in _SPELLED:
        spoken: list[Spoken] = []
        for character in written:
            if character.isalpha() and character.isascii():
                spoken += letters(character)
            elif character.isdigit() and character.isascii():
                spoken += words(spelled(character))
        if spoken:
            return spoken
    elif kind not in _SAY_AS:
        known = ", ".join(sorted((*_SPELLED, *_SAY_AS)))
        raise TextError(f"<say-as> at {at} of the SSML has no interpret-as={kind!r}; there are {known}")
    suffixed = f"{written}th" if kind == "ordinal" and written.isdigit() else written
    for rule in _SAY_AS.get(kind, ()):
        found = rule(Place(suffixed, 0))
        if found is not None and found.end == len(suffixed):
            return found.words
    raise TextError(f"{shown(written)} in <say-as> at {at} of the SSML cannot be read as {kind}")


def _break(attributes: dict[str, str], at: int) -> float:
    if "time" in attributes:
        found = _TIME.fullmatch(attributes["time"])
        seconds = float(found.group(1)) * (0.001 if found.group(2) == "ms" else 1.0) if found else -1.0
        if not 0 <= seconds <= LONGEST_BREAK:
            raise TextError(
                f"the time {shown(attributes['time'])} of <break> at {at} must be 0 to {LONGEST_BREAK:g} seconds, as "
                "in 500ms or 1.5s"
            )
        return seconds
    strength = attributes.get("strength", "medium")
    if strength not in _STRENGTHS:
        raise TextError(f"<break> at {at} has no strength {shown(strength)}; there are {', '.join(_STRENGTHS)}")
    return _STRENGTHS[strength]


def _rate(written: str, at: int) -> float:
    if written in _RATES:
        return _RATES[written]
    found = re.fullmatch(r"([+-]?)(\d{1,3}(?:\.\d{1,3})?)(%?)", written)
    if found:
        sign, number, percent = found.groups()
        value = float(number) / 100 if percent else float(number)
        value = 1 + value if sign == "+" else 1 - value if sign == "-" else value
        if 0.25 <= value <= 4:
            return value
    raise TextError(
        f"the rate {shown(written)} of <prosody> at {at} must be 25% to 400%, a change as in -10%, or one of "
        f"{', '.join(_RATES)}"
    )


def _pitch(written: str, at: int) -> float:
    if written in _PITCHES:
        return _PITCHES[written]
    found = re.fullmatch(r"([+-]\d{1,2}(?:\.\d{1,3})?)(st|%)", written)
    if found:
        value = float(found.group(1)) if found.group(2) == "st" else 12 * math.log2(1 + float(found.group(1)) / 100)
        if abs(value) <= 24:
            return value
    raise TextError(
        f"the pitch {shown(written)} of <prosody> at {at} must be a change of up to 24 semitones, as in +2st, or one "
        f"of {', '.join(_PITCHES)}"
    )


__all__ = ["LONGEST_BREAK", "read_ssml"]
