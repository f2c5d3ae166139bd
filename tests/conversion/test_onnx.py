"""Parallel vocoders as ONNX: the same sound by onnxruntime, at any number of frames, and refusals in a sentence."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tiny.experiments import tiny_config
from tests.tiny.vocos import tiny_hifi_gan, tiny_published_vocos, tiny_vocos
from wavejax.audio import get_spec
from wavejax.cli.main import main
from wavejax.conversion.onnx_graph import CannotExport, as_model, linear
from wavejax.conversion.onnx_vocoder import TOLERANCE, PortableVocoder, parity_of_stream, parity_of_whole
from wavejax.nn.parallel import initial_parallel_params
from wavejax.tasks.families import load
from wavejax.tasks.vocoder.product import Vocoder

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def portable(config: Any) -> PortableVocoder:
    model, random = config.model.build(), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: initial_parallel_params(model, jax.random.key(0)))
    params = jax.tree.map(lambda leaf: jnp.asarray(random.normal(0, 0.2, leaf.shape), leaf.dtype), shapes)
    return PortableVocoder.of(config.name, config.model, params, config.spec)


@pytest.mark.parametrize("make", [tiny_vocos, tiny_published_vocos, tiny_hifi_gan])
def test_a_whole_recording_is_one_call(make: Any) -> None:
    vocoder = portable(make())
    written = vocoder.whole()
    operators = {node.op_type for node in written.graph.node}
    assert not {name for name in operators if "DFT" in name or "STFT" in name}
    parity = parity_of_whole(vocoder, written.SerializeToString())
    assert parity.samples == 40 * vocoder.model.hop_length
    assert parity.largest_difference < TOLERANCE / 5
    assert parity.loudest > 1e-3
    said = {each.key: each.value for each in written.metadata_props}
    assert (said["sample_rate"], said["hop_length"]) == ("16000", "200")
    assert json.loads(said["feature_spec"])["n_mels"] == 80
    session = ort.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    for frames in (1, 7):
        given = {"mel": np.full((1, frames, 80), -4, np.float32)}
        if vocoder.model.noise_size:
            given["noise"] = np.full((1, frames + vocoder.context, vocoder.model.noise_size), 0.5, np.float32)
            given["temperature"] = np.ones(1, np.float32)
        assert session.run(None, given)[0].shape == (1, frames * 200)


def test_the_streaming_form_passes_a_state_on() -> None:
    vocoder = portable(tiny_vocos())
    begin, advance = (each.SerializeToString() for each in vocoder.streaming())
    for step in (1, 5):
        parity = parity_of_stream(vocoder, begin, advance, step)
        assert parity.samples == 40 * 200
        assert parity.largest_difference < TOLERANCE / 5


@pytest.mark.slow
def test_the_voice_that_ships_is_within_the_tolerance_in_both_forms() -> None:
    voice = load("universal", kind=Vocoder)
    params = jax.tree.map(jnp.asarray, voice.params)
    vocoder = PortableVocoder.of("universal", voice.config.model, params, voice.spec)
    whole = parity_of_whole(vocoder, vocoder.whole().SerializeToString())
    stream = parity_of_stream(vocoder, *(each.SerializeToString() for each in vocoder.streaming()))
    for parity in (whole, stream):
        # Of a phase that adds up F0 the rounding adds up, too: 6e-5 where this was written.
        assert parity.largest_difference < TOLERANCE / 3
        assert parity.loudest > 0.5


def test_a_wrong_model_is_found() -> None:
    vocoder = portable(tiny_published_vocos())
    written = vocoder.whole()
    bias = next(each for each in written.graph.initializer if each.dims == [802])
    bias.raw_data = (np.frombuffer(bias.raw_data, np.float32) + np.float32(3)).tobytes()
    with pytest.raises(CannotExport, match=r"differs by .* of full scale .* 0\.001 are allowed: nothing is written"):
        parity_of_whole(vocoder, written.SerializeToString())


def test_what_cannot_be_exported_is_refused() -> None:
    config = tiny_config()
    with pytest.raises(CannotExport, match="is a WaveNet, which makes one sample after the other: ONNX models are"):
        PortableVocoder.of("speech", config.model, {}, get_spec("speech-16k"))
    with pytest.raises(CannotExport, match="passes no state from window to window, so it has no streaming form"):
        portable(tiny_hifi_gan()).streaming()
    with pytest.raises(CannotExport, match="the operation sort has no translation to ONNX"):
        as_model(lambda x: [jnp.sort(x)], {"x": ("frames", np.float32)}, ["y"], {})
    (squared,) = jax.export.symbolic_shape("frames * frames")
    with pytest.raises(CannotExport, match="is no multiple of frames plus a number"):
        linear(squared)


def test_whole_numbers_wrap_around() -> None:
    def turned(x: jax.Array) -> list[jax.Array]:
        phase = jnp.cumsum(x.astype(jnp.uint32) << 24, dtype=jnp.uint32) * jnp.uint32(77)
        return [phase, (phase >> 8).astype(jnp.float32)]

    model = as_model(turned, {"x": ("frames", np.float32)}, ["phase", "upper"], {"key": "text"})
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.arange(0, 2000, 7).astype(np.float32)
    for made, wanted in zip(session.run(None, {"x": x}), turned(jnp.asarray(x)), strict=True):
        np.testing.assert_array_equal(made, np.asarray(wanted).astype(made.dtype))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from wavejax.tasks.families import get_family

    config = tiny_vocos()
    given = portable(config)
    product = get_family("vocos").product(config=config, params=given.params, labels={}, step=0)
    monkeypatch.setattr("wavejax.tasks.families.load", lambda *_, **__: product)
    file = tmp_path / "voice.onnx"
    assert main(["export-onnx", "voice", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [{"file": str(file), "bytes": file.stat().st_size}]
    assert (said["inputs"], said["outputs"]) == (["mel", "noise", "temperature"], ["waveform"])
    assert said["parity"]["largest_difference"] < TOLERANCE / 5
    assert main(["export-onnx", "voice", str(file)]) == 1
    assert "is there already: choose another name, or --overwrite" in capsys.readouterr().err
    assert main(["export-onnx", "voice", str(file), "--overwrite", "--streaming"]) == 0
    said = capsys.readouterr().out
    assert "voice.begin.onnx: " in said
    assert "of full scale from wavejax's own" in said
    assert main(["export-onnx", "voice", str(tmp_path / "voice.pt")]) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["voice.begin.onnx", "voice.onnx"]
