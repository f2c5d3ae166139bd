"""The family of speakers whose model is Tacotron 2: the card."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wavejax.experiments.family import Exhibit, Family
from wavejax.tasks.speaker.family import usage
from wavejax.tasks.speaker.lines import Line
from wavejax.tasks.speaker.tacotron_config import EXPERIMENTS, TacotronConfig
from wavejax.tasks.speaker.tacotron_data import batch_shapes, open_aligned, smaller_batches
from wavejax.tasks.speaker.tacotron_evaluation import (
    TacotronDoctorOptions,
    TacotronSpeakingOptions,
    attention_picture,
    gate_picture,
)
from wavejax.tasks.speaker.tacotron_learner import figures, param_shapes, tacotron_learner
from wavejax.tasks.speaker.tacotron_product import AttentiveSpeaker

_SHOWN = 3


def exhibits(product: AttentiveSpeaker, data: Any) -> Iterator[Exhibit]:
    """Attention, gate and mel spectrogram of held-out sentences, said from their phonemes alone."""
    if not data.has("validation"):
        return
    listed = data.utterances("validation").listed[:_SHOWN]
    entries = [data.corpus.entries[each.position] for each in listed]
    lines = [product.read(Line(symbols=data.alignments[entry.id].symbols)) for entry in entries]
    for number, said in enumerate(product.attended_all(lines)):
        yield Exhibit(name=f"attention_{number}", image=attention_picture(said))
        yield Exhibit(name=f"gate_{number}", image=gate_picture(said))
        mel = np.clip(1 - said.mel.T[::-1] / product.config.losses.quietest, 0, 1)
        yield Exhibit(name=f"sentence_{number}", image=np.kron(mel, np.ones((3, 3))).astype(np.float32))


def completed(product: AttentiveSpeaker, load: Callable[[str], Any]) -> AttentiveSpeaker:
    """The speaker with the vocoder that its configuration names, which is loaded when it is first used."""
    return dataclasses.replace(product, open_vocoder=lambda: load(product.config.vocoder))


FAMILY: Family[TacotronConfig, AttentiveSpeaker] = Family(
    config=TacotronConfig,
    product=AttentiveSpeaker,
    presets=EXPERIMENTS,
    usage=usage,
    open_data=open_aligned,
    batch_shapes=batch_shapes,
    smaller_batches=smaller_batches,
    learner=tacotron_learner,
    param_shapes=param_shapes,
    figures=figures,
    exhibits=exhibits,
    evaluator=TacotronSpeakingOptions,
    doctor=TacotronDoctorOptions,
    completed=completed,
    matters=("model", "text"),
)
