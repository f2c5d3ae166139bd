"""What recognisers and recordings say of a speaker: words that fail, times of words, pitch and pace."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from wavejax.audio.resampling import resample
from wavejax.data import Corpus
from wavejax.evaluation.measures import JUDGED_RATE
from wavejax.evaluation.prosody import prosody_figures
from wavejax.evaluation.sentences import SentenceReport
from wavejax.evaluation.spoken_words import Listen, Listener, listening, phones_of
from wavejax.experiments.metadata import ExperimentError
from wavejax.extras import MissingExtra
from wavejax.tasks.speaker.product import MelVocoder, Speaker, Speech
from wavejax.text import TextError
from wavejax.text.transcripts import Transcript

_RECORDINGS = 50
"""Whose pitch and pace are measured."""


@runtime_checkable
class Aligner(Listener, Protocol):
    """A recogniser that lays a text on a recording, as `wavejax.load` gives it."""

    def align(self, waveform: np.ndarray, text: str) -> Transcript:
        """When each word and symbol of a known text is said."""


def heard_through(speaker: Speaker, name: str) -> Speaker:
    """The speaker with another vocoder. Raises ExperimentError where it is none, or reads other features."""
    found = _other(speaker, name)
    if not isinstance(found, MelVocoder):
        raise ExperimentError(f"{name} is no vocoder: name one, such as universal or allison")
    return speaker.with_vocoder(found)


def listener_of(speaker: Speaker, name: str) -> Listen:
    """What a recogniser hears. Raises ExperimentError where it is none, or of another language."""
    found = _opened(speaker, name)
    if not isinstance(found, Listener):
        raise ExperimentError(f"{name} does not listen: name a recogniser")
    return listening(found)


def aligner_of(speaker: Speaker, name: str) -> Aligner:
    """A recogniser of the speaker's phonemes. Raises ExperimentError where it is none."""
    found = _opened(speaker, name)
    if not isinstance(found, Aligner) or not found.text.phonemic:
        raise ExperimentError(f"{name} does not align phonemes: name a recogniser of phonemes (--aligner)")
    return found


def _other(speaker: Speaker, name: str) -> Any:
    if speaker.open_other is None:
        raise ExperimentError(f"{speaker.config.name} was not loaded by wavejax.load, so it cannot open {name}")
    return speaker.open_other(name)


def _opened(speaker: Speaker, name: str) -> Any:
    found = _other(speaker, name)
    language = getattr(getattr(found, "text", None), "language", None)
    if language != speaker.config.text.language:
        raise ExperimentError(
            f"{name} knows the language {language!r}, and {speaker.config.name} says {speaker.config.text.language!r}"
        )
    return found


def word_times(speaker: Speaker, aligner: Aligner, texts: Sequence[str]) -> str:
    """In words: how far the borders of a speaker's words are from where a recogniser of phonemes finds them."""
    distances = [
        distance
        for text in texts
        for speech in speaker.sentences(text)
        for distance in border_distances(speech, aligner)
    ]
    if not distances:
        return "no sentence could be aligned"
    median, tail = 1000 * np.percentile(distances, [50, 90])
    return (
        f"median {median:.0f} ms from those of {aligner.text.name}, 90 % within {tail:.0f} ms; {len(distances)} borders"
    )


def border_distances(speech: Speech, aligner: Aligner) -> list[float]:
    """Seconds between each word's beginning and end and where the aligner finds them; none where it cannot align."""
    waveform = speech.waveform
    if speech.sample_rate != aligner.sample_rate:
        waveform = resample(waveform, speech.sample_rate, aligner.sample_rate)
    said = " | ".join(" ".join(symbol.text for symbol in word.symbols) for word in speech.words)
    try:
        found = aligner.align(waveform, said)
    except (TextError, ExperimentError):
        return []
    return [
        abs(one - other)
        for word, aligned in zip(speech.words, found.words, strict=True)
        for one, other in ((word.start, aligned.start), (word.end, aligned.end))
    ]


def prosody_facts(report: SentenceReport, recordings: str | None) -> dict[str, str]:
    """Pitch and pace of each system of a report, and of the recordings of a corpus."""
    facts = {}
    try:
        for system in report.systems:
            rows = [row for row in report.rows if row.system == system]
            counts = [len(phones_of(row.sentence.words)) for row in rows]
            found = prosody_figures([row.waveform for row in rows], JUDGED_RATE, counts)
            facts[f"pitch and pace of {system}"] = str(found)
        if recordings is not None:
            facts["pitch and pace of the recordings"] = _prosody_of(recordings)
    except MissingExtra as error:
        facts["pitch and pace"] = str(error)
    return facts


def _prosody_of(folder: str) -> str:
    corpus = Corpus.open(folder)
    places = np.unique(np.linspace(0, len(corpus) - 1, min(_RECORDINGS, len(corpus))).round().astype(int))
    spoken = [corpus.utterance(int(place)) for place in places]
    counts = [len(phones_of(corpus.entries[place].transcript)) for place in places]
    figures = prosody_figures([each.waveform for each in spoken], corpus.spec.sample_rate, counts)
    return f"{figures}; {len(places)} recordings of {folder}"


__all__ = ["Aligner", "aligner_of", "border_distances", "heard_through", "listener_of", "prosody_facts", "word_times"]
