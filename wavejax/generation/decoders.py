"""Decoders: a model and its parameters, packed for generating sample by sample.

A decoder is a pytree (arrays inside, static sizes) with pure methods: `encode_frame`, `condition`, `warm_up`, `settle`,
`receive` and `step`. `ModelDecoder` works for any `AutoregressiveModel`; models with the structure of a `WaveNet` use
`WaveNetDecoder`.
"""

from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wavejax.generation.exporting import register
from wavejax.generation.state import Conditioning
from wavejax.models.wavenet import WaveNet
from wavejax.types import AnyArray, AutoregressiveModel, Params, PyTree, Steppable


@runtime_checkable
class Decoder(Protocol):
    """What `run_block` needs."""

    @property
    def model(self) -> Any:
        """The model that was packed."""

    @property
    def back(self) -> int:
        """Entries before its own interval that a sample may touch."""

    @property
    def forward(self) -> int:
        """Entries after its own interval that a sample may touch."""

    def encode_frame(self, window: Array | None, global_conditioning: Array | None) -> PyTree:
        """One frame's entry from its window [B, W, C]."""

    def condition(self, entries: PyTree, offset: Array) -> PyTree:
        """Conditioning of the sample `offset` samples after interval 0 began (entries[back] is its frame)."""

    def warm_up(self, values: Array, entries: PyTree, offset: Array) -> PyTree:
        """The cache after consuming values [B, N]; `offset` is that of the sample after values[:, 0]."""

    def settle(self, value: Array, count: int, entries: PyTree) -> PyTree:
        """The cache after consuming the same value [B] `count` times under constant conditioning; `count` is at least
        the receptive field minus one."""

    def receive(self, cache: PyTree) -> PyTree:
        """Converts a cache made by another backend's decoder of the same model to this decoder's types; its own caches
        are returned unchanged."""

    def step(self, cache: PyTree, value: Array, condition: PyTree) -> tuple[PyTree, Array]:
        """(cache, previous value [B], condition) -> (cache, output [B, output_size])."""


def pack(
    model: AutoregressiveModel, params: Params, dtype: DTypeLike | None = None, *, platform: str | None = None
) -> "Decoder":
    """Pack `params` of `model` for generation.

    A pure function that can be jitted. `dtype` is the type of weights and activations (default float32); output
    distributions always get float32. `platform` is where the decoder will run, "cpu", "gpu" or "tpu" (default: JAX's
    default backend); it selects the layout of a WaveNet, and every layout runs everywhere. Code outside the decoder
    does not depend on the packed layout.
    """
    dtype = jnp.float32 if dtype is None else dtype
    params = jax.tree.map(jnp.asarray, params)  # `load` returns NumPy arrays
    if isinstance(model, WaveNet):
        return _pack_wavenet(model, params, dtype, jax.default_backend() if platform is None else platform)
    if not isinstance(model, Steppable):
        raise TypeError(f"{type(model).__name__} cannot be stepped: give it the methods of wavejax.types.Steppable")

    def cast(leaf: AnyArray) -> AnyArray:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    folded = model.apply({"params": params}, method="fold") if hasattr(model, "fold") else {}
    return ModelDecoder(params=jax.tree.map(cast, params), folded=jax.tree.map(cast, folded), model=model)


@struct.dataclass
class ModelDecoder:
    """A decoder for any model, through its own linen methods; warm-up runs its step."""

    params: PyTree
    folded: PyTree
    """The result of the model's `fold` for its parameters; empty if the model has none."""
    model: Any = struct.field(pytree_node=False)

    back = 0
    forward = 0

    def _call(self, method: str, *arguments: Any) -> Any:
        return self.model.apply({"params": self.params, "folded": self.folded}, *arguments, method=method)

    def encode_frame(self, window: Array | None, global_conditioning: Array | None) -> PyTree:
        """One frame's entry."""
        return self._call("encode_frame", window, global_conditioning)

    def condition(self, entries: PyTree, offset: Array) -> PyTree:
        """The entry of the sample's interval, or the result of the model's `at_sample` for it."""
        hop = jnp.int32(self.model.hop_length or 0)
        index = jnp.int32(0) if self.model.hop_length is None else offset // hop
        entry = jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, index, 0, keepdims=False), entries)
        return self._call("at_sample", entry, offset - index * hop) if hasattr(self.model, "at_sample") else entry

    def warm_up(self, values: Array, entries: PyTree, offset: Array) -> PyTree:
        """Step through the values one by one."""
        cache = self._call("init_cache", values.shape[0])

        def consume(carry: tuple[PyTree, Array], value: Array) -> tuple[tuple[PyTree, Array], None]:
            cache, offset = carry
            condition = self.condition(entries, offset)
            cache, _ = self._call("step", cache, value, condition)
            return (cache, offset + getattr(self.model, "samples_per_step", 1)), None

        (cache, _), _ = lax.scan(consume, (cache, offset), jnp.moveaxis(values, 1, 0))
        return cache

    def settle(self, value: Array, count: int, entries: PyTree) -> PyTree:
        """Step through the value `count` times."""
        return self.warm_up(jnp.repeat(value[:, None], count, axis=1), entries, jnp.int32(0))

    def receive(self, cache: PyTree) -> PyTree:
        """The cache unchanged: there is only one kind."""
        return cache

    def step(self, cache: PyTree, value: Array, condition: PyTree) -> tuple[PyTree, Array]:
        """One step of the model."""
        cache, output = self._call("step", cache, value, condition)
        return cache, output.astype(jnp.float32)


@struct.dataclass
class WaveNetDecoder:
    """A WaveNet with batched old taps, one product for all skips, and every constant factor folded in.

    The cache holds one ring [rows, B, R], in which layer l owns (kernel_size - 1) * d_l rows; the row of each layer
    that the next step writes (`phase` [L], the step's number modulo the layer's rows); and, if the input layer has
    several taps, the last values (`history` [taps - 1, B]). A step first reads the old taps of all layers with one
    gather and one batched product. The serial chain over the layers then needs only each layer's newest tap and
    residual map. One product maps the L gated outputs to the skips. Conditioning at the sample rate is added to the
    inputs of the old taps' product. A layer's gate is a single tanh, because sigmoid(z) = (1 + tanh(z / 2)) / 2: the
    sigmoid's half of every packed weight is halved, which is exact.

    On a GPU the cost of a step is its kernel launches, so `links` join each layer's residual map with the next layer's
    newest tap: one product, [x, h] -> [gates, x] of the next layer, and one kernel per layer. This takes two thirds
    more arithmetic, which would be slower on a CPU.
    """

    params: PyTree
    """The model's own parameters, for the conditioning network."""
    table: Float[Array, "taps classes residual"]
    old: Float[Array, "layers inputs gates"]
    """Inputs: the channels of the old taps, oldest tap first, then those of conditioning at the sample rate."""
    current: tuple[Array, ...]
    residual: tuple[Array, ...]
    residual_bias: tuple[Array, ...]
    skip: Float[Array, "layers_gate skip"]
    skip_bias: Float[Array, "skip"]
    skip_input: Array | None
    tail: tuple[Array, ...]
    tail_bias: tuple[Array, ...]
    links: tuple[Array, ...]
    """For each layer but the last: [residual + gate, 2 gate + residual]; empty if the chain is not joined."""
    link_bias: tuple[Array, ...]
    model: WaveNet = struct.field(pytree_node=False)

    @property
    def back(self) -> int:
        """Entries before its own interval that a sample may touch."""
        upsampler = self.model.config.upsampler
        return upsampler.back if upsampler is not None and upsampler.at_frame_rate else 0

    @property
    def forward(self) -> int:
        """Entries after its own interval that a sample may touch."""
        upsampler = self.model.config.upsampler
        return upsampler.forward if upsampler is not None and upsampler.at_frame_rate else 0

    def encode_frame(self, window: Array | None, global_conditioning: Array | None) -> PyTree:
        """Gate inputs of one frame, every layer's bias included; see `WaveNet.encode_frame`."""
        return self.model.apply({"params": self.params}, window, global_conditioning, method="encode_frame")

    def condition(self, entries: PyTree, offset: Array) -> PyTree:
        """Conditioning of one sample: {"gates": [L, B, 2G]}, and {"local": [B, C]} if it is still to be projected."""
        upsampler = self.model.config.upsampler
        if upsampler is None:
            return jax.tree.map(lambda leaf: leaf[0, 0], entries)
        if not upsampler.at_frame_rate:
            hop = jnp.int32(upsampler.hop_length)
            interval = offset // hop
            row = offset - interval * hop
            return {name: leaf[interval, 0 if name == "gates" else row] for name, leaf in entries.items()}
        index, weight = upsampler.interpolation(offset)
        index = index + self.back
        if upsampler.kind == "repeat":
            return jax.tree.map(lambda leaf: leaf[index, 0], entries)

        def mix(leaf: Array) -> Array:
            pair = lax.dynamic_slice_in_dim(leaf, index, 2, axis=0)
            return pair[0, 0] + (pair[1, 0] - pair[0, 0]) * weight

        return jax.tree.map(mix, entries)

    def step(self, cache: PyTree, value: Array, condition: PyTree) -> tuple[PyTree, Array]:
        """One sample through all layers."""
        config = self.model.config
        rows, starts, ages = self._layout()
        phase, batch = cache["phase"], value.shape[0]
        slots = starts + phase
        old = cache["ring"][starts[:, None] + (phase[:, None] - ages) % rows[:, None]]  # [L, k-1, B, R]
        old = jnp.moveaxis(old, 1, 2).reshape(config.num_layers, batch, -1)
        if "local" in condition:
            local = condition["local"].astype(old.dtype)
            old = jnp.concatenate([old, jnp.broadcast_to(local, (config.num_layers, *local.shape))], axis=-1)
        gates = jnp.einsum("lbr,lrg->lbg", old, self.old, preferred_element_type=jnp.float32)
        gates = gates + condition["gates"] * self._halving()
        history = jnp.concatenate([cache["history"], value[None]], axis=0)
        first = self._input(history)
        inputs, hidden = self._joined_chain(first, gates) if self.links else self._chain(first, gates)
        ring = cache["ring"].at[slots].set(jnp.stack(inputs), unique_indices=True)
        output = self._tail(jnp.concatenate(hidden, axis=-1), first, condition)
        return {"ring": ring, "phase": jnp.where(phase + 1 == rows, 0, phase + 1), "history": history[1:]}, output

    def _chain(self, x: Array, gates: Array) -> tuple[list[Array], list[Array]]:
        """Inputs [B, R] and gated outputs [B, G] of all layers, from the first input and the gates without it."""
        config, dtype = self.model.config, self.old.dtype
        scale = jnp.asarray(config.residual_coefficient, dtype)
        inputs, hidden = [], []
        for layer in range(config.num_layers):
            inputs.append(x)
            z = gates[layer] + jnp.dot(x, self.current[layer], preferred_element_type=jnp.float32)
            hidden.append(_gated(z).astype(dtype))
            if layer < config.num_layers - 1:
                out = jnp.dot(hidden[-1], self.residual[layer], preferred_element_type=jnp.float32)
                x = x * scale + (out + self.residual_bias[layer][None]).astype(dtype)
        return inputs, hidden

    def _joined_chain(self, first: Array, gates: Array) -> tuple[list[Array], list[Array]]:
        """The same with `links`; the inputs are kept in float32."""
        config, dtype = self.model.config, self.old.dtype
        width, scale = 2 * config.gate_channels, jnp.float32(config.residual_coefficient)
        # XLA fuses a sum of products, unlike a matrix product, with the gate before it and the addition after it.
        dot = _sum_of_products if first.shape[0] <= _LARGEST_SUM_BATCH else _product
        x, z = first.astype(jnp.float32), gates[0] + dot(first, self.current[0])
        inputs, hidden = [first], []
        for layer, (link, bias) in enumerate(zip(self.links, self.link_bias, strict=True)):
            hidden.append(_gated(z).astype(dtype))
            y = dot(jnp.concatenate([inputs[-1], hidden[-1]], axis=-1), link) + bias[None]
            x, z = x * scale + y[:, width:], gates[layer + 1] + y[:, :width]
            inputs.append(x.astype(dtype))
        hidden.append(_gated(z).astype(dtype))
        return inputs, hidden

    def _halving(self) -> np.ndarray:
        """[1, 1, 2G]: the factors of the gates, one half in the sigmoid's half."""
        return _halving(self.model.config.gate_channels)[None, None]

    def warm_up(self, values: Array, entries: PyTree, offset: Array) -> PyTree:
        """Fill the ring in parallel from the last receptive_field - 1 values."""
        config = self.model.config
        dtype, taps = self.old.dtype, config.kernel_size - 1
        unheard = max(values.shape[1] - (config.receptive_field - 1), 0)
        values, offset = values[:, unheard:], offset + jnp.int32(unheard)
        batch, length = values.shape
        lag = config.input_kernel_size - 1
        silence = jnp.full((batch, lag), self.model.coding.silence, values.dtype)
        padded = jnp.concatenate([silence, values], axis=1)
        x = self._input(jnp.stack([padded[:, i : i + length].T for i in range(lag + 1)]))  # [N, B, R]
        offsets = offset + jnp.arange(length, dtype=jnp.int32)
        added = []  # inputs of the layers other than the taps, [N, B, C]
        if "local" in entries:
            local = {"local": entries["local"]}
            added.append(jax.vmap(lambda at: self.condition(local, at)["local"])(offsets).astype(dtype))
        rows, starts, _ = self._layout()
        most = int(rows.max())

        def write(ring: Array, x: Array, rows: Array, start: Array) -> tuple[Array, Array]:
            """The ring with a layer's last inputs and zeros after them, and the inputs with zeros on both sides."""
            wide = jnp.pad(x, ((most, most), (0, 0), (0, 0)))
            recent = lax.dynamic_slice_in_dim(wide, most + length - rows, most)
            return lax.dynamic_update_slice_in_dim(ring, recent, start, 0), wide

        def hear(carry: tuple[Array, Array], layer: dict[str, Array]) -> tuple[tuple[Array, Array], None]:
            ring, x = carry
            ring, wide = write(ring, x, layer["rows"], layer["start"])  # the next write overwrites the zeros after it
            back = layer["rows"] // taps * jnp.arange(taps, 0, -1, dtype=jnp.int32)
            shifted = [lax.dynamic_slice_in_dim(wide, most - back[i], length) for i in range(taps)]
            one = {"gates": lax.dynamic_slice_in_dim(entries["gates"], layer["index"], 1, axis=2)}
            gates = jax.vmap(lambda at: self.condition(one, at)["gates"][0])(offsets)
            return (ring, self._next(layer, x, jnp.concatenate([*shifted, *added, x], axis=-1), gates)), None

        last = config.num_layers - 1
        ring = jnp.zeros((int(rows.sum()) + most, batch, config.residual_channels), dtype)
        if last:
            places: dict[str, Any] = {
                "index": np.arange(last, dtype=np.int32),
                "rows": rows[:last],
                "start": starts[:last],
            }
            (ring, x), _ = lax.scan(hear, (ring, x), {**self._all_but_the_last(), **places})
        ring, _ = write(ring, x, jnp.int32(rows[last]), jnp.int32(starts[last]))
        phase = jnp.zeros((config.num_layers,), jnp.int32)
        return {"ring": ring[: int(rows.sum())], "phase": phase, "history": padded[:, length:].T}

    def settle(self, value: Array, count: int, entries: PyTree) -> PyTree:
        """One pass through the layers: in the settled state each layer's input is constant in time."""
        config = self.model.config
        rows, _, _ = self._layout()
        history = jnp.broadcast_to(value, (config.input_kernel_size, *value.shape))
        gates = self.condition({"gates": entries["gates"]}, jnp.int32(0))["gates"]

        def hear(x: Array, layer: dict[str, Array]) -> tuple[Array, Array]:
            return self._next(layer, x, jnp.concatenate([x] * config.kernel_size, axis=-1), layer["gates"]), x

        x, inputs = self._input(history), []
        if config.num_layers > 1:
            x, heard = lax.scan(hear, x, {**self._all_but_the_last(), "gates": gates[:-1]})
            inputs.append(heard)
        ring = jnp.repeat(jnp.concatenate([*inputs, x[None]]), rows, axis=0, total_repeat_length=int(rows.sum()))
        return {"ring": ring, "phase": jnp.zeros((config.num_layers,), jnp.int32), "history": history[1:]}

    def receive(self, cache: PyTree) -> PyTree:
        """The cache with its ring in the type of the weights; `CpuBackend`'s ring is in float32."""
        if cache["ring"].dtype == self.old.dtype:
            return cache
        return {**cache, "ring": jnp.asarray(cache["ring"], self.old.dtype)}

    def _all_but_the_last(self) -> dict[str, Array]:
        """The stacked weights of all layers but the last, for a scan over layers."""
        last = self.model.config.num_layers - 1
        return {
            "kernel": jnp.concatenate([self.old[:last], jnp.stack(self.current[:last])], axis=1),
            "residual": jnp.stack(self.residual[:last]),
            "bias": jnp.stack(self.residual_bias[:last]),
        }

    def _next(self, layer: dict[str, Array], x: Array, heard: Array, gates: Array) -> Array:
        """The next layer's inputs [..., R], from a layer's inputs, the inputs of all its taps, and its conditioning."""
        config = self.model.config
        halving = _halving(config.gate_channels).reshape((1,) * (gates.ndim - 1) + (-1,))
        bias = layer["bias"].reshape((1,) * (x.ndim - 1) + (-1,))
        z = jnp.matmul(heard, layer["kernel"], preferred_element_type=jnp.float32)
        h = _gated(z + gates * halving).astype(x.dtype)
        out = jnp.matmul(h, layer["residual"], preferred_element_type=jnp.float32)
        return x * jnp.asarray(config.residual_coefficient, x.dtype) + (out + bias).astype(x.dtype)

    def _layout(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each layer: its rows [L] of the ring, its first row [L], the age of each tap [L, k-1], oldest first."""
        config = self.model.config
        dilations = np.asarray(config.dilations, np.int32)
        rows = (config.kernel_size - 1) * dilations
        starts = (np.cumsum(rows) - rows).astype(np.int32)
        return rows, starts, np.arange(config.kernel_size - 1, 0, -1, dtype=np.int32)[None] * dilations[:, None]

    def _input(self, history: Array) -> Array:
        """The input layer over values [taps, ..., B], the oldest first."""
        coding = self.model.coding
        if self.model.config.input_kind == "scalar":
            shape = (*history.shape[1:], self.table.shape[-1])
            total = jnp.broadcast_to(self.table[0, 1], shape)
            for i, tap in enumerate(history):
                total = total + coding.to_scalar(tap)[..., None] * jnp.broadcast_to(self.table[i, 0], shape)
            return total.astype(self.old.dtype)
        terms = [self.table[i][tap] for i, tap in enumerate(history)]
        return sum(terms[1:], terms[0]).astype(self.old.dtype)

    def _tail(self, hidden: Array, first: Array, condition: PyTree) -> Array:
        x = jnp.dot(hidden, self.skip, preferred_element_type=jnp.float32) + self.skip_bias[None]
        if self.skip_input is not None:
            x = x + jnp.dot(first, self.skip_input, preferred_element_type=jnp.float32)
        for i, kernel in enumerate(self.tail):
            x = jnp.dot(jax.nn.relu(x).astype(kernel.dtype), kernel, preferred_element_type=jnp.float32)
            if self.tail_bias:
                x = x + self.tail_bias[i][None]
            if i == 0 and "tail" in condition:
                x = x + condition["tail"]
        return x


_LARGEST_SUM_BATCH = 16
"""Up to this many streams a joined layer is a sum of products; for more streams the matrix units are faster."""


def _sum_of_products(x: Array, kernel: Array) -> Array:
    return jnp.sum(x.astype(jnp.float32)[:, :, None] * kernel.astype(jnp.float32)[None], axis=1)


def _product(x: Array, kernel: Array) -> Array:
    return jnp.dot(x, kernel, preferred_element_type=jnp.float32)


def _halving(channels: int) -> np.ndarray:
    return np.repeat(np.asarray([1.0, 0.5], np.float32), channels)


def _gated(z: Float[Array, "*batch gates"]) -> Float[Array, "*batch channels"]:
    """tanh * sigmoid of gates whose second (sigmoid) half is already halved."""
    activations, channels = jnp.tanh(z), z.shape[-1] // 2
    return activations[..., :channels] * (activations[..., channels:] * jnp.float32(0.5) + jnp.float32(0.5))


def _join(
    current: list[Array], residual: list[Array], bias: list[Array], scale: float
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Products and biases that map [x, h] of a layer to [gates, x] of the next; the caller adds x's own contribution.

    With x' = scale x + h W + b, the gates of x' are x (scale C) + h (W C) + b C.
    """
    exactly = partial(jnp.matmul, precision=lax.Precision.HIGHEST)
    links, biases = [], []
    for kernel, out, added in zip(current[1:], residual, bias, strict=False):
        from_x = jnp.concatenate([kernel * jnp.float32(scale), jnp.zeros((kernel.shape[0],) * 2, jnp.float32)], axis=1)
        from_h = jnp.concatenate([exactly(out, kernel), out], axis=1)
        links.append(jnp.concatenate([from_x, from_h]))
        biases.append(jnp.concatenate([exactly(added, kernel), added]))
    return tuple(links), tuple(biases)


def _pack_wavenet(model: WaveNet, params: Params, dtype: DTypeLike, platform: str) -> WaveNetDecoder:
    config = model.config
    arrays: Any = model.apply({"params": params}, method="kernels")
    layers, gate = config.num_layers, config.gate_channels
    taps = config.kernel_size - 1
    table = arrays["input"]
    bias = arrays.get("input_bias", jnp.zeros((config.residual_channels,), jnp.float32))
    if config.input_kind == "scalar":
        table = jnp.concatenate([table, jnp.broadcast_to(bias, table.shape)], axis=1)
    else:
        table = table.at[-1].add(bias[None])
    scale = jnp.float32(config.residual_coefficient)
    coefficients = jnp.asarray(config.skip_coefficients, jnp.float32)
    skip_bias = jnp.einsum("l,ls->s", coefficients, arrays["skip_bias"])
    if config.skip_input:
        skip_bias = skip_bias + arrays["skip_input_bias"]
    tails = range(len(config.tail_channels) + 1)
    dilated = arrays["dilated"] * _halving(gate)[None, None, None]
    old = dilated[:, :taps].reshape(layers, taps * config.residual_channels, 2 * gate)
    if "local" in arrays:
        old = jnp.concatenate([old, arrays["local"] * _halving(gate)[None, None]], axis=1)
    current = [dilated[layer, taps] for layer in range(layers)]
    residual = [kernel * scale for kernel in arrays["residual"]]
    residual_bias = [bias * scale for bias in arrays["residual_bias"]]
    links: tuple[Array, ...] = ()
    link_bias: tuple[Array, ...] = ()
    if platform == "gpu":
        links, link_bias = _join(current, residual, residual_bias, config.residual_coefficient)
    return WaveNetDecoder(
        params=params,
        table=table,
        old=old.astype(dtype),
        current=tuple(kernel.astype(dtype) for kernel in current),
        residual=tuple(kernel.astype(dtype) for kernel in residual),
        residual_bias=tuple(residual_bias),
        skip=(arrays["skip"] * coefficients[:, None, None]).reshape(layers * gate, -1).astype(dtype),
        skip_bias=skip_bias,
        skip_input=arrays["skip_input"].astype(dtype) if config.skip_input else None,
        tail=tuple(arrays[f"tail_{i}"].astype(dtype) for i in tails),
        tail_bias=tuple(arrays[f"tail_{i}_bias"] for i in tails) if config.tail_bias else (),
        links=tuple(kernel.astype(dtype) for kernel in links),
        link_bias=link_bias,
        model=model,
    )


register(ModelDecoder, "ModelDecoder")
register(WaveNetDecoder, "WaveNetDecoder")

__all__ = ["Conditioning", "Decoder", "ModelDecoder", "WaveNetDecoder", "pack"]
