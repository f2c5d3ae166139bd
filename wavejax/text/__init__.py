"""Texts of recordings: which symbols a model knows, and how a transcript becomes what is spoken (floor 1, no jax)."""

from wavejax.text.normalization import normalized
from wavejax.text.spec import TEXT_SPECS, TextError, TextSpec, get_text_spec

__all__ = ["TEXT_SPECS", "TextError", "TextSpec", "get_text_spec", "normalized"]
