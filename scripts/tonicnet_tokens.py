"""What chorales cost a composer in the tokens of TonicNet (Peracha 2019, arXiv 1911.11775), beside its published loss.

    python scripts/tonicnet_tokens.py chorales JSB16 --split validation     # JSB16: the canonical split, in sixteenths

TonicNet reads five tokens a step: a chord, then soprano, bass, alto and tenor, each as the pitch that sounds (a held
note is the same pitch again). Its loss is the mean over the five tokens of a piece, then over pieces. The checkpoint
that its `--eval_nn` loads is named after its loss on the validation split, .317 (public code: omarperacha/TonicNet).

What is comparable: its chord is a function of the four notes of the same step, so a chord and the notes under it cost
together what the notes cost; and in another order the notes of a step still cost what the step costs. So a composer's
nats per step, a fifth of them for each token, stand beside that loss. To strike a pitch again where it sounds and to
hold it are one token: their probabilities are added.

What is not: (1) TonicNet does not pay for the first chord of a piece, and pays for an end that composers here do not
have. So both the mean over all steps and that over all but the first are printed: the published loss lies between what
they compare with. (2) `--eval_nn` of the public code prints the loss of the four notes alone, with their chord given.
A composer that reads no chords has no such figure. (3) The published chords are labelled by music21.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

import wavejax
from wavejax.data import ScoreCorpus
from wavejax.evaluation.music import mean_with_interval
from wavejax.tasks.composer.data import read_pieces
from wavejax.tasks.composer.product import ChoraleComposer

TOKENS = 5
"""Of a step: a chord and four voices."""
PUBLISHED = 0.317


def per_token(nats: np.ndarray) -> tuple[float, float]:
    """Nats [T, 4] of a piece as a mean over the five tokens of each step: of all steps, and of all but the first."""
    steps = nats.sum(axis=1) / TOKENS
    return float(steps.mean()), float(steps[1:].mean())


def main(
    model: Annotated[str, tyro.conf.Positional],
    corpus: Annotated[Path, tyro.conf.Positional],
    split: Literal["validation", "test"] = "validation",
) -> None:
    """Print nats per token.

    Args:
        model: a composer of four voices that has a likelihood.
        corpus: a folder of scores on a grid of sixteenths.
        split: of the corpus.
    """
    composer = wavejax.load(model, kind=ChoraleComposer)
    pieces = read_pieces(composer.config.model, "", ScoreCorpus.open(corpus)).get(split, ())
    if composer.config.model.num_voices != TOKENS - 1 or len(pieces) < 2:
        raise SystemExit(f"error: needs a composer of four voices and two or more {split} pieces in {corpus}")
    rows = [per_token(composer.nats(piece, merge_repeats=True)) for piece in pieces]
    for name, values in zip(("all steps", "all steps but the first"), zip(*rows, strict=True), strict=True):
        mean = mean_with_interval(values)
        if mean is not None:
            print(f"{split}, {len(pieces)} pieces, {name}: {mean.mean:.4f} [{mean.low:.4f}, {mean.high:.4f}] a token")
    print(f"TonicNet's checkpoint is named {PUBLISHED} (validation, chords and end counted, first chord not)")


if __name__ == "__main__":
    tyro.cli(main)
