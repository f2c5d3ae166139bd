"""Parallel vocoders as ONNX models: features in, waveform out, with a report of how near they come to the original.

The whole recording is one call, with any number of frames. A `ContinuedModel` also has a streaming form of two models:
one makes the state from the first frames, the other takes a state and new frames and gives samples and the next state.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import wavejax
from wavejax.audio import FeatureSpec
from wavejax.conversion.onnx_graph import CannotExport, as_model
from wavejax.extras import require_extra
from wavejax.generation import ParallelStreamer, generate, stream_keys, streamer_of
from wavejax.generation.noise import split_index
from wavejax.generation.windows import frame_noise, noise_pairs
from wavejax.nn.folding import without_weight_normalization
from wavejax.types import ContinuedModel, Params

TOLERANCE = 1e-3
"""Of full scale: a model whose sound differs by more is not written."""
_FRAMES = 40


@dataclasses.dataclass(frozen=True, eq=False)
class PortableVocoder:
    """A vocoder that can be written as ONNX: its network without weight normalisation, and what it reads."""

    name: str
    model: Any
    params: Params
    spec: FeatureSpec

    @classmethod
    def of(cls, name: str, config: Any, params: Params, spec: FeatureSpec) -> "PortableVocoder":
        """From a model's configuration and parameters. Raises CannotExport: its kind of model is not one for ONNX."""
        model = config.build()
        if streamer_of(model) is not ParallelStreamer:
            raise CannotExport(
                f"{name} is a {type(model).__name__}, which makes one sample after the other: ONNX models are written "
                "of vocoders that make all samples of a recording at once (Vocos, HiFi-GAN)"
            )
        if config.num_speakers:
            raise CannotExport(f"{name} knows {config.num_speakers} speakers; only models of one voice become ONNX")
        if hasattr(config, "folded"):
            model, params = config.folded.build(), without_weight_normalization(params)
        return cls(name, model, params, spec)

    @property
    def context(self) -> int:
        """Frames that a window has beside those whose sound it makes."""
        return int(self.model.lookback + self.model.lookahead)

    def whole(self) -> Any:
        """A `ModelProto`: `mel` [1, frames, C] to `waveform` [1, frames * hop].

        Where the model takes noise, `noise` [1, context + frames, n] holds uniform numbers between 0 and 1, and
        `temperature` [1] scales it. The edge frames are repeated as context, as the drivers do.
        """
        inputs = {"mel": (f"1, frames, {self.model.local_channels}", np.float32)}
        if self.model.noise_size:
            inputs["noise"] = (f"1, frames + {self.context}, {self.model.noise_size}", np.float32)
            inputs["temperature"] = ("1", np.float32)

        def speak(mel: Any, *varied: Any) -> list[Any]:
            before = jnp.repeat(mel[:, :1], self.model.lookback, axis=1)
            after = jnp.repeat(mel[:, -1:], self.model.lookahead, axis=1)
            return [self._apply("synthesize", (), jnp.concatenate([before, mel, after], axis=1), varied)]

        return as_model(speak, inputs, ["waveform"], self.metadata("whole"))

    def streaming(self) -> tuple[Any, Any]:
        """Two `ModelProto`s: `begin` and `advance`, which pass a state on.

        `begin`: the first frames, `mel` [1, lookahead, C], to `state_0`, `state_1`, ... `advance`: the frames after
        those, `mel` [1, frames, C], and the state to `waveform` [1, frames * hop] and `next_0`, `next_1`, ...

        Raises CannotExport: the model passes on no state.
        """
        model, carries = self.model, isinstance(self.model, ContinuedModel)
        if not carries:
            raise CannotExport(
                f"{self.name} passes no state from window to window, so it has no streaming form: export the whole, "
                f"and give it windows with {model.lookback} frames before and {model.lookahead} after"
            )
        channels, sizes = model.local_channels, model.noise_size
        varied = {"noise": (f"1, {self.context}, {sizes}", np.float32), "temperature": ("1", np.float32)}
        varied = varied if sizes else {}

        def begin(mel: Any, *varied: Any) -> list[Any]:
            window = jnp.concatenate([jnp.repeat(mel[:, :1], model.lookback, axis=1), mel], axis=1)
            return jax.tree.leaves(self._apply("begin", (), window, varied))

        first = [jax.ShapeDtypeStruct((1, model.lookahead, channels), jnp.float32)]
        first += [jax.ShapeDtypeStruct((1, self.context, sizes), jnp.float32)] * bool(sizes)
        first += [jax.ShapeDtypeStruct((1,), jnp.float32)] * bool(sizes)
        states = jax.eval_shape(begin, *first)
        names = [f"state_{number}" for number in range(len(states))]
        window = jnp.zeros((1, self.context, channels), jnp.float32)
        form = jax.tree.structure(jax.eval_shape(lambda *rest: self._apply("begin", (), window, rest), *first[1:]))
        opening = as_model(
            begin, {"mel": (f"1, {model.lookahead}, {channels}", np.float32), **varied}, names, self.metadata("begin")
        )

        def advance(mel: Any, *rest: Any) -> list[Any]:
            carry = jax.tree.unflatten(form, rest[: len(names)])
            after, waveform = self._apply("advance", (carry,), mel, rest[len(names) :])
            return [waveform, *jax.tree.leaves(after)]

        inputs = {"mel": (f"1, frames, {channels}", np.float32)}
        inputs |= {
            name: (", ".join(map(str, leaf.shape)), leaf.dtype) for name, leaf in zip(names, states, strict=True)
        }
        if sizes:
            inputs |= {"noise": (f"1, frames, {sizes}", np.float32), "temperature": ("1", np.float32)}
        results = ["waveform", *(name.replace("state", "next") for name in names)]
        return opening, as_model(advance, inputs, results, self.metadata("advance"))

    def metadata(self, form: str) -> dict[str, str]:
        """What travels with a model, as texts; `feature_spec` is JSON."""
        return {
            "name": self.name,
            "form": form,
            "sample_rate": str(self.spec.sample_rate),
            "hop_length": str(self.model.hop_length),
            "lookback": str(self.model.lookback),
            "lookahead": str(self.model.lookahead),
            "feature_spec": json.dumps(dataclasses.asdict(self.spec)),
            "wavejax": wavejax.__version__,
        }

    def _apply(self, method: str, before: tuple[Any, ...], window: Any, varied: Sequence[Any]) -> Any:
        noise, temperature = varied if varied else (None, jnp.ones((1,), jnp.float32))
        heat = jnp.broadcast_to(temperature[:, None], window.shape[:2])
        return self.model.apply({"params": self.params}, *before, window, noise, heat, method=method)


class OnnxParity(NamedTuple):
    """An ONNX model, run by onnxruntime, beside `wavejax.generate` on the same random features and noise."""

    samples: int
    largest_difference: float
    """Between the two waveforms, full scale being 1."""
    loudest: float
    """The largest sample of the original: a comparison of silences would prove nothing."""


def parity_of_whole(vocoder: PortableVocoder, written: bytes) -> OnnxParity:
    """Of the model that `PortableVocoder.whole` made."""
    mel, noise = _examined(vocoder)
    made = _session(written)({"mel": mel, **noise(0, _FRAMES + vocoder.context)})[0]
    return _parity(vocoder, mel, made)


def parity_of_stream(vocoder: PortableVocoder, begin: bytes, advance: bytes, step: int = 3) -> OnnxParity:
    """Of the models that `PortableVocoder.streaming` made, with `step` frames a call."""
    mel, noise = _examined(vocoder)
    ahead = vocoder.model.lookahead
    edge = np.repeat(mel[:, -1:], ahead, axis=1)
    frames = np.concatenate([mel, edge], axis=1)
    state = _session(begin)({"mel": frames[:, :ahead], **noise(0, vocoder.context)})
    onward, pieces = _session(advance), []
    for first in range(ahead, frames.shape[1], step):
        new = frames[:, first : first + step]
        held = {f"state_{number}": value for number, value in enumerate(state)}
        varied = noise(first + vocoder.model.lookback, new.shape[1])
        piece, *state = onward({"mel": new, **held, **varied})
        pieces.append(piece)
    return _parity(vocoder, mel, np.concatenate(pieces, axis=1))


def _examined(vocoder: PortableVocoder) -> tuple[np.ndarray, Callable[[int, int], dict[str, np.ndarray]]]:
    """Random features, and the noise of `wavejax.generate`'s first stream, counted from the first context frame."""
    model = vocoder.model
    mel = np.random.default_rng(0).normal(-4.0, 2.0, (1, _FRAMES, model.local_channels)).astype(np.float32)
    keys = stream_keys(0, jnp.zeros((1,), jnp.int32))

    def noise(first: int, count: int) -> dict[str, np.ndarray]:
        if not model.noise_size:
            return {}
        index = split_index((first - model.lookback) * noise_pairs(model.noise_size))
        drawn = frame_noise(keys, jnp.asarray(index), count, model.noise_size)
        return {"noise": np.asarray(drawn), "temperature": np.ones(1, np.float32)}

    return mel, noise


def _parity(vocoder: PortableVocoder, mel: np.ndarray, made: np.ndarray) -> OnnxParity:
    wanted = generate(vocoder.model, vocoder.params, local_conditioning=mel)
    same = made.shape == wanted.shape
    largest = float(np.max(np.abs(made - wanted))) if same else float("inf")
    parity = OnnxParity(wanted.shape[1], largest, float(np.max(np.abs(wanted))))
    if not largest <= TOLERANCE:
        raise CannotExport(
            f"the ONNX model of {vocoder.name} differs by {largest:.3g} of full scale from wavejax's, {TOLERANCE:g} "
            "are allowed: nothing is written"
        )
    return parity


def _session(written: bytes) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
    runtime = require_extra("onnxruntime", "onnx", "the parity report of an ONNX model")
    session = runtime.InferenceSession(written, providers=["CPUExecutionProvider"])
    return lambda given: list(session.run(None, given))
