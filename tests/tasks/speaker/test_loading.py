"""A speaker that is loaded knows its vocoder."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.tasks.speaker.test_product import random_speaker
from wavejax.checkpoints.export import export_params
from wavejax.experiments.metadata import ExperimentError, metadata
from wavejax.tasks.families import load
from wavejax.tasks.speaker.product import Speaker
from wavejax.tasks.vocoder.product import Vocoder


def exported(folder: Path, vocoder: str) -> Path:
    speaker = random_speaker()
    return export_params(folder, speaker.params, metadata(dataclasses.replace(speaker.config, vocoder=vocoder), {}))


def test_the_vocoder_is_found_by_name_when_it_is_needed(tmp_path: Path) -> None:
    speaker = load(exported(tmp_path / "voice", "universal"), kind=Speaker)
    assert "vocoder" not in speaker.__dict__
    assert isinstance(speaker.vocoder, Vocoder)
    assert speaker.vocoder.spec == speaker.config.spec
    line_of_sound = np.concatenate(list(speaker.stream("Go on.")))
    np.testing.assert_array_equal(speaker.say("Go on.").waveform, line_of_sound)


def test_what_is_no_vocoder_of_its_features_is_refused_when_it_is_needed(tmp_path: Path) -> None:
    speaker = load(exported(tmp_path / "voice", "piano"), kind=Speaker)
    with pytest.raises(
        ExperimentError, match=r"makes the features speech-16k, but the vocoder reads .*choose a vocoder"
    ):
        speaker.say("Go on.")
    with pytest.raises(ExperimentError, match="there is no folder nowhere"):
        load(exported(tmp_path / "other", "nowhere"), kind=Speaker).say("Go on.")


def test_another_kind_is_told_what_a_speaker_is_for(tmp_path: Path) -> None:
    folder = exported(tmp_path / "voice", "universal")
    with pytest.raises(ExperimentError, match=r"is a speaker, not a vocoder: use `wavejax say .*Hello there"):
        load(folder, kind=Vocoder)
