"""Recurrent layers: GRU (Cho et al. 2014, arXiv 1406.1078) and LSTM (Hochreiter & Schmidhuber 1997), in torch's form.

One large product projects all inputs, then a scan runs over the recurrent part alone. In the backward pass the scan
stacks the gates' gradients, and one product over all steps at the end gives the recurrent kernel's gradient; if it were
summed inside the scan, every step would read and write it. States are float32 for every compute type.

On a CPU a scan multiplies by a large recurrent kernel in blocks of its columns, each in one piece of memory. A few rows
times a large kernel take as long as the kernel takes to read, and a piece is read faster than parts of long rows.
Measured on one core, 8 rows: 3.2 ms instead of 4.3 for 2,048 x 8,192, .41 instead of .76 for 4,096 x 1,024.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from wavejax.nn.kernels import declare_kernel


class _Recurrent(nn.Module):
    """The shared part of both layers: the parameters, in torch's order of gates, and the projection of the inputs."""

    input_channels: int
    hidden_channels: int
    dtype: DTypeLike = jnp.float32
    """Type of the products' operands; gates, states and outputs are float32."""
    precision: Any = None
    one_bias: bool = False
    """Leave the recurrent bias out, which for an LSTM only adds to the other one: TensorFlow's form."""

    num_gates = 0

    def setup(self) -> None:
        """Declare the parameters."""
        width = self.num_gates * self.hidden_channels
        self.input_kernel = declare_kernel(self, "input_kernel", (self.input_channels, width))
        shape = (self.hidden_channels, width)
        self.recurrent_kernel = self.param("recurrent_kernel", _orthogonal_gates, shape)
        self.input_bias = self.param("input_bias", self._initial_bias, (width,))
        if not self.one_bias:
            self.recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (width,))

    def _initial_bias(self, key: Array, shape: tuple[int, ...]) -> Array:
        return jnp.zeros(shape, jnp.float32)

    def project(self, x: Float[Array, "*batch channels"]) -> Float[Array, "*batch gates"]:
        """The inputs' contribution to the gates, bias included, float32."""
        return self.product(x, self.input_kernel) + _last_axis(self.input_bias.astype(jnp.float32), x.ndim)

    def product(self, x: Float[Array, "*batch channels"], kernel: Float[Array, "channels out"]) -> Array:
        """x times the kernel, or times some of its rows, computed in the compute type; the result is float32."""
        operands = x.astype(self.dtype), kernel.astype(self.dtype)
        return jnp.matmul(*operands, precision=self.precision, preferred_element_type=jnp.float32)

    def _recurrence(self) -> tuple[Array, Array]:
        kernel = self.recurrent_kernel.astype(self.dtype)
        return kernel, jnp.zeros(kernel.shape[1], jnp.float32) if self.one_bias else self.recurrent_bias.astype(
            jnp.float32
        )


class GRU(_Recurrent):
    """A gated recurrent unit: parallel form [B, T, C] -> [B, T, H], and a step form with the state h [B, H].

        r, z = sigmoid(W x + b + U h + c)                                    (both gates)
        n    = tanh(W x + b + r * (U h + c))                                 (r multiplies c too, as in torch and cuDNN)
        h'   = (1 - z) * n + z * h

    Gates have the order r, z, n along the last axis of `input_kernel` [C, 3H], `recurrent_kernel` [H, 3H] and the two
    biases [3H]: these are torch's `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`, with the weights transposed.
    """

    num_gates = 3

    def initial_state(self, batch_size: int) -> Float[Array, "batch hidden"]:
        """Zeros."""
        return jnp.zeros((batch_size, self.hidden_channels), jnp.float32)

    def step(self, state: Array, x: Float[Array, "batch channels"]) -> tuple[Array, Float[Array, "batch hidden"]]:
        """(state, input of one step) -> (next state, h)."""
        return self.advance(state, self.project(x))

    def advance(
        self, state: Array, projected: Float[Array, "batch gates"]
    ) -> tuple[Array, Float[Array, "batch hidden"]]:
        """The same from the input's part of the gates (`project`)."""
        kernel, bias = self._recurrence()
        hidden, _ = _gru_cell(state, projected, (kernel,), bias, self.precision)
        return hidden, hidden

    def __call__(
        self, x: Float[Array, "batch time channels"], state: Array | None = None
    ) -> tuple[Array, Float[Array, "batch time hidden"]]:
        """All steps at once: the last state, and h of every step."""
        return self.scan(self.project(x), state)

    def scan(
        self, projected: Float[Array, "batch time gates"], state: Array | None = None
    ) -> tuple[Array, Float[Array, "batch time hidden"]]:
        """The same from the inputs' part of the gates (`project`)."""
        state = self.initial_state(projected.shape[0]) if state is None else state
        kernel, bias = self._recurrence()
        hidden = _gru(jnp.moveaxis(projected, 1, 0), kernel, bias, state, self.precision)
        return (hidden[-1] if projected.shape[1] else state), jnp.moveaxis(hidden, 0, 1)


class LSTM(_Recurrent):
    """Long short-term memory: parallel form [B, T, C] -> [B, T, H], step form with the state (h, c), each [B, H].

        i, f, o = sigmoid(W x + b + U h + d)                                 (three gates)
        g       = tanh(W x + b + U h + d)
        c'      = f * c + i * g
        h'      = o * tanh(c')

    Gates have the order i, f, g, o along the last axis, as in torch. The initial bias of f is 1, so that memory is kept
    (Jozefowicz et al. 2015).
    """

    num_gates = 4

    def _initial_bias(self, key: Array, shape: tuple[int, ...]) -> Array:
        hidden = self.hidden_channels
        return jnp.zeros(shape, jnp.float32).at[hidden : 2 * hidden].set(1.0)

    def initial_state(self, batch_size: int) -> tuple[Float[Array, "batch hidden"], Float[Array, "batch hidden"]]:
        """Zeros."""
        return (jnp.zeros((batch_size, self.hidden_channels), jnp.float32),) * 2

    def step(
        self, state: tuple[Array, Array], x: Float[Array, "batch channels"]
    ) -> tuple[tuple[Array, Array], Float[Array, "batch hidden"]]:
        """(state, input of one step) -> (next state, h)."""
        return self.advance(state, self.project(x))

    def advance(
        self, state: tuple[Array, Array], projected: Float[Array, "batch gates"]
    ) -> tuple[tuple[Array, Array], Float[Array, "batch hidden"]]:
        """The same from the input's part of the gates (`project`)."""
        kernel, bias = self._recurrence()
        hidden, memory, _ = _lstm_cell(*state, projected, (kernel,), bias, self.precision)
        return (hidden, memory), hidden

    def __call__(
        self, x: Float[Array, "batch time channels"], state: tuple[Array, Array] | None = None
    ) -> tuple[tuple[Array, Array], Float[Array, "batch time hidden"]]:
        """All steps at once: the last state, and h of every step."""
        return self.scan(self.project(x), state)

    def scan(
        self, projected: Float[Array, "batch time gates"], state: tuple[Array, Array] | None = None
    ) -> tuple[tuple[Array, Array], Float[Array, "batch time hidden"]]:
        """The same from the inputs' part of the gates (`project`)."""
        state = self.initial_state(projected.shape[0]) if state is None else state
        kernel, bias = self._recurrence()
        hidden, memory = _lstm(jnp.moveaxis(projected, 1, 0), kernel, bias, *state, self.precision)
        return ((hidden[-1], memory[-1]) if projected.shape[1] else state), jnp.moveaxis(hidden, 0, 1)


def _orthogonal_gates(key: Array, shape: tuple[int, ...]) -> Array:
    """One orthogonal matrix per gate, so that states neither explode nor vanish at the start."""
    hidden, width = shape
    draw = nn.initializers.orthogonal()
    keys = jax.random.split(key, width // hidden)
    return jnp.concatenate([draw(key, (hidden, hidden), jnp.float32) for key in keys], axis=1)


def _last_axis(x: Array, rank: int) -> Array:
    return x.reshape((1,) * (rank - 1) + (-1,))


_LARGE_KERNEL, _BLOCK_COLUMNS = 2**20, 256

_Blocks = tuple[Array, ...]
"""Columns of a recurrent kernel, side by side."""


def _in_blocks(kernel: Array) -> _Blocks:
    if kernel.size < _LARGE_KERNEL:
        return (kernel,)
    return tuple(jnp.split(kernel, list(range(_BLOCK_COLUMNS, kernel.shape[1], _BLOCK_COLUMNS)), axis=1))


def _scan(body: Callable[..., Any], kernel: Array, start: Any, inputs: Any, *, reverse: bool = False) -> Any:
    """`lax.scan` of body(blocks, carry, input), the kernel in the blocks that suit the device."""

    def over(blocks: _Blocks) -> Any:
        return lax.scan(partial(body, blocks), start, inputs, reverse=reverse)

    return lax.platform_dependent(
        kernel, cpu=lambda kernel: over(_in_blocks(kernel)), default=lambda kernel: over((kernel,))
    )


def _product(x: Array, blocks: _Blocks, precision: Any) -> Array:
    x = x.astype(blocks[0].dtype)
    parts = [jnp.matmul(x, block, precision=precision, preferred_element_type=jnp.float32) for block in blocks]
    return jnp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def _gru_cell(
    hidden: Array, projected: Array, kernel: _Blocks, bias: Array, precision: Any
) -> tuple[Array, tuple[Array, ...]]:
    recurrent = jnp.split(_product(hidden, kernel, precision) + bias[None], 3, axis=-1)
    given = jnp.split(projected, 3, axis=-1)
    reset, update = jax.nn.sigmoid(given[0] + recurrent[0]), jax.nn.sigmoid(given[1] + recurrent[1])
    new = jnp.tanh(given[2] + reset * recurrent[2])
    return (1 - update) * new + update * hidden, (reset, update, new, recurrent[2])


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def _gru(projected: Array, kernel: Array, bias: Array, state: Array, precision: Any) -> Array:
    """h of every step [T, B, H] from the projected inputs [T, B, 3H]."""
    return _gru_forward(projected, kernel, bias, state, precision)[0]


def _gru_forward(
    projected: Array, kernel: Array, bias: Array, state: Array, precision: Any
) -> tuple[Array, tuple[Any, ...]]:
    def body(blocks: _Blocks, hidden: Array, given: Array) -> tuple[Array, tuple[Array, tuple[Array, ...]]]:
        hidden, gates = _gru_cell(hidden, given, blocks, bias, precision)
        return hidden, (hidden, gates)

    _, (hidden, gates) = _scan(body, kernel, state, projected)
    return hidden, (kernel, state, hidden, gates)


def _gru_backward(precision: Any, kept: tuple[Any, ...], gradient: Array) -> tuple[Array, Array, Array, Array]:
    kernel, state, hidden, gates = kept
    before = _before(state, hidden)

    def body(blocks: _Blocks, d_hidden: Array, inputs: tuple[Any, ...]) -> tuple[Array, tuple[Array, Array]]:
        added, previous, (reset, update, new, recurrent) = inputs
        d_hidden = d_hidden + added
        d_new = d_hidden * (1 - update) * (1 - new * new)
        d_update = d_hidden * (previous - new) * update * (1 - update)
        d_reset = d_new * recurrent * reset * (1 - reset)
        d_recurrent = jnp.concatenate([d_reset, d_update, d_new * reset], axis=-1)
        return d_hidden * update + _product(d_recurrent, blocks, precision), (d_recurrent, d_new)

    inputs = gradient, before, gates
    d_state, (d_recurrent, d_new) = _scan(body, kernel.T, jnp.zeros_like(state), inputs, reverse=True)
    d_projected = jnp.concatenate([d_recurrent[..., : 2 * d_new.shape[-1]], d_new], axis=-1)
    return d_projected, *_kernel_gradients(before, d_recurrent, kernel, precision), d_state


_gru.defvjp(_gru_forward, _gru_backward)


def _lstm_cell(
    hidden: Array, memory: Array, projected: Array, kernel: _Blocks, bias: Array, precision: Any
) -> tuple[Array, Array, tuple[Array, ...]]:
    z = jnp.split(projected + _product(hidden, kernel, precision) + bias[None], 4, axis=-1)
    take, keep, out = jax.nn.sigmoid(z[0]), jax.nn.sigmoid(z[1]), jax.nn.sigmoid(z[3])
    new = jnp.tanh(z[2])
    memory = keep * memory + take * new
    return out * jnp.tanh(memory), memory, (take, keep, new, out)


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def _lstm(
    projected: Array, kernel: Array, bias: Array, hidden: Array, memory: Array, precision: Any
) -> tuple[Array, Array]:
    """h and c of every step [T, B, H] from the projected inputs [T, B, 4H]."""
    return _lstm_forward(projected, kernel, bias, hidden, memory, precision)[0]


def _lstm_forward(
    projected: Array, kernel: Array, bias: Array, hidden: Array, memory: Array, precision: Any
) -> tuple[tuple[Array, Array], tuple[Any, ...]]:
    def body(blocks: _Blocks, carry: tuple[Array, Array], given: Array) -> tuple[tuple[Array, Array], tuple[Any, ...]]:
        hidden, memory, gates = _lstm_cell(*carry, given, blocks, bias, precision)
        return (hidden, memory), (hidden, memory, gates)

    _, (hiddens, memories, gates) = _scan(body, kernel, (hidden, memory), projected)
    return (hiddens, memories), (kernel, hidden, memory, hiddens, memories, gates)


def _lstm_backward(
    precision: Any, kept: tuple[Any, ...], gradients: tuple[Array, Array]
) -> tuple[Array, Array, Array, Array, Array]:
    kernel, hidden, memory, hiddens, memories, gates = kept

    def body(blocks: _Blocks, carry: tuple[Array, Array], inputs: tuple[Any, ...]) -> tuple[tuple[Array, Array], Array]:
        (d_hidden, d_memory), (added, previous, memory, (take, keep, new, out)) = carry, inputs
        d_hidden, squashed = d_hidden + added[0], jnp.tanh(memory)
        d_memory = d_memory + added[1] + d_hidden * out * (1 - squashed * squashed)
        parts = (
            d_memory * new * take * (1 - take),
            d_memory * previous * keep * (1 - keep),
            d_memory * take * (1 - new * new),
            d_hidden * squashed * out * (1 - out),
        )
        d_gates = jnp.concatenate(parts, axis=-1)
        return (_product(d_gates, blocks, precision), d_memory * keep), d_gates

    start = jnp.zeros_like(hidden), jnp.zeros_like(memory)
    inputs = (gradients, _before(memory, memories), memories, gates)
    (d_hidden, d_memory), d_gates = _scan(body, kernel.T, start, inputs, reverse=True)
    return d_gates, *_kernel_gradients(_before(hidden, hiddens), d_gates, kernel, precision), d_hidden, d_memory


_lstm.defvjp(_lstm_forward, _lstm_backward)


def _before(first: Array, states: Array) -> Array:
    """The state at the start of each step."""
    return jnp.concatenate([first[None], states[:-1]])


def _kernel_gradients(before: Array, d_gates: Array, kernel: Array, precision: Any) -> tuple[Array, Array]:
    """Gradients of the recurrent kernel (as one product over all steps) and of the bias."""
    operands = before.astype(kernel.dtype), d_gates.astype(kernel.dtype)
    product = jnp.einsum("tbh,tbg->hg", *operands, precision=precision, preferred_element_type=jnp.float32)
    return product.astype(kernel.dtype), jnp.sum(d_gates, axis=(0, 1))
