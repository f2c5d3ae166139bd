"""Public networks of small width, converted: recognised, complete, and the same sound as their own arithmetic."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import wavejax
from tests.conversion import networks
from tests.conversion import weight_files as make
from wavejax.audio import get_spec
from wavejax.checkpoints import load_params
from wavejax.conversion import ConversionError, RefusedFile, convert, hifi_gan, originals, vocos
from wavejax.conversion.rules import folded
from wavejax.experiments.serialization import from_json
from wavejax.models.hifi_gan import PRESETS, HiFiGANConfig
from wavejax.models.vocos import VocosConfig
from wavejax.tasks.vocoder.product import Vocoder


def saved(folder: Path, state: dict[str, np.ndarray], place: str | None = None, old: bool = False) -> Path:
    path = folder / "weights"
    path.write_bytes((make.torch_old if old else make.torch_new)(state, place))
    return path


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("hifi-gan-v3", "parametrizations"),
        pytest.param("hifi-gan-v1", "weight_norm", marks=pytest.mark.slow),
        pytest.param("hifi-gan-v2", "folded", marks=pytest.mark.slow),
    ],
)
def test_hifi_gan(name: str, form: str, tmp_path: Path) -> None:
    state = networks.hifi_gan(name, 16, form)
    converted = convert(saved(tmp_path, state, place="generator"))
    twin = "hifi-gan-v1" if name == "hifi-gan-v2" else name  # they differ in width alone
    assert (converted.family, converted.name, converted.report.part) == ("hifi-gan", twin, "generator")
    assert converted.model_config == dataclasses.replace(PRESETS[name], initial_channels=16).folded
    assert converted.spec == get_spec("hifi-gan")
    report = converted.report
    assert (report.tensors, report.used, report.ignored) == (len(state), len(state), {})
    assert report.parity.samples == 8 * 256
    assert 0 < report.parity.largest_difference < 1e-5
    # The comparison is with the source's arithmetic on the source's tensors; that of a silence would prove nothing.
    wanted = originals.hifi_gan(state, converted.model_config, np.random.default_rng(5).normal(-4, 2, (3, 80)))
    assert np.std(wanted) > 1e-2


def test_vocos(tmp_path: Path) -> None:
    state = networks.vocos(channels=12, hidden=20, blocks=2)
    converted = convert(saved(tmp_path, state, old=True))
    assert (converted.family, converted.name) == ("published-vocos", "vocos-24k")
    assert converted.model_config == VocosConfig(channels=12, hidden_channels=20, num_blocks=2)
    assert converted.spec == get_spec("vocos-24k")
    assert converted.report.format == "torch (older form)"
    assert set(converted.report.ignored) == {
        "feature_extractor.mel_spec.spectrogram.window",
        "feature_extractor.mel_spec.mel_scale.fb",
        "head.istft.window",
    }
    assert 0 < converted.report.parity.largest_difference < 1e-5


def test_an_exported_folder_says_all_that_it_is(tmp_path: Path) -> None:
    """A family's card can read it: configuration and spec come back, the parameters are those that were converted."""
    converted = convert(saved(tmp_path, networks.hifi_gan("hifi-gan-v3", 16)))
    params, meta = load_params(converted.export(tmp_path / "voice"))
    assert meta["family"] == "hifi-gan"
    assert from_json(HiFiGANConfig, meta["config"]["model"]) == converted.model_config
    assert from_json(type(converted.spec), meta["config"]["spec"]) == converted.spec
    assert meta["conversion"] == json.loads(json.dumps(converted.report.to_json()))
    assert meta["conversion"]["parity"]["compared_with"].startswith("the arithmetic of jik876/hifi-gan in NumPy")
    np.testing.assert_array_equal(params["stage_0_up_kernel"], converted.params["stage_0_up_kernel"])
    vocoder = wavejax.load(tmp_path / "voice", kind=Vocoder)
    mel = np.random.default_rng(0).normal(-4, 1, (9, 80)).astype(np.float32)
    spoken = vocoder(mel)
    assert spoken.shape == (9 * 256,)
    np.testing.assert_array_equal(np.concatenate(list(vocoder.stream(iter(mel[:, None])))), spoken)


def test_the_published_networks_are_recognised_by_their_size() -> None:
    """Their tensors' names and shapes; the weights themselves are not here."""

    def planned(source, state):
        shapes = {name: array.shape for name, array in state.items()}
        assert source.recognises(shapes)
        return source.plan(shapes)

    for name in PRESETS:
        plan = planned(hifi_gan, networks.hifi_gan(name, PRESETS[name].initial_channels))
        assert (plan.name, plan.title) == (name, f"generator {name} of jik876/hifi-gan")
    plan = planned(vocos, networks.vocos(channels=512, hidden=1536, blocks=8))
    assert (plan.name, plan.title) == ("vocos-24k", "charactr/vocos-mel-24khz")


@pytest.mark.parametrize("prefix", ["module.", "generator.", "module.generator.", "generator.module."])
def test_names_of_data_parallel_and_of_a_larger_module_are_understood(prefix: str, tmp_path: Path) -> None:
    state = networks.vocos(channels=8, hidden=8, blocks=1)
    path = saved(tmp_path, {prefix + name: array for name, array in state.items()})
    assert convert(path).report.tensors == len(state)


def test_a_normalised_transposed_convolution_has_a_length_for_each_input_channel() -> None:
    v = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)  # [in, out, taps]
    g = np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1)
    lengths = np.sqrt(np.sum(np.square(folded(g, v)), axis=(1, 2)))
    np.testing.assert_allclose(lengths, [1, 2, 3, 4], rtol=1e-6)
    with pytest.raises(ValueError, match=r"weight_g has the shape \(1, 2, 1\), expected \(4, 1, 1\)"):
        folded(np.ones((1, 2, 1), np.float32), v)
    v[2] = 0
    with pytest.raises(ValueError, match=r"weight_v has the length 0\.0 in channel 2: it has no direction"):
        folded(g, v)


def without(name: str) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda state: state.pop(name)  # type: ignore[arg-type, return-value]


def also(name: str, array: np.ndarray) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda state: state.update({name: array})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("backbone.norm.bias"), r"in 1 ways: 'backbone\.norm\.bias' is missing$"),
        (also("speaker.weight", np.ones(3)), r"in 1 ways: 'speaker\.weight' is not known$"),
        (also("head.out.bias", np.full(1026, np.nan, np.float32)), r"head\.out\.bias holds values that are not finite"),
        (also("head.out.bias", np.full(1026, 1e300)), r"head\.out\.bias holds values that are not finite in float32"),
        (also("head.out.bias", np.ones(5, np.float32)), r"head/bias has the shape \(1026,\), and .* makes \(5,\)"),
        (
            also("backbone.convnext.0.dwconv.weight", np.ones((8, 8, 7))),
            r"of shape \(8, 8, 7\), expected \[channels, 1",
        ),
        (also("backbone.convnext.0.pwconv2.weight", np.ones(8)), r"a tensor of shape \(8,\), expected 2 axes"),
        (also("head.istft.window", np.ones(1024)), r"'head\.istft\.window' differs by 1 from what these features have"),
        (
            also(
                "feature_extractor.mel_spec.mel_scale.fb",
                networks.mel_filterbank(24000, 1024, 100, 0.0, 8000.0, "slaney", "slaney"),
            ),
            r"'feature_extractor\.mel_spec\.mel_scale\.fb' differs by .* from what these features have: they are oth",
        ),
    ],
)
def test_what_does_not_fit_is_named(change: Callable[[dict[str, np.ndarray]], None], says: str, tmp_path: Path) -> None:
    state = networks.vocos(channels=8, hidden=8, blocks=1)
    change(state)
    with pytest.raises(ConversionError, match=says) as caught:
        convert(saved(tmp_path, state))
    assert str(caught.value).startswith(
        f"{tmp_path / 'weights'}, taken for charactr/vocos-mel-24khz with 1 blocks of 8"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            also("head.out.weight", np.ones((514, 8))),
            r"for 100 mel bands and 512 samples a frame, whose features are not",
        ),
        (also("backbone.convnext.9999.gamma", np.ones(8)), r"of 2 blocks, the last one number 9999"),
        (also("backbone.norm.scale.weight", np.ones((4, 8))), r"reads EnCodec's tokens; only those that read a mel"),
        (also("backbone.embed.weight", np.ones((0, 100, 7))), r"must be"),
        (also("backbone.embed.weight", np.ones(7)), r"whose layers have no possible shapes"),
        (
            without("head.out.weight"),
            r"its tensors are of no project that is known, which are jik876/hifi-gan, gemelo-ai",
        ),
    ],
)
def test_networks_that_are_not_known_are_refused(
    change: Callable[[dict[str, np.ndarray]], None], says: str, tmp_path: Path
) -> None:
    state = networks.vocos(channels=8, hidden=8, blocks=1)
    change(state)
    with pytest.raises(RefusedFile, match=says):
        convert(saved(tmp_path, state))


def test_a_generator_of_other_rates_is_refused(tmp_path: Path) -> None:
    state = networks.hifi_gan("hifi-gan-v1", 16)
    state["ups.1.weight_v"] = np.ones((8, 4, 12), np.float32)
    with pytest.raises(RefusedFile, match=r"taps of the blocks are pairs, \(16, 12, 4, 4\), \(3, 7, 11\); known are "):
        convert(saved(tmp_path, state))
    state = networks.hifi_gan("hifi-gan-v1", 16)
    state["conv_pre.weight_v"] = np.ones((16, 128, 7), np.float32)
    with pytest.raises(RefusedFile, match=r"of 16 channels for 128 mel bands; known are those for the 80 bands"):
        convert(saved(tmp_path, state))


def test_two_models_in_one_file(tmp_path: Path) -> None:
    state = networks.vocos(channels=8, hidden=8, blocks=1)
    ema = {name: array * np.float32(1) for name, array in state.items()}
    items = {**{("model", n): a for n, a in state.items()}, **{("ema", n): a for n, a in ema.items()}}
    keys = {item: str(index) for index, item in enumerate(items)}

    def part(place: str) -> bytes:
        return make.mapping(
            {
                name: make.tensor(make.storage("Float", keys[place, name], a.size), 0, a.shape, make.steps(a.shape))
                for name, a in state.items()
            }
        )

    path = tmp_path / "two.ckpt"
    data = {keys[item]: array.astype(np.float32).tobytes() for item, array in items.items()}
    path.write_bytes(make.torch_zip(make.mapping({"model": part("model"), "ema": part("ema")}), data))
    with pytest.raises(RefusedFile, match=r"two\.ckpt: it holds several models; choose a part of 'model', 'ema'$"):
        convert(path)
    assert convert(path, "ema").report.part == "ema"
    with pytest.raises(RefusedFile, match=r"it has no part 'best'; it has 'model' \(\d+ tensors\), 'ema'"):
        convert(path, "best")


def test_another_sound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: against the arithmetic of weights that are not the file's."""
    from wavejax.conversion import converting

    wrong = networks.vocos(channels=8, hidden=8, blocks=1, seed=9)
    source = converting.SOURCES[1]._replace(original=lambda _, config, mel: originals.vocos(wrong, config, mel))
    monkeypatch.setattr(converting, "SOURCES", (source,))
    with pytest.raises(ConversionError, match=r"its sound differs by .* of full scale from that of the source's"):
        convert(saved(tmp_path, networks.vocos(channels=8, hidden=8, blocks=1)))
