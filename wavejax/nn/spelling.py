"""A decoder that attends: it writes one label after the other, each with a look at what was heard.

    s = two LSTM layers over (the label before, the context before)
    context = mean of what was heard, weighted by softmax(query(s) . key(h) + where it looked before)
    log-probabilities = log softmax(linear(tanh(linear(s, context))))

The speller of Chan et al. (2016, arXiv 1508.01211, section 3.2). Where what was heard has no trace of its place, as
that of convolutions, attention by content alone cannot tell two equal words apart. With `location_taps` a key is moved
by a convolution over the weights of the step before and over their sum so far (Chorowski et al. 2015, arXiv 1506.07503,
section 2.2, with the dot product for its score). Class 0 ends a text, and stands before its first label.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from wavejax.nn.attention import attend
from wavejax.nn.kernels import declare, declare_kernel
from wavejax.nn.masking import sequence_mask
from wavejax.nn.recurrent import LSTM

END = 0
"""The class that ends a text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpellerConfig:
    """Sizes."""

    width: int
    """Channels of what was heard."""
    num_classes: int
    """Symbols and the end of a text, which is class 0."""
    speller_channels: int
    """Units of both layers."""
    attention_channels: int
    embedding_channels: int
    """Of a label."""
    location_taps: int = 0
    """Places that the convolution over earlier weights spans, odd; 0: attention by content alone."""


class Memory(NamedTuple):
    """What was heard."""

    values: Float[Array, "batch places width"]
    keys: Float[Array, "batch places channels"]
    valid: Bool[Array, "batch places"]


State = dict[str, Any]
"""Of the speller: (h, c) of both layers, each [B, speller_channels], the context [B, width], and with `location_taps`
the weights of the step before and their sum so far, [B, places, 2]."""


class Speller(nn.Module):
    """One label after the other."""

    config: SpellerConfig
    dtype: DTypeLike = jnp.float32
    precision: Any = None

    def setup(self) -> None:
        """Declare the parameters."""
        config, options = self.config, {"dtype": self.dtype, "precision": self.precision, "one_bias": True}
        units, width = config.speller_channels, config.width
        self.embedding = declare(self, "embedding", _embedding, (config.num_classes, config.embedding_channels))
        self.layer_0 = LSTM(config.embedding_channels + width, units, **options, name="layer_0")
        self.layer_1 = LSTM(units, units, **options, name="layer_1")
        self.query_kernel = declare_kernel(self, "query_kernel", (units, config.attention_channels))
        self.key_kernel = declare_kernel(self, "key_kernel", (width, config.attention_channels))
        if config.location_taps:
            shape = (config.location_taps, 2, config.attention_channels)
            self.location_kernel = declare_kernel(self, "location_kernel", shape)
        self.hidden_kernel = declare_kernel(self, "hidden_kernel", (units + width, units))
        self.hidden_bias = declare(self, "hidden_bias", nn.initializers.zeros, (units,))
        self.output_kernel = declare_kernel(self, "output_kernel", (units, config.num_classes))
        self.output_bias = declare(self, "output_bias", nn.initializers.zeros, (config.num_classes,))

    def memory(self, heard: Float[Array, "batch places width"], counts: Int[Array, " batch"]) -> Memory:
        """What is attended to: of each example the first `counts` places."""
        valid = sequence_mask(counts, heard.shape[1])
        return Memory(heard, self._product(heard, self.key_kernel), valid)

    def initial_state(self, memory: Memory) -> State:
        """Zeros."""
        batch, places, width = memory.values.shape
        zeros = self.layer_0.initial_state(batch)
        state = {"layer_0": zeros, "layer_1": zeros, "context": jnp.zeros((batch, width), jnp.float32)}
        return {**state, "looked": jnp.zeros((batch, places, 2), jnp.float32)} if self.config.location_taps else state

    def __call__(self, state: State, label: Int[Array, " batch"], memory: Memory) -> tuple[State, Array, Array]:
        """(state, the label before, what was heard) -> (state, logits [B, classes], attention [B, places])."""
        x = jnp.concatenate([self.embedding[label], state["context"]], axis=-1)
        layer_0, x = self.layer_0.step(state["layer_0"], x)
        layer_1, x = self.layer_1.step(state["layer_1"], x)
        after: State = {"layer_0": layer_0, "layer_1": layer_1}
        query = self._product(x, self.query_kernel)
        by_place = self._places(state["looked"], query) if self.config.location_taps else None
        context, weights = attend(query, memory.keys, memory.values, memory.valid, by_place)
        if self.config.location_taps:
            after["looked"] = jnp.stack([weights, state["looked"][..., 1] + weights], axis=-1)
        hidden = self._product(jnp.concatenate([x, context], axis=-1), self.hidden_kernel) + self.hidden_bias[None]
        logits = self._product(jnp.tanh(hidden), self.output_kernel) + self.output_bias[None]
        return {**after, "context": context}, logits, weights

    def advance(
        self, state: State, label: Int[Array, " batch"], memory: Memory
    ) -> tuple[State, Float[Array, "batch classes"], Float[Array, "batch places"]]:
        """The same with log-probabilities for logits."""
        state, logits, weights = self(state, label, memory)
        return state, jax.nn.log_softmax(logits, axis=-1), weights

    def written(self, memory: Memory, labels: Int[Array, "batch labels"]) -> Float[Array, "batch written classes"]:
        """Logits of each label and of the end, given the labels before."""
        before = jnp.pad(labels, ((0, 0), (1, 0)), constant_values=END)
        state = self.initial_state(memory)

        def letter(state: State, label: Array) -> tuple[State, Array]:
            state, logits, _ = self(state, label, memory)
            return state, logits

        if self.is_initializing():
            letter(state, before[:, 0])
        _, logits = lax.scan(letter, state, jnp.moveaxis(before, 1, 0))
        return jnp.moveaxis(logits, 0, 1)

    def _places(
        self, looked: Float[Array, "batch places 2"], query: Float[Array, "batch channels"]
    ) -> Float[Array, "batch places"]:
        """What moves the keys adds to the scores: the query meets the kernel first, so places need no keys."""
        taps = self.config.location_taps
        moved = self._product(query, self.location_kernel.reshape(2 * taps, -1).T)
        padded = jnp.pad(looked, ((0, 0), (taps // 2, taps // 2), (0, 0)))
        wide = jnp.concatenate([padded[:, tap : tap + looked.shape[1]] for tap in range(taps)], axis=-1)
        return jnp.einsum("bpk,bk->bp", wide, moved, preferred_element_type=jnp.float32)

    def _product(self, x: Array, kernel: Array) -> Array:
        operands = x.astype(self.dtype), kernel.astype(self.dtype)
        return jnp.matmul(*operands, precision=self.precision, preferred_element_type=jnp.float32)


def _embedding(key: Array, shape: tuple[int, ...]) -> Array:
    return jax.random.normal(key, shape, jnp.float32)


__all__ = ["END", "Memory", "Speller", "SpellerConfig", "State"]
