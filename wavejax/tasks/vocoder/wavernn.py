"""The family of vocoders whose model is a WaveRNN."""

import dataclasses
from typing import ClassVar

from wavejax.audio.specs import get_spec
from wavejax.experiments.autoregressive.card import sample_family
from wavejax.experiments.autoregressive.config import OPTIMIZER, CropConfig, SampleTrainingConfig
from wavejax.experiments.autoregressive.product import with_speakers
from wavejax.models.wavernn import WaveRNNConfig
from wavejax.models.wavernn_presets import PRESETS
from wavejax.tasks.vocoder.config import VocoderConfig
from wavejax.tasks.vocoder.diagnosis import DoctorOptions
from wavejax.tasks.vocoder.evaluation import EvaluateOptions
from wavejax.tasks.vocoder.exhibits import exhibits, usage
from wavejax.tasks.vocoder.product import SampleVocoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveRNNVocoderConfig(VocoderConfig):
    """Log-mel features in, waveform out, by a WaveRNN."""

    family: ClassVar[str] = "wavernn"

    model: WaveRNNConfig


def experiment(name: str) -> WaveRNNVocoderConfig:
    """The experiment around a WaveRNN preset: its spec, the embedded corpus, many short crops.

    A recurrent layer goes through a crop step by step, so a batch of many short crops uses a processor best. The public
    networks' own crops are 5 frames of 275 samples, 32 in a batch, at a learning rate of 1e-4 (fatchord/WaveRNN).
    """
    model = PRESETS[name]
    ours = name.startswith("wavernn-16k")
    return WaveRNNVocoderConfig(
        name=name,
        model=model,
        spec=get_spec("speech-16k" if ours else "fatchord"),
        data=CropConfig(crop_length=2000 if ours else 5 * 275),
        optimizer=dataclasses.replace(OPTIMIZER, learning_rate=2e-3 if ours else 1e-4),
        training=SampleTrainingConfig(batch_size=16 if ours else 32),
    )


FAMILY = sample_family(
    config=WaveRNNVocoderConfig,
    product=SampleVocoder,
    presets={name: experiment(name) for name in PRESETS},
    usage=usage,
    exhibits=exhibits,
    evaluator=EvaluateOptions,
    doctor=DoctorOptions,
    with_speakers=with_speakers,
)
