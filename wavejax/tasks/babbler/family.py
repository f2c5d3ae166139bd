"""The family of babblers: the card, and what its commands do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from wavejax.audio.specs import get_spec
from wavejax.evaluation.findings import Finding
from wavejax.evaluation.judged import Judged
from wavejax.experiments.autoregressive.card import sample_family
from wavejax.experiments.autoregressive.config import CropConfig
from wavejax.experiments.autoregressive.data import corpus_for, named_corpus
from wavejax.experiments.autoregressive.diagnosis import diagnose, held_out_excerpts
from wavejax.experiments.autoregressive.exhibits import beside_the_recording
from wavejax.experiments.autoregressive.product import with_speakers
from wavejax.experiments.autoregressive.scoring import score_report
from wavejax.experiments.family import Exhibit
from wavejax.models.wavenet_presets import PRESETS
from wavejax.ranges import EXCERPT_SECONDS, ROWS, as_option, check_ranges
from wavejax.tasks.babbler.product import Babbler, BabblerConfig
from wavejax.tasks.upgrades import upgraded
from wavejax.terminal import quoted


def experiment(name: str) -> BabblerConfig:
    """The experiment around a WaveNet preset that reads no features."""
    return BabblerConfig(name=name, model=PRESETS[name], spec=get_spec("speech-16k"), data=CropConfig(crop_length=4000))


def usage(config: BabblerConfig, where: str) -> str:
    """The command that lets a babbler be heard."""
    speaker = " --speaker NAME" if config.model.num_speakers else ""
    return f"wavejax generate {quoted(where)} SOUND.wav --seconds 5{speaker}"


def exhibits(product: Babbler, data: Any) -> Iterator[Exhibit]:
    """Babble of the first held-out utterance's speaker, and its spectrogram."""
    corpus, config = data.corpus, product.config
    if not corpus.has("validation"):
        return
    utterance = corpus.utterance(corpus.indices("validation")[0])
    speaker = utterance.speaker if config.model.num_speakers else None
    length = min(int(config.training.audio_seconds * product.sample_rate), len(utterance.waveform))
    babble = product(speaker=speaker, num_samples=length)
    yield from beside_the_recording(babble, utterance.waveform[:length], product.sample_rate, config.spec)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Bits per sample of a babbler: it hears the recording and is asked for each next sample; beside baselines over the
    same classes. Intervals are 95 % ones of a paired bootstrap over utterances. Choose checkpoints on --split
    validation and score test once. `wavejax evaluate-speakers` says whose voice it is.
    """

    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with wavejax."""
    split: Literal["train", "validation", "test"] = "test"
    batch_size: Annotated[int, ROWS] = 8
    """Crops scored at a time."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Babbler, say: Callable[[str], None]) -> Judged:
        """Score."""
        corpus = named_corpus(self.corpus, product.config.spec)
        return Judged(bits=score_report(product, corpus, self.split, batch_size=self.batch_size))


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """Of a babbler: are its parameters finite, do the form that was trained and the form that sounds agree, do held-out
    recordings cost few bits, is its own sound as likely as recordings.
    """

    corpus: str = "embedded"
    """Recordings to judge the model on: a folder made by `wavejax prepare`, or those that ship with wavejax."""
    split: Literal["train", "validation", "test"] = "test"
    """Part of the corpus; it should not have been trained on."""
    seconds: Annotated[float, EXCERPT_SECONDS] = 2.0
    """How much of each of three recordings is judged."""
    seed: int = 0
    """Of the sound that the model makes."""

    def __post_init__(self) -> None:
        check_ranges(self, as_option)

    def __call__(self, product: Babbler) -> Iterator[Finding]:
        """Findings about the babbler."""
        corpus = corpus_for(product, named_corpus(self.corpus, product.config.spec))
        excerpts = held_out_excerpts(product, corpus, self.split, seconds=self.seconds)
        yield from diagnose(product, excerpts, seed=self.seed)


FAMILY = sample_family(
    config=BabblerConfig,
    product=Babbler,
    presets={name: experiment(name) for name, model in PRESETS.items() if not model.local_channels},
    usage=usage,
    exhibits=exhibits,
    evaluator=EvaluateOptions,
    doctor=DoctorOptions,
    with_speakers=with_speakers,
    upgraded=upgraded,
)
