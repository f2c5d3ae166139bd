"""Composing and rendering are measured, each for the first time and again."""

import pytest

from benchmarks import composing


@pytest.mark.slow
def test_rows_of_a_short_piece() -> None:
    rows = composing.run(quick=True)["rows"]
    assert [(each["labels"]["what"], each["labels"]["time"]) for each in rows] == [
        ("compose", "first"),
        ("compose", "again"),
        ("render, piano", "first"),
        ("render, piano", "again"),
    ]
    assert {each["unit"] for each in rows} == {"CPU s"}
    assert rows[0]["check"]["notes"] > 0
    assert rows[2]["check"]["keys"] > 0
    assert rows[3]["median"] < rows[2]["median"]
