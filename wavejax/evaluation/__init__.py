"""Evaluation (floor 4): arrays in, numbers or pictures out. Nothing here uses a model, a checkpoint or a trainer."""

from wavejax.evaluation.baselines import CodeLengths, linear_prediction_bits, order1_bits, unigram_bits
from wavejax.evaluation.bootstrap import Interval, paired_bootstrap
from wavejax.evaluation.pictures import compare_picture, spectrogram_image
from wavejax.evaluation.spectra import band_level_differences, log_mel_distance

__all__ = [
    "CodeLengths",
    "Interval",
    "band_level_differences",
    "compare_picture",
    "linear_prediction_bits",
    "log_mel_distance",
    "order1_bits",
    "paired_bootstrap",
    "spectrogram_image",
    "unigram_bits",
]
