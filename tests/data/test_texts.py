import os

import pytest

from wavejax.data.texts import SourceError, composed, compressed, is_text, read_text, shown, text_lines


def test_a_line_ends_at_lf_crlf_or_cr_and_nowhere_else():
    assert text_lines("a\nb\r\nc\rd") == ["a", "b", "c", "d"]
    assert text_lines("a\u2028b\u2029c\x0bd\x0ce\x1cf\x85g\n") == ["a\u2028b\u2029c\x0bd\x0ce\x1cf\x85g"]
    assert text_lines("\n\na\n") == ["", "", "a"]
    assert text_lines("") == []


def test_text_is_utf8_of_a_regular_file_of_some_size(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeffgrüße".encode())
    assert read_text(path) == "grüße"
    assert read_text(path, 10) == "grüße", "three bytes of mark, seven of text"
    with pytest.raises(SourceError, match=r"t\.txt is larger than 9 bytes"):
        read_text(path, 9)
    path.write_bytes(b"gr\xfc\xdfe")
    with pytest.raises(SourceError, match=r"t\.txt is not UTF-8 text .*convert it, e\.g\. with iconv"):
        read_text(path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(SourceError, match="is not a regular file, so it is not read as text"):
            read_text(tmp_path / name)
    with pytest.raises(SourceError, match="none cannot be read: No such file or directory"):
        read_text(tmp_path / "none")


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".XZ"])
def test_packed_text_is_unpacked_up_to_a_size(tmp_path, suffix):
    path = tmp_path / f"t.txt{suffix}"
    path.write_bytes(compressed("grüße" * 1000, path))
    assert len(path.read_bytes()) < 200
    assert read_text(path) == "grüße" * 1000
    with pytest.raises(SourceError, match="is larger than 6999 bytes"):
        read_text(path, 6999)
    for data in (path.read_bytes()[:-9], b"no archive"):
        path.write_bytes(data)
        with pytest.raises(SourceError, match=rf"t\.txt\{suffix} cannot be unpacked .*cut short, or is damaged"):
            read_text(path)


def test_names_are_text():
    assert is_text("grüße 你好")
    assert not is_text("mod\udce0")
    assert shown("mod\udce0 é") == "mod\\xe0 é"
    assert composed("cafe\u0301") == "café"
