"""A corpus of letters aligned by a recogniser of phonemes: what a speaker learns from."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import soundfile

from tests.tiny.models import cheap_jit
from tests.tiny.recognizers import tiny_recognizer
from wavejax.data import prepare
from wavejax.data.alignments import ALIGNMENTS_NAME, read_alignments
from wavejax.nn.parameters import initial_recognizer_params
from wavejax.tasks.recognizer.aligning import align_corpus
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.speaker.lines import lines_of

TEXTS = {"one": "Hello, world.", "two": "So be it!", "three": "слово"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    source = tmp_path / "source"
    (source / "wavs").mkdir(parents=True)
    for name in TEXTS:
        soundfile.write(source / "wavs" / f"{name}.wav", 0.1 * rng.uniform(-1, 1, 32_000), 16_000)
    (source / "metadata.csv").write_text("".join(f"{name}|{text}\n" for name, text in TEXTS.items()))
    prepare(source, tmp_path / "corpus", workers=1, progress=False)
    return tmp_path / "corpus"


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    config: Any = tiny_recognizer("listener-16k-phonemes")
    config = dataclasses.replace(config, losses=dataclasses.replace(config.losses, alignment=0.5))  # as one that learnt
    params = cheap_jit(lambda: initial_recognizer_params(config.model.build(), jax.random.key(3)))()
    return Recognizer(config=config, params=jax.tree.map(np.array, params))


def test_transcripts_are_read_aloud_as_a_speaker_reads_them(recognizer: Recognizer, corpus: Path) -> None:
    done = align_corpus(recognizer, corpus)
    assert (done.aligned, list(done.left_out)) == (2, ["three"])
    found = read_alignments(corpus / ALIGNMENTS_NAME)
    for name in ("one", "two"):
        [line] = lines_of(TEXTS[name])
        assert found[name].symbols == line.symbols
        assert found[name].phones[0].start == 0.0
    kept = (corpus / ALIGNMENTS_NAME).read_text().splitlines()
    (corpus / ALIGNMENTS_NAME).write_text(kept[0] + "\n")
    again = align_corpus(recognizer, corpus)
    assert (again.before, again.aligned) == (1, 1)
    assert (corpus / ALIGNMENTS_NAME).read_text().splitlines() == kept


def test_a_text_of_letters_is_laid_on_a_recording(recognizer: Recognizer) -> None:
    waveform = np.random.default_rng(1).uniform(-0.1, 0.1, 32_000).astype(np.float32)
    found = recognizer.align(waveform, "So be it.")
    assert found.text == "S OW1 | B IY1 | IH1 T ."
    assert found.words == recognizer.align(waveform, "| S OW1 | B IY1 | IH1 T .").words
