"""A trained vocoder in the hand: three lines from installation to sound."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import wavejax
from wavejax.audio.conversion import convert_features, orient_features
from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.host_features import log_mel_numpy
from wavejax.audio.notes import NoteSpec
from wavejax.checkpoints import fetched, load_any
from wavejax.generation import Streamer, generate, stream
from wavejax.models.wavenet import WaveNet
from wavejax.nn.parameters import count_parameters, initial_params
from wavejax.tasks.serialization import ConfigError, from_json, to_json
from wavejax.tasks.vocoder_config import VocoderConfig
from wavejax.types import AnyArray, Params

VOICES = Path(__file__).parent.parent / "voices"
"""Parameters that ship with the package, one folder each."""


class VocoderError(ValueError):
    """A vocoder that cannot be loaded or asked this way."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocoder:
    """A model, its parameters and the features it was trained on.

    `vocoder(mel)` turns features [F, n_mels] into a waveform [F * hop_length]; `vocoder.mel(waveform)` makes them.
    """

    config: VocoderConfig
    params: Params
    speakers: tuple[str, ...] = ()
    step: int | None = None
    source: str = ""

    @property
    def model(self) -> WaveNet:
        """The linen module."""
        return WaveNet(self.config.model)

    @property
    def spec(self) -> FeatureSpec:
        """The features it reads. Raises VocoderError for an instrument, which reads none."""
        if isinstance(self.config.spec, NoteSpec):
            raise VocoderError(
                f"{self.config.name} is an instrument: it reads notes ({self.config.spec.name}), not log-mel features; "
                "use `wavejax play`, or wavejax.tasks.playing.play"
            )
        return self.config.spec

    @property
    def note_spec(self) -> NoteSpec:
        """The notes it reads. Raises VocoderError for a vocoder, which reads features."""
        if isinstance(self.config.spec, FeatureSpec):
            reads = f"log-mel features ({self.config.spec.name})" if self.config.command == "vocode" else "no features"
            raise VocoderError(
                f"{self.config.name} is no instrument: it reads {reads}, not notes; use `wavejax {self.config.command}`"
            )
        return self.config.spec

    def mel(self, waveform: Float[AnyArray, "time"]) -> np.ndarray:
        """Features [F, n_mels] of a waveform at `spec.sample_rate`."""
        return log_mel_numpy(np.asarray(waveform, np.float32), self.spec)

    def __call__(
        self,
        mel: Float[AnyArray, "frames channels"] | None = None,
        *,
        seed: int = 0,
        speaker: str | int | None = None,
        spec: FeatureSpec | None = None,
        allow_lossy: bool = False,
        **options: Any,
    ) -> np.ndarray:
        """The waveform [T] of features [F, n_mels] (or [n_mels, F]).

        Args:
            mel: features; of another `spec` they are converted where that is exact, or refused. Of an instrument, the
                frames of a note; where it has strings, what comes is what strikes them: `note_spec.ring` makes it
                sound, and `wavejax.tasks.playing.play` does all of it.
            seed: of the noise.
            speaker: name or id, for a model of several speakers.
            spec: what the features are, if not `vocoder.spec`.
            allow_lossy: convert even where something is lost.
            options: of `wavejax.generate`: temperature (default: `config.temperature`), num_samples, dtype, ...

        Raises:
            SpecMismatch: features of a spec that cannot be converted.
            ConditioningError, VocoderError: features or speaker that do not fit.
        """
        conditioning = self.conditioning(mel, speaker=speaker, spec=spec, allow_lossy=allow_lossy)
        return generate(self.model, self.params, seed=seed, **conditioning, **self._drawn(options))[0]

    def conditioning(
        self,
        mel: AnyArray | None,
        *,
        speaker: str | int | None = None,
        spec: FeatureSpec | None = None,
        allow_lossy: bool = False,
    ) -> dict[str, Any]:
        """Arguments of `generate` for one utterance."""
        out = self._speaker(speaker)
        if self.config.model.frame_network is None:
            if mel is not None:
                raise VocoderError(f"{self.config.name} is not conditioned on features, but a mel was given")
            return out
        if isinstance(self.config.spec, NoteSpec):
            return {**out, "local_conditioning": self._note_frames(mel, spec)[None]}
        if mel is None:
            raise VocoderError(
                f"{self.config.name} needs features of the spec {self.spec.name}, [F, {self.spec.n_mels}]"
            )
        given = spec or self.spec
        oriented = orient_features(np.asarray(mel, np.float32), given)
        if given != self.spec:
            oriented = convert_features(oriented, given, self.spec, allow_lossy=allow_lossy)
        return {**out, "local_conditioning": np.asarray(oriented, np.float32)[None]}

    def stream(
        self, frames: AnyArray | Iterable[AnyArray], *, seed: int = 0, speaker: str | int | None = None, **options: Any
    ) -> Iterator[np.ndarray]:
        """Yield the waveform in blocks [n] while frames ([F, n_mels], or an iterator of such pieces) arrive."""
        if hasattr(frames, "shape"):
            local: Any = np.asarray(frames, np.float32)[None]
        else:
            local = (np.asarray(piece, np.float32)[None] for piece in frames)
        given = {"local_conditioning": local, **self._speaker(speaker), **self._drawn(options)}
        for block in stream(self.model, self.params, seed=seed, **given):
            yield block[0]

    def streamer(self, *, seed: int = 0, speaker: str | int | None = None, **options: Any) -> Streamer:
        """A `Streamer` of one stream, for frames pushed by hand."""
        return Streamer(self.model, self.params, seed=seed, **self._speaker(speaker), **self._drawn(options))

    def _drawn(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"temperature": self.config.temperature, **options}

    def _note_frames(self, frames: AnyArray | None, spec: FeatureSpec | None) -> np.ndarray:
        try:
            if frames is None or spec is not None:
                raise ValueError(
                    "nothing was given" if spec is None else f"features of the spec {spec.name} were given"
                )
            return self.note_spec.check(np.asarray(frames))
        except ValueError as error:
            raise VocoderError(
                f"{self.config.name} is an instrument: it reads the frames that note_spec.frames makes of a note, but "
                f"{error}"
            ) from None

    def _speaker(self, speaker: str | int | None) -> dict[str, Any]:
        count = self.config.model.num_speakers
        if not count:
            if speaker is not None:
                raise VocoderError(f"{self.config.name} knows no speakers, but speaker={speaker!r} was given")
            return {}
        known = ", ".join(f"{i}: {name}" for i, name in enumerate(self.speakers)) or f"0 to {count - 1}"
        if speaker is None:
            raise VocoderError(f"{self.config.name} speaks with several voices: give speaker, one of {known}")
        index = self.speakers.index(speaker) if speaker in self.speakers else speaker
        if isinstance(index, str) and index.isdigit():
            index = int(index)
        if not isinstance(index, int) or not 0 <= index < count:
            raise VocoderError(f"unknown speaker {speaker!r}; this model knows {known}")
        return {"global_conditioning": np.asarray([index], np.int32)}


def metadata(config: VocoderConfig, speakers: Iterable[str] = ()) -> dict[str, Any]:
    """What a checkpoint or an exported folder says of itself (contract 6)."""
    return {
        "task": "vocoder",
        "wavejax": wavejax.__version__,
        "config": to_json(config),
        "speakers": list(speakers),
    }


def read_metadata(meta: Mapping[str, Any], where: str) -> tuple[VocoderConfig, tuple[str, ...]]:
    """The inverse of `metadata`.

    Raises:
        VocoderError: not a vocoder, or its configuration is not one this version understands.
    """
    if meta.get("task") != "vocoder":
        raise VocoderError(f"{where} holds {meta.get('task')!r}, not a vocoder")
    try:
        return from_json(VocoderConfig, meta["config"]), tuple(meta.get("speakers", ()))
    except (ConfigError, KeyError) as error:
        raise VocoderError(
            f"{where} was written by wavejax {meta.get('wavejax')} and this is {wavejax.__version__}: {error}"
        ) from None


def load(path: str | Path, step: int | None = None) -> Vocoder:
    """A vocoder from a training folder, an exported folder, or the name of a voice that ships with the package.

    Args:
        path: the folder, its URL (gs://bucket/run), or a name from `voices()`.
        step: of a training folder, a particular step; default the newest sound one.

    Raises:
        VocoderError: nothing there, or something else; CheckpointError: damaged.
    """
    folder = fetched(path, step)
    if not folder.exists():
        if str(path) not in voices():
            names = ", ".join(voices()) or "none are installed"
            raise VocoderError(f"there is no folder {path}, and no shipped voice of that name ({names})")
        folder = VOICES / str(path)
    if (folder / "checkpoints").is_dir():
        folder = folder / "checkpoints"
    loaded = load_any(folder, step)
    config, speakers = read_metadata(loaded.meta, str(folder))
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), loaded.params)
    check_params(config, params, str(folder))
    return Vocoder(config=config, params=params, speakers=speakers, step=loaded.step, source=str(path))


def check_params(config: VocoderConfig, params: Params, where: str) -> None:
    """Refuse parameters that are not this model's: the message names the leaves."""
    expected = _shapes(jax.eval_shape(lambda: initial_params(WaveNet(config.model), jax.random.key(0))))
    given = _shapes(params)
    wrong = [
        f"{name}: expected {expected.get(name, 'nothing')}, got {given.get(name, 'nothing')}"
        for name in sorted(expected.keys() | given.keys())
        if expected.get(name) != given.get(name)
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise VocoderError(f"{where} does not hold the model it describes: {'; '.join(wrong[:5])}{more}")


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(key.key) for key in path): tuple(leaf.shape) for path, leaf in leaves}


def voices() -> tuple[str, ...]:
    """Names of the voices that ship with the package."""
    return tuple(sorted(folder.name for folder in VOICES.glob("*/") if (folder / "config.json").exists()))


def make_loss(config: VocoderConfig) -> Any:
    """The training loss, bits per scored sample: a `LossFn` over batches of `training_batches`.

    The first sample of a crop only serves the pre-emphasis of the second.
    """
    model = WaveNet(config.model, dtype=jnp.dtype(config.training.dtype))
    shape = config.crop_shape

    def loss_fn(
        params: Params, model_state: Any, batch: Mapping[str, Array], keys: Array | None
    ) -> tuple[Array, Array, Any, dict[str, Array]]:
        values = config.model.coding.encode(batch["waveform"])[:, 1:]
        frames = batch["local_conditioning"] if config.model.frame_network is not None else None
        speaker = batch["speaker"] if config.model.num_speakers else None
        outputs: Any = model.apply(
            {"params": params},
            values[:, :-1],
            frames,
            speaker,
            first=config.first_predicted,
            scored=shape.length,
            keys=keys,
            remat=config.training.remat,
            defer_skips=config.training.defer_skips,
        )
        log_prob = config.model.distribution.log_prob(outputs, values[:, -shape.length :])
        mask = batch["mask"]
        bits = jnp.where(mask, log_prob * jnp.float32(-1.0 / math.log(2.0)), jnp.float32(0.0))
        return jnp.sum(bits), jnp.sum(mask.astype(jnp.float32)), model_state, {}

    return loss_fn


def describe(config: VocoderConfig) -> dict[str, Any]:
    """Figures of a configuration: parameters, multiplications per sample, receptive field."""
    shapes = jax.eval_shape(lambda: initial_params(WaveNet(config.model), jax.random.key(0)))
    rate = config.spec.sample_rate
    return {
        "parameters": count_parameters(shapes),
        "macs_per_sample": config.model.macs_per_sample,
        "receptive_field_samples": config.model.receptive_field,
        "receptive_field_ms": 1000.0 * config.model.receptive_field / rate,
        "gflops_real_time": 2e-9 * config.model.macs_per_sample * rate,
    }
