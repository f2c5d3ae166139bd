"""Regular endings of English words, as they are pronounced."""

from wavejax.text.phonemes import without_stress

_SIBILANTS = {"S", "Z", "SH", "ZH", "CH", "JH"}
_VOICELESS = {"P", "T", "K", "F", "TH", *_SIBILANTS - {"Z", "ZH", "JH"}}

Phones = tuple[str, ...]


def with_s(phones: Phones) -> Phones:
    """A word with the ending s of plurals, possessives and verbs: "cats", "dogs", "horse's"."""
    last = without_stress(phones[-1])
    if last in _SIBILANTS:
        return (*phones, "IH0", "Z")
    return (*phones, "S" if last in _VOICELESS else "Z")


def with_ed(phones: Phones) -> Phones:
    """A verb with the ending ed: "walked", "begged", "wanted"."""
    last = without_stress(phones[-1])
    if last in {"T", "D"}:
        return (*phones, "IH0", "D")
    return (*phones, "T" if last in _VOICELESS else "D")


def with_ing(phones: Phones) -> Phones:
    """A verb with the ending ing."""
    return (*phones, "IH0", "NG")


__all__ = ["with_ed", "with_ing", "with_s"]
