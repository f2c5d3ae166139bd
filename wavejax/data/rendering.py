"""The sound of a score: each note played once by an instrument, and all of them mixed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wavejax.data.players import NotePlayer, PlayedNote
from wavejax.data.scores import Score, ScoreError

PEAK = 0.9
"""The largest sample of what would otherwise exceed it."""
MOST_SECONDS = 2 * 3600
LONGEST_NOTE = 30.0
"""Seconds for which a note is played at most; by then nearly every string has rung out."""


def render(score: Score, player: NotePlayer) -> Float[np.ndarray, " time"]:
    """The waveform float32 [T] of a score at its tempo and `player.sample_rate`: the last sound rings out at its end.

    Equal notes (pitch, length, velocity, program) are played once and used again. The sum is made quieter as a whole
    where it would exceed `PEAK`. Drums are left out unless the player has a true attribute `plays_drums`.

    Raises ScoreError on a score longer than `MOST_SECONDS` and on a player that returns no waveforms.
    """
    if score.seconds > MOST_SECONDS:
        raise ScoreError(
            f"the score lasts {score.seconds / 3600:.1f} hours, at most {MOST_SECONDS / 3600:.0f} are rendered: cut it "
            "with `Score.cut`, or raise its tempo"
        )
    plays_drums, rate = bool(getattr(player, "plays_drums", False)), player.sample_rate
    starts, notes = list[int](), list[PlayedNote]()
    for track in score.tracks:
        for start, end, pitch, velocity in track.notes if plays_drums or not track.drums else ():
            seconds = min((end - start) * score.seconds_per_step, LONGEST_NOTE)
            starts.append(round(start * score.seconds_per_step * rate))
            notes.append(PlayedNote(pitch, seconds, velocity, track.program, track.drums))
    different = list(dict.fromkeys(notes))
    sounds = dict(zip(different, _checked(player.sounds(different), len(different)) if different else [], strict=True))
    ends = [start + len(sounds[note]) for start, note in zip(starts, notes, strict=True)]
    total = np.zeros(max([round(score.seconds * rate), *ends]), np.float32)
    for start, note in zip(starts, notes, strict=True):
        total[start : start + len(sounds[note])] += sounds[note]
    peak = float(np.max(np.abs(total), initial=0.0))
    return total * np.float32(PEAK / peak) if peak > PEAK else total


def _checked(sounds: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    found = [np.asarray(sound, np.float32) for sound in sounds]
    if len(found) != count or any(sound.ndim != 1 or not np.isfinite(sound).all() for sound in found):
        raise ScoreError(
            f"the instrument was asked for {count} notes and returned {len(found)} arrays of shapes "
            f"{sorted({sound.shape for sound in found})[:3]}; expected as many finite waveforms [T]"
        )
    return found


__all__ = ["LONGEST_NOTE", "PEAK", "render"]
