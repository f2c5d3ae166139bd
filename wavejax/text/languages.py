"""Reading aloud in any of the languages that are known."""

from collections.abc import Callable, Iterator, Mapping

from wavejax.text.english.reading import english_sentences
from wavejax.text.reading import Sentence
from wavejax.text.russian.reading import russian_sentences
from wavejax.text.spec import Language

_SENTENCES: Mapping[Language, Callable[[str], Iterator[Sentence]]] = {"en": english_sentences, "ru": russian_sentences}


def sentences_of(text: str, language: Language = "en") -> Iterator[Sentence]:
    """The sentences of a text as they are read aloud, one after the other, each read when it is asked for.

    Raises TextError as `read_english` or `read_russian`.
    """
    return _SENTENCES[language](text)


__all__ = ["sentences_of"]
