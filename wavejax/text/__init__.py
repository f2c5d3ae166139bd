"""Texts of recordings: which symbols a model knows, how a transcript becomes what is spoken, and how English
and Russian texts are read aloud (floor 1, no jax)."""

from wavejax.text.english.reading import read_english
from wavejax.text.languages import sentences_of
from wavejax.text.lexicon import Lexicon, english_lexicon
from wavejax.text.normalization import normalized
from wavejax.text.pronunciation import Pronunciation, pronounced
from wavejax.text.reading import Pause, Reading, Sentence, Word
from wavejax.text.russian.reading import read_russian
from wavejax.text.spec import TEXT_SPECS, TextError, TextSpec, get_text_spec

__all__ = [
    "TEXT_SPECS",
    "Lexicon",
    "Pause",
    "Pronunciation",
    "Reading",
    "Sentence",
    "TextError",
    "TextSpec",
    "Word",
    "english_lexicon",
    "get_text_spec",
    "normalized",
    "pronounced",
    "read_english",
    "read_russian",
    "sentences_of",
]
