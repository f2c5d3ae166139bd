"""A trained model that predicts the next sample."""

import dataclasses
import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wavejax.experiments.autoregressive.config import AutoregressiveConfig
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.product import Product
from wavejax.generation import encode_conditioning, generate, init_state, pack, replay, stream, teacher_forced
from wavejax.types import AnyArray, Params

C_co = TypeVar("C_co", bound=AutoregressiveConfig, covariant=True)

SPEAKER_CHANNELS = 16
"""Width of a speaker's embedding where the configuration says none."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SampleModel(Product[C_co]):
    """What the products have in common whose model predicts the next sample."""

    @property
    def model(self) -> Any:
        """The linen module, an `AutoregressiveModel`."""
        return self.config.model.build()

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.config.spec.sample_rate)

    @property
    def is_conditioned(self) -> bool:
        """Whether it reads frames."""
        return self.config.is_conditioned

    def speaker_id(self, speaker: str | SupportsIndex | None) -> int | None:
        """The id of a speaker given by name or id; None for a model without speakers.

        Raises ExperimentError where one is needed and not given, given and not known, or given in vain.
        """
        count = self.config.model.num_speakers
        if not count:
            if speaker is not None:
                raise ExperimentError(f"{self.config.name} knows no speakers, but speaker={speaker!r} was given")
            return None
        known = ", ".join(f"{i}: {name}" for i, name in enumerate(self.speakers)) or f"0 to {count - 1}"
        if speaker is None:
            raise ExperimentError(f"{self.config.name} speaks with several voices: give speaker, one of {known}")
        if speaker in self.speakers:
            return self.speakers.index(str(speaker))
        try:
            index = int(speaker) if isinstance(speaker, str) else operator.index(speaker)
        except (TypeError, ValueError):
            index = -1
        if not 0 <= index < count:
            raise ExperimentError(f"unknown speaker {speaker!r}; this model knows {known}")
        return index

    def speaker_conditioning(self, speaker: str | SupportsIndex | None) -> dict[str, Any]:
        """The argument of `wavejax.generate` for one stream of a speaker."""
        index = self.speaker_id(speaker)
        return {} if index is None else {"global_conditioning": np.asarray([index], np.int32)}

    def with_temperature(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of `wavejax.generate` with the product's own temperature where none is given."""
        return {"temperature": self.config.temperature, **options}

    def generate(self, **options: Any) -> Float[np.ndarray, "batch time"]:
        """`wavejax.generate` of this model: waveforms float32 [B, T]."""
        return np.asarray(generate(self.model, self.params, **self.with_temperature(options)), np.float32)

    def blocks(self, conditioning: dict[str, Any], *, seed: SupportsIndex = 0, **options: Any) -> Iterator[np.ndarray]:
        """`wavejax.stream` of one stream: its waveform in blocks [n], as they are made."""
        given = {**conditioning, **self.with_temperature(options)}
        for block in stream(self.model, self.params, seed=seed, **given):
            yield block[0]

    def encode(self, waveform: AnyArray) -> Array:
        """Waveform [..., T] -> the values [..., T] that the model predicts."""
        return jnp.asarray(self.config.model.coding.encode(waveform))

    def teacher_forced(
        self, values: AnyArray, frames: AnyArray | None = None, speakers: AnyArray | None = None
    ) -> Array:
        """What the parallel form says of each of `values` [B, T], having heard those before: [B, T, output_size]."""
        return _teacher_forced(self.model, self.params, values, frames, speakers)

    def replayed(self, values: AnyArray, frames: AnyArray | None = None, speakers: AnyArray | None = None) -> Array:
        """The same from the step form, which speaks."""
        return _replayed(self.model, self.params, values, frames, speakers)

    def bits(self, outputs: AnyArray, values: AnyArray) -> float:
        """Mean bits per sample of values [T] under outputs [T, output_size]."""
        return float(_bits(self.model, outputs, values))

    @property
    def speaker_table(self) -> Float[np.ndarray, "speakers channels"]:
        """The embedding of each speaker. Raises ExperimentError for a model without."""
        if not self.config.model.num_speakers:
            raise ExperimentError(f"{self.config.name} knows no speakers by id")
        return np.asarray(self.params["speaker_embedding"])

    def with_speaker_table(self: "S", table: Float[np.ndarray, "speakers channels"]) -> "S":
        """The same model with other embeddings of its speakers."""
        params: Params = {**self.params, "speaker_embedding": np.asarray(table, np.float32)}
        return dataclasses.replace(self, params=params)


@functools.partial(jax.jit, static_argnums=0)
def _teacher_forced(model: Any, params: Params, values: Any, frames: Any, speakers: Any) -> Array:
    return teacher_forced(model, params, values, frames, speakers)


@functools.partial(jax.jit, static_argnums=0)
def _replayed(model: Any, params: Params, values: Any, frames: Any, speakers: Any) -> Array:
    decoder = pack(model, params)
    conditioning = encode_conditioning(decoder, frames, speakers)
    state = init_state(decoder, conditioning, batch_size=values.shape[0])
    return replay(decoder, state, conditioning, values)[1]


@functools.partial(jax.jit, static_argnums=0)
def _bits(model: Any, outputs: Array, values: Array) -> Array:
    return jnp.mean(model.distribution.log_prob(outputs, values)) * jnp.float32(-1.0 / np.log(2.0))


S = TypeVar("S", bound=SampleModel[Any])


def with_speakers(config: Any, speakers: Sequence[str]) -> Any:
    """The configuration for a model that tells these speakers apart."""
    channels = config.model.global_channels or SPEAKER_CHANNELS
    model = dataclasses.replace(config.model, num_speakers=len(speakers), global_channels=channels)
    return dataclasses.replace(config, model=model)


def facts_of(
    product: Product[Any], corpus: str, seeds: Sequence[int] | range, temperatures: Sequence[float]
) -> dict[str, str]:
    """What a report says of how a product's readings came about."""
    step = "" if product.step is None else f", step {product.step}"
    return {
        "system": f"{product.config.name}{step}",
        "from": product.source,
        "corpus": corpus,
        "seeds": ", ".join(map(str, seeds)) + ", all scored",
        "temperature": ", ".join(f"{each:g}" for each in temperatures),
    }


def parameter_digest(product: Product[Any], update: Any) -> None:
    """Feed a hash with every parameter of a product, by name."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(product.params):
        update(jax.tree_util.keystr(path).encode() + np.ascontiguousarray(leaf).tobytes())
