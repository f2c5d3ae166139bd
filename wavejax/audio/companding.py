"""Companding: how a waveform becomes the values a network predicts, and back.

Encoding is a comparison with thresholds that are computed once in float64 and rounded so that every float32 input falls
on the side it would fall on in exact arithmetic. No logarithm is evaluated per sample, so a code never depends on the
backend.
"""

import functools
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Int, Num, Shaped

from wavejax.audio import filters
from wavejax.audio.signals import as_signal

Convention = Literal["wavejax", "librosa", "r9y9", "torchaudio"]
Kind = Literal["mu_law", "linear", "continuous"]


def mu_law_encode(
    x: Float[ArrayLike, "..."], num_classes: int = 256, convention: Convention = "wavejax"
) -> Int[jax.Array, "..."]:
    """int32 classes in [0, num_classes) of a waveform in [-1, 1] (values outside are clipped), elementwise.

    With N classes, mu = N - 1 and y = sign(x) ln(1 + mu |x|) / ln(1 + mu) (ITU-T G.711; WaveNet, section 2.2):

    - ``wavejax``: round(y N/2) + N // 2, clipped to [0, N - 1]. Zero is class N // 2 and decodes to exactly 0.
    - ``librosa``: ``librosa.mu_compress(x, mu=N - 1, quantize=True) + N // 2``; zero is class N // 2, decoded as in
      ``wavejax``. Edges lie at (2k - mu) / mu, levels at (k - N/2) / (N/2): class 0 holds x = -1 only. N must be even.
    - ``r9y9``: floor((y + 1) / 2 mu). Zero is class (N - 1) // 2 (127 of 256); class N - 1 holds x = 1 only. For even
      N no class decodes to 0, so silence is decoded as a constant -8.6e-5 (N = 256).
    - ``torchaudio``: floor((y + 1) / 2 mu + 1/2), as in torchaudio and fatchord/WaveRNN, decoded as in ``r9y9``. Zero
      is class N // 2, which for even N decodes to 8.6e-5 (N = 256).

    Raises ValueError on fewer than 2 classes, an unknown convention, or NaN (which jit cannot see). jit-safe; the codes
    are the same on every backend.
    """
    _refuse_nan(x)
    thresholds = jnp.asarray(_mu_law_thresholds(num_classes, convention))
    samples = jnp.clip(jnp.asarray(x, jnp.float32), -1.0, 1.0)
    return jnp.searchsorted(thresholds, samples, side="right").astype(jnp.int32)


def mu_law_decode(
    codes: Int[ArrayLike, "..."], num_classes: int = 256, convention: Convention = "wavejax"
) -> Float[jax.Array, "..."]:
    """float32 waveform values of mu-law classes, elementwise: x = sign(y) ((1 + mu)^|y| - 1) / mu.

    y is (code - N // 2) / (N / 2) for ``wavejax`` and ``librosa``, and 2 code / mu - 1 for ``r9y9`` (the lower edge of
    the bin) and ``torchaudio`` (its middle). Values are read from a table computed in float64; codes outside
    [0, num_classes) are clipped. Encoding the result gives the same code (``librosa`` with thousands of classes: to
    within one, because levels nearly touch edges).
    """
    return _look_up(_mu_law_levels(num_classes, convention), codes)


def quantize(x: Float[ArrayLike, "..."], num_classes: int) -> Int[jax.Array, "..."]:
    """int32 classes of a waveform in [-1, 1], evenly spaced: round(x N/2) + N // 2, clipped to [0, N - 1].

    Zero is class N // 2. With N = 65536 a 16-bit file's samples are exactly its classes minus 32768. Raises ValueError
    on fewer than 2 classes, or on NaN (which jit cannot see).
    """
    _check_num_classes(num_classes)
    _refuse_nan(x)
    samples = jnp.clip(jnp.asarray(x, jnp.float32), -1.0, 1.0)
    codes = jnp.round(samples * jnp.float32(num_classes / 2)).astype(jnp.int32) + jnp.int32(num_classes // 2)
    return jnp.clip(codes, 0, num_classes - 1)


def dequantize(codes: Int[ArrayLike, "..."], num_classes: int) -> Float[jax.Array, "..."]:
    """float32 values (code - N // 2) / (N / 2) of evenly spaced classes, in [-1, 1); codes outside are clipped."""
    _check_num_classes(num_classes)
    return _look_up(_scalars(num_classes, "wavejax"), codes)


@dataclass(frozen=True, kw_only=True)
class SampleCoding:
    """How a waveform becomes the values a network predicts: gain, then pre-emphasis, then companding, then clipping.

    kind: ``mu_law`` and ``linear`` give int32 classes, ``continuous`` gives float32 in [-1, 1].
    num_classes: number of classes; for ``continuous`` the number of bins that a density is integrated over.
    pre_emphasis: coefficient a of y[t] = x[t] - a x[t-1], in [0, 1); the sample before the first counts as 0.
    gain: multiplies the waveform before pre-emphasis and is undone at the end (r9y9 uses 0.55 with a = 0.85, which
        keeps the pre-emphasised signal, at most gain (1 + a), close to [-1, 1]; larger values are clipped).
    convention: rounding of mu-law classes, see `mu_law_encode`.
    """

    kind: Kind = "mu_law"
    num_classes: int = 256
    pre_emphasis: float = 0.0
    gain: float = 1.0
    convention: Convention = "wavejax"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is {self.kind!r}; expected one of {', '.join(get_args(Kind))}.")
        _check_num_classes(self.num_classes)
        _check_convention(self.convention, self.num_classes)
        if self.kind != "mu_law" and self.convention != "wavejax":
            raise ValueError(
                f"convention {self.convention!r} is about mu-law classes; kind={self.kind!r} takes 'wavejax'."
            )
        if not 0.0 <= self.pre_emphasis < 1.0:
            raise ValueError(f"pre_emphasis is {self.pre_emphasis}; expected 0 <= pre_emphasis < 1 (0.85 is usual).")
        if not 0.0 < self.gain < float("inf"):
            raise ValueError(f"gain is {self.gain}; expected a positive number (1 leaves the level as it is).")

    @property
    def is_discrete(self) -> bool:
        """True when values are int32 classes."""
        return self.kind != "continuous"

    @property
    def silence(self) -> int | float:
        """The value that digital silence is encoded as: the class of zero (an int), or 0.0 for ``continuous``."""
        if self.kind == "continuous":
            return 0.0
        return (self.num_classes - 1) // 2 if self.convention == "r9y9" else self.num_classes // 2

    @property
    def levels(self) -> np.ndarray:
        """Signal value of every class, float32 [num_classes], read-only: what `decode_values` looks up."""
        if self.kind == "mu_law":
            return _mu_law_levels(self.num_classes, self.convention)
        return _scalars(self.num_classes, "wavejax")

    @property
    def edges(self) -> np.ndarray:
        """Signal values between the classes, float32 [num_classes - 1], ascending, read-only.

        The class of a signal value x in [-1, 1] is the number of edges <= x (``linear``: an x exactly on an edge may
        round down). Raises ValueError for ``continuous``, which has no classes.
        """
        if self.kind == "mu_law":
            return _mu_law_thresholds(self.num_classes, self.convention)
        if self.kind == "linear":
            return _linear_edges(self.num_classes)
        raise ValueError("a 'continuous' coding has no classes and so no edges; use kind='mu_law' or 'linear'.")

    @property
    def scalars(self) -> np.ndarray:
        """Companded scalar of every class, float32 [num_classes] in [-1, 1], read-only: what `to_scalar` looks up."""
        return _scalars(self.num_classes, self.convention)

    def encode(self, waveform: Num[ArrayLike, "*batch time"]) -> Shaped[jax.Array, "*batch time"]:
        """Values of a waveform preceded by silence: int32 classes, or float32 in [-1, 1] for ``continuous``.

        Pre-emphasis is a multiplication and an addition, which a compiler may fuse into one rounding: at the very edge
        of a bin the class may then be its neighbour. Without pre-emphasis classes are the same everywhere.

        int16 counts as x / 32768. Raises ValueError on another dtype, or (in the host's memory) far beyond [-1, 1].
        """
        _refuse_nan(waveform)
        signal = as_signal(waveform) * jnp.float32(self.gain)
        if self.pre_emphasis:
            signal = filters.pre_emphasis(signal, self.pre_emphasis)
        if self.kind == "mu_law":
            return mu_law_encode(signal, self.num_classes, self.convention)
        if self.kind == "linear":
            return quantize(signal, self.num_classes)
        return jnp.clip(signal, -1.0, 1.0)

    def decode_values(self, values: Shaped[ArrayLike, "..."]) -> Float[jax.Array, "..."]:
        """float32 signal of each value, elementwise: companding is undone, pre-emphasis and gain are not."""
        return _look_up(self.levels, values) if self.is_discrete else jnp.asarray(values, jnp.float32)

    def to_scalar(self, values: Shaped[ArrayLike, "..."]) -> Float[jax.Array, "..."]:
        """float32 in [-1, 1] of each value, elementwise: the (still companded) input of a network with scalar input."""
        return _look_up(self.scalars, values) if self.is_discrete else jnp.asarray(values, jnp.float32)

    def de_emphasize(
        self, signal: Float[jax.Array, "*batch"], memory: Float[jax.Array, "*batch"]
    ) -> tuple[Float[jax.Array, "*batch"], Float[jax.Array, "*batch"]]:
        """One step of de-emphasis: (waveform sample, new memory) from one decoded signal sample and the memory.

        ``memory`` is the previous de-emphasised sample before the gain was undone; it starts at 0.
        """
        emphasis_free = signal + jnp.float32(self.pre_emphasis) * memory if self.pre_emphasis else signal
        return self._undo_gain(emphasis_free), emphasis_free

    def decode(self, values: Shaped[ArrayLike, "*batch time"]) -> Float[jax.Array, "*batch time"]:
        """float32 waveform of a whole sequence of values after silence: `decode_values`, de-emphasis, gain undone."""
        signal = self.decode_values(values)
        if self.pre_emphasis:
            signal = filters.de_emphasis(signal, self.pre_emphasis)
        return self._undo_gain(signal)

    def _undo_gain(self, signal: jax.Array) -> jax.Array:
        return signal if self.gain == 1.0 else signal / jnp.float32(self.gain)


def _refuse_nan(samples: ArrayLike) -> None:
    """Raises ValueError if a sample is NaN, for which there is no class. Under jit nothing is checked."""
    if isinstance(samples, jax.Array) and (isinstance(samples, jax.core.Tracer) or not samples.is_fully_addressable):
        return
    wrong = np.isnan(np.asarray(samples, np.float32))
    if wrong.any():
        raise ValueError(
            f"{int(wrong.sum())} of {wrong.size} samples to encode are not a number (NaN), the first at index "
            f"{int(np.flatnonzero(wrong)[0])}: check the waveform"
        )


def _look_up(table: np.ndarray, codes: Shaped[ArrayLike, "..."]) -> jax.Array:
    return jnp.take(jnp.asarray(table), jnp.asarray(codes), mode="clip")


@functools.lru_cache(maxsize=32)
def _mu_law_thresholds(num_classes: int, convention: Convention) -> np.ndarray:
    """float32 [N - 1], ascending: the class of x is the number of thresholds that are <= x."""
    _check_num_classes(num_classes)
    _check_convention(convention, num_classes)
    mu = num_classes - 1
    if convention == "wavejax":
        companded = (np.arange(1, num_classes) - 0.5 - num_classes // 2) / (num_classes / 2)
    elif convention == "r9y9":
        companded = 2.0 * np.arange(1, num_classes) / mu - 1.0
    elif convention == "torchaudio":
        companded = (2.0 * np.arange(1, num_classes) - 1.0) / mu - 1.0
    else:
        companded = 2.0 * np.arange(0, num_classes - 1) / mu - 1.0
    exact = _expand(companded, mu)
    above = exact.astype(np.float32)
    # librosa puts an input on an edge into the lower class, the others into the upper one.
    low = above <= exact if convention == "librosa" else above < exact
    return _frozen(np.where(low, np.nextafter(above, np.float32(np.inf)), above))


@functools.lru_cache(maxsize=32)
def _mu_law_levels(num_classes: int, convention: Convention) -> np.ndarray:
    _check_num_classes(num_classes)
    _check_convention(convention, num_classes)
    levels = _expand(_scalars64(num_classes, convention), num_classes - 1).astype(np.float32)
    if convention == "r9y9":
        # A level on the edge of its bin must not be rounded out of it.
        levels[1:] = _mu_law_thresholds(num_classes, convention)
    return _frozen(levels)


@functools.lru_cache(maxsize=32)
def _linear_edges(num_classes: int) -> np.ndarray:
    edges = (np.arange(1, num_classes) - 0.5 - num_classes // 2) / (num_classes / 2)
    return _frozen(edges.astype(np.float32))


@functools.lru_cache(maxsize=32)
def _scalars(num_classes: int, convention: Convention) -> np.ndarray:
    return _frozen(_scalars64(num_classes, convention).astype(np.float32))


def _scalars64(num_classes: int, convention: Convention) -> np.ndarray:
    codes = np.arange(num_classes, dtype=np.float64)
    if convention in ("r9y9", "torchaudio"):
        return 2.0 * codes / (num_classes - 1) - 1.0
    return (codes - num_classes // 2) / (num_classes / 2)


def _expand(companded: np.ndarray, mu: int) -> np.ndarray:
    return np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _check_num_classes(num_classes: int) -> None:
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; expected at least 2 (256 is usual, 65536 is 16 bits).")


def _check_convention(convention: str, num_classes: int) -> None:
    if convention not in get_args(Convention):
        raise ValueError(f"convention is {convention!r}; expected one of {', '.join(get_args(Convention))}.")
    if convention == "librosa" and num_classes % 2:
        raise ValueError(
            f"convention 'librosa' needs an even num_classes, got {num_classes}; use 'wavejax' for odd ones."
        )
