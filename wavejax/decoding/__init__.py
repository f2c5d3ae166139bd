"""From a recogniser's probabilities to labels, and from labels to when they are heard (floor 4)."""

from wavejax.decoding.ctc import Alignment, Spike, align, greedy, greedy_errors

__all__ = ["Alignment", "Spike", "align", "greedy", "greedy_errors"]
