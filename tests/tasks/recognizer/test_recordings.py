"""Recordings of other voices, from either layout."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.tasks.recognizer.test_product import recognizer, sound
from wavejax.data import prepare
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.recognizer.recordings import voice_recordings


def source(folder: Path, *texts: str, rate: int = 16_000) -> Path:
    (folder / "wavs").mkdir(parents=True)
    rows = [f"u{number}|{text}\n" for number, text in enumerate(texts)]
    (folder / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    for number in range(len(texts)):
        soundfile.write(folder / f"wavs/u{number}.wav", sound(rate, seed=number), rate)
    return folder


def test_a_folder_and_the_corpus_made_of_it_are_the_same_voice(tmp_path: Path) -> None:
    listener, folder = recognizer(), source(tmp_path / "voice", "So be it.", "слово", "Number 2", "and three")
    prepare(folder, tmp_path / "corpus", progress=False, workers=1)
    of_files, of_corpus = (voice_recordings(listener, each) for each in (folder, tmp_path / "corpus"))
    assert [each.said for each in of_files] == ["so be it", "number two", "and three"]
    assert [(each.id, each.said) for each in of_corpus] == [(each.id, each.said) for each in of_files]
    for one, other in zip(of_files, of_corpus, strict=True):
        np.testing.assert_allclose(one.load(), other.load(), atol=1e-4)
    assert [each.id for each in voice_recordings(listener, folder, 2)] == ["u0", "u3"]


def test_other_rates_are_resampled_and_other_languages_refused(tmp_path: Path) -> None:
    listener = recognizer()
    slow = voice_recordings(listener, source(tmp_path / "slow", "so", rate=8_000))
    assert slow[0].load().shape == (16_000,)
    with pytest.raises(ExperimentError, match=r"no recording of .*ru has a text that listener-16k-causal could write"):
        voice_recordings(listener, source(tmp_path / "ru", "слово"))
