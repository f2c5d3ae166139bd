"""A transcript as a model of phonemes reads it, from one that is written in letters."""

from wavejax.text.languages import sentences_of
from wavejax.text.phonemes import WORD_BOUNDARY
from wavejax.text.spec import BOUNDARY, TextSpec


def in_phonemes(transcript: str, spec: TextSpec) -> str:
    """The phonemes of a transcript as `spec` writes them, "| HH AH0 L OW1 , W ER1 L D ."; read aloud if it is letters.

    A transcript that names phonemes already stays as it is; so does any for a spec of letters. What is read begins with
    the silence before the first word.

    Raises TextError as `read_english` or `read_russian`.
    """
    parts = transcript.split()
    if not spec.phonemic or all(part == BOUNDARY or part in spec.symbols for part in parts):
        return transcript
    sentences = sentences_of(transcript, spec.language)
    said = [symbol for sentence in sentences for symbol in (WORD_BOUNDARY, *sentence.symbols)]
    return " ".join(BOUNDARY if symbol == WORD_BOUNDARY else symbol for symbol in said)


__all__ = ["in_phonemes"]
