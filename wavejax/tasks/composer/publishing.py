"""A composed piece as files: MIDI, sound, the picture of its roll, and a page that shows and plays them."""

import html
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from wavejax.atomic import write_bytes, write_text
from wavejax.audio.files import write_audio
from wavejax.data.players import NotePlayer, Sine
from wavejax.data.scores import Score
from wavejax.evaluation.pictures import png_bytes
from wavejax.evaluation.report import STYLE
from wavejax.evaluation.rolls import roll_picture
from wavejax.extras import MissingExtra

ENDINGS = (".mid", ".wav", ".png", ".html")
"""Of the files that `publish` writes."""
_COLOURS = ((196, 60, 48), (214, 140, 30), (46, 130, 84), (44, 88, 168))
"""Of the tracks, in their order."""
_PAPER, _BAR_LINE, _BLACK_KEY = (255, 255, 255), (150, 150, 160), (240, 240, 245)
_STEP, _KEY = 6, 5
"""Pixels of a step and of a key."""


def roll_of(score: Score) -> UInt8[np.ndarray, "height width 3"]:
    """A piano roll as an image, without a plotting package (`roll_picture` needs one, and names pitches and tracks).

    Time to the right, high notes above, a colour for each track, a line at each bar. The black keys' rows are shaded. A
    note's first pixels are dark, so that repeated notes are told from long ones.
    """
    low, high = score.pitch_range or (60, 72)
    low, high = low - 2, high + 2
    image = np.full(((high - low + 1) * _KEY, max(score.length, 1) * _STEP, 3), _PAPER, np.uint8)
    for pitch in range(low, high + 1):
        if pitch % 12 in (1, 3, 6, 8, 10):
            image[_rows(pitch, high)] = _BLACK_KEY
    image[:, score.upbeat * _STEP :: score.steps_per_bar * _STEP] = _BAR_LINE
    for number, track in enumerate(track for track in score.tracks if not track.drums):
        colour = np.asarray(_COLOURS[number % len(_COLOURS)], np.uint8)
        for note in track.notes:
            rows = _rows(note.pitch, high)
            image[rows, note.start * _STEP + 1 : note.end * _STEP] = colour
            image[rows, note.start * _STEP + 1 : note.start * _STEP + 3] = colour // 2
    return image


def _rows(pitch: int, high: int) -> slice:
    return slice((high - pitch) * _KEY, (high - pitch + 1) * _KEY)


def publish(score: Score, out: Path, player: NotePlayer | None = None, *, facts: Mapping[str, str]) -> list[Path]:
    """Writes OUT.mid, OUT.wav, OUT.png and OUT.html, and returns their paths.

    Args:
        score: the piece.
        out: the files' common beginning.
        player: what plays it; default sines.
        facts: what the page says of the piece.
    """
    paths = [out.with_name(f"{out.name}{ending}") for ending in ENDINGS]
    midi, sound, picture, page = paths
    player = Sine() if player is None else player
    score.to_midi(midi)
    write_audio(sound, score.waveform(player), player.sample_rate)
    _draw(score, picture)
    write_text(page, _page(out.name, facts))
    return paths


def _draw(score: Score, path: Path) -> None:
    try:
        roll_picture(path, score)
    except MissingExtra:
        write_bytes(path, png_bytes(roll_of(score)))


def _page(name: str, facts: Mapping[str, str]) -> str:
    said = "".join(f"<dt>{html.escape(label)}</dt><dd>{html.escape(value)}</dd>" for label, value in facts.items())
    title = html.escape(name)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><h1>{title}</h1>'
        f"<dl>{said}</dl><p>The music is synthetic: a model composed it, and a model or a program played it.</p>"
        f'<audio controls src="{title}.wav"></audio> <a href="{title}.mid">MIDI file</a>'
        f'<div class="scroll"><img alt="piano roll" style="max-width:100%" src="{title}.png"></div></body></html>\n'
    )
