"""Texts of recordings: which symbols a model knows, how a transcript becomes what is spoken, and how English text is
read aloud (floor 1, no jax)."""

from wavejax.text.lexicon import Lexicon, english_lexicon
from wavejax.text.normalization import normalized
from wavejax.text.spec import TEXT_SPECS, TextError, TextSpec, get_text_spec

__all__ = ["TEXT_SPECS", "Lexicon", "TextError", "TextSpec", "english_lexicon", "get_text_spec", "normalized"]
