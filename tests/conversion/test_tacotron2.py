"""Tacotron 2 under public names: recognised, complete, the same speech as the source's arithmetic, and a speaker."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import wavejax
from tests.conversion import networks
from tests.conversion.test_converting import also, saved, without
from wavejax.audio import get_spec
from wavejax.conversion import ConversionError, RefusedFile, convert, tacotron2
from wavejax.models.tacotron2 import PRESETS, Tacotron2Config
from wavejax.tasks.speaker.lines import lines_of
from wavejax.tasks.speaker.tacotron_product import AttentiveSpeaker
from wavejax.text.published import NVIDIA, PUBLISHED, TORCHAUDIO_CHARACTERS, TORCHAUDIO_PHONEMES, in_symbols_of


def small(classes: int, **changes: int) -> Tacotron2Config:
    return Tacotron2Config(num_classes=classes, **{**networks.SMALL_TACOTRON2, **changes})


@pytest.mark.parametrize(
    ("classes", "nested", "frames"), [(148, True, 1), (38, False, 1), (96, False, 2)], ids=["nvidia", "chars", "phones"]
)
def test_it_is_recognised_and_speaks_as_its_source(classes: int, nested: bool, frames: int, tmp_path: Path) -> None:
    config = small(classes, frames_per_step=frames)
    state = networks.tacotron2(config, nested)
    converted = convert(saved(tmp_path, state, place="state_dict" if nested else None))
    assert (converted.family, converted.name, converted.model_config) == ("tacotron", "tacotron2", config)
    assert converted.spec == get_spec("tacotron2")
    report = converted.report
    assert set(report.ignored.values()) == {"a count of training steps"}
    assert report.used + len(report.ignored) == report.tensors == len(state)
    assert report.parity.samples == 8 * frames * 80 * 2 + 8 + 8 * 12
    assert report.parity.unit == "values of mel, gates and attention"
    assert 0 < report.parity.largest_difference < 1e-5
    assert ("NVIDIA/tacotron2" if nested else "torchaudio's Tacotron2") in report.title


@pytest.mark.parametrize("prefix", ["module.", ""])
def test_a_converted_network_is_a_speaker(prefix: str, tmp_path: Path) -> None:
    state = networks.tacotron2(small(148))
    converted = convert(saved(tmp_path, {prefix + name: array for name, array in state.items()}))
    speaker = wavejax.load(converted.export(tmp_path / "voice"), kind=AttentiveSpeaker)
    assert speaker.config.text == NVIDIA
    assert speaker.config.reads == "letters"
    [line] = lines_of("It cost $4.")
    assert "".join(speaker.read(line).symbols) == "it cost four dollars."
    mel, words = speaker.mel(line)
    assert mel.shape[1] == 80
    assert [word.text for word in words] == ["It", "cost", "$4"]


def test_the_published_network_is_recognised_by_its_size() -> None:
    for nested, project in (
        (True, "NVIDIA/tacotron2"),
        (False, "torchaudio's Tacotron2 (taken for a GRIFFINLIM bundle, by its features)"),
    ):
        shapes = {name: array.shape for name, array in networks.tacotron2(PRESETS["tacotron2"], nested).items()}
        assert tacotron2.recognises(shapes)
        plan = tacotron2.plan(shapes)
        assert (plan.title, plan.model) == (f"the network of {project}", PRESETS["tacotron2"])


def test_symbols_of_public_models_have_their_numbers() -> None:
    """NVIDIA's text/symbols.py: _ - ! ' ( ) , . : ; ? space A-Z a-z @AA @AA0 ... @ZH."""
    assert [NVIDIA.encode_symbols([symbol])[0] for symbol in ("-", "!", "?", " ", "A", "Z", "a", "z")] == [
        *(1, 2, 10, 11, 12, 37, 38, 63)
    ]
    assert [NVIDIA.encode_symbols([symbol])[0] for symbol in ("@AA", "@AA0", "@B", "@ZH")] == [64, 65, 88, 147]
    assert [TORCHAUDIO_CHARACTERS.encode_symbols([symbol])[0] for symbol in (" ", "a", "z")] == [11, 12, 37]
    assert [TORCHAUDIO_PHONEMES.encode_symbols([symbol])[0] for symbol in (" ", "AA", "ZH")] == [11, 12, 95]
    assert sorted(PUBLISHED) == [38, 96, 148]
    assert in_symbols_of(NVIDIA, (" ", "AA1", ",", "a")) == (" ", "@AA1", ",", "a")
    assert in_symbols_of(TORCHAUDIO_PHONEMES, ("AA1",)) == ("AA1",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            without("decoder.gate_layer.linear_layer.bias"),
            r"in 1 ways: 'decoder\.gate_layer\.linear_layer\.bias' is",
        ),
        (also("speaker.weight", np.ones(3)), r"in 1 ways: 'speaker\.weight' is not known$"),
        (
            also("decoder.attention_layer.v.linear_layer.weight", np.ones((1, 5), np.float32)),
            r"decoder/score_kernel has the shape \(7, 1\), and .* makes \(5, 1\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(change: Callable[[dict[str, np.ndarray]], None], says: str, tmp_path: Path) -> None:
    state = networks.tacotron2(small(148))
    change(state)
    with pytest.raises(ConversionError, match=says):
        convert(saved(tmp_path, state))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            also("embedding.weight", np.ones((60, 16))),
            r"for 60 symbols, and which they are is not in the file; known are 148",
        ),
        (
            also("decoder.linear_projection.linear_layer.weight", np.ones((81, 25))),
            r"makes 81 values a step, expected a multiple of 80",
        ),
        (also("postnet.convolutions.9999.0.conv.weight", np.ones((1, 1, 1))), r"and 10000 convolutions; at most"),
        (
            also("decoder.prenet.layers.0.linear_layer.weight", np.ones(4)),
            r"whose decoder\.prenet\.layers\.0\.linear_layer\.weight has the shape \(4,\): it is not complete",
        ),
        (also("encoder.convolutions.0.0.conv.weight", np.ones((16, 16, 4))), r"model\.kernel_size must be odd, got 4"),
    ],
)
def test_networks_that_are_not_known_are_refused(
    change: Callable[[dict[str, np.ndarray]], None], says: str, tmp_path: Path
) -> None:
    state = networks.tacotron2(small(148))
    change(state)
    with pytest.raises(RefusedFile, match=says):
        convert(saved(tmp_path, state))


def test_another_speech_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: against the arithmetic of weights that are not the file's."""
    from wavejax.conversion import converting, tacotron2_original

    wrong = networks.tacotron2(small(148), seed=9)
    source = next(each for each in converting.SOURCES if each.project == "NVIDIA/tacotron2")
    source = source._replace(original=lambda _, *given: tacotron2_original.tacotron2(wrong, *given))
    monkeypatch.setattr(converting, "SOURCES", (source,))
    with pytest.raises(ConversionError, match=r"its sound differs by .* of full scale from that of the source's"):
        convert(saved(tmp_path, networks.tacotron2(small(148))))


def test_a_speakers_features_may_be_padded_differently() -> None:
    """So that what NVIDIA's network makes is heard through jik876's HiFi-GAN."""
    spec = get_spec("tacotron2")
    assert spec.sounds_as(get_spec("hifi-gan"))
    assert not spec.sounds_as(get_spec("speech-16k"))
    assert not spec.sounds_as(dataclasses.replace(spec, floor=1e-4))
