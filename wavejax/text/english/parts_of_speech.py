"""Which reading of a homograph is meant, by the words around it.

There is no grammar here: a word after "the" is taken for a noun, one after "to" for a verb, and a few words have rules
of their own.
"""

from collections.abc import Callable, Mapping, Sequence

from wavejax.text.english.homographs import HOMOGRAPHS

_DETERMINERS = frozenset(
    (
        *("the", "a", "an", "this", "that", "these", "those", "my", "your", "his", "her", "its", "our", "their"),
        *("some", "any", "no", "every", "each", "another", "what", "which", "whose", "all", "both", "many", "much"),
        *("more", "most", "few", "several", "other", "first", "second", "last", "next", "new", "old", "good", "bad"),
        *("great", "big", "small", "own", "same", "one", "two", "three", "four", "five", "six", "seven", "eight"),
    )
)
_ARTICLES = frozenset(
    ("the", "a", "an", "this", "that", "these", "those", "my", "your", "his", "her", "its", "our", "their", "some")
)
_OBJECTS = _ARTICLES | {"it", "me", "us", "him", "them", "you", "all", "up", "down", "off", "out"}
_PREPOSITIONS = frozenset(
    (
        *("of", "in", "on", "at", "for", "with", "from", "by", "about", "into", "through", "under", "over", "without"),
        *("between", "against", "during", "per", "as", "after", "before", "than", "like"),
    )
)
_VERBS_BEFORE = frozenset(
    (
        *("to", "will", "would", "can", "could", "shall", "should", "may", "might", "must", "do", "does", "did"),
        *("don't", "doesn't", "didn't", "won't", "can't", "couldn't", "wouldn't", "shouldn't", "cannot", "let's"),
        *("please", "i'll", "you'll", "he'll", "she'll", "we'll", "they'll", "it'll", "i'd", "you'd", "we'd"),
        *("they'd", "he'd", "she'd", "who'll", "and", "or", "helped", "help", "not"),
    )
)
_CERTAIN_VERBS_BEFORE = _VERBS_BEFORE - {"and", "or", "not", "do", "does", "did"}
_PLURAL_SUBJECTS = frozenset(("i", "you", "we", "they", "who", "people"))
_SINGULAR_SUBJECTS = frozenset(("he", "she", "it", "who", "that"))
_BE = frozenset(("am", "is", "are", "was", "were", "be", "been", "being", "i'm", "you're", "we're", "they're", "isn't"))
_HAVE = frozenset(("have", "has", "had", "having", "i've", "you've", "we've", "they've", "haven't", "hasn't", "hadn't"))
_ADVERBS = frozenset(
    ("always", "never", "often", "also", "still", "just", "even", "already", "really", "only", "ever", "soon", "then")
)
_DEGREES = frozenset(
    ("very", "so", "too", "quite", "more", "most", "as", "that", "how", "feel", "felt", "seem", "seems")
)
_PAST_TIMES = frozenset(
    ("yesterday", "ago", "last", "once", "earlier", "was", "were", "had", "did", "said", "then", "when", "before")
)
_LIVE_THINGS = frozenset(
    (
        *("music", "show", "shows", "concert", "concerts", "broadcast", "broadcasts", "band", "audience", "tv", "t"),
        *("television", "wire", "wires", "performance", "performances", "stream", "streams", "event", "events"),
        *("animals", "animal", "birds", "chat", "recording", "recordings", "coverage", "ammunition", "bait", "update"),
        *("updates", "album", "version", "television", "radio", "entertainment", "demo", "feed", "data", "video"),
    )
)
_LEAD_THINGS = frozenset(
    (
        *("pipe", "pipes", "paint", "poisoning", "pencil", "pencils", "bullet", "bullets", "acid", "mine", "mines"),
        *("weight", "weights", "crystal", "ore", "oxide", "glass", "balloon"),
    )
)
_FISHY = frozenset(
    ("fish", "fishing", "lake", "caught", "catch", "river", "sea", "striped", "largemouth", "trout", "boat", "pond")
)


class Context:
    """The words of a sentence as they are spoken, and as they are written, around one of them."""

    def __init__(self, words: Sequence[str], written: Sequence[str], place: int) -> None:
        self.words, self.place = words, place
        self.is_capitalised = written[place][:1].isupper()
        before = [word for word in words[max(place - 3, 0) : place]]
        self.nearest = before[-1] if before else ""
        while before and (before[-1] in _ADVERBS or (before[-1].endswith("ly") and len(before[-1]) > 4)):
            before.pop()
        self.before = before[-1] if before else ""
        if self.before == "not" and len(before) > 1 and before[-2] in _VERBS_BEFORE:
            self.before = before[-2] if before[-2] in _CERTAIN_VERBS_BEFORE else "to"  # did not object, will not object
        self.after = words[place + 1] if place + 1 < len(words) else ""
        self.second = words[place + 2] if place + 2 < len(words) else ""
        self.name_before = place > 0 and written[place - 1][:1].isupper() and self.nearest not in _STOPS

    def mentions(self, some: frozenset[str]) -> bool:
        """Whether one of these words stands within ten words."""
        return any(word in some for word in self.words[max(self.place - 10, 0) : self.place + 11])


_STOPS = frozenset(("", ",", "i", *_DETERMINERS))


def part_of_speech(context: Context) -> str | None:
    """The reading of a homograph in its sentence, a key of `HOMOGRAPHS`; None for the usual one."""
    word = context.words[context.place]
    if word not in HOMOGRAPHS:
        return None
    return _SPECIAL.get(word, _noun_or_verb)(context)


def _noun_or_verb(context: Context) -> str | None:
    readings = HOMOGRAPHS[context.words[context.place]]
    noun = "adjective" if "noun" not in readings else "noun"
    plural = context.words[context.place].endswith("s")
    subjects = _SINGULAR_SUBJECTS if plural else _PLURAL_SUBJECTS
    if context.before in _CERTAIN_VERBS_BEFORE or context.before in subjects - {"that"}:
        return "verb"
    if context.before in _DEGREES | _BE and "adjective" in readings:
        return "adjective"
    if context.nearest in _DETERMINERS or context.before in _PREPOSITIONS or context.before in _BE | _HAVE:
        return "adjective" if "adjective" in readings and noun == "adjective" else noun
    if context.after in _OBJECTS - {"up", "down", "off", "out"}:
        return "verb"
    if context.before in {"", ","} and context.after in _OBJECTS:
        return "verb"
    return None


def _read(context: Context) -> str | None:
    before = context.before
    if before in _CERTAIN_VERBS_BEFORE or before in {"do", "does", "did", "not"}:
        return "verb"
    if before in _HAVE | _BE | _SINGULAR_SUBJECTS or context.name_before or context.after == "by":
        return "past"
    if before in _PLURAL_SUBJECTS:
        return "past" if context.mentions(_PAST_TIMES) else "verb"
    if before in {"and", "or"}:
        return "past" if any(word.endswith("ed") for word in context.words[: context.place]) else "verb"
    return "noun" if before in _DETERMINERS else "verb" if before in {"", ","} else "past"


def _lead(context: Context) -> str | None:
    if context.after in _LEAD_THINGS or (context.nearest in {"of", "contains", "contain", "molten", "like", "into"}):
        return "metal"
    return None


def _live(context: Context) -> str | None:
    if context.after in _LIVE_THINGS or context.nearest in {"broadcast", "streamed", "aired", "shown", "go", "went"}:
        return "adjective"
    if context.before in _BE or context.nearest in {"the", "a", "going", "recorded", "performed", "play", "played"}:
        return "adjective"
    return "verb"


def _lives(context: Context) -> str | None:
    if context.nearest in _DETERMINERS or context.nearest in _PREPOSITIONS or context.nearest in {"save", "saved"}:
        return "noun"
    return "verb" if context.before in _SINGULAR_SUBJECTS or context.place > 0 else "noun"


def _turned(context: Context) -> str | None:
    """wind and winds."""
    if context.nearest in _DETERMINERS:
        return "noun"
    general = _noun_or_verb(context)
    return "verb" if context.after in {"up", "down", "it", "its"} and context.place == 0 else general


def _tear(context: Context) -> str | None:
    if context.after in {"in", "through"} and context.nearest in _DETERMINERS:
        return "verb"  # a tear in the cloth
    if context.after in {"up", "down", "apart", "off", "open"} and context.nearest not in _DETERMINERS:
        return "verb"
    return _noun_or_verb(context)


def _bass(context: Context) -> str | None:
    return "animal" if context.mentions(_FISHY) else "noun"


def _close(context: Context) -> str | None:
    if context.nearest == "the" and context.after in {"of", ""}:
        return "noun"
    if context.after == "to" or context.before in _DEGREES | _BE or context.nearest in _DETERMINERS:
        return "adjective"
    if context.before in _VERBS_BEFORE | _PLURAL_SUBJECTS or context.after in _OBJECTS:
        return "verb"
    return "adjective"


def _used(context: Context) -> str | None:
    if context.after != "to":
        return "verb"
    if context.before in _BE:
        accustomed = context.second in _OBJECTS or context.second.endswith("ing")
        return "habit" if accustomed else "verb"
    return "habit"


def _minute(context: Context) -> str | None:
    small = {"details", "detail", "amount", "amounts", "particles", "quantities", "differences", "changes", "traces"}
    return "adjective" if context.nearest in {"very", "so", "most"} or context.after in small else "noun"


def _does(context: Context) -> str | None:
    deer = frozenset(("deer", "bucks", "buck", "fawns", "fawn"))
    return "noun" if context.nearest in _DETERMINERS and context.mentions(deer) else "verb"


def _bow(context: Context) -> str | None:
    deep = frozenset(("ship", "boat", "ship's", "took", "take", "takes", "deep", "low", "audience"))
    return "verb" if context.mentions(deep) else _noun_or_verb(context)


def _sow(context: Context) -> str | None:
    return "noun" if context.nearest in _DETERMINERS else "verb"


def _wound(context: Context) -> str | None:
    if context.after in {"up", "around", "down", "through", "its", "the", "tightly", "round"}:
        return None if context.nearest in _DETERMINERS else "past"
    return "verb" if context.before in _CERTAIN_VERBS_BEFORE else "noun"


def _dove(context: Context) -> str | None:
    into = {"into", "in", "down", "off", "under", "for", "right", "head", "deep"}
    return "past" if context.after in into and context.nearest not in _DETERMINERS else "noun"


def _polish(context: Context) -> str | None:
    return "name" if context.is_capitalised and context.place > 0 else _noun_or_verb(context)


def _resume(context: Context) -> str | None:
    return "noun" if context.nearest in _DETERMINERS else "verb"


def _content(context: Context) -> str | None:
    return "adjective" if context.before in _BE | _DEGREES or context.after == "with" else "noun"


def _excuse(context: Context) -> str | None:
    return "verb" if context.after in {"me", "us", "him", "them", "my", "our"} else _noun_or_verb(context)


_SPECIAL: Mapping[str, Callable[[Context], str | None]] = {
    "bass": _bass,
    "bow": _bow,
    "close": _close,
    "content": _content,
    "does": _does,
    "dove": _dove,
    "excuse": _excuse,
    "lead": _lead,
    "live": _live,
    "lives": _lives,
    "minute": _minute,
    "polish": _polish,
    "read": _read,
    "resume": _resume,
    "sow": _sow,
    "tear": _tear,
    "used": _used,
    "wind": _turned,
    "winds": _turned,
    "wound": _wound,
}

__all__ = ["Context", "part_of_speech"]
