"""Recordings with their texts, as a recogniser is judged on them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavejax.audio.files import read_audio
from wavejax.audio.resampling import resample
from wavejax.data import Corpus
from wavejax.data.alignments import ALIGNMENTS_NAME, AlignedUtterance, read_alignments
from wavejax.data.manifest import MANIFEST_NAME
from wavejax.data.sources import list_source
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.recognizer.data import RecognizerData, open_utterances
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.text import TextError


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A recording and what is said in it."""

    id: str
    said: str
    """Normalised."""
    load: Callable[[], np.ndarray]
    """Its waveform float32 [T], at the recogniser's sample rate."""


def opened(recognizer: Recognizer, corpus: str) -> RecognizerData:
    """A corpus, by its folder or "embedded", as a recogniser reads it. Raises as `open_utterances`."""
    config = recognizer.config
    if getattr(config.losses, "alignment", 0.0):  # the corpus needs no times, as nothing is learnt from it
        config = dataclasses.replace(config, losses=dataclasses.replace(config.losses, alignment=0.0))
    return open_utterances(dataclasses.replace(config, data=dataclasses.replace(config.data, corpus=corpus)), None)


def readable(recognizer: Recognizer, data: RecognizerData, split: str) -> dict[int, str]:
    """The recordings of a split whose texts the recogniser could write: number in the corpus -> normalised text.

    Raises ExperimentError: there is none.
    """
    entries = data.corpus.entries
    said = {
        position: text
        for position in data.corpus.indices(split)
        if (text := _written(recognizer, data.transcript(entries[position])))
    }
    if not said:
        raise ExperimentError(
            f"no recording of {split} has a text that {recognizer.config.name} could write "
            f"({recognizer.text.name}): give a corpus with transcripts in its language"
        )
    return said


def recordings_of(recognizer: Recognizer, data: RecognizerData, split: str, at_most: int = 0) -> list[Spoken]:
    """The readable recordings of a split; `at_most` above 0 limits them, evenly spread. Raises as `readable`."""

    def loader(position: int) -> Callable[[], np.ndarray]:
        return lambda: data.corpus.utterance(position).waveform

    said = readable(recognizer, data, split)
    found = [Spoken(id=data.corpus.entries[at].id, said=text, load=loader(at)) for at, text in said.items()]
    return spread(found, at_most)


def voice_recordings(recognizer: Recognizer, folder: Path, at_most: int = 0) -> list[Spoken]:
    """All readable recordings of a folder: a prepared corpus (of any features), or one that `prepare` would take.

    Raises:
        SourceError, ManifestError, RecordError: the folder is neither.
        ExperimentError: no recording has a text that the recogniser could write.
    """
    found = _of_corpus(recognizer, folder) if (folder / MANIFEST_NAME).is_file() else _of_files(recognizer, folder)
    if not found:
        raise ExperimentError(
            f"no recording of {folder} has a text that {recognizer.config.name} could write ({recognizer.text.name}): "
            "give recordings with transcripts in its language, such as metadata.csv (id|transcript) and wavs/"
        )
    return spread(found, at_most)


def alignments_of(data: RecognizerData) -> Mapping[str, AlignedUtterance]:
    """Those that stand beside a corpus, whatever symbols the recogniser writes; none where there are none."""
    path = Path(data.config.data.corpus) / ALIGNMENTS_NAME
    return read_alignments(path) if path.is_file() else data.alignments


def spread(found: Sequence[Spoken], at_most: int) -> list[Spoken]:
    """So many, evenly spread; 0: all."""
    if not 0 < at_most < len(found):
        return list(found)
    return [found[round(place)] for place in np.linspace(0, len(found) - 1, at_most)]


def _of_corpus(recognizer: Recognizer, folder: Path) -> list[Spoken]:
    corpus = Corpus.open(folder)

    def loader(position: int) -> Callable[[], np.ndarray]:
        return lambda: _at_rate(corpus.utterance(position).waveform, corpus.sample_rate, recognizer)

    texts = {at: _written(recognizer, entry.transcript) for at, entry in enumerate(corpus.entries)}
    return [Spoken(id=corpus.entries[at].id, said=text, load=loader(at)) for at, text in texts.items() if text]


def _of_files(recognizer: Recognizer, folder: Path) -> list[Spoken]:
    def loader(path: Path) -> Callable[[], np.ndarray]:
        return lambda: read_audio(path, recognizer.sample_rate)[0]

    texts = [(each, _written(recognizer, each.transcript)) for each in list_source(folder).recordings]
    return [Spoken(id=each.id, said=text, load=loader(each.path)) for each, text in texts if text]


def _at_rate(waveform: np.ndarray, rate: int, recognizer: Recognizer) -> np.ndarray:
    return waveform if rate == recognizer.sample_rate else resample(waveform, rate, recognizer.sample_rate)


def _written(recognizer: Recognizer, transcript: str) -> str:
    """A transcript as the recogniser would write it; "" where it cannot."""
    try:
        text = recognizer.text.normalize(transcript)
        recognizer.text.encode(text)
    except TextError:
        return ""
    return text


__all__ = ["Spoken", "alignments_of", "opened", "readable", "recordings_of", "spread", "voice_recordings"]
