"""Convolutions that advance by strides, with a gradient that is fast on a CPU.

The gradient of a convolution with stride s with respect to its input is a convolution of a sequence that is s times as
long and mostly zeros, which XLA on a CPU works through place by place if there are two axes. Here the stride becomes
phases: s neighbours side by side are one place with s times the channels, from which the convolution goes to the next
place, and the gradient of that one has no zeros in it. Measured on one core, 16 x 63 x 65 places, 16 channels, 3 x 9
taps, stride 2: 7 ms instead of 68.

Over one axis the compiler writes the kernel anew for the gradient of the input, its taps turned round and its channels
exchanged, and that costs more than the products where a kernel is large and a sequence short. Here all taps are one
product with the kernel as it is, whose parts are then added at their places, and the gradient of the kernel is one
product of all taps side by side. Measured on one core, 2 x 128 places, 1,024 channels to 1,024, 5 taps: 15 ms instead
of 34 for the gradient of the input (forward: 13).

Where channels are in groups, both gradients are slow. Here that of the input is a convolution in groups, of which the
forward form is fast, and that of the kernel one product for each group, of all taps side by side. Measured on one core,
2 x 4,096 places, 128 channels to 128 in 4 groups, 41 taps, stride 2: 14 and 25 ms (forward: 15).

What is done over one axis is done on a CPU alone; elsewhere its gradients are the compiler's.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def convolve_strided(
    x: Float[Array, "batch *axes channels"],
    kernel: Float[Array, "*sizes inputs outputs"],
    stride: int = 1,
    *,
    groups: int = 1,
    precision: Any = None,
) -> Float[Array, "batch *out outputs"]:
    """Convolution over one axis or two with half a kernel of zeros at the edges; the last axis advances by `stride`.

    Values and gradients are those of `jax.lax.conv_general_dilated`, the gradients up to rounding.

    Args:
        x: [N, T, C] or [N, R, T, C].
        kernel: [taps, C / groups, O] or [rows, taps, C / groups, O].
        stride: places from one output to the next on the last axis; on the axis before, it is 1.
        groups: parts of the channels that do not meet: output o hears those of part o // (O / groups).
        precision: of the products.
    """
    if kernel.ndim == 3:
        return _over_one_axis(x, kernel, stride, groups, precision)
    if stride == 1 or groups > 1:
        return _convolution(x, kernel, stride, groups, precision)
    return _with_phases(x, kernel, stride, precision)


def _convolution(x: Array, kernel: Array, stride: int, groups: int, precision: Any) -> Array:
    letters = "RT"[4 - kernel.ndim :]
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, stride)[4 - kernel.ndim :],
        [(size // 2, size // 2) for size in kernel.shape[:-2]],
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=groups,
        precision=precision,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _with_phases(x: Array, kernel: Array, stride: int, precision: Any) -> Array:
    """A strided convolution over two axes whose gradient is that of `_in_phases`."""
    return _convolution(x, kernel, stride, 1, precision)


def _forward(x: Array, kernel: Array, stride: int, precision: Any) -> tuple[Array, tuple[Array, Array]]:
    return _convolution(x, kernel, stride, 1, precision), (x, kernel)


def _backward(stride: int, precision: Any, kept: tuple[Array, Array], slopes: Array) -> tuple[Array, Array]:
    x, kernel = kept
    _, to_input = jax.vjp(lambda x: _in_phases(x, kernel, stride, precision), x)
    _, to_kernel = jax.vjp(lambda kernel: _convolution(x, kernel, stride, 1, precision), kernel)
    return *to_input(slopes), *to_kernel(slopes)


_with_phases.defvjp(_forward, _backward)


def _in_phases(x: Array, kernel: Array, stride: int, precision: Any) -> Array:
    """The same convolution, of places that hold `stride` neighbours each."""
    rows, taps, inputs, outputs = kernel.shape
    batch, length = x.shape[0], x.shape[2]
    count, steps = (length + 2 * (taps // 2) - taps) // stride + 1, -(-taps // stride)
    places = count + steps - 1
    edges = ((0, 0, 0), (rows // 2, rows // 2, 0), (taps // 2, places * stride - length - taps // 2, 0), (0, 0, 0))
    padded = lax.pad(x, jnp.zeros((), x.dtype), edges)
    return lax.conv_general_dilated(
        padded.reshape(batch, padded.shape[1], places, stride * inputs),
        jnp.pad(kernel, ((0, 0), (0, steps * stride - taps), (0, 0), (0, 0))).reshape(rows, steps, -1, outputs),
        (1, 1),
        "VALID",
        dimension_numbers=("NRTC", "RTIO", "NRTC"),
        precision=precision,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _over_one_axis(x: Array, kernel: Array, stride: int, groups: int, precision: Any) -> Array:
    return _convolution(x, kernel, stride, groups, precision)


def _one_axis_forward(x: Array, kernel: Array, stride: int, groups: int, precision: Any) -> tuple[Array, Any]:
    kernel = lax.optimization_barrier(kernel)  # a normalised one is computed once, and not again for the gradient
    return _convolution(x, kernel, stride, groups, precision), (x, kernel)


def _one_axis_backward(
    stride: int, groups: int, precision: Any, kept: tuple[Array, Array], slopes: Array
) -> tuple[Array, Array]:
    x, kernel = kept
    length, taps = x.shape[1], kernel.shape[0]

    def to_input(slopes: Array, kernel: Array) -> Array:
        if groups == 1:
            return _slopes_by_product(slopes, kernel, length, stride, precision)
        return _slopes_of_input(slopes, kernel, length, stride, groups, precision)

    def compilers_to_input(slopes: Array, kernel: Array) -> Array:
        return jax.vjp(lambda x: _convolution(x, kernel, stride, groups, precision), x)[1](slopes)[0]

    def compilers_to_kernel(slopes: Array, x: Array) -> Array:
        return jax.vjp(lambda kernel: _convolution(x, kernel, stride, groups, precision), kernel)[1](slopes)[0]

    def to_kernel(slopes: Array, x: Array) -> Array:
        if groups == 1:
            return _slopes_of_whole_kernel(slopes, x, taps, stride, precision)
        return _slopes_of_kernel(slopes, x, taps, stride, groups, precision)

    return (
        lax.platform_dependent(slopes, kernel, cpu=to_input, default=compilers_to_input),
        lax.platform_dependent(slopes, x, cpu=to_kernel, default=compilers_to_kernel),
    )


_over_one_axis.defvjp(_one_axis_forward, _one_axis_backward)


def _slopes_by_product(slopes: Array, kernel: Array, length: int, stride: int, precision: Any) -> Array:
    """The gradient of x [N, length, C]: one product for all taps, each of which is added where it heard."""
    (batch, count, outputs), (taps, inputs, _) = slopes.shape, kernel.shape
    rows = slopes.reshape(batch * count, outputs), kernel.reshape(taps * inputs, outputs)
    pulls = lax.dot_general(*rows, (((1,), (1,)), ((), ())), precision=precision)
    pulls = pulls.reshape(batch, count, taps, inputs)
    half, covered = taps // 2, (count - 1) * stride + 1
    found = jnp.zeros((batch, length + 2 * half, inputs), slopes.dtype)
    for tap in range(taps):
        after = found.shape[1] - tap - covered
        found += lax.pad(
            pulls[:, :, tap], jnp.zeros((), slopes.dtype), ((0, 0, 0), (tap, after, stride - 1), (0, 0, 0))
        )
    return found[:, half : half + length]


def _slopes_of_whole_kernel(slopes: Array, x: Array, taps: int, stride: int, precision: Any) -> Array:
    """The gradient of a kernel [taps, C, O]: one product over all places, all taps side by side."""
    (_, count, outputs), inputs, half = slopes.shape, x.shape[2], taps // 2
    padded = jnp.pad(x, ((0, 0), (half, half), (0, 0)))
    heard = [lax.slice_in_dim(padded, tap, tap + (count - 1) * stride + 1, stride, 1) for tap in range(taps)]
    rows = jnp.concatenate(heard, axis=2).reshape(-1, taps * inputs), slopes.reshape(-1, outputs)
    found = lax.dot_general(*rows, (((0,), (0,)), ((), ())), precision=precision)
    return found.reshape(taps, inputs, outputs)


def _slopes_of_input(slopes: Array, kernel: Array, length: int, stride: int, groups: int, precision: Any) -> Array:
    """The gradient of x [N, length, C]: each of `stride` phases is a convolution with every stride-th tap."""
    (batch, _, channels), (taps, inputs, _) = slopes.shape, kernel.shape
    steps, outputs = -(-taps // stride), channels // groups
    phases = jnp.pad(kernel, ((0, steps * stride - taps), (0, 0), (0, 0)))
    phases = phases.reshape(steps, stride, inputs, groups, outputs)[::-1].transpose(0, 4, 3, 1, 2)
    found = lax.conv_general_dilated(
        slopes,
        phases.reshape(steps, outputs, groups * stride * inputs),
        (1,),
        [(steps - 1, steps - 1)],
        dimension_numbers=("NTC", "TIO", "NTC"),
        feature_group_count=groups,
        precision=precision,
    )
    places = found.shape[1]
    found = found.reshape(batch, places, groups, stride, inputs).transpose(0, 1, 3, 2, 4)
    found = found.reshape(batch, places * stride, groups * inputs)[:, taps // 2 : taps // 2 + length]
    return jnp.pad(found, ((0, 0), (0, length - found.shape[1]), (0, 0)))


def _slopes_of_kernel(slopes: Array, x: Array, taps: int, stride: int, groups: int, precision: Any) -> Array:
    """The gradient of a kernel [taps, C / groups, O]: for each group a product over all places."""
    (batch, count, channels), inputs, half = slopes.shape, x.shape[2] // groups, taps // 2
    padded = jnp.pad(x, ((0, 0), (half, half), (0, 0))).reshape(batch, -1, groups, inputs).transpose(2, 3, 0, 1)
    pulls = slopes.reshape(batch * count, groups, channels // groups).transpose(1, 0, 2)

    def of_group(both: tuple[Array, Array]) -> Array:
        signal, pull = both
        heard = [lax.slice_in_dim(signal, tap, tap + (count - 1) * stride + 1, stride, 2) for tap in range(taps)]
        return jnp.matmul(jnp.concatenate(heard).reshape(taps * inputs, -1), pull, precision=precision)

    found = lax.map(of_group, (padded, pulls)).reshape(groups, taps, inputs, -1)
    return found.transpose(1, 2, 0, 3).reshape(taps, inputs, channels)
