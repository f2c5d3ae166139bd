"""The family of instruments: the card, and what its commands do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from wavejax.audio.notes import NOTE_SPECS
from wavejax.audio.specs import get_spec
from wavejax.data import Corpus
from wavejax.data.notes import open_notes, read_notes, rung
from wavejax.evaluation.findings import Finding
from wavejax.evaluation.judged import Judged
from wavejax.experiments.autoregressive.card import sample_family
from wavejax.experiments.autoregressive.config import CropConfig, SampleTrainingConfig
from wavejax.experiments.autoregressive.data import CropData, check_corpus
from wavejax.experiments.autoregressive.diagnosis import diagnose, held_out_excerpts
from wavejax.experiments.autoregressive.exhibits import beside_the_recording
from wavejax.experiments.autoregressive.product import facts_of
from wavejax.experiments.family import Exhibit
from wavejax.models.wavenet_presets import PRESETS
from wavejax.ranges import EXCERPT_SECONDS, TEMPERATURE, Range, as_option, check_ranges
from wavejax.tasks.instrument.config import InstrumentConfig
from wavejax.tasks.instrument.listening import judge_instrument, median_figure
from wavejax.tasks.instrument.playing import TAKES
from wavejax.tasks.instrument.product import Instrument
from wavejax.tasks.upgrades import upgraded
from wavejax.terminal import quoted


def experiment(name: str) -> InstrumentConfig:
    """The experiment around the instrument `name` of `NOTE_SPECS`."""
    return InstrumentConfig(
        name=name,
        model=PRESETS[name],
        spec=NOTE_SPECS[name],
        # Half of a crop as short as its receptive field would be history.
        data=CropConfig(crop_length=8000),
        training=SampleTrainingConfig(exhibit_every=0),
    )


def usage(config: InstrumentConfig, where: str) -> str:
    """The command that lets an instrument be heard."""
    return f"wavejax play {quoted(where)} C4 --out spoken/"


def open_data(config: InstrumentConfig, corpus: Corpus | None) -> CropData:
    """Crops of a folder of notes, as `scripts/fetch_notes` brings one."""
    corpus = open_notes(config.data.corpus, config.spec) if corpus is None else corpus
    check_corpus(config, corpus)
    return CropData(config, corpus)


def exhibits(product: Instrument, data: Any) -> Iterator[Exhibit]:
    """A held-out note drawn freely, its strings ringing, beside the recording."""
    corpus, spec = data.corpus, product.spec
    if not corpus.has("validation"):
        return
    utterance = corpus.utterance(corpus.indices("validation")[0])
    length = min(int(product.config.training.audio_seconds * spec.sample_rate), len(utterance.waveform))
    made = product.generate(local_conditioning=np.asarray(utterance.frames)[None], num_samples=length)[0]
    played, original = (rung(samples, utterance, spec) for samples in (made, utterance.waveform[:length]))
    yield from beside_the_recording(played, original, spec.sample_rate, get_spec("speech-16k"))


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """An instrument plays the notes of the split: pitch, decay and spectrum against the recordings, beside resampled
    neighbours and a sine. A reading is what `wavejax play` makes: the most typical of several takes, which choose among
    themselves.
    """

    corpus: str
    """A folder of notes, as `scripts/fetch_notes` brings one."""
    split: Literal["train", "validation", "test"] = "test"
    seeds: Annotated[int, Range(1, 1000)] = 3
    """Readings, of seeds 0, 1, ..."""
    temperature: Annotated[tuple[float, ...], TEMPERATURE] = ()
    """Several make several systems. Default: what the instrument was exported with, or 1."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Instrument, say: Callable[[str], None]) -> Judged:
        """Play and measure."""
        temperatures = self.temperature or (product.config.temperature,)
        comparison = judge_instrument(
            product,
            read_notes(self.corpus),
            self.split,
            temperatures=temperatures,
            num_seeds=self.seeds,
            say=say,
        )
        chosen = f"{self.corpus}: {len(comparison.items)} {self.split} notes"
        facts = facts_of(product, chosen, range(self.seeds), temperatures)
        facts["takes"] = f"each reading is the most typical of {TAKES} takes, by their own mean"
        medians = {
            f"{system.name}, median pitch error": f"{median_figure(comparison, system.name, 'pitch'):.1f} cents"
            for system in comparison.systems
            if not system.is_anchor
        }
        return Judged(comparison=comparison, facts={**facts, **medians}, figures=tuple(medians))


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Of an instrument: are its parameters finite, do the form that was trained and the form that plays agree, do
    held-out notes cost few bits, does it listen to which note is meant, is its own sound as likely as recordings.
    """

    corpus: str
    """A folder of notes, as `scripts/fetch_notes` brings one."""
    split: Literal["train", "validation", "test"] = "test"
    """Part of the corpus; it should not have been trained on."""
    seconds: Annotated[float, EXCERPT_SECONDS] = 1.0
    """How much of each of three notes is judged."""
    seed: int = 0
    """Of the sound that the model makes."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Instrument) -> Iterator[Finding]:
        """Findings about the instrument."""
        corpus = open_notes(self.corpus, product.spec)
        check_corpus(product.config, corpus)
        excerpts = held_out_excerpts(product, corpus, self.split, seconds=self.seconds)
        yield from diagnose(product, excerpts, seed=self.seed)


FAMILY = sample_family(
    config=InstrumentConfig,
    product=Instrument,
    presets={name: experiment(name) for name in NOTE_SPECS},
    usage=usage,
    open_data=open_data,
    exhibits=exhibits,
    evaluator=EvaluateOptions,
    doctor=DoctorOptions,
    upgraded=upgraded,
)
