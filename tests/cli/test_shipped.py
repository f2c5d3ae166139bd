"""The commands, in a folder where something of the user's own is called like a voice."""

import json

from tests.tiny import commands as tiny
from wavejax.experiments.loading import voices


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
