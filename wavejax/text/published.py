"""Symbol tables of public text-to-speech models, in the order that numbers their classes; class 0 is their padding.

NVIDIA/tacotron2 text/symbols.py: `_`, `-`, punctuation, letters of both cases, and the 84 symbols of the CMU dictionary
with "@" before each. torchaudio's TACOTRON2_*_LJSPEECH bundles: the same beginning, then small letters (CHAR) or the 84
symbols as they are (PHONE).
"""

import string

from wavejax.text.phonemes import CONSONANTS, STRESSES, VOWELS
from wavejax.text.spec import TextSpec

_MARKS = ("-", *"!'(),.:;? ")
_CMU = tuple(sorted([*CONSONANTS, *VOWELS, *(vowel + stress for vowel in VOWELS for stress in STRESSES)]))
_FOREIGN = "@"
"""Before a phoneme, where letters are symbols, too."""


def _spec(name: str, symbols: tuple[str, ...]) -> TextSpec:
    return TextSpec(name=name, language="en", symbols=symbols, normalizer="phonemes-1")


NVIDIA = _spec(
    "nvidia-tacotron2",
    (*_MARKS, *string.ascii_uppercase, *string.ascii_lowercase, *(_FOREIGN + symbol for symbol in _CMU)),
)
TORCHAUDIO_CHARACTERS = _spec("torchaudio-characters", (*_MARKS, *string.ascii_lowercase))
TORCHAUDIO_PHONEMES = _spec("torchaudio-phonemes", (*_MARKS, *_CMU))

PUBLISHED = {spec.num_classes: spec for spec in (NVIDIA, TORCHAUDIO_CHARACTERS, TORCHAUDIO_PHONEMES)}
"""By the number of classes, which tells them apart: 148, 38 and 96."""


def in_symbols_of(spec: TextSpec, symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The same symbols as a spec writes them: a phoneme with "@" before it, where the spec has it so only."""
    known = frozenset(spec.symbols)
    return tuple(
        _FOREIGN + symbol if symbol not in known and _FOREIGN + symbol in known else symbol for symbol in symbols
    )


__all__ = ["NVIDIA", "PUBLISHED", "TORCHAUDIO_CHARACTERS", "TORCHAUDIO_PHONEMES", "in_symbols_of"]
