"""The International Phonetic Alphabet for American English, as phonemes."""

from collections.abc import Mapping

from wavejax.limits import shown
from wavejax.text.errors import TextError
from wavejax.text.phonemes import VOWELS

_PHONEME_OF: Mapping[str, tuple[str, ...]] = {
    **{
        ipa: (phoneme,)
        for ipa, phoneme in zip(
            "bdfhklmnpstvwzɡgŋθðʃʒjɹɾɫʔ",
            [
                *(
                    "B",
                    "D",
                    "F",
                    "HH",
                    "K",
                    "L",
                    "M",
                    "N",
                    "P",
                    "S",
                    "T",
                    "V",
                    "W",
                    "Z",
                    "G",
                    "G",
                    "NG",
                    "TH",
                    "DH",
                    "SH",
                ),
                *("ZH", "Y", "R", "T", "L", "T"),
            ],
            strict=True,
        )
    },
    "r": ("R",),
    "tʃ": ("CH",),
    "ʧ": ("CH",),
    "dʒ": ("JH",),
    "ʤ": ("JH",),
    "aɪ": ("AY",),
    "aʊ": ("AW",),
    "ɔɪ": ("OY",),
    "eɪ": ("EY",),
    "oʊ": ("OW",),
    "əʊ": ("OW",),
    "ɪə": ("IH", "R"),
    "ɝ": ("ER",),
    "ɚ": ("ER",),
    "ɜɹ": ("ER",),
    "ɜr": ("ER",),
    "əɹ": ("ER",),
    "ər": ("ER",),
    "ɜ": ("ER",),
    "i": ("IY",),
    "u": ("UW",),
    "ɑ": ("AA",),
    "ɒ": ("AA",),
    "a": ("AA",),
    "ɔ": ("AO",),
    "æ": ("AE",),
    "ɛ": ("EH",),
    "e": ("EH",),
    "ɪ": ("IH",),
    "ɨ": ("IH",),
    "ʊ": ("UH",),
    "o": ("OW",),
    "ə": ("AH",),
    "ɐ": ("AH",),
    "ʌ": ("AH",),
}
_STRESS = {"ˈ": "1", "'": "1", "ˌ": "2", ",": "2"}
_SILENT = frozenset("ː.͜͡ /[]‿ˑ")


def phonemes_of_ipa(written: str) -> tuple[str, ...]:
    """The phonemes of a word in IPA: həˈloʊ -> HH AH0 L OW1. Without a stress mark the first vowel has the stress.

    Raises TextError: nothing written, or a sign that stands for no sound of American English; the message names it.
    """
    phones: list[str] = []
    stress, at, compact = "0", 0, "".join(sign for sign in written if sign not in _SILENT)
    while at < len(compact):
        if compact[at] in _STRESS:
            stress, at = _STRESS[compact[at]], at + 1
            continue
        size = 2 if compact[at : at + 2] in _PHONEME_OF else 1
        found = _PHONEME_OF.get(compact[at : at + size])
        if found is None:
            raise TextError(
                f"the sign {compact[at]!r} in the IPA {shown(written)} stands for no sound of American English: write "
                "it with the vowels i ɪ ɛ æ ɑ ɔ ʊ u ʌ ə ɚ eɪ aɪ ɔɪ oʊ aʊ and the consonants p b t d k ɡ f v θ ð s z ʃ "
                "ʒ tʃ dʒ m n ŋ l ɹ w j h"
            )
        for phoneme in found:
            phones.append(phoneme + stress if phoneme in VOWELS else phoneme)
            stress = "0" if phoneme in VOWELS else stress
        at += size
    if not phones:
        raise TextError(f"no sounds in the IPA {shown(written)}: write some, as in həˈloʊ")
    if not any(phone.endswith("1") for phone in phones):
        first = next((place for place, phone in enumerate(phones) if phone[:-1] in VOWELS), None)
        if first is not None:
            phones[first] = f"{phones[first][:-1]}1"
    return tuple(phones)


__all__ = ["phonemes_of_ipa"]
