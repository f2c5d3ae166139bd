"""Nats in the tokens of TonicNet: five a step, with and without the first step."""

import numpy as np
import pytest

from tests.scripts.test_demo_folder import SCRIPTS
from tests.tiny.scores import corpus, untrained


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import tonicnet_tokens

    return tonicnet_tokens


def test_a_token_has_a_fifth_of_its_step(script):
    nats = np.asarray([[5.0, 5, 5, 5], [1, 0, 0, 0], [0, 0, 0, 2]])
    assert script.per_token(nats) == pytest.approx((23 / 15, 3 / 10))


def test_it_prints_both_means_beside_the_published_one(script, monkeypatch, capsys, tmp_path):
    corpus().save(tmp_path)
    monkeypatch.setattr(script.wavejax, "load", lambda name, kind: untrained())
    script.main("tiny", tmp_path)
    said = capsys.readouterr().out
    assert "validation, 2 pieces, all steps: " in said
    assert "all steps but the first: " in said
    assert "named 0.317" in said
    with pytest.raises(SystemExit, match="two or more test pieces"):
        script.main("tiny", tmp_path, split="test")
