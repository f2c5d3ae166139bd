"""The compiled loop of a WaveNet, in the subset of Python that numba compiles, built on one matrix product.

Functions marked `@kernel` are plain Python until `compiled` turns them into machine code, cached on disk. They allocate
their own scratch memory, hold no lock while they run, and take every size at run time: one compilation works for all
models. They are all in this one file because numba's cache checks only the file in which a function is defined.

The arithmetic is in `product`, y += x W for a few rows of x. Its innermost loops are written as vector instructions in
LLVM's own language (`_emit_tile`): sums stay in registers, and every output adds its terms in the order of the inputs,
whatever else is computed with it. So a sample does not depend on how a stream is cut into blocks. For float32 and
bfloat16 it does not depend on the other streams of the batch either.

A layer's old taps are known `dilation` steps ahead, so they are computed for that many steps at once (up to
`STEPS_AHEAD` rows of a product): their weights are read only once for all these steps.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

KERNELS: list[Callable] = []

PANEL = 8
"""Vectors in a panel of packed weights; for each input, the panel's columns are adjacent in memory."""
STEPS_AHEAD = 16

LOG2_E, LN_2_HIGH, LN_2_LOW = np.float32(1.4426950408889634), np.float32(0.693145751953125), np.float32(1.428606765e-6)
ROUNDER = np.float32(1.5 * 2**23)
"""Adding it to a float32 below 2^22 leaves the nearest integer in the low bits."""
SERIES = tuple(np.float32(1 / factorial) for factorial in (720, 120, 24, 6, 2, 1, 1))
ZERO, HALF, ONE, TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
TINY = np.finfo(np.float32).tiny
NAN = np.float32(np.nan)
INFINITY_BITS = np.int32(0x7F800000)

OFFSET, INPUTS, VECTORS, SCALES, GROUP = range(5)
"""Columns of `Packed.matrices`: the matrix's offset in `weights`, its inputs, its outputs in vectors; for int8 also the
offset of its scales and the number of inputs that share one."""

NONE, SAMPLES, REPEAT, LINEAR = range(4)
"""How a sample finds its conditioning: one entry for all, a row of an entry, the nearest entry, or interpolated."""

CATEGORICAL, COARSE_FINE, MIXTURE = range(3)


class Packed(NamedTuple):
    """A model's weights in the kernels' layout. The matrices are, in order: the layers' old taps, current taps and
    residual maps (L of each), the skips of all layers, the skip of the input, the layers' maps of conditioning at the
    sample rate, if there is any (L), and the tail."""

    weights: np.ndarray
    scales: np.ndarray
    matrices: np.ndarray
    table: np.ndarray
    """[taps, classes, R], or [taps, 2, R] (factor, constant) for scalar input."""
    residual_bias: np.ndarray
    skip_bias: np.ndarray
    tail_bias: np.ndarray
    dilations: np.ndarray
    starts: np.ndarray
    """The first row of each layer in the ring."""
    levels: np.ndarray
    """Signal value of every class; empty for continuous values."""
    scalars: np.ndarray
    tilt: np.ndarray
    """[2, fine]: the factors of a coarse class's slope and curvature; empty for other distributions."""


class Sizes(NamedTuple):
    """The sizes and other numbers of a model."""

    kernel_size: int
    residual: int
    gate: int
    skip: int
    tails: int
    outputs: int
    scalar_input: bool
    skip_input: bool
    residual_scale: np.float32
    distribution: int
    classes: int
    """Classes of a categorical, coarse classes, or components of a mixture."""
    fine: int
    log_scale_min: np.float32
    pre_emphasis: np.float32
    gain: np.float32
    conditioning: int
    hop: int
    centre: int
    back: int


class Cache(NamedTuple):
    """The arrays of the state for all streams of the batch, changed in place: see `WaveNetDecoder`."""

    ring: np.ndarray
    phase: np.ndarray
    history: np.ndarray
    value: np.ndarray
    memory: np.ndarray


class Job(NamedTuple):
    """One block for some streams."""

    gates: np.ndarray
    """[frames, 1, L, B or 1, 2G]."""
    local: np.ndarray
    """[frames, hop, B, C]: conditioning of each sample, which is projected and added to the gates; or empty."""
    tail: np.ndarray
    """[frames, rows, B, tail width], or empty."""
    temperature: np.ndarray
    noise: np.ndarray
    """[count, B, noise_size]; a mixture's last uniform is already converted to its quantile."""
    floor: np.float32
    start: int
    given: np.ndarray
    """[count, B]: values to use instead of drawing, or empty."""
    values: np.ndarray
    waveform: np.ndarray
    outputs: np.ndarray
    """[count, B, outputs]: written if not empty."""


def kernel(function: Callable) -> Callable:
    """Marks a function for `compiled` to compile."""
    KERNELS.append(inspect.unwrap(function))
    return function


@kernel
def exp(x):
    """e^x for x in [-87, 88]: relative error below 3e-7. 2^n times the exponential series to the sixth power."""
    rounded = x * LOG2_E + ROUNDER
    n = rounded - ROUNDER
    r = (x - n * LN_2_HIGH) - n * LN_2_LOW
    p = ((((SERIES[0] * r + SERIES[1]) * r + SERIES[2]) * r + SERIES[3]) * r + SERIES[4]) * r * r + (r + ONE)
    return p * as_float(np.int32((as_int(rounded) << 23) + 0x3F800000))


@kernel
def gated(tanh, sigmoid, h):
    """h = tanh(tanh) sigmoid(sigmoid), absolute error below 4e-7; NaN stays NaN."""
    for i in range(len(h)):
        a, b = TWO * tanh[i], -sigmoid[i]
        a = np.float32(30) if a > np.float32(30) else np.float32(-30) if a < np.float32(-30) else a
        b = np.float32(60) if b > np.float32(60) else np.float32(-60) if b < np.float32(-60) else b
        up = exp(a)
        h[i] = (up - ONE) / ((up + ONE) * (ONE + exp(b)))


@kernel
def product_float(p, index, rows, x, x_stride, y, y_stride, scratch):
    """y[r] += x[r] W for float32 or bfloat16 weights, W being matrix `index`."""
    at, inputs, vectors = p.matrices[index, OFFSET], p.matrices[index, INPUTS], p.matrices[index, VECTORS]
    for panel in range(0, vectors, PANEL):
        wide = min(PANEL, vectors - panel)
        row = 0
        while row < rows:
            left, column = rows - row, 0
            source, target = row * x_stride, row * y_stride + panel * LANES
            while column < wide:
                to, rest = target + column * LANES, wide - column
                where = (x, source, x_stride, p.weights, at + column * UNIT, wide * UNIT, inputs, y, to, y_stride)
                if left >= 4:
                    column += (
                        tile(4, TILE, where) if rest >= TILE else tile(4, 2, where) if rest > 1 else tile(4, 1, where)
                    )
                elif left >= 2:
                    column += tile(2, 4, where) if rest >= 4 else tile(2, 2, where) if rest > 1 else tile(2, 1, where)
                elif rest >= 8:
                    column += tile(1, 8, where)
                else:
                    column += tile(1, 4, where) if rest >= 4 else tile(1, 2, where) if rest > 1 else tile(1, 1, where)
            row += 4 if left >= 4 else 2 if left >= 2 else 1
        at += wide * UNIT * inputs


@kernel
def quantize(x, whole):
    """whole = x / scale rounded, |whole| <= 32767, with a zero after an odd count; returns the scale."""
    bits, largest, count = x.view(np.int32), np.int32(0), len(x)
    for i in range(count):
        largest = max(largest, np.int32(bits[i] & 0x7FFFFFFF))
    whole[count] = 0
    if largest >= INFINITY_BITS or largest == 0:
        for i in range(count):
            whole[i] = 0
        return NAN if largest else ZERO
    scale = as_float(largest) / np.float32(32767)
    factor = ONE / scale
    for i in range(count):
        whole[i] = np.int32(x[i] * factor + np.float32(32768.5)) - 32768
    return scale


@kernel
def product_int8(p, index, rows, x, x_stride, y, y_stride, scratch):
    """y[r] += x[r] W for int8 weights with a scale for each output and group of inputs; x is rounded to 16 bits."""
    at, inputs, vectors = p.matrices[index, OFFSET], p.matrices[index, INPUTS], p.matrices[index, VECTORS]
    scales, group = p.matrices[index, SCALES], p.matrices[index, GROUP]
    whole, row_scales = scratch
    pairs, stride = whole.view(np.int32), (group + 1) // 2
    for first in range(0, inputs, group):
        size = min(group, inputs - first)
        for row in range(rows):
            at_x, at_whole = row * x_stride + first, 2 * stride * row
            row_scales[row] = quantize(x[at_x : at_x + size], whole[at_whole : at_whole + size + 1])
        size = (size + 1) // 2
        for panel in range(0, vectors, PANEL):
            wide = min(PANEL, vectors - panel)
            row = 0
            while row < rows:
                left, column, target = rows - row, 0, row * y_stride + panel * LANES
                while column < wide:
                    rest, to, s = wide - column, target + column * LANES, scales + (panel + column) * LANES
                    unit = 2 * LANES
                    matrix = (pairs, stride * row, stride, p.weights, at + column * unit, wide * unit, size)
                    where = (*matrix, y, to, y_stride, p.scales, s, row_scales, row)
                    if left >= 4:
                        column += (
                            tile(4, TILE, where)
                            if rest >= TILE
                            else tile(4, 2, where)
                            if rest > 1
                            else tile(4, 1, where)
                        )
                    elif left >= 2:
                        column += (
                            tile(2, 4, where) if rest >= 4 else tile(2, 2, where) if rest > 1 else tile(2, 1, where)
                        )
                    elif rest >= 8:
                        column += tile(1, 8, where)
                    else:
                        column += (
                            tile(1, 4, where) if rest >= 4 else tile(1, 2, where) if rest > 1 else tile(1, 1, where)
                        )
                row += 4 if left >= 4 else 2 if left >= 2 else 1
            at += wide * 2 * LANES * size
        scales += vectors * LANES


@kernel
def draw_class(logits, uniform, heat, floor, weights, sums):
    """`wavejax.distributions.draw_class`, summed in float64."""
    count = len(logits)
    bits, key = logits.view(np.int32), np.int32(-0x80000000)
    for i in range(count):  # float order as integer order: the maximum is then a vector instruction
        b = bits[i]
        key = max(key, np.int32(b ^ ((b >> 31) & 0x7FFFFFFF)))
    largest = as_float(np.int32(key ^ ((key >> 31) & 0x7FFFFFFF)))
    if heat >= TINY:
        for i in range(count):
            x = (logits[i] - largest) / heat
            cold = x < np.float32(-87)
            w = exp(ZERO if cold else x)
            weights[i] = ZERO if cold else w
    else:
        uniform = ZERO
        for i in range(count):
            weights[i] = ONE if logits[i] == largest else ZERO
    rows = (count + 15) // 16
    if floor > ZERO:
        total = 0.0
        for i in range(count):
            total += np.float64(weights[i])
        least = min(np.float64(floor) * total, 1.0)
        for i in range(count):
            weights[i] = weights[i] if np.float64(weights[i]) >= least else ZERO
    total = 0.0
    for row in range(rows):
        sums[row] = 0.0
        for i in range(16 * row, min(16 * row + 16, count)):
            sums[row] += np.float64(weights[i])
        total += sums[row]
    target, edge, row = np.float64(uniform) * total, 0.0, 0
    while row < rows - 1 and edge + sums[row] <= target:
        edge += sums[row]
        row += 1
    drawn = -1
    for i in range(16 * row, count):
        edge += np.float64(weights[i])
        if weights[i] > ZERO:
            drawn = i
            if edge > target:
                return drawn
    row = count - 1
    while drawn < 0 and row > 0:
        if weights[row] > ZERO:
            drawn = row
        row -= 1
    return max(drawn, 0)


@kernel
def draw(p, sizes, output, noise, heat, floor, weights, sums):
    """Draws a value and returns it as a float32, also if it is a class."""
    classes, fine = sizes.classes, sizes.fine
    if sizes.distribution == CATEGORICAL:
        return np.float32(draw_class(output, noise[0], heat, floor, weights, sums))
    if sizes.distribution == COARSE_FINE:
        coarse = draw_class(output[:classes], noise[0], heat, floor, weights, sums)
        slope, curvature = output[classes + fine + coarse], output[2 * classes + fine + coarse]
        logits = output[classes : classes + fine]
        for i in range(fine):
            logits[i] += slope * p.tilt[0, i] + curvature * p.tilt[1, i]
        return np.float32(coarse * fine + draw_class(logits, noise[1], heat, floor, weights, sums))
    component = 0
    if sizes.outputs > 2:
        component = draw_class(output[:classes], noise[0], heat, floor, weights, sums)
        output = output[classes:]
    mean, log_scale = output[component], output[classes + component]
    log_scale = sizes.log_scale_min if log_scale < sizes.log_scale_min else log_scale
    log_scale = np.float32(20) if log_scale > np.float32(20) else log_scale
    if heat >= TINY:
        mean += heat * (exp(log_scale) * noise[noise.shape[0] - 1])
    return ONE if mean > ONE else -ONE if mean < -ONE else mean


@kernel
def copy(source, target):
    """target = source."""
    for i in range(len(target)):
        target[i] = source[i]


@kernel
def place(sizes, offset):
    """The conditioning of the sample `offset` samples after the start of interval 0: (entry, next entry, row in it,
    weight of the next entry)."""
    hop = sizes.hop
    if sizes.conditioning == SAMPLES:
        entry = offset // hop
        return entry, entry, offset - entry * hop, ZERO
    if sizes.conditioning == REPEAT:
        entry = (2 * (offset - sizes.centre) + hop) // (2 * hop) + sizes.back
        return entry, entry, offset - offset, ZERO
    if sizes.conditioning == LINEAR:
        distance = offset - sizes.centre
        entry = distance // hop
        weight = np.float32(distance - entry * hop) / np.float32(hop)
        return entry + sizes.back, entry + sizes.back + 1, offset - offset, weight
    return offset - offset, offset - offset, offset - offset, ZERO


@kernel
def mix(low, high, weight, z):
    """z = low + (high - low) weight."""
    for i in range(len(z)):
        z[i] = low[i] + (high[i] - low[i]) * weight


@kernel
def input_layer(p, sizes, cache, first, streams, x, stride):
    """x = the input layer over the last values, oldest first; then the history advances by one."""
    lag = p.table.shape[0] - 1
    for s in range(streams):
        to = x[s * stride : s * stride + sizes.residual]
        for tap in range(lag + 1):
            value = cache.value[first + s] if tap == lag else cache.history[tap, first + s]
            if sizes.scalar_input:
                value = p.scalars[int(value)] if p.scalars.shape[0] else value
                factor, constant = p.table[tap, 0], p.table[0, 1]
                for i in range(len(to)):
                    to[i] = (constant[i] if tap == 0 else to[i]) + value * factor[i]
            else:
                row = p.table[tap, int(value)]
                for i in range(len(to)):
                    to[i] = row[i] if tap == 0 else to[i] + row[i]
        for tap in range(lag):
            moved = cache.value[first + s] if tap == lag - 1 else cache.history[tap + 1, first + s]
            cache.history[tap, first + s] = moved


@kernel
def old_taps(p, sizes, cache, layer, phase, first, streams, ahead, old, z, width, scratch):
    """Adds the layer's old taps of the next `ahead` steps to z [ahead * streams, width]."""
    taps, dilation = sizes.kernel_size - 1, p.dilations[layer]
    rows, inputs, to = taps * dilation, taps * sizes.residual, 0
    for later in range(ahead):
        for s in range(streams):
            for tap in range(taps):
                kept = cache.ring[p.starts[layer] + (phase + later - (taps - tap) * dilation) % rows, first + s]
                copy(kept, old[to : to + sizes.residual])
                to += sizes.residual
    product(p, layer, ahead * streams, old, inputs, z, width, scratch)


@kernel
def tail(p, sizes, job, found, first, streams, s, t, stride, scratch):
    """The network from the summed skips s to its output; returns the one of the two buffers that holds the output."""
    index = p.matrices.shape[0] - sizes.tails
    for i in range(sizes.tails):
        inputs = p.matrices[index + i, INPUTS]
        for b in range(streams):
            row = s[b * stride : b * stride + inputs]
            for j in range(inputs):
                row[j] = ZERO if row[j] < ZERO else row[j]
            copy(p.tail_bias[i], t[b * stride : (b + 1) * stride])
        product(p, index + i, streams, s, stride, t, stride, scratch)
        s, t = t, s
        if i == 0 and job.tail.shape[0]:
            entry, following, row_in, weight = found
            width = job.tail.shape[3]
            for b in range(streams):
                row, more = s[b * stride : b * stride + width], t[:width]
                mix(job.tail[entry, row_in, first + b], job.tail[following, row_in, first + b], weight, more)
                for j in range(width):
                    row[j] += more[j]
    return s


@kernel
def conditioning(p, sizes, job, done, steps, first, streams, local, z, width, stride, scratch):
    """z = the conditioning of the gates for `steps` steps from `done` on, layer by layer."""
    layers, channels, to = job.gates.shape[2], job.local.shape[3], 0
    for step in range(steps):
        entry, following, row, weight = place(sizes, job.start + done + step)
        for b in range(streams):
            stream = first + b if job.gates.shape[3] > 1 else 0
            at = (step * streams + b) * width
            for layer in range(layers):
                low, high = job.gates[entry, 0, layer, stream], job.gates[following, 0, layer, stream]
                mix(low, high, weight, z[at : at + len(low)])
                at += stride
            if job.local.shape[0]:
                copy(job.local[entry, row, first + b], local[to : to + channels])
                to += channels
    for layer in range(layers if job.local.shape[0] else 0):
        rows = z[layer * stride : (layer + 1) * stride]
        product(p, 3 * layers + 2 + layer, steps * streams, local, channels, rows, width, scratch)


@kernel
def decide(p, sizes, cache, job, now, stream, output, weights, sums):
    """Draws a stream's value, or takes the given one, and writes its sample and state."""
    if job.outputs.shape[0]:
        copy(output, job.outputs[now, stream])
    if job.given.shape[0]:
        value = job.given[now, stream]
    else:
        row = 0 if job.temperature.shape[0] == 1 else (job.start + now) // sizes.hop
        heat = job.temperature[row, stream if job.temperature.shape[1] > 1 else 0]
        value = draw(p, sizes, output, job.noise[now, stream], heat, job.floor, weights, sums)
    signal = p.levels[int(value)] if p.levels.shape[0] else value
    signal += sizes.pre_emphasis * cache.memory[stream]
    cache.memory[stream], cache.value[stream] = signal, value
    job.values[now, stream], job.waveform[now, stream] = value, signal / sizes.gain


@kernel
def run(p, sizes, cache, job, first, last):
    """One block for streams first .. last - 1 of the batch. Changes `cache` and fills the job's results."""
    layers, streams, count = p.dilations.shape[0], last - first, job.noise.shape[0]
    taps, gate = sizes.kernel_size - 1, sizes.gate
    most = max(STEPS_AHEAD // streams, 2)
    z_width, x_width = p.matrices[layers, VECTORS] * LANES, p.matrices[2 * layers, VECTORS] * LANES
    h_width, s_width, rows = layers * gate, p.skip_bias.shape[0], most * streams
    channels = job.local.shape[3]
    widest = max(taps * sizes.residual, gate, s_width, channels)
    scratch = (np.zeros(rows * (widest + 2), np.int16), np.zeros(rows, np.float32))
    old, local = np.zeros(rows * taps * sizes.residual, np.float32), np.zeros(rows * channels, np.float32)
    z = np.zeros(layers * rows * z_width, np.float32)
    x, heard = np.zeros(streams * x_width, np.float32), np.zeros(streams * x_width, np.float32)
    h = np.zeros(streams * h_width, np.float32)
    s, t = np.zeros(streams * s_width, np.float32), np.zeros(streams * s_width, np.float32)
    weights, sums = np.zeros(sizes.outputs + 16, np.float32), np.zeros(sizes.outputs // 16 + 1, np.float64)
    phases = cache.phase.copy()
    for done in range(0, count, most):
        steps = min(most, count - done)
        conditioning(p, sizes, job, done, steps, first, streams, local, z, z_width, rows * z_width, scratch)
        for step in range(steps):
            now = done + step
            input_layer(p, sizes, cache, first, streams, x, x_width)
            if sizes.skip_input:
                copy(x, heard)
            for layer in range(layers):
                ahead, phase = min(p.dilations[layer], most), phases[layer]
                here = z[(layer * rows + step * streams) * z_width :]
                if step % ahead == 0:
                    ahead = min(ahead, steps - step)
                    old_taps(p, sizes, cache, layer, phase, first, streams, ahead, old, here, z_width, scratch)
                product(p, layers + layer, streams, x, x_width, here, z_width, scratch)
                for b in range(streams):
                    row = x[b * x_width : b * x_width + sizes.residual]
                    copy(row, cache.ring[p.starts[layer] + phase, first + b])
                    at, to = b * z_width, b * h_width + layer * gate
                    gated(here[at : at + gate], here[at + gate : at + 2 * gate], h[to : to + gate])
                    bias = p.residual_bias[layer]
                    for i in range(len(row)):
                        row[i] = row[i] * sizes.residual_scale + bias[i]
                if layer < layers - 1:
                    product(p, 2 * layers + layer, streams, h[layer * gate :], h_width, x, x_width, scratch)
                phases[layer] = phase + 1 if phase + 1 < taps * p.dilations[layer] else 0
            for b in range(streams):
                copy(p.skip_bias, s[b * s_width : (b + 1) * s_width])
            product(p, 3 * layers, streams, h, h_width, s, s_width, scratch)
            if sizes.skip_input:
                product(p, 3 * layers + 1, streams, heard, x_width, s, s_width, scratch)
            output = tail(p, sizes, job, place(sizes, job.start + now), first, streams, s, t, s_width, scratch)
            for b in range(streams):
                one = output[b * s_width : b * s_width + sizes.outputs]
                decide(p, sizes, cache, job, now, first + b, one, weights, sums)
