"""What the doctor says of an installation."""

import numpy as np

from wavejax.evaluation.findings import nothing_bad
from wavejax.experiments import installation
from wavejax.generation import self_check


def test_the_installation_is_sound_and_its_parts_are_named():
    findings = installation.check_installation()
    assert nothing_bad(findings)
    assert {finding.check for finding in findings} == {"versions", "devices", "extras", "generation"}
    assert "cpu" in next(finding.words for finding in findings if finding.check == "devices")


def test_a_backend_that_computes_nonsense_is_found(monkeypatch):
    monkeypatch.setattr(self_check, "stream", lambda *_, **__: iter([np.zeros((1, 200), np.float32)]))
    assert not nothing_bad(installation.check_installation())


def test_a_missing_extra_is_a_note_with_its_remedy(monkeypatch):
    monkeypatch.setattr(installation, "EXTRAS", {"train": ("json", "no_such_package")})
    findings = installation.check_installation()
    words = next(finding.words for finding in findings if finding.check == "extras")
    assert words == "without the extra train (no_such_package): pip install 'wavejax-audio[train]'"
    assert nothing_bad(findings)


def test_a_numba_that_cannot_compile_is_told(monkeypatch):
    monkeypatch.setattr(installation, "EXTRAS", {"cpu": ("json",)})
    monkeypatch.setattr(installation, "numba_trouble", lambda: "needs numba's compiler: unset that")
    words = next(finding.words for finding in installation.check_installation() if finding.check == "extras")
    assert words == "the extra cpu is installed, but backend 'cpu' needs numba's compiler: unset that"
