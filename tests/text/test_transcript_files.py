"""Transcripts as files."""

import json

import pytest

from wavejax.text.transcript_files import SUFFIXES, cues, written
from wavejax.text.transcripts import Symbol, Transcript, Word


def word(text: str, start: float, end: float) -> Word:
    step = (end - start) / len(text)
    symbols = tuple(Symbol(text=c, start=start + i * step, end=start + (i + 1) * step) for i, c in enumerate(text))
    return Word(text=text, start=start, end=end, confidence=0.5, symbols=symbols)


SAID = Transcript(words=(word("so", 0.5, 1.0), word("be", 1.0, 1.25), word("it", 3661.5, 3662.0)), duration=3663.0)


def test_text_and_json() -> None:
    assert written(SAID, "txt") == "so be it\n"
    content = json.loads(written(SAID, "json"))
    assert content["words"][1]["text"] == "be"
    assert content["words"][1]["symbols"][1] == {"text": "e", "start": 1.125, "end": 1.25}


def test_subtitles() -> None:
    assert written(SAID, "srt") == ("1\n00:00:00,500 --> 00:00:01,250\nso be\n\n2\n01:01:01,500 --> 01:01:02,000\nit\n")
    assert written(SAID, "vtt") == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nso be\n\n01:01:01.500 --> 01:01:02.000\nit\n"
    )


def test_a_cue_ends_at_a_pause_and_where_the_screen_is_full() -> None:
    words = [word("abcdefgh", 0.2 * n, 0.2 * n + 0.1) for n in range(20)]
    groups = cues(words)
    assert [each for group in groups for each in group] == words
    assert [len(group) for group in groups] == [9, 9, 2]
    slow = [word("a", 0.6 * n, 0.6 * n + 0.1) for n in range(20)]
    assert max(group[-1].end - group[0].start for group in cues(slow)) <= 6.0


def test_a_text_grid_has_no_gaps() -> None:
    lines = written(SAID, "textgrid").splitlines()
    assert lines[0] == 'File type = "ooTextFile"'
    assert "xmax = 3663" in lines
    assert [line.strip() for line in lines if "name =" in line] == ['name = "words"', 'name = "symbols"']
    assert "        intervals: size = 6" in lines, "an empty one before, between and after the words"
    ends = [float(line.split("=")[1]) for line in lines if line.startswith("            xmax")]
    starts = [float(line.split("=")[1]) for line in lines if line.startswith("            xmin")]
    assert starts[1:6] == ends[:5]
    silent = written(Transcript(words=(), duration=2.0), "textgrid")
    assert silent.count('text = ""') == 2


def test_quotes_are_doubled() -> None:
    quoted = Transcript(words=(word('"', 0.0, 1.0),), duration=1.0)
    assert 'text = """"' in written(quoted, "textgrid")


@pytest.mark.parametrize("form", SUFFIXES)
def test_silence_is_a_file_as_well(form: str) -> None:
    assert isinstance(written(Transcript(words=(), duration=1.0), form), str)
