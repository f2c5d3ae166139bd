"""The demo's voices: several by name, and a sentence where one speaks at another rate than the recordings."""

from types import SimpleNamespace

import pytest

from tests.scripts.test_demo_folder import SCRIPTS


def test_voices_that_cannot_speak_the_recordings_are_named(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import speak_and_report

    rates = {"allison": 16_000, "runs/mine": 16_000, "vocos-24k": 24_000}
    monkeypatch.setattr(speak_and_report, "load", lambda name, kind: SimpleNamespace(sample_rate=rates[name]))
    assert list(speak_and_report.opened(("allison", "runs/mine"), 16_000)) == ["allison", "mine"]
    with pytest.raises(SystemExit, match="vocos-24k speaks at 24000 Hz, and the demo's recordings have 16000 Hz"):
        speak_and_report.opened(("allison", "vocos-24k"), 16_000)
