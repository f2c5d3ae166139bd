"""Convolutions whose taps lie several places apart, fast on one core of a CPU.

The compiler's convolution multiplies a matrix of [places, taps * channels] with the kernel. In two cases this module
has a faster form for a CPU, in float32:

- With few channels (16 at most) the compiler spends more time on gathering the rows than on the products. Here two
  neighbours become one place with twice the channels. If the taps are several places apart, the sequence is reordered
  first. Half as many rows remain; they are gathered by concatenation and multiplied with the kernel in a plain product.
  The larger kernel has zeros in it, which cost less than the gathering did.
- With many channels, many taps and a long sequence only the number of products counts, and fewer are enough. Even and
  odd places are two sequences x0, x1, even and odd taps two kernels w0, w1; then

      y0 = w0 * (x0 - x1) + (w0 + w1) * x1        y1 = (w0 + w1) * x1 - w1 * (x1 - x0 one place later)

  takes three convolutions, each a quarter of the whole work, instead of four (Winograd 1980, Arithmetic Complexity of
  Computations, chapter 5). Done twice, 9/16 of the work remain.

Values are those of `jax.lax.conv_general_dilated` up to rounding; gradients are the compiler's. Elsewhere than on a CPU
all of it is the compiler's. `python -m benchmarks.run vocoding --peers` measures it; figures are in docs/vocoders.md.
"""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

_FEW = range(8, 17)
"""Channels for which two neighbours become one place."""
_FEWEST_PLACES = 256
"""For that form. The compiler adds up products of fewer rows in another order: a row of a batch would differ by
rounding from the same row alone."""
_WIDEST = 127
"""The most numbers in a gathered row: the compiler takes twice the time to gather wider ones."""
_MANY, _MANY_TAPS, _PLACES_PER_CHANNEL = 32, 7, 8
"""The fewest channels, taps, and places for each channel with which products are saved: kernels are added up in each
call, which does not pay in a short sequence."""
_LEVELS = 2
"""How often the work is split."""


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
        quick = functools.partial(_by_halves, dilation=dilation, reach=reach, precision=precision, levels=_LEVELS)
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
    """Two neighbours are one place: of the places that are `dilation` apart, which are sequences of their own."""
    (batch, length, inputs), (taps, _, outputs) = x.shape, kernel.shape
    count = length + 2 * reach - (taps - 1) * dilation
    steps, places = taps // 2 + 1, -(-count // (2 * dilation))
    rows = places + steps - 1
    x = jnp.pad(x, ((0, 0), (reach, rows * 2 * dilation - length - reach), (0, 0)))
    x = x.reshape(batch, rows, 2, dilation, inputs).transpose(0, 3, 1, 2, 4).reshape(-1, rows, 2 * inputs)
    # The kernel of the second neighbour begins a tap later.
    both = [jnp.pad(kernel, ((later, 2 * steps - taps - later), (0, 0), (0, 0))) for later in (0, 1)]
    wide = jnp.stack(both, axis=2).reshape(steps, 2 * inputs, 2 * outputs)

    def heard(first: int, last: int) -> Array:
        gathered = jnp.concatenate([x[:, step : step + places] for step in range(first, last)], axis=-1)
        return jnp.matmul(gathered, wide[first:last].reshape(-1, 2 * outputs), precision=precision)

    group = _WIDEST // (2 * inputs)
    y = functools.reduce(operator.add, (heard(step, min(step + group, steps)) for step in range(0, steps, group)))
    y = y.reshape(batch, dilation, places, 2, outputs).transpose(0, 2, 3, 1, 4)
    return y.reshape(batch, places * 2 * dilation, outputs)[:, :count]


def _by_halves(x: Array, kernel: Array, dilation: int, reach: int, precision: Any, levels: int) -> Array:
    """Three convolutions of half the taps for every second place, in place of four; `dilation` is odd.

    Tap 2j + 1 of an even place is j * dilation + half places further among the odd ones, and of an odd place one more
    than that among the even ones. So that both use the same product of odd places, the even outputs are computed `half`
    places later than the odd ones.
    """
    if levels == 0:
        return _compilers(x, kernel, dilation, reach, precision)
    (batch, length, inputs), (taps, _, outputs) = x.shape, kernel.shape
    count = length + 2 * reach - (taps - 1) * dilation
    pairs, places, half = -(-taps // 2), -(-count // 2), (dilation - 1) // 2
    span = places + (pairs - 1) * dilation
    rows = span + half + 1
    x = jnp.pad(x, ((0, 0), (reach, 2 * rows - length - reach), (0, 0))).reshape(batch, rows, 2, inputs)
    even, odd = x[:, :, 0], x[:, :, 1]
    kernel = jnp.pad(kernel, ((0, 2 * pairs - taps), (0, 0), (0, 0))).reshape(pairs, 2, inputs, outputs)
    first, second = kernel[:, 0], kernel[:, 1]
    convolved = functools.partial(_by_halves, dilation=dilation, reach=0, precision=precision, levels=levels - 1)
    shared = convolved(odd[:, : span + half], first + second)
    evens = convolved(even[:, :span] - odd[:, half : half + span], first) + shared[:, half:]
    odds = shared[:, :places] - convolved(odd[:, :span] - even[:, half + 1 :], second)
    return jnp.stack([evens, odds], axis=2).reshape(batch, 2 * places, outputs)[:, :count]
