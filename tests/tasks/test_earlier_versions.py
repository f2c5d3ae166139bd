"""Training folders that an earlier version wrote load, go on and end where that version's own run ended.

`earlier/*.tar.xz` hold the folders after three steps of the tiny experiments in tests/tiny, written on 2026-11-29 by
the version before families (one task, "vocoder", for all three); `*-params.npz` hold the parameters after six steps of
the same runs, in that version. `*-config.json` is what that version's shipped voices said of themselves.
"""

import dataclasses
import json
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.experiments.test_running import Quiet
from tests.tiny.experiments import tiny_corpus
from tests.tiny.notes import SPEC, recordings
from wavejax.data.notes import note_corpus
from wavejax.experiments.metadata import read_metadata
from wavejax.tasks.families import finder, load, load_any_family, train_and_evaluate

EARLIER = Path(__file__).parent / "earlier"
CORPORA = {
    "vocoder": tiny_corpus,
    "babbler": lambda: tiny_corpus(2),
    "instrument": lambda: note_corpus(recordings(), SPEC, num_shifts=4),
}


@pytest.mark.parametrize("name", ["allison", "babble", "piano"])
def test_what_the_shipped_voices_said_of_themselves_is_still_understood(name: str) -> None:
    meta = json.loads((EARLIER / f"{name}-config.json").read_text(encoding="utf-8"))
    family, product = load_any_family(name)
    assert finder()(meta, "a folder") is family
    assert read_metadata(meta, family, "a folder") == (product.config, product.labels)


@pytest.mark.parametrize("name", CORPORA)
def test_a_training_of_an_earlier_version_goes_on(name: str, tmp_path: Path) -> None:
    with tarfile.open(EARLIER / f"{name}.tar.xz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # which Python 3.11.4 brought
        archive.extractall(tmp_path)
    folder = tmp_path / name
    family, product = load_any_family(folder)
    assert (family.name, product.kind, product.step) == (name, name, 3)
    assert product.speakers == (("s0", "s1") if name == "babbler" else ())
    config = dataclasses.replace(product.config, training=dataclasses.replace(product.config.training, num_steps=6))
    state = train_and_evaluate(config, folder, corpus=CORPORA[name](), console=Quiet(), devices=jax.devices()[:1])
    wanted = np.load(EARLIER / f"{name}-params.npz")
    found = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state.params)}
    assert set(found) == set(wanted.files)
    for leaf, values in found.items():
        np.testing.assert_allclose(np.asarray(values), wanted[leaf], atol=1e-6, err_msg=leaf)
    assert load(folder).step == 6
