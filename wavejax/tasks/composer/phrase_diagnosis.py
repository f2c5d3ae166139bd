"""What may be wrong with a composer of phrases, each check answered in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wavejax.data.score_corpus import ScoreCorpus
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.evaluation.music import Codes, Grid, in_key, notes_per_beat, sounding
from wavejax.experiments.metadata import ExperimentError
from wavejax.ranges import as_option, check_ranges
from wavejax.tasks.composer.data import read_pieces
from wavejax.tasks.composer.phrase_composer import PhraseComposer

PHRASES = 8
"""That are drawn."""
ALIKE = 0.8
"""Share of steps and voices that sound alike in two phrases, above which a generator makes one and the same."""


@dataclass(frozen=True, kw_only=True)
class PhraseDoctorOptions:
    """Of a composer of phrases: are its parameters finite, do its phrases differ, do they have about as many notes as
    held-out pieces, and are they in key about as often.
    """

    corpus: str
    """A folder of scores made by `wavejax prepare`."""
    split: Literal["train", "validation", "test"] = "validation"
    """Part of the corpus; it should not have been trained on."""
    seed: int = 0
    """Of the phrases that the composer makes."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: PhraseComposer) -> Iterator[Finding]:
        """Findings about the composer."""
        finite = check_parameters(product.params)
        yield finite
        if finite.verdict == "bad":
            return
        pieces = read_pieces(product.config.model, "", ScoreCorpus.open(self.corpus)).get(self.split)
        if not pieces:
            raise ExperimentError(f"{self.corpus} has no scores in the split {self.split!r}: choose another --split")
        heat, model = product.config.temperature, product.config.model
        made = [product.phrase(self.seed, number, heat) for number in range(PHRASES)]
        grid = Grid(steps_per_beat=model.steps_per_beat, steps_per_bar=model.steps_per_bar)
        yield check_variety(made)
        yield check_notes(made, [piece.codes for piece in pieces], grid)
        yield check_key(made, [piece.codes for piece in pieces], grid)


def check_variety(made: Sequence[Codes]) -> Finding:
    """Whether phrases of other noise sound different."""
    pitch = np.stack([sounding(codes) for codes in made])
    alike = float(np.mean([np.mean(a == b) for n, a in enumerate(pitch) for b in pitch[:n]]))
    words = f"two of its phrases sound alike at {100 * alike:.0f} % of steps and voices"
    if alike > ALIKE:
        words += ": the generator makes one and the same. Go back to an earlier checkpoint, or train with other sizes"
        return Finding(check="variety", verdict="bad", words=words)
    return Finding(check="variety", verdict="good", words=words)


def check_notes(made: Sequence[Codes], pieces: Sequence[Codes], grid: Grid) -> Finding:
    """Whether there are as many notes as in held-out pieces, up to a third."""
    own, real = (float(np.mean([notes_per_beat(codes, grid) for codes in each])) for each in (made, pieces))
    words = f"its phrases have {own:.2f} notes a beat and voice, held-out pieces {real:.2f}"
    if not 2 / 3 * real < own < 3 / 2 * real:
        return Finding(check="notes", verdict="bad", words=f"{words}: train longer")
    return Finding(check="notes", verdict="good", words=words)


def check_key(made: Sequence[Codes], pieces: Sequence[Codes], grid: Grid) -> Finding:
    """Whether notes belong to the key about as often as in held-out pieces."""
    own, real = (float(np.nanmean([in_key(codes, grid) for codes in each])) for each in (made, pieces))
    words = f"{100 * own:.0f} % of its notes are in the phrase's key, {100 * real:.0f} % in held-out pieces"
    if not own > real - 0.1:
        return Finding(check="key", verdict="bad", words=f"{words}: train longer, or compose at a lower temperature")
    return Finding(check="key", verdict="good", words=words)
