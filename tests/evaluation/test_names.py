import pytest

from wavejax.evaluation.names import MAX_LENGTH, file_names


def test_names_that_are_safe_stay_as_they_are():
    assert file_names(["LJ001-0001", "T=0.7", "grüße", "p225_001.mic1"]) == {
        name: name for name in ("LJ001-0001", "T=0.7", "grüße", "p225_001.mic1")
    }
    assert file_names(["Are you sure?", "a/b", "voice T=1"]) == {
        "Are you sure?": "Are_you_sure_",
        "a/b": "a_b",
        "voice T=1": "voice_T=1",
    }


def test_names_that_differ_have_files_that_differ():
    names = ["Are you sure?", "Are you sure!", "Are_you_sure_", "other", "Other", "a/b", "a_b", "?", "!"]
    names += ["x" * 300, "x" * 299 + "y", "é" * 200, "", ".", ".."]
    found = file_names(names)
    assert len({short.casefold() for short in found.values()}) == len(names)
    for short in found.values():
        assert len(short.encode()) <= MAX_LENGTH
        assert short not in ("", ".", "..")
        assert "/" not in short
    assert found == file_names(names), "the same at every run"
    assert file_names(["Are you sure?", "Are you sure!"])["Are you sure?"] == found["Are you sure?"]


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a\0b", "..\\x"])
def test_no_name_leads_out_of_the_folder(name):
    (short,) = file_names([name]).values()
    assert not set(short) & set("/\\\0")
