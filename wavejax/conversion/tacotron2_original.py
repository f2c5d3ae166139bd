"""NVIDIA/tacotron2's arithmetic (model.py), written out in NumPy and float64 on a file's own tensors.

One utterance, free running, with the prenet's dropout given; it shares nothing with the model and the table.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

Tensors = Mapping[str, np.ndarray]


class Original(NamedTuple):
    """What the public network makes of one utterance."""

    draft: np.ndarray
    """[steps * frames, bands], before the postnet."""
    mel: np.ndarray
    """The same after it."""
    gates: np.ndarray
    """Logits [steps]."""
    attention: np.ndarray
    """[steps, symbols]."""


def tacotron2(
    tensors: Tensors, symbols: np.ndarray, kept: np.ndarray, bands: int, teacher: np.ndarray | None = None
) -> Original:
    """`Tacotron2.inference`, or `forward` in evaluation mode, for a fixed number of steps.

    Args:
        tensors: the state_dict, under NVIDIA's or torchaudio's names.
        symbols: classes [L].
        kept: whether each unit of the prenet's layers stays, bool [steps, 2, units]; those that stay are doubled.
        bands: of a frame.
        teacher: frames [steps, outputs of a step] that are fed back in place of its own.
    """
    net = {name: array.astype(np.float64) for name, array in tensors.items()}
    x = net["embedding.weight"][symbols].T
    for index in range(_count(net, "encoder")):
        x = np.maximum(_normalised(net, "encoder", index, x), 0)
    memory = np.concatenate(
        [_lstm(net, "encoder.lstm", "_l0", x.T), _lstm(net, "encoder.lstm", "_l0_reverse", x.T[::-1])[::-1]], axis=1
    )
    frames, gates, attention = _decoded(net, memory, kept, teacher)
    draft = frames.reshape(-1, bands)
    y, last = draft.T, _count(net, "postnet") - 1
    for index in range(last + 1):
        y = _normalised(net, "postnet", index, y)
        y = y if index == last else np.tanh(y)
    return Original(draft, draft + y.T, gates, attention)


def _decoded(
    net: Tensors, memory: np.ndarray, kept: np.ndarray, teacher: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    layer = "decoder.attention_layer"
    keys = memory @ _weight(net, f"{layer}.memory_layer").T
    units = [net[f"decoder.{name}_rnn.weight_hh"].shape[1] for name in ("attention", "decoder")]
    states = [(np.zeros(size), np.zeros(size)) for size in units]
    context, weights, total = np.zeros(memory.shape[1]), np.zeros(len(memory)), np.zeros(len(memory))
    frame = np.zeros(_weight(net, "decoder.linear_projection").shape[0])
    frames, gates, rows = [], [], []
    for step, stays in enumerate(kept):
        x = frame
        for index in range(2):
            x = 2.0 * stays[index] * np.maximum(_weight(net, f"decoder.prenet.layers.{index}") @ x, 0)
        states[0] = _cell(net, "decoder.attention_rnn", "", np.concatenate([x, context]), states[0])
        query = _weight(net, f"{layer}.query_layer") @ states[0][0]
        location = _location(net, f"{layer}.location_layer", np.stack([weights, total]))
        energies = np.tanh(query + location + keys) @ _weight(net, f"{layer}.v")[0]
        weights = np.exp(energies - energies.max())
        weights = weights / weights.sum()
        total = total + weights
        context = weights @ memory
        states[1] = _cell(net, "decoder.decoder_rnn", "", np.concatenate([states[0][0], context]), states[1])
        output = np.concatenate([states[1][0], context])
        frame = _weight(net, "decoder.linear_projection") @ output + _bias(net, "decoder.linear_projection")
        frames.append(frame)
        gates.append((_weight(net, "decoder.gate_layer") @ output + _bias(net, "decoder.gate_layer"))[0])
        rows.append(weights)
        if teacher is not None:
            frame = teacher[step]
    return np.stack(frames), np.asarray(gates), np.stack(rows)


def _location(net: Tensors, module: str, both: np.ndarray) -> np.ndarray:
    """[2, L] -> [L, channels]: a convolution without bias, then a linear map."""
    return _conv(_weight(net, f"{module}.location_conv"), both).T @ _weight(net, f"{module}.location_dense").T


def _normalised(net: Tensors, part: str, index: int, x: np.ndarray) -> np.ndarray:
    """Convolution and batch normalisation with its running statistics, [in, T] -> [out, T]."""
    layer, norm = (f"{part}.convolutions.{index}.{number}" for number in range(2))
    y = _conv(_weight(net, layer), x) + _bias(net, layer)[:, None]
    deviation = np.sqrt(net[f"{norm}.running_var"] + 1e-5)
    y = (y - net[f"{norm}.running_mean"][:, None]) / deviation[:, None]
    return y * net[f"{norm}.weight"][:, None] + net[f"{norm}.bias"][:, None]


def _conv(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """[in, T] -> [out, T], weight [out, in, taps], half a kernel of zeros at both ends."""
    taps = weight.shape[2]
    padded = np.pad(x, ((0, 0), (taps // 2, taps // 2)))
    found: np.ndarray = sum(weight[:, :, tap] @ padded[:, tap : tap + x.shape[1]] for tap in range(taps))
    return found


def _lstm(net: Tensors, module: str, ending: str, x: np.ndarray) -> np.ndarray:
    """h of every step, [T, in] -> [T, units]."""
    units = net[f"{module}.weight_hh{ending}"].shape[1]
    state, rows = (np.zeros(units), np.zeros(units)), []
    for row in x:
        state = _cell(net, module, ending, row, state)
        rows.append(state[0])
    return np.stack(rows)


def _cell(
    net: Tensors, module: str, ending: str, x: np.ndarray, state: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """One step of `torch.nn.LSTM`: gates i, f, g, o."""
    gates = net[f"{module}.weight_ih{ending}"] @ x + net[f"{module}.bias_ih{ending}"]
    gates = gates + net[f"{module}.weight_hh{ending}"] @ state[0] + net[f"{module}.bias_hh{ending}"]
    i, f, g, o = np.split(gates, 4)
    cell = _sigmoid(f) * state[1] + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(cell), cell


def _sigmoid(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = 0.5 * (1 + np.tanh(0.5 * x))
    return found


def _count(net: Tensors, part: str) -> int:
    return sum(name.startswith(f"{part}.convolutions.") and name.endswith(".running_mean") for name in net)


def _weight(net: Tensors, module: str) -> np.ndarray:
    return _found(net, module, "weight")


def _bias(net: Tensors, module: str) -> np.ndarray:
    return _found(net, module, "bias")


def _found(net: Tensors, module: str, kind: str) -> np.ndarray:
    """NVIDIA's layers stand one module deeper than torchaudio's."""
    names = [f"{module}{inner}.{kind}" for inner in ("", ".conv", ".linear_layer")]
    return next(net[name] for name in names if name in net)
