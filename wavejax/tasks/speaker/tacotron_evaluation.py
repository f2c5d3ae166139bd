"""`wavejax evaluate` and `wavejax doctor` of a Tacotron 2: whether it reads held-out sentences in order by itself."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float

from wavejax.atomic import write_bytes, write_text
from wavejax.evaluation.findings import Finding, check_parameters
from wavejax.evaluation.pictures import png_bytes
from wavejax.ranges import COUNT
from wavejax.tasks.speaker.evaluation import (
    SpeakerDoctorOptions,
    SpeakingOptions,
    held_out_means,
    length_finding,
    named,
    opened,
)
from wavejax.tasks.speaker.lines import Line
from wavejax.tasks.speaker.tacotron_data import TacotronData, open_aligned
from wavejax.tasks.speaker.tacotron_learner import tacotron_loss
from wavejax.tasks.speaker.tacotron_product import Attended, AttentiveSpeaker

_SIDE_BY_SIDE = 16
"""Sentences that are said at once."""
_GOOD_ORDER = 0.9
"""Share of sentences that must be read in order."""
_LOOKED_AT = 8
"""Sentences that the doctor lets the speaker say."""
_PLOTTED = 6
"""Sentences whose attention and gate are drawn."""
_PIXELS = 4
"""Of a step and a symbol."""
_GATE_HEIGHT = 100
"""Pixels from 0 to 1 of a plot of gates."""


@dataclass(frozen=True, kw_only=True)
class TacotronSpeakingOptions(SpeakingOptions):
    """Two views of a speaker. Without --corpus it says 30 plain and 20 hard sentences that ship with wavejax; judges of
    quality and a recogniser that counts wrong words listen. With --corpus it says held-out sentences of a corpus from
    their phonemes alone: how many it reads in order to their end, with plots of attention and gate. Choose checkpoints
    on --split validation.
    """

    seed: int = 0
    """Of the prenet's dropout, with --corpus."""
    most: Annotated[int, COUNT] = 100
    """Sentences that are said of a corpus, spread over its lengths."""

    def __call__(self, product: Any, say: Callable[[str], None]) -> Any:
        """Listen, or look at attention."""
        if self.corpus is None:
            return super().__call__(product, say)
        data = opened(open_aligned, product, self.corpus, self.split)
        say(f"saying sentences of {self.split} from their phonemes alone")
        return attention_report(product, data, self.split, seed=self.seed, most=self.most)


@dataclass(frozen=True, kw_only=True)
class TacotronDoctorOptions(SpeakerDoctorOptions):
    """Of a speaker that attends: are its parameters finite, does it read held-out sentences in order to their end, do
    they last as long as their recordings.
    """

    def __call__(self, product: Any) -> Iterator[Finding]:
        """Findings about the speaker."""
        finite = check_parameters(product.params)
        yield finite
        if finite.verdict == "bad":
            return
        data = opened(open_aligned, product, self.corpus, self.split)
        report = attention_report(product, data, self.split, most=_LOOKED_AT)
        good = report.in_order >= _GOOD_ORDER
        words = f"it reads {100 * report.in_order:.0f} % of {report.count} held-out sentences in order to their end"
        tail = "" if good else f", where {100 * _GOOD_ORDER:.0f} % can be expected: train longer, with a guide"
        yield Finding(check="attention", verdict="good" if good else "bad", words=words + tail)
        yield length_finding(report.length)


@dataclass(frozen=True, kw_only=True)
class AttentionReport:
    """How a speaker reads held-out sentences from their phonemes alone, no frame of the recording given."""

    system: str
    sentences: str
    count: int
    in_order: float
    """Share that ended by their gate after reading all symbols, no step back, no leap (`Attended.in_order`)."""
    ended: float
    """Share that ended by their gate."""
    length: float
    """How long all of them last, beside the recordings."""
    mel: float
    """Mean absolute difference of the finished mel spectrograms, the recording's frames given, nats."""
    near: float
    """Part of attention within one symbol of the one that is heard, the recording's frames given."""
    examples: tuple[tuple[str, Attended], ...] = ()
    """Ids and sentences to look at."""

    def lines(self) -> Sequence[str]:
        """For the terminal."""
        return (
            f"{self.system}: {self.sentences}",
            f"read in order     {100 * self.in_order:.1f} % of {self.count} sentences, from their phonemes alone",
            f"ended by the gate {100 * self.ended:.1f} %",
            f"length            {100 * self.length:.1f} % of the recordings'",
            f"mel spectrogram   {self.mel:.3f} nats mean absolute difference, the recordings' frames given",
            f"attention         {100 * self.near:.1f} % within one symbol of the one heard, frames given",
        )

    def to_json(self) -> dict[str, Any]:
        """All of it but the examples."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "examples"}

    def write(self, folder: Path) -> Path | None:
        """Writes report.json, and attention_ID.png and gate_ID.png of some sentences."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, said in self.examples:
            for kind, picture in (("attention", attention_picture(said)), ("gate", gate_picture(said))):
                grey = np.round(255 * picture).astype(np.uint8)
                write_bytes(folder / f"{kind}_{name}.png", png_bytes(np.stack([grey] * 3, axis=-1)))
        write_text(folder / "report.json", json.dumps(self.to_json(), indent=1) + "\n")
        return folder / "report.json"


def attention_report(
    speaker: AttentiveSpeaker, data: TacotronData, split: str, *, seed: int = 0, most: int = 100
) -> AttentionReport:
    """How a speaker reads the sentences of a split; at most so many, spread over their lengths."""
    listed = sorted(data.utterances(split).listed, key=lambda each: each.length)
    places = np.unique(np.linspace(0, len(listed) - 1, min(most, len(listed))).round().astype(int))
    chosen = [listed[place] for place in places]
    names = [data.corpus.entries[each.position].id for each in chosen]
    lines = [speaker.read(Line(symbols=data.alignments[name].symbols)) for name in names]
    said: list[Attended] = []
    for first in range(0, len(lines), _SIDE_BY_SIDE):
        part = lines[first : first + _SIDE_BY_SIDE]
        filled = [*part, *part[-1:] * (_SIDE_BY_SIDE - len(part))]  # so that one program serves all
        said += speaker.attended_all(filled, seed)[: len(part)]
    config: Any = speaker.config
    means = held_out_means(speaker, tacotron_loss(config, quiet=True), {"statistics": {}}, data, split)
    shown = np.unique(np.linspace(0, len(said) - 1, min(_PLOTTED, len(said))).round().astype(int))
    return AttentionReport(
        system=named(speaker),
        sentences=f"{len(said)} sentences of {split}, seed {seed}",
        count=len(said),
        in_order=float(np.mean([each.in_order for each in said])),
        ended=float(np.mean([each.ended for each in said])),
        length=sum(len(each.mel) for each in said) / sum(each.num_frames for each in chosen),
        mel=means["apart"],
        near=means["near"],
        examples=tuple((names[place], said[place]) for place in shown),
    )


def attention_picture(said: Attended) -> Float[np.ndarray, "height width"]:
    """Attention, steps to the right, the first symbol at the bottom, four pixels each: float32 in [0, 1]."""
    return np.kron(said.attention.T[::-1], np.ones((_PIXELS, _PIXELS))).astype(np.float32)


def gate_picture(said: Attended) -> Float[np.ndarray, "height width"]:
    """The probability of each step to be the last one, as a curve from 0 at the bottom to 1: float32 in [0, 1]."""
    heights = np.linspace(1, 0, _GATE_HEIGHT)[:, None]
    filled = (heights <= said.gates[None]).astype(np.float32)
    return np.kron(filled, np.ones((1, _PIXELS))).astype(np.float32)
