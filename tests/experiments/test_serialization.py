"""Configurations survive JSON, and one that does not fit is refused by name."""

import dataclasses
import json

import pytest

from wavejax.audio.companding import SampleCoding
from wavejax.distributions import GaussianMixture
from wavejax.experiments.config import SoundConfig
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.serialization import ConfigError, from_json, to_json
from wavejax.models.wavenet import WaveNetConfig
from wavejax.models.wavenet_presets import PRESETS
from wavejax.tasks.babbler.product import BabblerConfig
from wavejax.tasks.families import preset, presets
from wavejax.tasks.vocoder.wavenet import WaveNetVocoderConfig


def through_text(config: object) -> dict:
    return json.loads(json.dumps(to_json(config)))


@pytest.mark.parametrize("name", presets())
def test_every_preset_survives_json(name):
    config = preset(name)
    again = from_json(type(config), through_text(config))
    assert again == config
    assert hash(again.model) == hash(config.model)  # tuples, not lists: static under jit
    if isinstance(config, SoundConfig):
        assert again.spec.name == config.spec.name  # which equality leaves out


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_model_survives_json_with_the_classes_of_its_parts(name):
    config = PRESETS[name]
    again = from_json(WaveNetConfig, through_text(config))
    assert again == config
    assert type(again.distribution) is type(config.distribution)
    assert {type(field) for field in dataclasses.astuple(again)} == {
        type(field) for field in dataclasses.astuple(config)
    }


def test_a_model_that_no_spec_describes_is_no_preset():
    trainable = {name for name, each in presets().items() if each.config.model in PRESETS.values() or name in PRESETS}
    assert "nsynth" not in presets(), "its features are learned"
    assert trainable == set(PRESETS) - {"nsynth"}
    with pytest.raises(ExperimentError, match=r"'nsynth' is conditioned on learned features.* one of nv-wavenet,"):
        preset("nsynth")


def test_changed_values_survive_json():
    config = preset("speech-16k-small")
    training = dataclasses.replace(config.training, num_steps=7, dtype="bfloat16", ema_decay=0.5)
    optimizer = dataclasses.replace(config.optimizer, betas=(0.8, 0.95), clip_norm=None)
    config = dataclasses.replace(config, name="mine", training=training, optimizer=optimizer)
    again = from_json(WaveNetVocoderConfig, through_text(config))
    assert again == config
    assert again.optimizer.clip_norm is None


def test_what_is_missing_takes_its_default():
    data = through_text(preset("ibab"))
    del data["training"], data["optimizer"]["clip_norm"], data["model"]["coding"]["gain"]
    again = from_json(BabblerConfig, data)
    assert again.training == BabblerConfig.__dataclass_fields__["training"].default
    assert again.model.coding.gain == 1.0


def changed(path: str, value: object) -> dict:
    data = through_text(preset("speech-16k-small"))
    *parents, last = path.split(".")
    place = data
    for name in parents:
        place = place[name]
    place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.dilation", [1], r"config.model has unknown fields \['dilation'\]; WaveNetConfig has \['coding'"),
        ("model.kernel_size", "2", "config.model.kernel_size must be of type int, got '2'"),
        ("model.kernel_size", 2.0, "config.model.kernel_size must be of type int, got 2.0"),
        ("model.kernel_size", True, "config.model.kernel_size must be of type int, got True"),
        ("model.dropout", "none", "config.model.dropout must be of type float, got 'none'"),
        ("model.dilations", 3, "config.model.dilations must be a list, got 3"),
        ("model.dilations", [1, "2"], r"config.model.dilations\[1\] must be of type int, got '2'"),
        ("model.input_kind", "two_hot", r"config.model.input_kind must be one of \('one_hot'.*got 'two_hot'"),
        ("model.coding.kind_of", "Codec", "config.model.coding is a Codec, expected a SampleCoding"),
        (
            "model.distribution.kind_of",
            "Laplace",
            r"distribution.kind_of must be one of \['Categorical'.*got 'Laplace'",
        ),
        ("model.distribution", 5, "config.model.distribution fits none of its types"),
        ("model", [1], r"config.model must be an object with the fields of WaveNetConfig, got \[1\]"),
        ("optimizer.betas", [0.9], "config.optimizer.betas must have 2 entries, got 1"),
        ("kind_of", "TtsConfig", "config is a TtsConfig, expected a WaveNetVocoderConfig"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(path, value, message):
    with pytest.raises(ConfigError, match=message):
        from_json(WaveNetVocoderConfig, changed(path, value))


def test_a_required_field_that_is_missing_is_named():
    data = through_text(preset("ibab"))
    del data["spec"]
    with pytest.raises(ConfigError, match=r"config: .*missing.*'spec'"):
        from_json(BabblerConfig, data)


def test_values_that_contradict_each_other_are_refused_by_the_class():
    with pytest.raises(ValueError, match="hop_length 160 is not the spec's 200"):
        from_json(WaveNetVocoderConfig, changed("model.upsampler.hop_length", 160))


def test_an_integer_serves_as_a_float():
    assert from_json(SampleCoding, {"pre_emphasis": 0}).pre_emphasis == 0.0
    assert type(from_json(SampleCoding, {"gain": 1}).gain) is float


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(ConfigError, match="a value of type set has no place in a configuration"):
        to_json({1, 2})


def test_the_class_of_a_union_is_written_down():
    data = through_text(dataclasses.replace(PRESETS["r9y9-mol"], distribution=GaussianMixture(num_mixtures=3)))
    assert data["distribution"]["kind_of"] == "GaussianMixture"
    assert from_json(WaveNetConfig, data).distribution == GaussianMixture(num_mixtures=3)
