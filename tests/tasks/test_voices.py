"""The voices that ship: complete, licensed, small, and better than linear prediction at what they never heard."""

import numpy as np
import pytest

from wavejax.data import embedded_corpus
from wavejax.evaluation import linear_prediction_bits
from wavejax.tasks.scoring import encoded_utterances, score
from wavejax.tasks.vocoder import VOICES, load, voices

EMBEDDED = embedded_corpus()


def test_there_is_a_voice():
    assert "allison" in voices()


@pytest.mark.parametrize("name", voices())
def test_a_voice_is_complete_and_small(name):
    files = {path.name: path for path in (VOICES / name).iterdir()}
    assert {"config.json", "params.npz", "MODEL_CARD.md"} <= files.keys()
    assert any(path.startswith("LICENSE") for path in files)
    assert sum(path.stat().st_size for path in files.values()) < 8e6
    card = files["MODEL_CARD.md"].read_text()
    assert "synthetic" in card
    assert "Licence" in card
    vocoder = load(name)
    assert "/" not in vocoder.config.data.corpus


@pytest.mark.parametrize("name", voices())
def test_a_voice_beats_linear_prediction_on_what_it_never_heard(name):
    vocoder = load(name)
    coding = vocoder.config.model.coding
    rival = linear_prediction_bits(encoded_utterances(EMBEDDED, "validation", coding), coding)
    scores = score(vocoder, EMBEDDED, "validation")
    assert scores.mean < np.average(rival.bits, weights=scores.num_samples) - 0.3
