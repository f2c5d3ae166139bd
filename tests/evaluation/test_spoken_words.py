"""Words that are skipped, cut or repeated: found where they are, and not found where a recogniser only mishears."""

import dataclasses

import numpy as np
import pytest

from wavejax.evaluation import spoken_words as module
from wavejax.evaluation.measures import Candidate, Item
from wavejax.evaluation.spoken_words import Failure, failing_words, hard_failures, listening, phones_of, said_words
from wavejax.text import TextSpec, get_text_spec
from wavejax.text.transcripts import Symbol, Transcript, Word

TEXT = "The quick brown fox jumps over the lazy dog."
SAID = said_words(TEXT)


def heard(text: str) -> tuple[str, ...]:
    return phones_of(text)


def test_what_is_said_as_it_is_written_does_not_fail() -> None:
    assert hard_failures(SAID, heard(TEXT)) == ()


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("The quick brown jumps over the lazy dog.", Failure("skipped", "fox", 3, 1)),
        ("The quick brown fox over the lazy dog.", Failure("skipped", "jumps", 4, 1)),
        ("The quick brown fox fox jumps over the lazy dog.", Failure("repeated", "fox", 3, 1)),
        ("The quick brown fox jumps over jumps over the lazy dog.", Failure("repeated", "jumps over", 4, 2)),
        ("The quick brown fox jumps over the", Failure("no end", "lazy dog", 7, 2)),
        ("The quick brown fox jumps over the lazy dog and a moment later", Failure("no end", "", 8)),
        ("The quick brown fox jumps seventeen over the lazy dog.", Failure("added", "", 4)),
    ],
)
def test_hard_failures_are_found_where_they_are(text: str, failure: Failure) -> None:
    assert hard_failures(SAID, heard(text)) == (failure,)


def test_half_a_word_is_cut() -> None:
    said = said_words("A conversation begins.")
    phones = [phone for word in said for phone in word.phones]
    assert hard_failures(said, phones[:2] + phones[7:]) == (Failure("cut", "conversation", 1, 1),)
    assert str(Failure("cut", "conversation", 1, 1)) == "cut: conversation"


def test_russian_words_are_heard_by_their_own_phones() -> None:
    text = "Быстрая лиса прыгает через ленивую собаку."
    said = said_words(text, "ru")
    assert hard_failures(said, phones_of(text, "ru")) == ()
    assert hard_failures(said, phones_of("Быстрая лиса прыгает через собаку.", "ru")) == (
        Failure("skipped", "ленивую", 4, 1),
    )
    assert hard_failures(said, phones_of("Быстрая лиза прыгаит через линивую собаку.", "ru")) == ()


def test_a_mishearing_is_no_failure() -> None:
    wrong = [{"F": "TH", "AA": "AO", "B": "P", "OW": "UW", "Z": "S"}.get(phone, phone) for phone in heard(TEXT)]
    del wrong[5]
    assert hard_failures(SAID, wrong) == ()
    assert hard_failures(SAID, heard("The quick brawn socks jump over a lazy dock.")) == ()


def test_silence_says_nothing_of_a_sentence() -> None:
    assert hard_failures(SAID, ()) == (Failure("no end", TEXT.lower().strip("."), 0, 9),)


@dataclasses.dataclass(frozen=True)
class Parrot:
    """A recogniser that hears what it was told."""

    transcript: Transcript
    text: TextSpec
    sample_rate: int = 8000

    def transcribe_greedily(self, waveform: np.ndarray) -> Transcript:
        assert len(waveform) == 8000
        return self.transcript


@pytest.mark.parametrize("spec", ["letters-en", "phonemes-en"])
def test_recognisers_of_letters_and_of_phonemes_listen(spec: str) -> None:
    symbols = ("HH", "AH0", "L", "OW1", ".") if spec == "phonemes-en" else tuple("hello")
    spoken = tuple(Symbol(text=each, start=0, end=1) for each in symbols)
    found = Transcript(words=(Word(text="hello", start=0, end=1, symbols=spoken),), duration=1.0)
    listen = listening(Parrot(found, get_text_spec(spec)))
    assert list(listen(np.zeros(16_000, np.float32), 16_000)) == ["HH", "AH", "L", "OW"]


def test_the_measure_is_the_share_of_words_that_fail() -> None:
    measure = failing_words(lambda: lambda waveform, rate: heard("the quick brown fox jumps over the"))
    score = measure.open([Item(id="0", waveform=np.zeros(9, np.float32), transcript=TEXT.lower())])
    assert score(Candidate(0, np.zeros(9, np.float32), 0.0)) == (2 / 9,)


def test_pocketsphinx_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: (_ for _ in ()).throw(ModuleNotFoundError(name=name)))
    with pytest.raises(ImportError, match=r"the check of words needs the package pocketsphinx: pip install"):
        module.stock_listening()
