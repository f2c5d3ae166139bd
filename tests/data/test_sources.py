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
