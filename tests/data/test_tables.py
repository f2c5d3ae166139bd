from pathlib import Path

import pytest

from wavejax.data.tables import RecordingNames, read_metadata, read_metadata_and_notes, read_splits, split_of_each
from wavejax.data.texts import SourceError


def _read(tmp_path, text):
    path = tmp_path / "metadata.csv"
    path.write_bytes(text.encode())
    found = read_metadata_and_notes(path)
    return [(row.id, row.speaker, row.transcript) for row in found.rows], found.notes


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a|One.|\nb|Two.|two\n", [("a", "", "One."), ("b", "", "two")]),
        ("id|speaker|transcript\na|anna|One.\nb|bert|Two.\n", [("a", "anna", "One."), ("b", "bert", "Two.")]),
        ("\ufeffID|Transcript|Speaker\r\na|One.|anna\r\nb|Two.|", [("a", "anna", "One."), ("b", "", "Two.")]),
        ("file|text\na|One.\n", [("a", "", "One.")]),
        ("audio_file|speaker_name|text\na|anna|One.\n", [("a", "anna", "One.")]),
        ("id|text|transcript\na|Raw 1|one\n", [("a", "", "one")]),
        ("id|speaker|transcript\na|anna|One | two |three\n", [("a", "anna", "One | two |three")]),
        ("a|First\u2028second\rb|Two\n", [("a", "", "First\u2028second"), ("b", "", "Two")]),
        ("file|is a word like any other\n", [("file", "", "is a word like any other")]),
    ],
)
def test_what_rows_say(tmp_path, text, rows):
    assert _read(tmp_path, text) == (rows, [])


def test_speakers_in_the_second_of_three_columns(tmp_path):
    rows, notes = _read(tmp_path, "a|anna|One.\nb|anna|Two.\nc|bert|One.\nd|bert|Three.\n")
    assert [row[1:] for row in rows] == [("anna", "One."), ("anna", "Two."), ("bert", "One."), ("bert", "Three.")]
    assert notes == [
        "its second of three columns is read as speakers (anna, bert); a first line `id|speaker|transcript` or "
        "`id|transcript|cleaned` says what it is"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a|Nr. 1.|number one\nb|Nr. 2.|number two\nc|Nr. 1.|number one\n",
        "a|1|one\nb|1|one\nc|2|two\nd|2|two\n",  # words, each said twice
        "a|anna|One.\n",
        "a|anna|One.\nb|bert|Two.\n",
    ],
)
def test_a_transcript_and_its_cleaned_form_are_no_speakers(tmp_path, text):
    rows, notes = _read(tmp_path, text)
    assert {speaker for _, speaker, _ in rows} == {""}
    assert notes == []


def test_what_a_table_says_in_vain_is_noted(tmp_path):
    assert _read(tmp_path, "a|One.|one|x|y\nb|Two.|two\n")[1] == [
        "line 1 has more than three columns: what is beyond them is not read"
    ]
    assert _read(tmp_path, "id|transcript|split\na|One.|train|x\nb|Two.|test|y\n")[1] == [
        "lines 2, 3 have more columns than its header: what is beyond them is not read"
    ]
    assert _read(tmp_path, "id|words\na|One.\n") == (
        [("a", "", "")],
        ["its header 'id|words' names no column `transcript`: no words are read"],
    )


def test_lines_that_cannot_be_read(tmp_path):
    path = tmp_path / "metadata.csv"
    path.write_text("file|id|text\na||One.\n")
    with pytest.raises(SourceError, match=r"metadata\.csv, line 2: has no id, got 'a\|\|One\.'"):
        read_metadata(path)
    path.write_text("id|text\n\n|One.\n")
    with pytest.raises(SourceError, match=r"metadata\.csv, line 3: expected `id\|transcript`, got '\|One\.'"):
        read_metadata(path)


def test_splits(tmp_path):
    path = tmp_path / "splits.csv"
    path.write_bytes("\ufeffid|split\r\na1 | test\r\n\r\na2|validation\r\na2|validation".encode())
    assert read_splits(path) == {"a1": "test", "a2": "validation"}
    path.write_text("a|test\nb|train\na|train\n")
    with pytest.raises(SourceError, match=r"splits\.csv, line 3: puts 'a' in train, line 1 in test; leave one of them"):
        read_splits(path)
    path.write_text("a|test\nid|split\n")
    with pytest.raises(SourceError, match=r"line 2: expected `id\|split` with a split of train, validation, test"):
        read_splits(path)


def _names(*files, folder="/data/set/wavs"):
    root = Path(folder)
    return RecordingNames(root, [(file.rsplit(".", 1)[0], root / file) for file in files])


@pytest.mark.parametrize(
    "written",
    [
        *("a1", "a1.wav", "a1.WAV", "a1.mp3", "wavs/a1", "wavs/a1.wav", "./wavs/a1.wav", "set/wavs/a1", "wavs\\a1.wav"),
        *("/data/set/wavs/a1.wav", "/somewhere/else/wavs/a1.wav", "C:\\data\\wavs\\a1.wav"),
    ],
)
def test_a_recording_is_found_however_its_name_is_written(written):
    found = _names("a1.wav", "a2.wav").find(written)
    assert (found.id, found.path) == ("a1", Path("/data/set/wavs/a1.wav"))


@pytest.mark.parametrize("written", ["a3", "male/a1", "mywavs/a1", "../a1", "wavs/", "a1.txt", "/data/a1.wav", "A1"])
def test_another_recording_is_not_taken_for_it(written):
    assert _names("a1.wav").find(written) is None


def test_names_in_folders_of_several_suffixes_and_spellings(tmp_path):
    names = _names("x/a.wav", "x/b.flac", "x/b.wav", "cafe\u0301.wav", "A1.wav", "v1.2.wav")
    assert names.find("wavs/x/a.wav").id == "x/a"
    assert names.find("x/b").path.name == "b.wav"
    assert names.find("x/b.flac").path.name == "b.flac"
    assert names.find("café").id == "café"
    assert names.find("wavs/café.wav").id == "café"
    assert names.find("v1.2").id == "v1.2"
    assert names.find("a1") is None
    assert names.hint("wavs/a1.wav") == "there is A1, and capitals count"
    assert names.hint("a.wav") == "there is x/a: the id of a recording in a folder names the folder"
    assert names.hint("b1") == ""
    both = _names("cafe\u0301.wav", "café.wav")
    assert (both.find("café").path.name, both.find("cafe\u0301").path.name) == ("café.wav", "cafe\u0301.wav")
    inside = RecordingNames(tmp_path, [("a", tmp_path / "a.wav")])
    assert inside.find(str(tmp_path / "a.wav")).id == "a", "an absolute path where the recordings lie beside the table"


def test_splits_of_recordings_that_are_not_there_are_noted():
    fixed, notes = split_of_each({"a1.wav": "test", "a9": "train"}, _names("a1.wav"), "splits.csv")
    assert fixed == {Path("/data/set/wavs/a1.wav"): "test"}
    assert notes == [("a9", "is in splits.csv but matches no recording")]
    with pytest.raises(SourceError, match=r"splits\.csv puts .*a1\.wav both in test and in train; choose one"):
        split_of_each({"a1": "test", "wavs/a1": "train"}, _names("a1.wav"), "splits.csv")
