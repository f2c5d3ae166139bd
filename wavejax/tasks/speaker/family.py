"""The family of speakers: the card."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wavejax.experiments.family import Exhibit, Family
from wavejax.models.parallel_speaker import PRESETS
from wavejax.tasks.speaker.config import SpeakerConfig, experiments
from wavejax.tasks.speaker.data import batch_shapes, open_spoken, smaller_batches
from wavejax.tasks.speaker.evaluation import SpeakerDoctorOptions, SpeakingOptions
from wavejax.tasks.speaker.learner import figures, param_shapes, speaker_learner
from wavejax.tasks.speaker.lines import Line
from wavejax.tasks.speaker.product import Speaker
from wavejax.terminal import quoted

_SHOWN = 3


def usage(config: Any, where: str) -> str:
    """The command that lets a speaker say something."""
    text = {"en": "Hello there.", "ru": "Добрый день."}[config.text.language]
    return f'wavejax say {quoted(where)} "{text}" --out hello.wav'


def exhibits(product: Speaker, data: Any) -> Iterator[Exhibit]:
    """Mel spectrograms of held-out sentences: above the recording's, below what the speaker makes of its phonemes."""
    if not data.has("validation"):
        return
    for number, listed in enumerate(data.utterances("validation").listed[:_SHOWN]):
        entry = data.corpus.entries[listed.position]
        real = data.corpus.utterance(listed.position).frames
        made, _ = product.mel(Line(symbols=data.alignments[entry.id].symbols))
        yield Exhibit(name=f"sentence_{number}", image=_picture(real, made, product.config.losses.quietest))


def _picture(real: np.ndarray, made: np.ndarray, quietest: float) -> np.ndarray:
    """Low bands at the bottom, three pixels a band and frame."""
    count = max(len(real), len(made))
    rows = [np.pad(each, ((0, count - len(each)), (0, 0)), constant_values=quietest).T[::-1] for each in (real, made)]
    image = np.concatenate([rows[0], np.zeros((1, count), np.float32), rows[1]])
    return np.kron(np.clip(1 - image / quietest, 0, 1), np.ones((3, 3))).astype(np.float32)


def completed(product: Speaker, load: Callable[[str], Any]) -> Speaker:
    """The speaker with the vocoder that its configuration names, which is loaded when it is first used."""
    return dataclasses.replace(product, open_vocoder=lambda: load(product.config.vocoder), open_other=load)


FAMILY: Family[SpeakerConfig, Speaker] = Family(
    config=SpeakerConfig,
    product=Speaker,
    presets={each: config for name in PRESETS for each, config in experiments(name).items()},
    usage=usage,
    open_data=open_spoken,
    batch_shapes=batch_shapes,
    smaller_batches=smaller_batches,
    learner=speaker_learner,
    param_shapes=param_shapes,
    figures=figures,
    exhibits=exhibits,
    evaluator=SpeakingOptions,
    doctor=SpeakerDoctorOptions,
    completed=completed,
    matters=("model",),
    matters_to_state=("text",),
)
