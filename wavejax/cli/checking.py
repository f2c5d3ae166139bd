"""`wavejax say --check`: who listens, and what is said of what it hears."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from wavejax.cli.inputs import InputError
from wavejax.evaluation.spoken_words import Listen, listening, stock_listening
from wavejax.tasks.families import load, voices
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.speaker.checking import checked
from wavejax.tasks.speaker.product import Speaker, Speech

_LISTENERS = {"en": "listener-en", "ru": "listener-ru"}
"""Language -> the name of the recogniser that ships, if it does."""


def listener_of(name: str | None, speaker: Speaker) -> Listen:
    """A recogniser of the speaker's language; without a name the one that ships.

    Raises InputError where there is none, or it is of another language.
    """
    language = speaker.config.text.language
    if name is None:
        shipped = _LISTENERS.get(language, "")
        if shipped in voices():
            return listening(load(shipped, kind=Recognizer))
        if language == "en" and importlib.util.find_spec("pocketsphinx") is not None:
            return stock_listening()
        raise InputError(
            f"no recogniser of the language {language!r} ships with this version: name one of your own (--check RUN; "
            "wavejax train listener-16k makes one), or, for English, pip install 'wavejax-audio[judges]', which brings "
            "pocketsphinx"
        )
    recognizer = load(name, kind=Recognizer)
    if recognizer.text.language != language:
        raise InputError(
            f"--check {name}: it hears the language {recognizer.text.language!r}, and {speaker.config.name} says "
            f"{language!r}: name one of its language"
        )
    return listening(recognizer)


class Checking:
    """Sentences that are listened to; what was missed in them goes to standard error."""

    def __init__(self, speaker: Speaker, listen: Listen) -> None:
        self._speaker, self._listen = speaker, listen
        self._sentences = self._again = self._failing = 0

    def sentences(self, text: str, manner: Mapping[str, Any]) -> Iterator[Speech]:
        """The speech of each sentence, as the attempt with the fewest failures said it."""
        for found in checked(self._speaker, text, self._listen, self._speaker.manner(**manner)):
            self._sentences += 1
            self._again += found.attempts > 1
            self._failing += bool(found.failures)
            if found.first_failures:
                print(f"check: {found.report}", file=sys.stderr)
            yield found.speech

    def result(self) -> int:
        """Says what came of it; the exit code, 1 where words are still missed."""
        again = f"{self._again} of them said again (slower: what it draws is only the vocoder's noise)"
        failing = f"{self._failing} still with words that are not heard as they are written"
        print(f"check: {self._sentences} sentences, {again}, {failing}", file=sys.stderr)
        return 1 if self._failing else 0


__all__ = ["Checking", "listener_of"]
