"""From a recogniser's probabilities to labels, and from labels to when they are heard (floor 4)."""

from wavejax.decoding.beam import Hypothesis, Scorer, beam_search
from wavejax.decoding.ctc import Alignment, Spike, align, edit_errors, greedy, greedy_errors, meeting, text_log_probs
from wavejax.decoding.estimation import build_ngrams, mix_ngrams
from wavejax.decoding.joint import Prefixes, Step, joint_search, no_labels, one_label_more
from wavejax.decoding.ngrams import NGramError, NGrams, read_arpa
from wavejax.decoding.scoring import GREEDY, Search, WordScorer
from wavejax.decoding.spelling import Spelled, spell

__all__ = [
    "GREEDY",
    "Alignment",
    "Hypothesis",
    "NGramError",
    "NGrams",
    "Prefixes",
    "Scorer",
    "Search",
    "Spelled",
    "Spike",
    "Step",
    "WordScorer",
    "align",
    "beam_search",
    "build_ngrams",
    "edit_errors",
    "greedy",
    "greedy_errors",
    "joint_search",
    "meeting",
    "mix_ngrams",
    "no_labels",
    "one_label_more",
    "read_arpa",
    "spell",
    "text_log_probs",
]
