"""Baselines in bits per sample, over the same classes as the model that is compared with them.

Each is a normalised distribution of each class given the classes before it, so its bits are comparable with a model's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from wavejax.audio.companding import SampleCoding

Codes = Sequence[Int[np.ndarray, "_"]]
"""Classes of each utterance, int [T]."""

LARGEST_TABLE = 4096
"""Most classes for the table of `order1_bits`: it takes the square of this number in memory."""


@dataclass(frozen=True, kw_only=True)
class CodeLengths:
    """The cost of coding each utterance: the input of `paired_bootstrap`, weighted by samples."""

    bits: Float[np.ndarray, " utterance"]
    """Mean bits per sample of each utterance, float64."""
    num_samples: Int[np.ndarray, " utterance"]
    """Samples of each utterance, int64."""

    @property
    def mean(self) -> float:
        """Bits per sample over all samples of all utterances."""
        return float(np.average(self.bits, weights=self.num_samples))


def unigram_bits(train_codes: Codes, test_codes: Codes, num_classes: int) -> CodeLengths:
    """Bits of the test utterances under the class frequencies of the training utterances.

    Half a count is added to every class (Krichevsky and Trofimov 1981), so no class has an infinite cost. Raises
    ValueError on an empty utterance or a class outside [0, num_classes).
    """
    _check_codes(train_codes, num_classes, "train_codes")
    _check_codes(test_codes, num_classes, "test_codes")
    bits = -np.log2(_frequencies(train_codes, num_classes))
    return _code_lengths([bits[codes] for codes in test_codes])


def order1_bits(train_codes: Codes, test_codes: Codes, num_classes: int, *, silence: int | None = None) -> CodeLengths:
    """Bits of the test utterances when each class is predicted from the one before it.

    The table of successors is fitted on the training utterances and interpolated with the unigram table by the weights
    of Witten and Bell (1991, method C): p(c | h) = (n(h, c) + s(h) p(c)) / (n(h) + s(h)), where s(h) counts the
    different classes seen after h. After a class that was never seen, only the unigram table is used.

    Args:
        train_codes, test_codes: classes of each utterance, int [T].
        num_classes: number of classes, at most `LARGEST_TABLE`.
        silence: the class before an utterance's first sample (`SampleCoding.silence`); default num_classes // 2.

    Raises:
        ValueError: no utterance or an empty one, a class outside [0, num_classes), or too many classes for a table.
    """
    if num_classes > LARGEST_TABLE:
        raise ValueError(
            f"an order-1 table of {num_classes} classes has {num_classes**2} cells; the most is {LARGEST_TABLE} "
            "classes: use a coding with fewer classes"
        )
    before = num_classes // 2 if silence is None else silence
    _check_codes([np.asarray([before])], num_classes, "silence")
    _check_codes(train_codes, num_classes, "train_codes")
    _check_codes(test_codes, num_classes, "test_codes")
    counts = np.zeros(num_classes**2, np.int64)
    for codes in train_codes:
        counts += np.bincount(_cells(codes, before, num_classes), minlength=counts.size)
    table = counts.reshape(num_classes, num_classes)
    successors = np.maximum(np.count_nonzero(table, axis=1), 1)[:, None]
    backed_off = table + successors * _frequencies(train_codes, num_classes)[None]
    bits = -np.log2(backed_off / (table.sum(axis=1)[:, None] + successors)).ravel()
    return _code_lengths([bits[_cells(codes, before, num_classes)] for codes in test_codes])


def linear_prediction_bits(
    test_codes: Codes,
    coding: SampleCoding,
    *,
    order: int = 16,
    frame_length: int = 200,
    window_length: int = 400,
    uniform_share: float = 1e-4,
) -> CodeLengths:
    """Bits under a linear predictor with Laplace residual that is fitted to every frame that it is scored on.

    A strong baseline: the predictor's coefficients and the Laplace scale come from the same frame that they code, at no
    cost; a real coder would pay for them, and a model must predict them. All computation is in the signal domain that
    the classes quantise (after gain and pre-emphasis). A sample is predicted from the `order` decoded values before it
    (silence before the first). The coefficients solve the normal equations of the autocorrelation method (Makhoul 1975)
    over a Hann window around the frame. The scale is the maximum-likelihood one, the frame's mean absolute residual.
    The probability of a class is the Laplace mass between its edges; the outermost classes include the tails.

    Args:
        test_codes: classes of each utterance, int [T].
        coding: the coding of the classes; `mu_law` or `linear`.
        order: number of past samples in the prediction.
        frame_length: samples between two fits. window_length: samples on which the coefficients are fitted.
        uniform_share: weight of a uniform distribution over the classes, so that no class has an infinite cost.

    Raises:
        ValueError: no utterance or an empty one, a class outside the coding, or a coding without classes.
    """
    if not 1 <= order < window_length or not 1 <= frame_length <= window_length or not 0 < uniform_share < 1:
        raise ValueError(
            f"expected 1 <= order < window_length >= frame_length >= 1 and 0 < uniform_share < 1, got order={order}, "
            f"frame_length={frame_length}, window_length={window_length}, uniform_share={uniform_share}"
        )
    edges = coding.edges.astype(np.float64)
    _check_codes(test_codes, coding.num_classes, "test_codes")
    lengths = []
    for codes in test_codes:
        signal = coding.levels.astype(np.float64)[codes]
        frame = np.arange(len(codes)) // frame_length
        predictor = _predictors(signal, order, frame_length, window_length)
        past = np.lib.stride_tricks.sliding_window_view(np.pad(signal, (order, 0)), order)[:-1, ::-1]
        predicted = np.einsum("tk,tk->t", past, predictor[frame])
        error = np.bincount(frame, np.abs(signal - predicted)) / np.bincount(frame)
        mass = _laplace_mass(codes, edges, predicted, np.maximum(error, 1e-9)[frame])
        lengths.append(-np.log2((1.0 - uniform_share) * mass + uniform_share / coding.num_classes))
    return _code_lengths(lengths)


def _predictors(
    signal: Float[np.ndarray, " time"], order: int, frame_length: int, window_length: int
) -> Float[np.ndarray, "frame order"]:
    """Coefficients a of x[t] = sum a[k] x[t - 1 - k] for each frame of the signal."""
    num_frames = -(-len(signal) // frame_length)
    before = max(window_length - frame_length, 0) // 2
    needed = (num_frames - 1) * frame_length + window_length
    padded = np.pad(signal, (before, max(needed - before - len(signal), 0)))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window_length)[::frame_length][:num_frames]
    windowed = pieces * np.hanning(window_length)
    size = 2 ** (window_length + order).bit_length()
    correlation = np.fft.irfft(np.abs(np.fft.rfft(windowed, size)) ** 2)[:, : order + 1]
    # White noise at -50 dB keeps the equations solvable in silence and if a band is empty.
    correlation[:, 0] = correlation[:, 0] * (1.0 + 1e-5) + 1e-12
    lags = np.abs(np.arange(order)[:, None] - np.arange(order)[None])
    return np.linalg.solve(correlation[:, lags], correlation[:, 1:, None])[..., 0]


def _laplace_mass(codes: np.ndarray, edges: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Mass of each code's bin under Laplace(mean, scale), without cancellation in the tails."""
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])
    low, high = (bounds[codes] - mean) / scale, (bounds[codes + 1] - mean) / scale
    # A bin below the mean is mirrored, which keeps its mass; then all bins lie above or around the mean.
    mirrored = high < 0
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    above = 0.5 * np.exp(-np.maximum(low, 0.0)) * -np.expm1(-(high - np.maximum(low, 0.0)))
    around = 1.0 - 0.5 * (np.exp(np.minimum(low, 0.0)) + np.exp(-high))
    return np.where(low >= 0, above, around)


def _frequencies(codes: Codes, num_classes: int) -> np.ndarray:
    counts = sum((np.bincount(each, minlength=num_classes) for each in codes), np.zeros(num_classes, np.int64)) + 0.5
    return counts / counts.sum()


def _cells(codes: np.ndarray, before: int, num_classes: int) -> np.ndarray:
    """Index in the flattened (previous class, class) table for each sample."""
    current = codes.astype(np.int64)
    return np.concatenate([[before], current[:-1]]) * num_classes + current


def _code_lengths(bits: Sequence[np.ndarray]) -> CodeLengths:
    means = np.asarray([each.mean() for each in bits], np.float64)
    return CodeLengths(bits=means, num_samples=np.asarray([len(each) for each in bits], np.int64))


def _check_codes(utterances: Codes, num_classes: int, name: str) -> None:
    if not len(utterances):
        raise ValueError(f"{name} holds no utterance; expected at least one int array [T]")
    for index, codes in enumerate(utterances):
        if not codes.size:
            raise ValueError(f"{name}[{index}] is empty; leave such utterances out")
        if codes.min() < 0 or codes.max() >= num_classes:
            raise ValueError(
                f"{name}[{index}] holds classes {codes.min()} to {codes.max()}, expected 0 to {num_classes - 1}: "
                "encode with the coding that num_classes belongs to"
            )
