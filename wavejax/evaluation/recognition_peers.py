"""Recognisers of others that read the same recordings."""

import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from wavejax.audio.resampling import resample
from wavejax.evaluation.judges import heard_words, stock_decoder
from wavejax.evaluation.measures import JUDGED_RATE
from wavejax.extras import require_extra

Read = Callable[[Float[np.ndarray, " time"], int], str]
"""A waveform [T] and its sample rate -> the words that are read, with single spaces."""
PEERS = ("pocketsphinx",)


def pocketsphinx(arpa: str | None = None) -> Read:
    """pocketsphinx with its own English acoustic model and dictionary.

    Args:
        arpa: the text of an ARPA file, of which it uses the words that its dictionary has. None: its own language
            model.

    Raises:
        MissingExtra: it is not installed.
        ValueError: it cannot use the language model.
    """
    purpose = "the peer's reading"
    decoder = stock_decoder(purpose) if arpa is None else _decoder_with(arpa, purpose)

    def read(waveform: Float[np.ndarray, " time"], sample_rate: int) -> str:
        sound = waveform if sample_rate == JUDGED_RATE else resample(waveform, sample_rate, JUDGED_RATE)
        return " ".join(heard_words(decoder, sound)) if len(sound) else ""

    return read


def pocketsphinx_version() -> str:
    """As the package has it. Raises MissingExtra."""
    require_extra("pocketsphinx", "judges", "the peer's reading")
    return version("pocketsphinx")


def _decoder_with(arpa: str, purpose: str) -> Any:
    package = require_extra("pocketsphinx", "judges", purpose)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.lm"
        path.write_text(arpa, encoding="utf-8")
        try:
            return package.Decoder(samprate=JUDGED_RATE, lm=str(path), loglevel="FATAL")
        except RuntimeError as error:
            raise ValueError(
                f"pocketsphinx cannot use the language model ({error}): give one of order 5 or less, of English words"
            ) from error


__all__ = ["PEERS", "Read", "pocketsphinx", "pocketsphinx_version"]
