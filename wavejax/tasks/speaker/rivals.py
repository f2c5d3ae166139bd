"""Other systems that say the same sentences, if they are installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wavejax.audio.files import read_audio
from wavejax.experiments.metadata import ExperimentError
from wavejax.extras import require_extra

Says = Callable[[str], tuple[np.ndarray, int]]
"""A text -> (waveform, sample rate)."""


def hibari() -> Says:
    """The voice `heart` of the package hibari-tts, from which ours has learnt. Raises MissingExtra."""
    package = require_extra("hibari", "corpora", "the rival hibari")
    voice = package.Hibari()
    return lambda text: (np.asarray(voice(text, seed=0), np.float32), int(package.SAMPLE_RATE))


def piper(model: Path | None) -> Says:
    """The program piper, a process for each sentence. Raises ExperimentError where it or its voice is not there."""
    program = shutil.which("piper")
    if program is None:
        raise ExperimentError(
            "the rival piper is a program, and there is none of that name: install it, or leave it out"
        )
    if model is None or not model.is_file():
        raise ExperimentError(f"the rival piper needs its voice, a file .onnx: --piper-voice FILE, got {model}")

    def says(text: str) -> tuple[np.ndarray, int]:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "said.wav"
            done = subprocess.run(
                [program, "--model", str(model), "--output_file", str(target)],
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode or not target.is_file():
                raise ExperimentError(f"piper said nothing: {done.stderr.strip()[-300:]}")
            return read_audio(target)

    return says


__all__ = ["Says", "hibari", "piper"]
