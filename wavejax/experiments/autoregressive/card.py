"""The card of a family whose model predicts the next sample: what all of them share is filled in."""

from typing import Any

from wavejax.experiments.autoregressive.data import adopt_speakers, batch_shapes, follow_labels, open_crops
from wavejax.experiments.autoregressive.learner import crop_figures, crop_learner, crop_param_shapes
from wavejax.experiments.family import Family


def sample_family(**own: Any) -> Family[Any, Any]:
    """A card of crops: their data, shapes, learner and figures, and what the family gives itself.

    Args:
        own: fields of `Family`: at least `config`, `product`, `presets` and `usage`; those that are filled in may be
            given as well.
    """
    shared: dict[str, Any] = {
        "open_data": open_crops,
        "follow_labels": follow_labels,
        "adopt_labels": adopt_speakers,
        "batch_shapes": batch_shapes,
        "learner": crop_learner,
        "param_shapes": crop_param_shapes,
        "figures": crop_figures,
        "matters": ("model", "spec"),
    }
    return Family(**{**shared, **own})
