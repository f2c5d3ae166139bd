"""The card of a family whose model makes a window of sound at once: what all of them share is filled in."""

from typing import Any

from wavejax.experiments.family import Family
from wavejax.experiments.parallel.data import open_windows, window_shapes
from wavejax.experiments.parallel.learner import window_figures, window_learner, window_param_shapes


def window_family(**own: Any) -> Family[Any, Any]:
    """A card of windows: their data, shapes, learner and figures, and what the family gives itself.

    Args:
        own: fields of `Family`: at least `config`, `product`, `presets` and `usage`; those that are filled in may be
            given as well.
    """
    shared: dict[str, Any] = {
        "open_data": open_windows,
        "batch_shapes": window_shapes,
        "learner": window_learner,
        "param_shapes": window_param_shapes,
        "figures": window_figures,
        "matters": ("model", "spec"),
        "matters_to_state": ("discriminators",),
    }
    return Family(**{**shared, **own})
