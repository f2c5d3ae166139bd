"""How a composer is judged: what held-out pieces cost it, how it harmonises their melodies, what it writes freely."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from wavejax.audio.files import write_audio
from wavejax.data.players import Sine
from wavejax.evaluation.bootstrap import Interval, paired_bootstrap
from wavejax.evaluation.music import Codes, Grid, key_of, parallels, scale_of, sounding
from wavejax.evaluation.music_report import HELD_OUT, MARKOV_CHAIN, Figure, MusicReport, closer_figures, judge_pieces
from wavejax.evaluation.music_rivals import BarsInARow, ChordChain, independent_codes
from wavejax.evaluation.pictures import png_bytes
from wavejax.experiments.metadata import ExperimentError
from wavejax.ranges import TEMPERATURE, Range, as_option, check_ranges
from wavejax.tasks.composer.data import Piece, read_pieces
from wavejax.tasks.composer.product import MOST_BARS, TAKES, ChoraleComposer, Composer
from wavejax.tasks.composer.publishing import roll_of


class Costs(NamedTuple):
    """What the pieces of a split cost, piece by piece."""

    nats: Float[np.ndarray, " pieces"]
    steps: Float[np.ndarray, " pieces"]
    notes: Float[np.ndarray, " pieces"]
    """Notes that are struck."""

    def per(self, counts: Float[np.ndarray, " pieces"]) -> Interval:
        """Nats for each of what is counted, with the interval of a bootstrap over pieces."""
        return paired_bootstrap(np.zeros_like(self.nats), self.nats / counts, weights=counts)


def score_pieces(composer: ChoraleComposer, pieces: Sequence[Piece], say: Callable[[str], None]) -> Costs:
    """What pieces cost a composer that is told nothing of them."""
    rows = []
    for number, piece in enumerate(pieces):
        if number % 20 == 0:
            say(f"likelihood: piece {number + 1} of {len(pieces)}")
        rows.append((float(composer.nats(piece).sum()), len(piece.codes), int((piece.codes > 0).sum())))
    return Costs(*np.asarray(rows, np.float64).T)


class Harmony(NamedTuple):
    """A held-out melody's harmonisation beside the original: a row of figures for each piece."""

    agreement: float
    """Share of steps and lower voices at which the same pitch sounds."""
    parallels: float
    """A bar, between all voices."""
    out_of_key: float
    """Share of sounding steps of the lower voices that are not in the original's key."""
    original_parallels: float
    original_out_of_key: float


def harmonise(
    composer: ChoraleComposer,
    piece: Piece,
    grid: Grid,
    seed: int,
    temperature: float | None,
    takes: int = 1,
    tell_key: bool = False,
) -> Harmony:
    """Harmonise the first voice of a piece, and compare the others. The key that may be told is that of the melody."""
    told = key_of(piece.codes[:, :1]) if tell_key else None
    made = composer.harmonised(piece, seed=seed, temperature=temperature, takes=takes, key=told)
    ours, theirs, key = sounding(made)[:, 1:], sounding(piece.codes)[:, 1:], key_of(piece.codes)

    def outside(pitch: np.ndarray) -> float:
        heard = pitch[pitch > 0] % 12
        return float(np.mean(~np.isin(heard, scale_of(key)))) if heard.size else np.nan

    return Harmony(
        agreement=float(np.mean(ours == theirs)),
        parallels=parallels(made, grid),
        out_of_key=outside(ours),
        original_parallels=parallels(piece.codes, grid),
        original_out_of_key=outside(theirs),
    )


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """A composer's likelihood of held-out pieces, its harmonisations of their melodies beside the originals, and pieces
    of its own beside held-out ones and those of simple composers: independent codes, a Markov chain over chords, and
    training bars in a row.
    """

    corpus: str
    """A folder of scores made by `wavejax prepare`, with the pieces that the composer was trained on as its "train"."""
    split: Literal["validation", "test"] = "test"
    pieces: Annotated[int, Range(2, 1000)] = 20
    """Pieces that the composer and its rivals write, of seeds 0, 1, ..., and melodies that are harmonised."""
    bars: Annotated[int, Range(2, MOST_BARS)] = 16
    """Of each written piece."""
    temperature: Annotated[float | None, TEMPERATURE] = None
    """Of the draws. Default: what the composer was exported with, or 1."""
    takes: Annotated[int, TAKES] = 1
    """Of each harmonisation, the most probable of which is judged."""
    copies: bool = True
    """Look for the phrases of all systems among the training pieces, which takes most of the time."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Composer, say: Callable[[str], None]) -> MusicReport:
        """Measure."""
        pieces = read_pieces(product.config.model, self.corpus, None)
        for split in ("train", self.split):
            if not pieces.get(split):
                raise ExperimentError(f"{self.corpus} has no scores in the split {split!r}, which the evaluation needs")
        figures, content = self._likely(product, pieces[self.split], say)
        made = self._made(product, say)
        training = _codes(pieces["train"])
        written = self._systems(product, training, _codes(pieces[self.split]), made)
        systems = judge_pieces(written, training, _grid(product), say, copies=self.copies)
        heat = product.config.temperature if self.temperature is None else self.temperature
        step = "" if product.step is None else f", step {product.step}"
        facts = (
            ("system", f"{product.config.name}{step}"),
            ("from", product.source),
            ("corpus", f"{self.corpus}: {len(pieces[self.split])} {self.split} pieces"),
            ("pieces", f"{self.pieces} of {self.bars} bars, seeds 0 to {self.pieces - 1}, temperature {heat:g}"),
            ("harmonisations", f"the most probable of {self.takes} takes" if self.takes > 1 else "one take each"),
        )
        return MusicReport(
            title=f"{product.config.name}{step}",
            facts=facts,
            figures=(*figures, *closer_figures(systems, product.config.name)),
            systems=systems,
            judged=product.config.name,
            content=content,
            render=lambda folder, number: _published(product, made[number], folder, f"pieces/{number:02d}"),
            num_shown=len(made),
        )

    def _likely(
        self, product: Composer, pieces: Sequence[Piece], say: Callable[[str], None]
    ) -> tuple[tuple[Figure, ...], dict[str, Any]]:
        """What a composer with a likelihood says of held-out pieces, in words and numbers."""
        if not isinstance(product, ChoraleComposer):
            why = "absent: it makes whole phrases out of noise, has no likelihood, and keeps no voice that is given"
            return (("likelihood and harmonisation", why),), {}
        costs = score_pieces(product, pieces, say)
        harmonies = self._harmonies(product, pieces, say)
        figures = (*cost_figures(costs, product.config.model.num_voices), *harmony_figures(harmonies))
        return figures, {
            "nats": costs.nats.tolist(),
            "steps": costs.steps.tolist(),
            "notes": costs.notes.tolist(),
            "harmonies": [each._asdict() for each in harmonies],
        }

    def _harmonies(
        self, product: ChoraleComposer, pieces: Sequence[Piece], say: Callable[[str], None]
    ) -> list[Harmony]:
        melodies = [piece for piece in pieces if (piece.codes[:, 0] > 0).any()][: self.pieces]
        if product.config.model.num_voices < 2:
            return []
        say(f"harmonising {len(melodies)} melodies")
        return [
            harmonise(product, piece, _grid(product), seed, self.temperature, self.takes)
            for seed, piece in enumerate(melodies)
        ]

    def _made(self, product: Composer, say: Callable[[str], None]) -> list[Codes]:
        say(f"composing {self.pieces} pieces of {self.bars} bars")
        return [
            np.concatenate(list(product.bars(self.bars, seed=seed, temperature=self.temperature)))
            for seed in range(self.pieces)
        ]

    def _systems(
        self, product: Composer, training: Sequence[Codes], held_out: Sequence[Codes], made: Sequence[Codes]
    ) -> dict[str, Sequence[Codes]]:
        grid = _grid(product)
        steps, seeds = self.bars * grid.steps_per_bar, range(self.pieces)
        chain, row = ChordChain(training, grid), BarsInARow(training, grid)
        return {
            HELD_OUT: held_out,
            product.config.name: made,
            "independent codes": [independent_codes(training, steps, seed) for seed in seeds],
            MARKOV_CHAIN: [chain.draw(steps, seed) for seed in seeds],
            "training bars in a row": [row.draw(self.bars, seed) for seed in seeds],
        }


def cost_figures(costs: Costs, num_voices: int) -> tuple[Figure, ...]:
    """The likelihood in words."""
    step, code, note = (costs.per(counts) for counts in (costs.steps, num_voices * costs.steps, costs.notes))
    return (
        ("nats per step (all voices)", _interval(step)),
        ("nats per code", _interval(code)),
        ("nats per note", _interval(note)),
    )


def harmony_figures(rows: Sequence[Harmony]) -> tuple[Figure, ...]:
    """Harmonisation in words."""
    if len(rows) < 2:
        return ()
    mean: dict[str, Any] = {}
    for name in Harmony._fields:
        values = np.asarray([getattr(row, name) for row in rows])
        values = values[np.isfinite(values)]
        mean[name] = paired_bootstrap(np.zeros_like(values), values)
    return (
        ("harmonised melodies: same pitch as the original", _interval(mean["agreement"])),
        (
            "their parallel fifths and octaves a bar",
            f"{_interval(mean['parallels'])}; the originals' {_interval(mean['original_parallels'])}",
        ),
        (
            "their steps out of the original's key",
            f"{_interval(mean['out_of_key'])}; the originals' {_interval(mean['original_out_of_key'])}",
        ),
    )


def _published(product: Composer, codes: Codes, folder: Path, name: str) -> tuple[dict[str, str], bytes]:
    """Writes a piece's MIDI file and sound; their links, and the picture of its roll."""
    score = product.score_of(codes)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    player = Sine()
    score.to_midi(folder / f"{name}.mid")
    write_audio(folder / f"{name}.wav", score.waveform(player), player.sample_rate)
    return {"MIDI": f"{name}.mid", "sound": f"{name}.wav"}, png_bytes(roll_of(score))


def _interval(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _codes(pieces: Sequence[Piece]) -> list[Codes]:
    return [piece.codes for piece in pieces]


def _grid(product: Composer) -> Grid:
    model = product.config.model
    return Grid(steps_per_beat=model.steps_per_beat, steps_per_bar=model.steps_per_bar)
