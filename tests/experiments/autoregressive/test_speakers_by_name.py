"""Rows of a table of speakers belong to names, wherever a corpus meets a model."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.tiny.experiments import tiny_config, tiny_corpus
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus, Utterance
from wavejax.experiments.autoregressive.data import CropData, adopt_speakers, corpus_for, follow_labels
from wavejax.experiments.autoregressive.diagnosis import held_out_excerpts
from wavejax.experiments.metadata import ExperimentError, refuse_other_speakers
from wavejax.tasks.families import load, train_and_evaluate
from wavejax.tasks.vocoder.product import Vocoder
from wavejax.training import Logger

SPEC = get_spec("speech-16k")


class Quiet(Logger):
    """Says nothing."""

    def scalars(self, step, values):
        pass


def corpus_of(*speaking, listed=()):
    """One training utterance a name, in that order, then one of validation."""
    names = tuple(listed) or tuple(sorted(set(speaking)))
    utterances = [
        Utterance(
            id=f"{name}{number}",
            waveform=np.full(400, 0.1, np.float32),
            frames=np.zeros((2, 80), np.float32),
            speaker=names.index(name),
            transcript="",
        )
        for number, name in enumerate((*speaking, speaking[0]))
    ]
    return Corpus.in_memory(SPEC, utterances, ["train"] * len(speaking) + ["validation"], names)


def spoken(corpus):
    return [corpus.speakers[entry.speaker] for entry in corpus.entries]


def config_of(num_speakers):
    return tiny_config(num_speakers=num_speakers)


def vocoder_of(*names, num_speakers=0):
    count = num_speakers or len(names)
    table = 10.0 * np.arange(count, dtype=np.float32)[:, None] + np.zeros(3, np.float32)
    return Vocoder(config=config_of(count), params={"speaker_embedding": table}, labels={"speakers": list(names)})


def test_a_corpus_is_numbered_as_a_list_says():
    corpus = corpus_of("anna", "bert", "anna")
    turned = corpus.with_speakers(("bert", "carl", "anna"))
    assert turned.speakers == ("bert", "carl", "anna")
    assert spoken(turned) == spoken(corpus) == ["anna", "bert", "anna", "anna"]
    assert [entry.speaker for entry in turned.entries] == [2, 0, 2, 2]
    assert turned.utterance(1).speaker == 0
    assert corpus.with_speakers(["anna", "bert"]) is corpus
    assert spoken(corpus_of("Zoe\u0308").with_speakers(("a", "Zoë"))) == ["Zoë", "Zoë"]
    with pytest.raises(ValueError, match="the corpus has the speakers anna, bert, and bert is not among anna, carl"):
        corpus.with_speakers(("anna", "carl"))
    silent = corpus_of("anna", listed=("anna", "nobody"))
    assert spoken(silent.with_speakers(("carl", "anna"))) == ["anna", "anna"], "nobody says nothing"


def test_a_run_that_goes_on_keeps_its_rows():
    labels = {"speakers": ["bert", "anna"]}
    data = follow_labels(CropData(config_of(2), corpus_of("anna", "bert")), labels)
    assert [entry.speaker for entry in data.corpus.entries] == [1, 0, 1]
    assert data.labels == labels
    alone = follow_labels(CropData(config_of(2), corpus_of("anna")), labels)
    assert ([entry.speaker for entry in alone.corpus.entries], alone.labels) == ([1, 1], labels)
    more = follow_labels(CropData(config_of(3), corpus_of("anna", "abel")), labels)
    assert more.labels == {"speakers": ["bert", "anna", "abel"]}, "an id that was free"
    message = r"knows the speakers bert, anna, the corpus has anna, carl: together they are 3, and the model has 2 ids"
    with pytest.raises(ExperimentError, match=message):
        follow_labels(CropData(config_of(2), corpus_of("anna", "carl")), labels)
    for same in ({}, {"speakers": []}):  # of a checkpoint that names nobody
        data = CropData(config_of(2), corpus_of("anna"))
        assert follow_labels(data, same) is data


def test_a_training_that_starts_from_another_takes_the_rows_of_its_names():
    given = vocoder_of("bert", "carl")

    def rows(*speaking, ids):
        data, params = adopt_speakers(CropData(config_of(ids), corpus_of(*speaking)), given)
        return dict(zip(data.labels["speakers"], params["speaker_embedding"][:, 0].tolist(), strict=False))

    assert rows("bert", "carl", ids=2) == {"bert": 0.0, "carl": 10.0}
    assert rows("anna", "bert", "carl", ids=3) == {"bert": 0.0, "carl": 10.0}, "anna gets the third, a fresh one"
    assert rows("anna", "carl", ids=3) == {"bert": 0.0, "carl": 10.0}
    assert rows("anna", "carl", ids=2) == {"carl": 10.0}, "no room for bert"
    assert rows("anna", ids=1) == {}
    data, params = adopt_speakers(CropData(config_of(1), corpus_of("anna")), vocoder_of(num_speakers=2))
    assert (data.labels, params["speaker_embedding"].shape) == ({"speakers": ["anna"]}, (2, 3)), "nobody is named"


def test_a_trained_model_reads_a_corpus_by_names():
    vocoder = vocoder_of("carl", "bert", "anna")
    corpus = corpus_for(vocoder, corpus_of("anna", "bert"))
    assert (corpus.speakers, spoken(corpus)) == (("carl", "bert", "anna"), ["anna", "bert", "anna"])
    assert held_out_excerpts(vocoder, corpus).speaker.tolist() == [2]
    message = "has the speaker dora, whom .* does not know: it knows carl, bert, anna, the corpus has anna, dora"
    with pytest.raises(ExperimentError, match=message):
        corpus_for(vocoder, corpus_of("anna", "dora"))
    unnamed = vocoder_of(num_speakers=2)
    assert corpus_for(unnamed, corpus_of("anna")).speakers == ("anna",)


def test_a_family_that_follows_no_names_refuses_other_speakers():
    data = CropData(config_of(2), corpus_of("anna", "bert"))
    assert refuse_other_speakers(data, {"speakers": ["anna", "bert"]}) is data
    assert refuse_other_speakers(data, {}) is data
    with pytest.raises(ExperimentError, match="trained on the speakers bert, anna, the corpus has anna, bert: use"):
        refuse_other_speakers(data, {"speakers": ["bert", "anna"]})


def test_a_resumed_run_on_a_corpus_with_its_speakers_in_another_order(tmp_path):
    corpus = tiny_corpus(num_speakers=2)
    entries = tuple(dataclasses.replace(entry, speaker=1 - entry.speaker) for entry in corpus.entries)
    manifest = dataclasses.replace(corpus.manifest, speakers=("s1", "s0"), utterances=entries)
    turned = Corpus(manifest, corpus)
    options = {"console": Quiet(), "devices": jax.devices()[:1]}

    def trained(folder, steps, corpus):
        return train_and_evaluate(tiny_config(2, num_steps=steps), tmp_path / folder, corpus=corpus, **options)

    whole = trained("whole", 3, corpus)
    trained("parts", 2, corpus)
    resumed = trained("parts", 3, turned)
    jax.tree.map(np.testing.assert_array_equal, whole.params, resumed.params)
    assert load(tmp_path / "parts").speakers == ("s0", "s1")
    other = Corpus(dataclasses.replace(corpus.manifest, speakers=("s0", "new")), corpus)
    with pytest.raises(ExperimentError, match="knows the speakers s0, s1, the corpus has s0, new: together they are 3"):
        trained("parts", 4, other)
