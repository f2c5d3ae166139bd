import os
from pathlib import Path

import pytest

from tests.data.recordings import write_ljspeech, write_tone
from wavejax.data.sources import SourceError, list_source


def _summary(listing):
    return [(r.id, r.speaker, r.transcript, r.split) for r in listing.recordings]


def test_any_folder(tmp_path):
    write_tone(tmp_path / "b.wav")
    write_tone(tmp_path / "deep" / "a.FLAC")
    (tmp_path / "b.txt").write_text("  two\n words ")
    (tmp_path / "notes.md").write_text("not audio")
    write_tone(tmp_path / ".hidden.wav")
    listing = list_source(tmp_path)
    assert listing.layout == "folder"
    assert _summary(listing) == [("b", tmp_path.name, "two words", None), ("deep/a", tmp_path.name, "", None)]


def test_ljspeech_folder_with_cleaned_transcripts_and_fixed_splits(tmp_path):
    write_ljspeech(tmp_path / "lj", {"x1": "One.", "x2": "Two."})
    (tmp_path / "lj" / "metadata.csv").write_text("x2|Two (2).|Two.\nx1|One.\n\nx3|Three|three\n")
    (tmp_path / "lj" / "splits.csv").write_text("x1|test\n")
    write_tone(tmp_path / "lj" / "wavs" / "stray.wav")
    listing = list_source(tmp_path / "lj")
    assert listing.layout == "ljspeech"
    assert _summary(listing) == [("x1", "lj", "One.", "test"), ("x2", "lj", "Two.", None)]
    assert [name for name, _ in listing.skipped] == ["x3", "wavs/stray.wav"]
    assert "is in metadata.csv but has no recording" in listing.skipped[0][1]
    assert "is not in metadata.csv" in listing.skipped[1][1]


def test_metadata_with_a_header(tmp_path):
    write_tone(tmp_path / "a.wav")
    (tmp_path / "metadata.csv").write_text("id|transcript|split\na|Hello.|validation\n")
    assert _summary(list_source(tmp_path)) == [("a", tmp_path.name, "Hello.", "validation")]


def test_vctk_folder(tmp_path):
    audio = tmp_path / "wav48_silence_trimmed"
    for name in ("p225/p225_001_mic1.flac", "p225/p225_001_mic2.flac", "p226/p226_001_mic2.flac"):
        write_tone(audio / name)
    (tmp_path / "txt" / "p225").mkdir(parents=True)
    (tmp_path / "txt" / "p225" / "p225_001.txt").write_text("Please call Stella.\n")
    listing = list_source(tmp_path)
    assert listing.layout == "speakers"
    assert _summary(listing) == [
        ("p225_001_mic1", "p225", "Please call Stella.", None),
        ("p226_001_mic2", "p226", "", None),
    ]
    assert listing.skipped[0][1] == "is the second microphone of the same reading"


def test_several_ljspeech_folders_are_several_speakers(tmp_path):
    write_ljspeech(tmp_path / "anna", {"1": "One."})
    write_ljspeech(tmp_path / "bert", {"1": "Eins."})
    write_tone(tmp_path / "other" / "a.wav")
    listing = list_source(tmp_path)
    assert listing.layout == "speakers"
    assert _summary(listing) == [("anna/1", "anna", "One.", None), ("bert/1", "bert", "Eins.", None)]
    assert listing.skipped == (("other/", "has no metadata.csv, as its neighbours have"),)


def test_plain_speaker_folders_when_asked_for(tmp_path):
    write_tone(tmp_path / "anna" / "1.wav")
    write_tone(tmp_path / "bert" / "session" / "1.wav")
    assert {r.speaker for r in list_source(tmp_path).recordings} == {tmp_path.name}
    assert _summary(list_source(tmp_path, "speakers")) == [
        ("anna/1", "anna", "", None),
        ("bert/session/1", "bert", "", None),
    ]


def test_two_recordings_of_one_name(tmp_path):
    write_tone(tmp_path / "a.flac")
    write_tone(tmp_path / "a.wav")
    listing = list_source(tmp_path)
    assert len(listing.recordings) == 1
    assert "has the same name (a) as" in listing.skipped[0][1]


def test_what_cannot_be_read_as_a_source(tmp_path):
    with pytest.raises(SourceError, match="nowhere does not exist; give the folder that holds the recordings"):
        list_source(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="file is a file, not a folder"):
        list_source(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"holds no recording to prepare \(read as layout 'folder'; looked for \.wav"):
        list_source(tmp_path / "empty")
    with pytest.raises(SourceError, match=r"unknown layout 'vctk'; layouts are auto, ljspeech, speakers, folder"):
        list_source(tmp_path / "empty", "vctk")
    with pytest.raises(SourceError, match=r"has no metadata.csv, which the layout 'ljspeech' needs"):
        list_source(tmp_path / "empty", "ljspeech")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "metadata.csv",
            b"a|fine\nno separator\n",
            "metadata.csv, line 2: expected `id|transcript`, got 'no separator'",
        ),
        ("metadata.csv", b"a|caf\xe9\n", "metadata.csv is not UTF-8 text"),
        (
            "metadata.csv",
            b"id|transcript|split\na|x|dev\n",
            "line 2: unknown split 'dev'; splits are train, validation",
        ),
        ("splits.csv", b"a|held-out\n", "splits.csv, line 1: expected `id|split` with a split of train"),
    ],
)
def test_damaged_tables_name_the_line(tmp_path, name, content, message):
    write_ljspeech(tmp_path, {"a": "x"})
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        list_source(tmp_path)
    assert message in str(caught.value)


def test_a_table_may_name_speakers(tmp_path):
    write_ljspeech(tmp_path / "lj", {"a": "", "b": "", "c": ""})
    (tmp_path / "lj" / "metadata.csv").write_text("id|speaker|transcript\na|anna|One.\nb|bert|Two.\nc||Three.\n")
    assert _summary(list_source(tmp_path / "lj")) == [
        ("a", "anna", "One.", None),
        ("b", "bert", "Two.", None),
        ("c", "lj", "Three.", None),
    ]


def test_rows_that_come_twice_are_said_to(tmp_path):
    write_ljspeech(tmp_path, {"a": "x", "b": "y"})
    (tmp_path / "metadata.csv").write_text("a|One.\nb|Two.\na|One.\nwavs/b.wav|Other\n")
    listing = list_source(tmp_path)
    assert [r.transcript for r in listing.recordings] == ["One.", "Two."]
    assert listing.skipped == ()
    assert listing.notes == (
        ("a", "is twice in metadata.csv: line 3 repeats line 1"),
        ("wavs/b.wav", "is twice in metadata.csv, and line 4 differs from line 2, which is used"),
    )


def test_why_a_row_has_no_recording(tmp_path):
    write_ljspeech(tmp_path, {"A": "x"})
    (tmp_path / "wavs" / "m.m4a").touch()
    (tmp_path / "wavs" / "gone.wav").symlink_to("../annex/none.wav")
    (tmp_path / "metadata.csv").write_text("a|One.\nm|Two.\ngone|Three.\nnone|Four.\nA|Five.\n")
    absent = f"is in metadata.csv but has no recording in {tmp_path / 'wavs'}"
    gone = "is a link to ../annex/none.wav: No such file or directory"
    unread = "has suffix .m4a, which is not read; convert it to .wav or .flac"
    assert list_source(tmp_path).skipped == (
        ("a", f"{absent}; there is A, and capitals count"),
        ("m", f"{absent}: wavs/m.m4a {unread}"),
        ("gone", f"{absent}: wavs/gone.wav {gone}"),
        ("none", absent),
        ("wavs/gone.wav", gone),
        ("wavs/m.m4a", unread),
    )


def test_rows_may_name_recordings_beside_the_usual_folder(tmp_path):
    write_ljspeech(tmp_path, {"a": "x"})
    write_tone(tmp_path / "extra" / "b.wav")
    (tmp_path / "metadata.csv").write_text("a|One.\nextra/b.wav|Two.\nb|Three.\n")
    listing = list_source(tmp_path)
    assert [(r.id, r.transcript) for r in listing.recordings] == [("a", "One."), ("extra/b", "Two.")]
    assert [name for name, _ in listing.skipped] == ["b"]


def test_accents_are_the_same_however_they_are_stored(tmp_path):
    write_tone(tmp_path / "cafe\u0301.wav")
    (tmp_path / "café.TXT").write_text("Un café.")
    assert _summary(list_source(tmp_path)) == [("cafe\u0301", tmp_path.name, "Un café.", None)]
    (tmp_path / "Zoe\u0308").mkdir()
    write_tone(tmp_path / "Zoe\u0308" / "a.wav")
    assert list_source(tmp_path, "speakers").recordings[0].speaker == "Zoë"


def test_numbers_are_names_of_speakers_too(tmp_path):
    for speaker in ("1", "11", "2"):
        for number in ("1101", "2001"):
            write_tone(tmp_path / speaker / f"{number}.wav")
    write_tone(tmp_path / "1" / "1" / "x.wav")
    write_tone(tmp_path / "1" / "x.wav")
    listing = list_source(tmp_path, "speakers")
    assert listing.skipped == ()
    assert [(r.id, r.path.relative_to(tmp_path).as_posix()) for r in listing.recordings] == [
        ("1/1/x", "1/1/x.wav"),
        ("1/1101", "1/1101.wav"),
        ("1/2001", "1/2001.wav"),
        ("1/x", "1/x.wav"),
        ("11/1101", "11/1101.wav"),
        ("11/2001", "11/2001.wav"),
        ("2/1101", "2/1101.wav"),
        ("2001", "2/2001.wav"),
    ]


def test_speakers_in_linked_folders(tmp_path):
    for speaker in ("anna", "bert"):
        write_tone(tmp_path / "disk" / speaker / "1.wav")
        (tmp_path / "disk" / speaker / "1.txt").write_text(speaker)
    (tmp_path / "in").mkdir()
    for speaker in ("anna", "bert"):
        (tmp_path / "in" / speaker).symlink_to(tmp_path / "disk" / speaker)
    (tmp_path / "in" / "carl").symlink_to("anna")
    listing = list_source(tmp_path / "in", "speakers")
    assert [(r.id, r.transcript) for r in listing.recordings] == [("anna/1", "anna"), ("bert/1", "bert")]
    assert listing.skipped == (("carl", "leads to the folder that is read as anna"),)


@pytest.mark.parametrize("layout", ["folder", "speakers"])
def test_splits_are_fixed_in_every_layout(tmp_path, layout):
    for name in ("anna/1", "bert/1", "bert/2"):
        write_tone(tmp_path / f"{name}.wav")
    (tmp_path / "splits.csv").write_bytes(b"\xef\xbb\xbfanna/1|test\r\nbert/1.wav|validation\r\nbert/9|test\r\n")
    listing = list_source(tmp_path, layout)
    assert [r.split for r in listing.recordings] == ["test", "validation", None]
    assert listing.notes == (("bert/9", "is in splits.csv but matches no recording"),)


def test_two_tables_that_contradict_each_other(tmp_path):
    write_ljspeech(tmp_path, {"a": "x"})
    (tmp_path / "metadata.csv").write_text("id|transcript|split\na|One.|train\n")
    (tmp_path / "splits.csv").write_text("a|test\n")
    listing = list_source(tmp_path)
    assert listing.recordings[0].split == "test"
    assert listing.notes == (("a", "is train in metadata.csv but test in splits.csv, which is used"),)


def test_what_a_layout_does_not_read_is_named(tmp_path):
    write_ljspeech(tmp_path, {"a": "x"})
    write_tone(tmp_path / "extra" / "b.wav")
    write_tone(tmp_path / "extra" / "c.wav")
    write_tone(tmp_path / "d.wav")
    (tmp_path / "names.tsv").touch()
    listing = list_source(tmp_path)
    reason = "lies where the layout 'ljspeech' looks for no recording"
    assert listing.skipped == (("d.wav", reason), ("extra/ (2 recordings)", reason))
    assert listing.notes == (("names.tsv", "is a table that the layout 'ljspeech' does not read"),)
    listing = list_source(tmp_path, "speakers")
    assert listing.skipped == (("d.wav", "lies where the layout 'speakers' looks for no recording"),)
    assert listing.notes[0] == ("metadata.csv", "is a table that the layout 'speakers' does not read")


def test_texts_that_are_no_transcripts_are_named(tmp_path):
    source = tmp_path / "in"
    for name in "abc":
        write_tone(source / f"{name}.wav")
    (source / "a.txt").write_bytes(b"caf\xe9")
    os.mkfifo(source / "b.txt")
    (source / "c.txt").symlink_to("/dev/zero")
    (source / "readme.txt").write_text("about this")
    listing = list_source(source)
    assert [r.transcript for r in listing.recordings] == ["", "", ""]
    assert [name for name, _ in listing.skipped] == ["b.txt", "c.txt"]
    assert [name for name, _ in listing.notes] == ["a.txt", "readme.txt"]
    assert "is not used as a transcript: " in listing.notes[0][1]
    assert "a.txt is not UTF-8 text" in listing.notes[0][1]
    assert listing.notes[1][1] == "text that lies beside no recording of its name; not used"


def test_transcripts_are_not_read_from_outside(tmp_path):
    source, secret = tmp_path / "in", tmp_path / "home" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("private words")
    for name in "ab":
        write_tone(source / f"{name}.wav")
    (source / "a.txt").symlink_to(secret)
    (source / "texts").mkdir()
    (source / "texts" / "b").write_text("inside")
    (source / "b.txt").symlink_to("texts/b")
    for name in ("wavs/c.wav", "c.wav"):
        write_tone(tmp_path / "corpus" / name)
    for name, place in (("c", "wavs/c.wav"), ("d", "c.wav")):
        (source / f"{name}.wav").symlink_to(tmp_path / "corpus" / place)
        (tmp_path / "corpus" / f"{name}.txt").write_text(f"linked {name}")
        (source / f"{name}.txt").symlink_to(tmp_path / "corpus" / f"{name}.txt")
    listing = list_source(source)
    assert [r.transcript for r in listing.recordings] == ["", "inside", "linked c", "linked d"]
    assert listing.notes == (("a.txt", f"is a link out of the folder, to {secret}: it is not read"),)


def test_a_table_is_not_read_from_outside(tmp_path):
    write_ljspeech(tmp_path / "disk", {"a": "One."})
    source = tmp_path / "in"
    source.mkdir()
    (source / "metadata.csv").symlink_to(tmp_path / "disk" / "metadata.csv")
    (source / "wavs").symlink_to(tmp_path / "disk" / "wavs")
    assert [r.transcript for r in list_source(source).recordings] == ["One."]
    (source / "wavs").unlink()
    write_tone(source / "wavs" / "a.wav")
    with pytest.raises(SourceError, match=r"in/metadata\.csv is a link out of the source, to .*disk/metadata\.csv"):
        list_source(source)
    (source / "metadata.csv").unlink()
    (source / "metadata.csv").symlink_to("nowhere.csv")
    with pytest.raises(SourceError, match=r"metadata\.csv cannot be read: No such file or directory"):
        list_source(source)
    (source / "metadata.csv").unlink()
    os.mkfifo(source / "metadata.csv")
    with pytest.raises(SourceError, match=r"metadata\.csv is not a regular file"):
        list_source(source)


def test_a_source_whose_name_is_not_text(tmp_path):
    source = os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9cits")
    os.mkdir(source)
    with pytest.raises(SourceError, match=r"r\\xe9cits is a name that is not UTF-8 text; rename the folder"):
        list_source(Path(source))
