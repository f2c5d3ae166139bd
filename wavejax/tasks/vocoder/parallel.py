"""The cards of the vocoders that make a window of sound at once."""

from collections.abc import Iterable
from typing import Any

from wavejax.experiments.family import Family
from wavejax.experiments.parallel.card import window_family
from wavejax.experiments.parallel.config import ParallelConfig
from wavejax.tasks.vocoder.diagnosis import SoundDoctorOptions
from wavejax.tasks.vocoder.evaluation import ListeningOptions
from wavejax.tasks.vocoder.exhibits import exhibits, usage
from wavejax.tasks.vocoder.product import Vocoder


def window_vocoder(config: type[ParallelConfig], experiments: Iterable[ParallelConfig]) -> Family[Any, Any]:
    """The card of a kind of experiment, whose presets are these."""
    return window_family(
        config=config,
        product=Vocoder,
        presets={experiment.name: experiment for experiment in experiments},
        usage=usage,
        exhibits=exhibits,
        evaluator=ListeningOptions,
        doctor=SoundDoctorOptions,
    )
