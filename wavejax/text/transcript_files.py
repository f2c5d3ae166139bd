"""Transcripts as files: text, JSON, subtitles (SubRip, WebVTT), and Praat's TextGrid."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from wavejax.text.transcripts import Transcript, Word

Format = Literal["txt", "json", "srt", "vtt", "textgrid"]

SUFFIXES: Mapping[Format, str] = {"txt": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt", "textgrid": ".TextGrid"}
"""Of files, by format."""

_PAUSE = 0.7
"""Seconds of silence that end a subtitle."""
_LONGEST_CUE = 6.0
_MOST_CHARACTERS = 80


def written(transcript: Transcript, form: Format) -> str:
    """A transcript in one of the formats, with a new line at its end."""
    return _WRITERS[form](transcript)


def _text(transcript: Transcript) -> str:
    return f"{transcript.text}\n"


def _json(transcript: Transcript) -> str:
    return json.dumps(transcript.to_json(), ensure_ascii=False, indent=1) + "\n"


def cues(words: Sequence[Word]) -> list[list[Word]]:
    """Words in groups that fit a screen: a pause ends one, or six seconds, or 80 characters."""
    groups: list[list[Word]] = []
    for word in words:
        group = groups[-1] if groups else []
        length = sum(len(each.shown) + 1 for each in group) + len(word.shown)
        fits = group and word.start - group[-1].end < _PAUSE and word.end - group[0].start <= _LONGEST_CUE
        if fits and length <= _MOST_CHARACTERS:
            group.append(word)
        else:
            groups.append([word])
    return groups


def _srt(transcript: Transcript) -> str:
    blocks = [
        f"{number}\n{_clock(group[0].start, ',')} --> {_clock(group[-1].end, ',')}\n{_joined(group)}\n"
        for number, group in enumerate(cues(transcript.words), 1)
    ]
    return "\n".join(blocks)


def _vtt(transcript: Transcript) -> str:
    blocks = [
        f"{_clock(group[0].start, '.')} --> {_clock(group[-1].end, '.')}\n{_joined(group)}\n"
        for group in cues(transcript.words)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word.shown for word in words)


def _clock(seconds: float, point: str) -> str:
    """Hours, minutes, seconds and milliseconds: 00:01:02,345."""
    whole = round(1000 * seconds)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{point}{whole % 1000:03}"


def _textgrid(transcript: Transcript) -> str:
    symbols = [symbol for word in transcript.words for symbol in word.symbols]
    tiers = {
        "words": [(word.start, word.end, word.text) for word in transcript.words],
        "symbols": [(symbol.start, symbol.end, symbol.text) for symbol in symbols],
    }
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {transcript.duration:g}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, spans) in enumerate(tiers.items(), 1):
        intervals = _without_gaps(spans, transcript.duration)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {transcript.duration:g}"]
        lines.append(f"        intervals: size = {len(intervals)}")
        for index, (start, end, text) in enumerate(intervals, 1):
            quoted = text.replace('"', '""')
            lines += [f"        intervals [{index}]:", f"            xmin = {start:g}", f"            xmax = {end:g}"]
            lines.append(f'            text = "{quoted}"')
    return "\n".join([*lines, ""])


def _without_gaps(spans: Sequence[tuple[float, float, str]], duration: float) -> list[tuple[float, float, str]]:
    """The spans with empty ones between them, from 0 to the end, as a tier needs them."""
    filled, at = [], 0.0
    for start, end, text in spans:
        if start > at:
            filled.append((at, start, ""))
        filled.append((start, end, text))
        at = end
    return [*filled, (at, duration, "")] if at < duration or not filled else filled


_WRITERS: Mapping[str, Callable[[Transcript], str]] = {
    "txt": _text,
    "json": _json,
    "srt": _srt,
    "vtt": _vtt,
    "textgrid": _textgrid,
}


__all__ = ["SUFFIXES", "Format", "cues", "written"]
