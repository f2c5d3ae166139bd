"""The commands, in a folder where something of the user's own is called like a voice."""

import json

import jax
import numpy as np

from tests.tiny import commands as tiny
from wavejax.experiments.loading import voices
from wavejax.tasks.families import load


def test_voices_lists_all_beside_a_folder_of_the_same_name(run, tmp_path, monkeypatch):
    (tmp_path / "allison").mkdir()
    monkeypatch.chdir(tmp_path)
    said = run("voices")
    assert said.code == 0, said.error
    named = [line.partition(":")[0] for line in said.out.splitlines()]
    assert named == sorted(voices())
    assert "allison" in named
    universal, chorales = (
        next(line for line in said.out.splitlines() if line.startswith(f"{name}: "))
        for name in ("universal", "chorales")
    )
    assert universal.startswith("universal: vocoder, 16000 samples/s, ")
    assert "/s, " not in chorales, "a composer has no rate of its own"


def test_info_tells_the_voice_from_the_folder(run, tmp_path, monkeypatch):
    tiny.write_noise(tmp_path / "allison" / "one.wav")
    (tmp_path / "allison" / "metrics.jsonl").write_text(json.dumps({"step": 7}) + "\n")
    monkeypatch.chdir(tmp_path)
    voice, folder = run("info", "allison"), run("info", "./allison")
    assert "exported parameters" in voice.out
    assert "step 7" not in voice.out, "the metrics of another folder"
    assert folder.out.startswith("folder of 1 recordings: ")


def test_an_export_under_a_voices_name_is_used_by_its_path(run, voice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run("export-params", voice, "piano")
    assert said.code == 0, said.error
    assert "wavejax vocode ./piano " in said.out


def test_a_speaker_is_exported_with_another_gv_scale_and_others_have_none(run, voice, tmp_path):
    said = run("export-params", "heart", tmp_path / "softer", "--dtype", "bfloat16", "--gv-scale", "1")
    assert said.code == 0, said.error
    softer, shipped = load(str(tmp_path / "softer")), load("heart")
    assert (softer.config.gv_scale, shipped.config.gv_scale) == (1.0, 1.15)
    jax.tree.map(np.testing.assert_array_equal, softer.params, shipped.params)
    refused = run("export-params", voice, tmp_path / "none", "--gv-scale", "1.1")
    assert (refused.code, "a vocoder has no gv_scale to export with" in refused.error) == (1, True)


def test_an_export_sets_fields_of_the_configuration(run, tmp_path):
    said = run("export-params", "chorales", tmp_path / "set", "--set", "temperature=0.7", "name=mine")
    assert said.code == 0, said.error
    config = load(str(tmp_path / "set")).config
    assert (config.temperature, config.name) == (0.7, "mine")
    for given, why in (
        ("temperature", "--set takes FIELD=VALUE, such as temperature=0.6, got 'temperature'"),
        ("temperature=warm", "temperature"),
        ("temperature=-1", "temperature must be at least 0"),
        ("source=1", "a composer has no source to export with"),
    ):
        refused = run("export-params", "chorales", tmp_path / "none", "--set", given)
        assert refused.code, given
        assert why in refused.error, refused.error
    assert not (tmp_path / "none").exists()
