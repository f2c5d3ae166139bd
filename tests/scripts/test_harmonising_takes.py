"""The figures of harmonisation are printed for each number of takes and each temperature."""

import pytest

from tests.scripts.test_demo_folder import SCRIPTS
from tests.tiny.scores import corpus, untrained


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import harmonising_takes

    return harmonising_takes


def test_each_number_of_takes_has_its_figures(script, monkeypatch, capsys, tmp_path):
    corpus().save(tmp_path)
    monkeypatch.setattr(script.wavejax, "load", lambda name, kind: untrained())
    script.main("tiny", tmp_path, takes=(1, 2), temperatures=(0.5,))
    said = capsys.readouterr().out
    assert "validation, 2 melodies, temperature 0.5, 1 takes" in said
    assert "validation, 2 melodies, temperature 0.5, 2 takes" in said
    assert said.count("same pitch as the original: ") == 2
    with pytest.raises(SystemExit, match="fewer than two melodies in the split 'test'"):
        script.main("tiny", tmp_path, split="test")
