"""What a vocoder shows while it trains, and the command by which it is heard."""

from collections.abc import Iterator
from typing import Any

from wavejax.experiments.autoregressive.exhibits import beside_the_recording
from wavejax.experiments.family import Exhibit
from wavejax.tasks.vocoder.product import Vocoder
from wavejax.terminal import quoted


def usage(config: Any, where: str) -> str:
    """The command that lets a vocoder be heard."""
    speaker = " --speaker NAME" if config.model.num_speakers else ""
    return f"wavejax vocode {quoted(where)} SPEECH.wav --out spoken/{speaker}"


def exhibits(product: Vocoder, data: Any) -> Iterator[Exhibit]:
    """Free-running audio on a held-out mel, and its spectrogram, beside the recording."""
    corpus, config = data.corpus, product.config
    if not corpus.has("validation"):
        return
    utterance = corpus.utterance(corpus.indices("validation")[0])
    length = min(int(config.training.audio_seconds * product.sample_rate), len(utterance.waveform))
    speaker = utterance.speaker if config.model.num_speakers else None
    spoken = product(utterance.frames, speaker=speaker, num_samples=length)
    yield from beside_the_recording(spoken, utterance.waveform[:length], product.sample_rate, product.spec)
