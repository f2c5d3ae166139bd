"""What ships is found by its bare name, whatever lies in the current folder."""

from pathlib import Path

import pytest

from tests.tiny import commands as tiny
from wavejax.experiments.loading import VOICES, shipped_folder, unmistakable, voices
from wavejax.experiments.metadata import ExperimentError
from wavejax.tasks.families import load
from wavejax.tasks.instrument.product import Instrument


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_of_no_use_hides_no_voice(here, caplog):
    (here / "allison").mkdir()
    assert load("allison").config.name == load(VOICES / "allison").config.name
    assert not caplog.records, "nothing in that folder could have been meant"


def test_a_file_of_its_name_hides_no_voice(here):
    (here / "allison").write_text("a file")
    assert load("allison").sample_rate == 16_000


def test_the_bare_name_is_what_ships_and_a_path_is_the_folder(here, caplog):
    tiny.export(here / "allison", tiny.config())
    assert len(load("allison").config.model.dilations) > 2
    said = "allison is the model that ships with wavejax; that of the folder here is ./allison"
    assert [record.getMessage() for record in caplog.records] == [said]
    for own in ("./allison", "allison/", here / "allison", Path("allison")):
        assert load(own).config.model.dilations == (1, 2), own


def test_a_path_of_which_nothing_is_here_may_be_a_voice(here):
    assert shipped_folder(Path("allison")) == VOICES / "allison"


def test_a_folder_is_named_so_that_it_is_found_again(here):
    assert unmistakable("allison") == unmistakable(Path("./allison")) == "./allison"
    assert unmistakable("run") == "run"
    tiny.export(here / "allison", tiny.config())
    with pytest.raises(ExperimentError, match=r"^\./allison is a vocoder.*`wavejax vocode \./allison "):
        load(Path("allison"), kind=Instrument)
    with pytest.raises(ExperimentError, match=r"^allison is a vocoder.*`wavejax vocode allison "):
        load("allison", kind=Instrument)


def test_every_model_that_ships_is_told_from_its_folder():
    assert [shipped_folder(name) for name in voices()] == [VOICES / name for name in voices()]
    assert [shipped_folder(f"./{name}") for name in voices()] == [None] * len(voices())


@pytest.mark.parametrize("name", voices())
def test_what_ships_holds_the_model_that_it_describes(name: str) -> None:
    """By its name it is loaded without this comparison, which takes as long as to use it once."""
    assert load(VOICES / name).config.name
