"""What a recogniser shows while it trains, and the command by which it is used."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from wavejax.experiments.family import Exhibit
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.terminal import quoted

_SHOWN = 3


def usage(config: Any, where: str) -> str:
    """The command that writes down what a recording says."""
    return f"wavejax transcribe {quoted(where)} SPEECH.wav"


def exhibits(product: Recognizer, data: Any) -> Iterator[Exhibit]:
    """Readings of held-out recordings below what is said in them, and the probabilities of the first one."""
    corpus = data.corpus
    if not corpus.has("validation"):
        return
    for number, position in enumerate(corpus.indices("validation")[:_SHOWN]):
        entry = corpus.entries[position]
        utterance = corpus.utterance(position)
        read = product.transcribe_greedily(utterance.waveform)
        said = product.text.normalize(data.transcript(entry))
        yield Exhibit(name=f"reading_{number}", text=f"said: {said}\n\nread: {read.text or '(nothing)'}")
        if not number and product.has_frames:
            yield Exhibit(name="probabilities", image=_picture(product, utterance.waveform))


def _picture(product: Recognizer, waveform: np.ndarray) -> np.ndarray:
    """Probabilities over time, classes from top to bottom, four pixels each way."""
    probabilities = np.exp(product.log_probs(product.features(waveform)))
    return np.kron(probabilities.T, np.ones((4, 4), np.float32))
