"""Whether a composer harmonises better if it draws several takes and keeps the one that it finds most probable.

    python scripts/harmonising_takes.py chorales JSB16 --takes 1 8 32       # JSB16: the canonical split, in sixteenths

For each number of takes and each temperature: how often the lower voices sound as the original's do, their parallel
fifths and octaves a bar, and the share of their steps out of the original's key.
"""

from pathlib import Path
from typing import Annotated, Literal

import tyro

import wavejax
from wavejax.evaluation.music import Grid
from wavejax.tasks.composer.data import read_pieces
from wavejax.tasks.composer.evaluation import harmonise, harmony_figures
from wavejax.tasks.composer.product import ChoraleComposer


def main(
    model: Annotated[str, tyro.conf.Positional],
    corpus: Annotated[Path, tyro.conf.Positional],
    takes: tuple[int, ...] = (1, 8, 32),
    temperatures: tuple[float, ...] = (),
    pieces: int = 20,
    tell_key: bool = False,
    split: Literal["validation", "test"] = "validation",
) -> None:
    """Print the figures of harmonisation, with intervals over pieces.

    Args:
        model: a composer that has a likelihood.
        corpus: a folder of scores.
        takes: numbers of takes.
        temperatures: of the draws; default the composer's own.
        pieces: melodies that are harmonised, the first ones of the split.
        tell_key: tell the composer the key that the melody alone is found to be in.
        split: of the corpus.
    """
    composer = wavejax.load(model, kind=ChoraleComposer)
    sizes = composer.config.model
    grid = Grid(steps_per_beat=sizes.steps_per_beat, steps_per_bar=sizes.steps_per_bar)
    found = read_pieces(sizes, str(corpus), None).get(split, ())
    melodies = [piece for piece in found if (piece.codes[:, 0] > 0).any()][:pieces]
    if len(melodies) < 2:
        raise SystemExit(f"error: {corpus} has fewer than two melodies in the split {split!r}: choose another --split")
    for heat in temperatures or (composer.config.temperature,):
        for number in takes:
            rows = [
                harmonise(composer, piece, grid, seed, heat, number, tell_key) for seed, piece in enumerate(melodies)
            ]
            told = ", key told" if tell_key else ""
            print(f"{split}, {len(rows)} melodies, temperature {heat:g}, {number} takes{told}")
            for name, value in harmony_figures(rows):
                print(f"  {name}: {value}", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
