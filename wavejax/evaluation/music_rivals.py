"""Simple composers that a model must beat: independent codes, a Markov chain over chords, training bars in a row."""

from collections.abc import Sequence

import numpy as np

from wavejax.data.voices import without_empty_holds
from wavejax.evaluation.music import HOLD, Codes, Grid, sounding


def independent_codes(training: Sequence[Codes], num_steps: int, seed: int) -> Codes:
    """Each code drawn from how often its voice has it in the training pieces, whatever sounds before and beside it."""
    rng = np.random.default_rng(seed)
    every = np.concatenate(training)
    drawn = np.column_stack([rng.choice(every[:, voice], num_steps) for voice in range(every.shape[1])])
    return without_empty_holds(drawn)


class ChordChain:
    """A Markov chain of order 1 over steps: the next row of codes depends on what sounds now and on the place in the
    beat.

    Rows were seen in the training pieces after the same sounding chord; the end of a piece is followed by a beginning.
    """

    def __init__(self, training: Sequence[Codes], grid: Grid) -> None:
        self._grid, self._after = grid, {}  # type: ignore[var-annotated]
        self._first = [piece[0] for piece in training]
        for piece in training:
            pitch = sounding(piece)
            for step in range(1, len(piece)):
                self._after.setdefault(self._state(pitch[step - 1], step), []).append(piece[step])

    def _state(self, pitch: np.ndarray, step: int) -> tuple[int, ...]:
        return (step % self._grid.steps_per_beat, *map(int, pitch))

    def draw(self, num_steps: int, seed: int) -> Codes:
        """A walk of that many steps."""
        rng = np.random.default_rng(seed)

        def beginning() -> np.ndarray:
            return np.asarray(self._first[rng.integers(len(self._first))])

        rows = [beginning()]
        pitch = np.maximum(rows[0], 0)
        for step in range(1, num_steps):
            seen = self._after.get(self._state(pitch, step))
            rows.append(beginning() if seen is None else np.asarray(seen[rng.integers(len(seen))]))
            pitch = np.where(rows[-1] == HOLD, pitch, np.maximum(rows[-1], 0))
        return without_empty_holds(np.stack(rows))


class BarsInARow:
    """Training bars one after the other: the next is the one that follows, in its own piece, the nearest other bar.

    Near is where most steps and voices sound the same in the best transposition, by which the next bar is moved too. It
    harmonises and leads voices as the training pieces do, and is all copies.
    """

    def __init__(self, training: Sequence[Codes], grid: Grid) -> None:
        size = grid.steps_per_bar
        pairs = [
            (piece[start : start + size], piece[start + size : start + 2 * size])
            for piece in (struck_anew(each, size) for each in training)
            for start in range(0, len(piece) - 2 * size + 1, size)
        ]
        self._before = np.stack([sounding(before) for before, _ in pairs])
        self._bars, self._next = (np.stack(each) for each in zip(*pairs, strict=True))

    def draw(self, num_bars: int, seed: int) -> Codes:
        """That many bars."""
        rng = np.random.default_rng(seed)
        at = int(rng.integers(len(self._bars)))
        bars = [self._bars[at], self._next[at]]
        while len(bars) < num_bars:
            now = sounding(bars[-1])
            both = (self._before > 0) & (now > 0)[None]
            shifts = np.where(both, now[None].astype(np.int64) - self._before, 99)
            alike = np.stack([(shifts == shift).mean(axis=(1, 2)) for shift in range(-6, 7)], axis=1)
            alike[at] = -1  # not itself: it would copy one piece from end to end
            at, shift = divmod(int(np.argmax(alike + 1e-3 * rng.random(alike.shape))), alike.shape[1])
            following = self._next[at]
            bars.append(np.where(following > 0, np.clip(following + shift - 6, 1, 127), following))
        return without_empty_holds(np.concatenate(bars[:num_bars]))


def struck_anew(codes: Codes, every: int) -> Codes:
    """The piece with notes that last into a bar struck again at its beginning, so that bars can be taken out."""
    pitch = sounding(codes)
    begins = (np.arange(len(codes)) % every == 0)[:, None]
    return np.where(begins & (codes == HOLD), pitch, codes)


__all__ = ["BarsInARow", "ChordChain", "independent_codes", "struck_anew"]
