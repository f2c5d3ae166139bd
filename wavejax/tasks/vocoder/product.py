"""A trained vocoder: three lines from installation to sound."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, SupportsIndex

import numpy as np
from jaxtyping import Float, Num

from wavejax.audio.conversion import convert_features, orient_features
from wavejax.audio.feature_range import check_range
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.orientation import Axes
from wavejax.experiments.autoregressive.product import SampleModel
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.sound import SoundModel
from wavejax.generation import ConditioningError, ParallelStreamer, Seam, Streamer, generate_folded, streamer_of
from wavejax.tasks.vocoder.config import VocoderConfig
from wavejax.types import AnyArray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Vocoder(SoundModel[Any]):
    """A model, its parameters and the features it was trained on, whether it works sample by sample or in parallel.

    `vocoder(mel)` turns features [F, n_mels] into a waveform [F * hop_length]; `vocoder.mel(waveform)` makes them.
    """

    kind: ClassVar[str] = "vocoder"

    @property
    def spec(self) -> FeatureSpec:
        """The features it reads."""
        spec: FeatureSpec = self.config.spec
        return spec

    def mel(self, waveform: Num[AnyArray, "time"]) -> np.ndarray:
        """Features [F, n_mels] of a waveform at `spec.sample_rate`: floating point in [-1, 1], or int16."""
        return log_mel_numpy(np.asarray(waveform), self.spec)

    def __call__(
        self,
        mel: Float[AnyArray, "frames channels"],
        *,
        seed: SupportsIndex = 0,
        speaker: str | SupportsIndex | None = None,
        spec: FeatureSpec | None = None,
        allow_lossy: bool = False,
        axes: Axes | None = None,
        **options: Any,
    ) -> np.ndarray:
        """The waveform [T] of features [F, n_mels] (or [n_mels, F]).

        Args:
            mel: features; of another `spec` they are converted where that is exact, or refused.
            seed: of the noise.
            speaker: name or id, for a model of several speakers.
            spec: what the features are, if not `vocoder.spec`.
            allow_lossy: convert even where something is lost.
            axes: which axis of `mel` comes first; needed only of a square array that wavejax did not make.
            options: of `wavejax.generate`: temperature (default: `config.temperature`), num_samples, dtype, ...

        Raises:
            SpecMismatch: features of a spec that cannot be converted.
            OutOfRange: features that no recording can have, such as linear mel values.
            ConditioningError, ExperimentError: features or speaker that do not fit.
        """
        conditioning = self.conditioning(mel, speaker=speaker, spec=spec, allow_lossy=allow_lossy, axes=axes)
        return self.generate(seed=seed, **conditioning, **options)[0]

    def conditioning(
        self,
        mel: AnyArray | None,
        *,
        speaker: str | SupportsIndex | None = None,
        spec: FeatureSpec | None = None,
        allow_lossy: bool = False,
        axes: Axes | None = None,
    ) -> dict[str, Any]:
        """Arguments of `wavejax.generate` for one utterance."""
        out = self.speaker_conditioning(speaker)
        if mel is None:
            raise ExperimentError(
                f"{self.config.name} needs features of the spec {self.spec.name}, [F, {self.spec.n_mels}]"
            )
        given = spec or self.spec
        oriented = orient_features(mel, given, axes)
        check_range(oriented, given)
        if given != self.spec:
            oriented = convert_features(oriented, given, self.spec, allow_lossy=allow_lossy)
        return {**out, "local_conditioning": np.asarray(oriented, np.float32)[None]}

    def stream(
        self,
        frames: AnyArray | Iterable[AnyArray],
        *,
        seed: SupportsIndex = 0,
        speaker: str | SupportsIndex | None = None,
        **options: Any,
    ) -> Iterator[np.ndarray]:
        """Yield the waveform in blocks [n] while frames arrive: [F, n_mels], or an iterator of such pieces or of single
        frames [n_mels].

        Raises ConditioningError where a piece is neither, OutOfRange where no recording can have such features.
        """
        given: Any = frames
        local = self._piece(given) if hasattr(given, "shape") else map(self._piece, given)
        conditioning = {"local_conditioning": local, **self.speaker_conditioning(speaker)}
        return self.blocks(conditioning, seed=seed, **options)

    def _piece(self, frames: AnyArray) -> Float[np.ndarray, "1 frames channels"]:
        """One or several frames as `wavejax.stream` takes them."""
        piece = np.asarray(frames, np.float32)
        piece = piece[None] if piece.ndim == 1 else piece
        if piece.ndim != 2 or piece.shape[1] != self.spec.n_mels:
            raise ConditioningError(
                f"stream takes frames [F, {self.spec.n_mels}] or single ones [{self.spec.n_mels}], got the shape "
                f"{np.shape(frames)}"
            )
        check_range(piece, self.spec)
        return piece[None]

    def streamer(
        self, *, seed: SupportsIndex = 0, speaker: str | SupportsIndex | None = None, **options: Any
    ) -> Streamer | ParallelStreamer:
        """A streamer of one stream, for frames pushed by hand."""
        given = {**self.speaker_conditioning(speaker), **self.with_temperature(options)}
        return streamer_of(self.model)(self.model, self.params, seed=seed, **given)

    def folded(self, conditioning: dict[str, Any], **options: Any) -> tuple[np.ndarray, tuple[Seam, ...]]:
        """`wavejax.generation.generate_folded` of one utterance: the waveform [T] and its seams."""
        waveform, seams = generate_folded(self.model, self.params, **conditioning, **self.with_temperature(options))
        return waveform[0], seams


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SampleVocoder(Vocoder, SampleModel[VocoderConfig]):
    """A vocoder whose model predicts the next sample; what it costs a recording in bits can be asked."""
