"""Feature specifications: one frozen value with every setting between a waveform and a log-mel spectrogram.

No jax here, so worker processes can use it.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from wavejax.audio import filterbanks
from wavejax.audio.filterbanks import MelNorm, MelScale, Window

Padding = Literal["centre", "same", "full", "none"]
PadMode = Literal["reflect", "zero"]
LogBase = Literal["e", "10", "db20"]

# Factor from the natural logarithm to each log base.
LOG_FACTORS: Mapping[str, float] = {"e": 1.0, "10": 1.0 / math.log(10.0), "db20": 20.0 / math.log(10.0)}


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """A complete description of log-mel features. Two equal specs give equal numbers for equal audio.

    The stages: waveform -> high-pass -> pre-emphasis -> padding -> frames x window -> FFT -> magnitude ** power -> mel
    bands -> max(., floor) -> logarithm -> scale and offset -> clip.

    name: the spec's name; it is ignored when specs are compared.
    sample_rate: Hz. n_fft, win_length, hop_length: samples; the window lies in the middle of the n_fft samples.
    window: ``hann`` periodic, or ``sqrt_hann`` as `sqrt_hann_window`.
    padding: ``centre`` n_fft // 2 samples each side (1 + T // hop frames); ``same`` n_fft - hop in total, split evenly
        (T // hop frames); ``full`` n_fft - hop on each side (the first and last frame hold one hop of signal);
        ``none``.
    pad_mode: ``reflect`` (edge sample not repeated) or ``zero``.
    n_mels, f_min, f_max (Hz; None: half the sample rate), mel_scale, mel_norm: see `mel_filterbank`.
    power: 1 magnitude, 2 power. magnitude_epsilon: magnitude is sqrt(re^2 + im^2 + epsilon).
    log_base: ``e`` ln, ``10`` log10, ``db20`` 20 log10. floor: smallest mel value, applied before the logarithm.
    scale, offset: feature = scale * log + offset; a number, or one per band (z-score: see `with_statistics`).
    clip: (low, high) limits of the finished feature, or None.
    pre_emphasis: coefficient applied to the waveform before analysis. high_pass: cutoff in Hz (0: off), see
        `high_pass`.

    Raises ValueError at construction on any impossible combination.
    """

    name: str = dataclasses.field(compare=False)
    sample_rate: int
    n_fft: int
    win_length: int
    hop_length: int
    window: Window = "hann"
    padding: Padding = "centre"
    pad_mode: PadMode = "reflect"
    n_mels: int = 80
    f_min: float = 0.0
    f_max: float | None = None
    mel_scale: MelScale = "slaney"
    mel_norm: MelNorm = "slaney"
    power: Literal[1, 2] = 1
    magnitude_epsilon: float = 0.0
    log_base: LogBase = "e"
    floor: float = 1e-5
    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0
    clip: tuple[float, float] | None = None
    pre_emphasis: float = 0.0
    high_pass: float = 0.0

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_sizes()
        self._check_normalisation()

    def _check_choices(self) -> None:
        choices = {"window": Window, "padding": Padding, "pad_mode": PadMode, "log_base": LogBase}
        choices |= {"mel_scale": MelScale, "mel_norm": MelNorm, "power": Literal[1, 2]}
        for field, allowed in choices.items():
            if getattr(self, field) not in get_args(allowed):
                expected = ", ".join(repr(choice) for choice in get_args(allowed))
                raise ValueError(
                    f"{field} of spec {self.name!r} is {getattr(self, field)!r}; expected one of {expected}."
                )

    def _check_sizes(self) -> None:
        for field in ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{field} of spec {self.name!r} is {value!r}; expected a positive integer.")
        if self.win_length > self.n_fft:
            raise ValueError(
                f"win_length {self.win_length} exceeds n_fft {self.n_fft} in spec {self.name!r}; raise n_fft."
            )
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"hop_length {self.hop_length} exceeds n_fft {self.n_fft} in spec {self.name!r}: audio is lost."
            )
        highest = self.sample_rate / 2 if self.f_max is None else self.f_max
        if not 0 <= self.f_min < highest <= self.sample_rate / 2:
            raise ValueError(
                f"mel bands of spec {self.name!r} run from {self.f_min} to {highest} Hz; expected 0 <= f_min < f_max "
                f"<= {self.sample_rate / 2} Hz (half the sample rate)."
            )
        if not 0 <= self.high_pass < self.sample_rate / 2:
            raise ValueError(
                f"high_pass of spec {self.name!r} is {self.high_pass} Hz; expected 0 (off) to half the rate."
            )
        if not 0 <= self.pre_emphasis < 1:
            raise ValueError(
                f"pre_emphasis of spec {self.name!r} is {self.pre_emphasis}; expected at least 0 and below 1."
            )

    def _check_normalisation(self) -> None:
        if not (math.isfinite(self.floor) and self.floor > 0):
            raise ValueError(
                f"floor of spec {self.name!r} is {self.floor}; expected a positive number (1e-5 is usual)."
            )
        if not (math.isfinite(self.magnitude_epsilon) and self.magnitude_epsilon >= 0):
            raise ValueError(
                f"magnitude_epsilon of spec {self.name!r} is {self.magnitude_epsilon}; expected 0 or more."
            )
        for field in ("scale", "offset"):
            value = getattr(self, field)
            if isinstance(value, tuple) and len(value) != self.n_mels:
                raise ValueError(f"{field} of spec {self.name!r} has {len(value)} values for {self.n_mels} mel bands.")
            if not np.all(np.isfinite(np.asarray(value, np.float64))):
                raise ValueError(f"{field} of spec {self.name!r} holds a value that is not finite.")
        if np.any(np.asarray(self.scale, np.float64) <= 0):
            raise ValueError(f"scale of spec {self.name!r} must be positive in every band, got {np.min(self.scale)}.")
        if self.clip is not None and not (len(self.clip) == 2 and self.clip[0] < self.clip[1]):
            raise ValueError(
                f"clip of spec {self.name!r} is {self.clip}; expected (low, high) with low < high, or None."
            )

    @property
    def num_channels(self) -> int:
        """Channels of a frame: its mel bands."""
        return self.n_mels

    @property
    def pad_left(self) -> int:
        """Samples of padding before the waveform."""
        slack = self.n_fft - self.hop_length
        return {"centre": self.n_fft // 2, "same": slack // 2, "full": slack, "none": 0}[self.padding]

    @property
    def frame_centre(self) -> int:
        """The sample on which frame 0 is centred; frame f is centred on frame_centre + f * hop_length. May be negative.

        The window is symmetric about this sample (to within half a sample for an odd win_length or ``sqrt_hann``).
        """
        return (self.n_fft - self.win_length) // 2 + self.win_length // 2 - self.pad_left

    @property
    def frame_window(self) -> np.ndarray:
        """The window that multiplies a frame, zeros included, float64 [n_fft], read-only."""
        return filterbanks.frame_window(self.n_fft, self.win_length, self.hop_length, self.window)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def silence(self) -> np.ndarray:
        """Feature of a frame of digital silence, float32 [n_mels]."""
        magnitude = np.full(self.n_fft // 2 + 1, math.sqrt(self.magnitude_epsilon) ** self.power)
        return self.compress(magnitude @ self.filterbank.astype(np.float64)).astype(np.float32)

    @property
    def filterbank(self) -> np.ndarray:
        """Mel filters, float32 [n_fft // 2 + 1, n_mels], read-only."""
        return filterbanks.mel_filterbank(
            self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.f_max, self.mel_scale, self.mel_norm
        )

    def num_frames(self, num_samples: int) -> int:
        """Number of frames of a waveform of num_samples samples; 0 if it is too short for one."""
        if num_samples < 1:
            return 0
        if self.padding == "same":
            return num_samples // self.hop_length
        if self.padding == "full":
            # One frame for every hop that holds signal, plus the frames that overlap the last hop.
            hops = -(-num_samples // self.hop_length)
            return hops + -(-self.n_fft // self.hop_length) - 1
        return max(0, 1 + (num_samples + 2 * self.pad_left - self.n_fft) // self.hop_length)

    def pad_right(self, num_samples: int) -> int:
        """Samples of padding after a waveform of num_samples samples; they complete the last frame (never negative)."""
        if self.padding == "same":
            return self.n_fft - self.hop_length - self.pad_left
        if self.padding == "full":
            frames = self.num_frames(num_samples)
            return max(0, (frames - 1) * self.hop_length + self.n_fft - self.pad_left - num_samples)
        return self.pad_left

    def compress(self, mel: np.ndarray) -> np.ndarray:
        """Finished features, float64 [..., n_mels], of linear mel values: floor, logarithm, scale, offset, clip."""
        log = np.log(np.maximum(np.asarray(mel, np.float64), self.floor)) * LOG_FACTORS[self.log_base]
        features = log * np.asarray(self.scale) + np.asarray(self.offset)
        return features if self.clip is None else np.clip(features, *self.clip)

    def expand(self, features: np.ndarray) -> np.ndarray:
        """Linear mel values, float64 [..., n_mels], of finished features: the inverse of `compress` in its range."""
        log = (np.asarray(features, np.float64) - np.asarray(self.offset)) / np.asarray(self.scale)
        return np.exp(log / LOG_FACTORS[self.log_base])

    def sounds_as(self, other: "FeatureSpec") -> bool:
        """Whether made frames mean the same sound under both specs, up to half a frame sooner or later.

        Padding says only which samples of a recording a frame is of, and `magnitude_epsilon` what silence measures:
        frames that a model makes have neither.
        """
        plain = {"padding": "same", "pad_mode": "reflect", "magnitude_epsilon": 0.0}
        return dataclasses.replace(self, **plain) == dataclasses.replace(other, **plain)  # type: ignore[arg-type]

    def with_statistics(
        self,
        mean: Sequence[float] | np.ndarray,
        standard_deviation: Sequence[float] | np.ndarray,
        name: str | None = None,
    ) -> "FeatureSpec":
        """The same spec with features z-scored per band: (feature - mean) / standard_deviation, each [n_mels]."""
        if self.clip is not None:
            raise ValueError(
                f"spec {self.name!r} clips its features; z-scores belong before clipping. Remove clip first."
            )
        centre, spread = np.asarray(mean, np.float64), np.asarray(standard_deviation, np.float64)
        if centre.shape != (self.n_mels,) or spread.shape != (self.n_mels,):
            raise ValueError(
                f"statistics have shapes {centre.shape} and {spread.shape}; spec {self.name!r} needs ({self.n_mels},) "
                "each."
            )
        if not np.all(spread > 0):
            raise ValueError(
                "standard_deviation holds a value that is not positive; drop constant bands or add a floor."
            )
        scale = np.broadcast_to(np.asarray(self.scale, np.float64) / spread, (self.n_mels,))
        offset = np.broadcast_to((np.asarray(self.offset, np.float64) - centre) / spread, (self.n_mels,))
        return dataclasses.replace(
            self, name=name or f"{self.name}-normalised", scale=tuple(scale.tolist()), offset=tuple(offset.tolist())
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values (tuples as lists)."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "FeatureSpec":
        """The spec that `to_dict` described. Raises ValueError naming unknown or missing keys."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise ValueError(f"feature spec has unknown keys: {', '.join(unknown)}; known are {', '.join(known)}.")
        missing = [n for n, f in known.items() if f.default is dataclasses.MISSING and n not in fields]
        if missing:
            raise ValueError(f"feature spec lacks keys: {', '.join(missing)}.")
        values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
        return cls(**values)


def check_length(num_samples: int, spec: FeatureSpec) -> None:
    """Raises ValueError when a waveform of num_samples samples is too short for one frame of ``spec``."""
    if spec.num_frames(num_samples) < 1:
        needed = next(n for n in range(1, spec.n_fft + 1) if spec.num_frames(n))
        raise ValueError(
            f"a waveform of {num_samples} samples has no frame of spec {spec.name!r}; it needs at least {needed} "
            f"samples ({needed / spec.sample_rate * 1000:.1f} ms). Skip it or pad it."
        )
