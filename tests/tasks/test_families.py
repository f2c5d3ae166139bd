"""The table of families, their presets, and what earlier versions wrote in today's names."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.tiny import commands as tiny
from tests.tiny import notes
from wavejax.checkpoints import export_params
from wavejax.experiments.autoregressive.config import AutoregressiveConfig
from wavejax.experiments.family import Family
from wavejax.experiments.metadata import ExperimentError, metadata
from wavejax.tasks.babbler.product import Babbler
from wavejax.tasks.composer.product import Composer
from wavejax.tasks.families import FAMILIES, export, get_family, load, load_any_family, preset, presets
from wavejax.tasks.instrument.product import Instrument
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.recognizer.spelling import SpellingRecognizer
from wavejax.tasks.speaker.product import Speaker
from wavejax.tasks.speaker.tacotron_product import AttentiveSpeaker
from wavejax.tasks.vocoder.product import Vocoder
from wavejax.tasks.vocoder.wavenet import FAMILY as VOCODERS
from wavejax.tasks.vocoder.wavenet import WaveNetVocoderConfig

PRODUCTS = {
    "vocoder": Vocoder,
    "babbler": Babbler,
    "instrument": Instrument,
    "recognizer": Recognizer,
    "deep-speech": Recognizer,
    "listen-attend-spell": SpellingRecognizer,
    "attend-spell": SpellingRecognizer,
    "composer": Composer,
    "musegan": Composer,
    "published-musegan": Composer,
    "speaker": Speaker,
    "tacotron": AttentiveSpeaker,
}


def as_before(config: AutoregressiveConfig, speakers: tuple[str, ...] = ()) -> dict:
    """Metadata as wavejax 0.1.0 wrote them, when one task served all three."""
    meta = metadata(config, {})
    old = {**meta["config"], "kind_of": "VocoderConfig", "data": {**meta["config"]["data"], "kind_of": "DataConfig"}}
    training = {**old["training"], "kind_of": "TrainingConfig"}
    training["audio_every"] = training.pop("exhibit_every")
    return {
        "task": "vocoder",
        "wavejax": "0.1.0",
        "config": {**old, "training": training},
        "speakers": list(speakers),
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_called_as_its_row_says(name):
    family = get_family(name)
    assert family.name == name
    assert issubclass(family.product, PRODUCTS.get(name, Vocoder)), "the others are vocoders of another model"
    assert family.presets
    for own, config in family.presets.items():
        assert (config.name, type(config)) == (own, family.config)
        assert presets()[own] == (family, config)


def test_no_preset_is_in_two_families():
    assert len(presets()) == sum(len(get_family(name).presets) for name in FAMILIES)


def test_what_is_not_there_is_named_with_what_is():
    with pytest.raises(ExperimentError, match="no family that ships is called 'singer': there are vocoder, "):
        get_family("singer")
    with pytest.raises(
        ExperimentError, match=r"no preset 'speech-16' \(did you mean speech-16k\?\): choose one of nv-"
    ):
        preset("speech-16")


@pytest.mark.parametrize(
    ("family", "make"),
    [
        ("vocoder", lambda: tiny.config(num_speakers=2, global_channels=3)),
        ("babbler", tiny.unconditional),
        ("instrument", notes.tiny_piano),
    ],
)
def test_what_an_earlier_version_wrote_is_read_as_the_family_that_it_is(tmp_path, family, make):
    config, speakers = make(), ("anna", "bert") if family == "vocoder" else ()
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, exhibit_every=77))
    folder = export_params(tmp_path / "old", tiny.params_of(config), as_before(config, speakers))
    found, product = load_any_family(folder)
    assert found.name == family
    assert type(product) is found.product
    assert isinstance(product, PRODUCTS[family])
    assert product.config == config, "audio_every is exhibit_every now"
    assert product.speakers == speakers
    again = load(export(folder, tmp_path / "new"), kind=PRODUCTS[family])
    assert (again.config.training, again.speakers) == (config.training, speakers)


def test_parameters_of_several_folders_are_averaged_into_one(tmp_path):
    config = tiny.config(num_speakers=2, global_channels=3)
    trees = [tiny.params_of(config, seed) for seed in range(3)]
    meta = metadata(config, {"speakers": ["anna", "bert"]})
    first, *others = (export_params(tmp_path / str(seed), tree, meta) for seed, tree in enumerate(trees))
    made = load(export(first, tmp_path / "mean", average_with=others), kind=Vocoder)
    jax.tree.map(
        lambda leaf, *each: np.testing.assert_allclose(leaf, np.mean(each, axis=0), atol=1e-7), made.params, *trees
    )
    assert (made.config, made.speakers) == (load(first, kind=Vocoder).config, ("anna", "bert"))
    renamed = export_params(tmp_path / "renamed", trees[1], metadata(config, {"speakers": ["bert", "anna"]}))
    wider = tiny.export(tmp_path / "wider", tiny.config(num_speakers=2, global_channels=4), ("anna", "bert"))
    babble = tiny.export(tmp_path / "babble", tiny.unconditional())
    for other, why in (
        (renamed, "renamed cannot be averaged with .*: their speakers or symbols differ"),
        (wider, "their networks have other sizes"),
        (babble, "it belongs to the family babbler"),
    ):
        with pytest.raises(ExperimentError, match=why):
            export(first, tmp_path / "no", average_with=[other])
    assert not (tmp_path / "no").exists()


def test_another_task_or_version_is_refused(tmp_path):
    config = tiny.config()
    params, meta = tiny.params_of(config), metadata(config, {})
    other = export_params(tmp_path / "other", params, {**meta, "family": "singer"})
    with pytest.raises(ExperimentError, match=r"belongs to the family 'singer'; those that ship are vocoder, "):
        load(other)
    later = export_params(tmp_path / "later", params, {**meta, "config": {**meta["config"], "echo": 1}})
    with pytest.raises(
        ExperimentError, match=r"written by wavejax .* and this is .*: config has unknown fields \['echo'\]"
    ):
        load(later)
    smaller = export_params(tmp_path / "smaller", {**params, "stack": {}}, meta)
    with pytest.raises(ExperimentError, match="does not hold the model it describes: stack/"):
        load(smaller)


def test_a_family_of_ones_own_is_loaded_with_its_card(tmp_path):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class EchoConfig(WaveNetVocoderConfig):
        family = "echo"

    base = tiny.config()
    config = EchoConfig(**{field.name: getattr(base, field.name) for field in dataclasses.fields(base)})
    card: Family = dataclasses.replace(VOCODERS, config=EchoConfig, presets={"echo": config})
    folder = export_params(tmp_path / "echo", tiny.params_of(config), metadata(config, {}))
    with pytest.raises(ExperimentError, match=r"family 'echo'.* with its card: wavejax.load\(..., family=CARD\)"):
        load(folder)
    assert load(folder, family=card, kind=Vocoder).config == config
    with pytest.raises(ExperimentError, match="is a vocoder, not a babbler"):
        load(folder, family=card, kind=Babbler)
    assert type(load("allison", family=card).config) is WaveNetVocoderConfig, "those that ship are known, too"


def test_a_vocoder_reads_features():
    base = preset("babble-16k")
    with pytest.raises(ValueError, match=r"reads no features, and a vocoder does: .*train a preset that babbles"):
        WaveNetVocoderConfig(name="w", model=base.model, spec=base.spec, data=base.data)
