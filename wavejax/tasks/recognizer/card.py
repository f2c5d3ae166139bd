"""The card of a family of recognisers: what all of them share is filled in."""

from typing import Any

from wavejax.experiments.family import Family
from wavejax.tasks.recognizer.data import batch_shapes, open_utterances, smaller_batches
from wavejax.tasks.recognizer.evaluation import RecognitionOptions, RecognizerDoctorOptions
from wavejax.tasks.recognizer.learner import figures, param_shapes, recognizer_learner
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.recognizer.showing import exhibits, usage


def recognizer_family(**own: Any) -> Family[Any, Any]:
    """A card of recognisers.

    Args:
        own: fields of `Family`: at least `config` and `presets`; those that are filled in may be given as well.
    """
    shared: dict[str, Any] = {
        "product": Recognizer,
        "usage": usage,
        "open_data": open_utterances,
        "batch_shapes": batch_shapes,
        "smaller_batches": smaller_batches,
        "learner": recognizer_learner,
        "param_shapes": param_shapes,
        "figures": figures,
        "exhibits": exhibits,
        "evaluator": RecognitionOptions,
        "doctor": RecognizerDoctorOptions,
        "matters": ("model", "spec"),
        "matters_to_state": ("text",),
    }
    return Family(**{**shared, **own})
