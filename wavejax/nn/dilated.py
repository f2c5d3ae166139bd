"""Convolutions whose taps lie several places apart, fast on one core of a CPU.

The compiler's convolution multiplies a matrix of [places, taps * channels] with the kernel. In two cases this module
has a faster form for a CPU, in float32:

- With few channels (16 at most) the compiler spends more time on gathering the rows than on the products. Here two
  neighbours become one place with twice the channels. If the taps are several places apart, the sequence is reordered
  first. Half as many rows remain. Short ones are gathered by concatenation and multiplied with the kernel in a plain
  product. The larger kernel has zeros in it, which cost less than the gathering did.
- With many channels, many taps and a long sequence only the number of products counts, and fewer are enough. Even and
  odd places are two sequences x0, x1, even and odd taps two kernels w0, w1; then

      y0 = w0 * (x0 - x1) + (w0 + w1) * x1        y1 = (w0 + w1) * x1 - w1 * (x1 - x0 one place later)

  takes three convolutions, each a quarter of the whole work, instead of four (Winograd 1980, Arithmetic Complexity of
  Computations, chapter 5). Done twice, 9/16 of the work remain.

Values are those of `jax.lax.conv_general_dilated` up to rounding; gradients are the compiler's. Elsewhere than on a CPU
all of it is the compiler's. `python -m benchmarks.run vocoding --peers` measures it; figures are in docs/vocoders.md.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

_FEW = range(8, 17)
"""Channels for which neighbours become one place: two, or more if there are fewer outputs than channels."""
_FEWEST_PLACES = 256
"""For that form. The compiler adds up products of fewer rows in another order: a row of a batch would differ by
rounding from the same row alone."""
_SHORT = 64
"""The most numbers in a row that is gathered by concatenation."""
_MANY, _MANY_TAPS, _PLACES_PER_CHANNEL = 32, 7, 8
"""The fewest channels, taps, and places for each channel with which products are saved: kernels are added up in each
call, which does not pay in a short sequence."""
_SPLIT_TWICE = 256
"""The fewest taps * channels with which the work is split twice, not once."""


def convolve_dilated(
    x: Float[Array, "batch time channels"],
    kernel: Float[Array, "taps channels outputs"],
    dilation: int = 1,
    *,
    edges: bool = True,
    precision: Any = None,
) -> Float[Array, "batch out outputs"]:
    """Convolution over one axis with taps `dilation` places apart.

    Args:
        x: [N, T, C].
        kernel: [taps, C, O], an odd number of taps if there are edges.
        dilation: places from one tap to the next.
        edges: True: one output for each place of x, with zeros beyond its ends. False: outputs only where all taps
            are inside x, which are (taps - 1) * dilation fewer.
        precision: of the products.
    """
    return _convolve(x, kernel, dilation, kernel.shape[0] // 2 * dilation if edges else 0, precision)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _convolve(x: Array, kernel: Array, dilation: int, reach: int, precision: Any) -> Array:
    taps, inputs, outputs = kernel.shape
    compilers = functools.partial(_compilers, dilation=dilation, reach=reach, precision=precision)
    if x.dtype != jnp.float32 or not isinstance(x.shape[1], int):  # a length that is symbolic: a model is exported
        return compilers(x, kernel)
    count = x.shape[1] + 2 * reach - (taps - 1) * dilation
    long = count >= _PLACES_PER_CHANNEL * max(inputs, outputs)
    if inputs in _FEW and outputs < _FEW.stop and count >= _FEWEST_PLACES:
        quick = functools.partial(_by_neighbours, dilation=dilation, reach=reach, precision=precision)
    elif min(inputs, outputs) >= _MANY and taps >= _MANY_TAPS and long and dilation % 2:
        quick = functools.partial(_by_halves, dilation=dilation, reach=reach, precision=precision)
    else:
        return compilers(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=quick, default=compilers)


def _forward(x: Array, kernel: Array, dilation: int, reach: int, precision: Any) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(x, kernel, dilation, reach, precision), (x, kernel)


def _backward(
    dilation: int, reach: int, precision: Any, kept: tuple[Array, Array], slopes: Array
) -> tuple[Array, Array]:
    _, pull = jax.vjp(functools.partial(_compilers, dilation=dilation, reach=reach, precision=precision), *kept)
    return pull(slopes)


_convolve.defvjp(_forward, _backward)


def _compilers(x: Array, kernel: Array, dilation: int, reach: int, precision: Any) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (1,),
        [(reach, reach)],
        rhs_dilation=(dilation,),
        dimension_numbers=("NTC", "TIO", "NTC"),
        precision=precision,
    )


def _by_neighbours(x: Array, kernel: Array, dilation: int, reach: int, precision: Any) -> Array:
    """Neighbours are one place: of the places that are `dilation` apart, which are sequences of their own."""
    (batch, length, inputs), (taps, _, outputs) = x.shape, kernel.shape
    joined = max(2, _FEW.start * 2 // outputs)  # one output: sixteen neighbours
    count = length + 2 * reach - (taps - 1) * dilation
    steps, places = -(-(taps + joined - 1) // joined), -(-count // (joined * dilation))
    rows = places + steps - 1
    x = jnp.pad(x, ((0, 0), (reach, rows * joined * dilation - length - reach), (0, 0)))
    x = x.reshape(batch, rows, joined, dilation, inputs)
    x = x.transpose(0, 3, 1, 2, 4).reshape(-1, rows, joined * inputs)
    # The kernel of a neighbour begins a tap later than that of the one before.
    each = [jnp.pad(kernel, ((later, steps * joined - taps - later), (0, 0), (0, 0))) for later in range(joined)]
    wide = jnp.stack(each, axis=2).reshape(steps, joined * inputs, joined * outputs)
    if steps * joined * inputs <= _SHORT:
        gathered = jnp.concatenate([x[:, step : step + places] for step in range(steps)], axis=-1)
        y = jnp.matmul(gathered, wide.reshape(-1, joined * outputs), precision=precision)
    else:
        y = _compilers(x, wide, 1, 0, precision)
    y = y.reshape(batch, dilation, places, joined, outputs).transpose(0, 2, 3, 1, 4)
    return y.reshape(batch, places * joined * dilation, outputs)[:, :count]


def _by_halves(x: Array, kernel: Array, dilation: int, reach: int, precision: Any) -> Array:
    """Three convolutions of half the taps for every second place, in place of four; `dilation` is odd."""
    taps, inputs, outputs = kernel.shape
    levels = 2 if taps * inputs >= _SPLIT_TWICE else 1
    count = x.shape[1] + 2 * reach - (taps - 1) * dilation
    needed = _places_for(count, taps, dilation, levels)
    x = jnp.pad(x, ((0, 0), (reach, needed - x.shape[1] - reach), (0, 0)))
    flat = kernel.reshape(taps, inputs * outputs)

    def convolved(x: Array, mix: np.ndarray, count: int, levels: int) -> Array:
        """The first `count` outputs; tap i of the kernel is the sum of the taps of the whole one, times mix[i].

        Tap 2j + 1 of an even place is j * dilation + half places further among the odd ones, and of an odd place one
        more than that among the even ones. So that both use the same product of odd places, the even outputs are
        computed `half` places later than the odd ones.
        """
        if levels == 0:
            mix = mix[: np.flatnonzero(mix.any(axis=1))[-1] + 1]
            mixed = jnp.matmul(mix, flat, precision=precision).reshape(len(mix), inputs, outputs)
            return _compilers(x[:, : count + (len(mix) - 1) * dilation], mixed, dilation, 0, precision)
        mix = np.pad(mix, ((0, len(mix) % 2), (0, 0)))
        first, second, half, places = mix[::2], mix[1::2], (dilation - 1) // 2, -(-count // 2)
        span, shared_span = (_places_for(n, len(first), dilation, levels - 1) for n in (places, places + half))
        rows = max(shared_span, span + half + 1)
        pairs = x[:, : 2 * rows].reshape(x.shape[0], rows, 2, inputs)
        even, odd = pairs[:, :, 0], pairs[:, :, 1]
        shared = convolved(odd[:, :shared_span], first + second, places + half, levels - 1)
        evens = convolved(even[:, :span] - odd[:, half:][:, :span], first, places, levels - 1) + shared[:, half:]
        later = even[:, half + 1 :][:, :span]
        odds = shared[:, :places] - convolved(odd[:, :span] - later, second, places, levels - 1)
        return jnp.stack([evens, odds], axis=2).reshape(x.shape[0], 2 * places, outputs)[:, :count]

    return convolved(x, np.eye(taps, dtype=np.float32), count, levels)


def _places_for(count: int, taps: int, dilation: int, levels: int) -> int:
    """The length of the sequence that `_by_halves` reads for `count` outputs."""
    if levels == 0:
        return count + (taps - 1) * dilation
    half, places = (dilation - 1) // 2, -(-count // 2)
    span, shared_span = (_places_for(n, -(-taps // 2), dilation, levels - 1) for n in (places, places + half))
    return 2 * max(shared_span, span + half + 1)
