"""`wavejax evaluate-speakers`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import report_folder, write_json
from wavejax.data import Corpus
from wavejax.evaluation import judges
from wavejax.evaluation.babble_report import babble_markdown, write_babble_report
from wavejax.evaluation.speakers import Embed
from wavejax.experiments.autoregressive.product import SampleModel
from wavejax.experiments.autoregressive.speakers import score_speakers, speaker_bits_table
from wavejax.ranges import AT_LEAST_NONE, ROWS, TEMPERATURE, Range
from wavejax.tasks.babbler.babble import BabbleOptions, judge_babble
from wavejax.tasks.babbler.product import Babbler
from wavejax.tasks.families import load


@dataclass(frozen=True, kw_only=True)
class EvaluateSpeakers:
    """Find out what a speaker id does in a model of several speakers.

    Bits: held-out recordings, teacher-forced, with the right id, every wrong one, and none. Babble, of a model without
    features: 20 clips per speaker from noise and id alone; does the embedding of a speaker recogniser (extra judges:
    resemblyzer) lie nearest to the centroid of the intended speaker's recordings, and does the same noise under another
    id move to the other speaker's? Beside it: held-out recordings, and noise in each speaker's spectrum, which must
    fail. Clips that are in the output folder already are not made again: a run that was stopped goes on.
    """

    model: Positional[str]
    """A training folder or an exported folder."""
    corpus: Path
    """The corpus that it was trained on, as `wavejax prepare` made it."""
    output: Path | None = None
    """Folder for index.html (players, spectrograms), report.md, report.json and the sounds; babble needs it."""
    split: Literal["train", "validation", "test"] = "validation"
    """Of the bits."""
    bits: bool = True
    """Score the bits, which takes a pass over the split for every id and one more."""
    at_most: Annotated[int, AT_LEAST_NONE] = 0
    """Above 0: score the bits of only so many utterances of each speaker, evenly spread."""
    seeds: Annotated[int, Range(0, 1000)] = 20
    """Clips per speaker, of seeds 0, 1, ...; 0: bits alone."""
    seconds: Annotated[float, Range(1, 600)] = 5.0
    """Length of a clip."""
    temperature: Annotated[float, TEMPERATURE] = 1.0
    batch_size: Annotated[int, ROWS] = 8
    """Crops scored at a time for the bits."""


def run_evaluate_speakers(arguments: Sequence[str]) -> int:
    """`wavejax evaluate-speakers`."""
    example = "wavejax evaluate-speakers run/ --corpus corpus/ --output babble/"
    given = parse(EvaluateSpeakers, "evaluate-speakers", arguments, example=example, flag_pairs=True)
    model: SampleModel[Any] = load(given.model, kind=SampleModel)
    corpus = Corpus.open(given.corpus)
    babbles = given.seeds > 0 and isinstance(model, Babbler)
    if babbles and given.output is None:
        raise UsageError("babble is kept as files: say where to with --output FOLDER, or ask for bits alone: --seeds 0")
    # What cannot be listened to is refused before minutes are spent on making it.
    embed = judges.open_speaker_embedding("judging babble") if babbles else None
    with report_folder(given.output):
        return _judge(given, model, corpus, embed)


def _judge(given: EvaluateSpeakers, model: SampleModel[Any], corpus: Corpus, embed: Embed | None) -> int:
    content: dict[str, Any] = {}
    notes = ""
    if given.bits:
        content["bits"] = score_speakers(
            model, corpus, given.split, at_most=given.at_most, batch_size=given.batch_size, say=_say
        )
        notes = speaker_bits_table(content["bits"])
        print(notes, flush=True)
    if embed is not None and given.output is not None and isinstance(model, Babbler):
        options = BabbleOptions(num_seeds=given.seeds, seconds=given.seconds, temperature=given.temperature)
        report, clips = judge_babble(model, corpus, given.output, options, embed, _say)
        print(babble_markdown(report))
        page = write_babble_report(
            given.output, report, title=f"{model.config.name}: babble", clips=clips, extra=content, notes=notes
        )
        print(f"the page: {page}")
    elif given.output is not None:
        write_json(given.output / "report.json", content)
    return 0


def _say(said: str) -> None:
    print(said, file=sys.stderr, flush=True)


COMMANDS: dict[str, Command] = {"evaluate-speakers": run_evaluate_speakers}
