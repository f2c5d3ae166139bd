"""What wavejax has written is told from what a user has."""

import os
from pathlib import Path

import pytest

from wavejax.atomic import write_json
from wavejax.ownership import is_marked, marked, refuse_foreign, refuse_foreign_report


def test_a_marked_file_is_ours_and_an_empty_one_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    refuse_foreign(path)
    path.touch()
    refuse_foreign(path)
    write_json(path, marked({"a": 1}))
    assert is_marked(path)
    refuse_foreign(path)
    os.mkfifo(tmp_path / "pipe")
    refuse_foreign(tmp_path / "pipe")


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'{"made_by": "me"}', b"\xff", b"[" * 100_000, b"text"])
def test_all_else_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert not is_marked(path)
    with pytest.raises(FileExistsError, match=r"wavejax has not written it.*it is left as it is: '.*x\.json'"):
        refuse_foreign(path)


def test_a_report_goes_where_no_other_page_is(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    refuse_foreign_report(tmp_path)
    refuse_foreign_report(tmp_path / "missing")
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(FileExistsError, match=r"index\.html"):
        refuse_foreign_report(tmp_path)
    write_json(tmp_path / "report.json", marked({}))
    refuse_foreign_report(tmp_path)
    write_json(tmp_path / "report.json", {})
    with pytest.raises(FileExistsError, match=r"report\.json"):
        refuse_foreign_report(tmp_path)
