"""Checks states that come from outside, such as those that a service keeps between two requests.

A state is a handful of arrays. Nothing in them proves that they are undamaged, or that they belong to this model, and
kernels use some of their numbers as indices. So an unsuitable state is refused here, with one sentence, for every
backend; a suitable one is converted to the types that the decoder works in.
"""

import dataclasses
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from wavejax.audio import SampleCoding
from wavejax.generation.decoders import Decoder, WaveNetDecoder
from wavejax.generation.engine import samples_per_step
from wavejax.generation.noise import join_index
from wavejax.generation.state import GenerationState
from wavejax.types import Params, PyTree

_LAST_POSITION = 2**62
_VALUES = ("['history']", "['older']")
"""Cache leaves that hold values drawn by the model, as named by the models of wavejax."""
_LARGEST_LEAF = 2**17
"""The fingerprint skips the values of larger parameters (unless all are): they may have to be copied from a device."""


class StateError(ValueError):
    """The model cannot continue from this state."""


def check_stream(state: Any) -> None:
    """Checks the fields that every kind of state has: the position and the streams' keys.

    Raises StateError if they are missing, of a wrong shape or type, or out of range.
    """
    if not hasattr(state, "position") or not hasattr(state, "keys"):
        raise StateError(
            f"state must be what generate(..., return_state=True) or a streamer returned, got {type(state).__name__}"
        )
    words = _array("position", state.position, (2,), jnp.uint32)
    if not 0 <= join_index(words) < _LAST_POSITION:
        raise StateError(f"the state's position must lie in 0 .. 2^62 samples, got the words {words.tolist()}")
    streams = np.shape(state.keys)[:1] if _is_array(state.keys) else ()
    _array("keys", state.keys, (*(streams or (1,)), 2), jnp.uint32)
    if streams == (0,):
        raise StateError("the state is that of no stream")


def entering(state: Any, decoder: Decoder, maker: np.ndarray, batch_size: int) -> GenerationState:
    """The state in the form that the decoder takes, without its fingerprint.

    Types that differ only in width are converted, for states that went through a file or another backend. For a state
    without a fingerprint, from `init_state` or an earlier version, all other checks are made.

    Args:
        state: the given state.
        decoder: the decoder that will continue from it.
        maker: the model's `fingerprint`.
        batch_size: number of streams that will run.

    Raises:
        StateError: it is not a state of this model and these parameters, or some of its numbers are impossible.
    """
    check_stream(state)
    if not isinstance(state, GenerationState):
        raise StateError(
            f"state must be a GenerationState, got {type(state).__name__}: {type(decoder.model).__name__} continues "
            "from what generate(..., return_state=True) returned for it"
        )
    if len(state.keys) != batch_size:
        raise StateError(f"the state is that of {len(state.keys)} streams, not of batch_size={batch_size}")
    _check_maker(state, maker)
    leaves, kinds, structure = _taken_apart(state, decoder, batch_size)
    arrays = {name: _array(name, leaves[name], kind.shape, kind.dtype) for name, kind in kinds.items()}
    _check_values(decoder.model, arrays)
    if isinstance(decoder, WaveNetDecoder):
        _check_phase(arrays["cache['phase']"], decoder.model.config)
    each = samples_per_step(decoder.model)
    if join_index(arrays["position"]) % each:
        raise StateError(
            f"the state's position {join_index(arrays['position'])} lies within a step of the model, which makes {each}"
        )
    kept = {name: leaf if _is_kept(leaf, kinds[name]) else arrays[name] for name, leaf in leaves.items()}
    everything = list(kept.values())
    if not all(isinstance(leaf, jax.Array) for leaf in everything):
        everything = jax.device_put(everything)
    return jax.tree.unflatten(structure, everything)


def fingerprint(model: Any, params: Params) -> np.ndarray:
    """Two words, uint32 [2], that identify parameters: a hash of their names, their shapes and some values of each.

    A hash of all values would take longer than opening a model; training changes all of them, so 64 of each array are
    enough. Values are hashed as float32, so equal parameters in bfloat16 and float32 have the same fingerprint.
    """
    said = hashlib.sha256(f"{model.receptive_field} {model.hop_length}".encode())
    leaves = jax.tree_util.tree_leaves_with_path(params)
    small = [leaf for _, leaf in leaves if np.size(leaf) <= _LARGEST_LEAF]
    for path, leaf in leaves:
        said.update(f"{jax.tree_util.keystr(path)} {np.shape(leaf)}".encode())
        if np.size(leaf) <= _LARGEST_LEAF or not small:
            flat = np.asarray(leaf).reshape(-1)
            said.update(flat[:: max(flat.size // 64, 1)].astype("<f4").tobytes())
    return np.frombuffer(said.digest()[:8], "<u4").astype(np.uint32)


def _check_maker(state: GenerationState, maker: np.ndarray) -> None:
    if state.fingerprint is None:
        return
    if not np.array_equal(_array("fingerprint", state.fingerprint, (2,), jnp.uint32), maker):
        raise StateError(
            "the state was made by another model, or by other parameters of this one: continue with those, or begin "
            "anew without a state"
        )


def _taken_apart(
    state: GenerationState, decoder: Decoder, batch: int
) -> tuple[dict[str, Any], dict[str, jax.ShapeDtypeStruct], Any]:
    """The leaves of a state by name, their expected shapes and dtypes, and the tree structure that they form."""
    model, each = decoder.model, samples_per_step(decoder.model)
    start = getattr(model.coding, "initial_memory", None)
    form = GenerationState(
        position=_form((2,), jnp.uint32),
        keys=_form((batch, 2), jnp.uint32),
        origin=_form((batch, 2), jnp.uint32),
        value=_form((batch, each) if each > 1 else (batch,), _value_dtype(model)),
        memory=_form((batch,), jnp.float32) if start is None else jax.eval_shape(lambda: start(batch)),
        cache=_cache_form(decoder, batch),
    )
    kinds = _named(form)
    leaves = _named(state)
    if leaves.keys() != kinds.keys():
        raise StateError(
            f"the state holds {', '.join(leaves)}; this model's holds {', '.join(kinds)}: it is that of another model"
        )
    return {name: leaves[name] for name in kinds}, kinds, jax.tree.structure(form)


def _cache_form(decoder: Decoder, batch: int) -> PyTree:
    if not isinstance(decoder, WaveNetDecoder):
        variables = {"params": decoder.params, "folded": decoder.folded}  # type: ignore[attr-defined]
        return jax.eval_shape(lambda given: decoder.model.apply(given, batch, method="init_cache"), variables)
    config = decoder.model.config
    rows = (config.kernel_size - 1) * sum(config.dilations)
    return {
        "ring": _form((rows, batch, config.residual_channels), decoder.old.dtype),
        "phase": _form((config.num_layers,), jnp.int32),
        "history": _form((config.input_kernel_size - 1, batch), _value_dtype(decoder.model)),
    }


def _form(shape: tuple[int, ...], dtype: DTypeLike) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)


def _value_dtype(model: Any) -> DTypeLike:
    return jnp.float32 if isinstance(model.coding.silence, float) else jnp.int32


def _named(state: GenerationState) -> dict[str, Any]:
    """Leaves by name, for example "value" and "cache['ring']", without the fingerprint."""
    named: dict[str, Any] = {}
    for field in (field for field in dataclasses.fields(state) if field.name != "fingerprint"):
        try:
            found = jax.tree_util.tree_leaves_with_path(getattr(state, field.name), is_leaf=_is_array)
        except (TypeError, ValueError) as error:  # for example dict keys that cannot be sorted
            raise StateError(f"the state's {field.name} cannot be read: {error}") from error
        named |= {field.name + jax.tree_util.keystr(path): leaf for path, leaf in found}
    return named


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _is_kept(leaf: Any, kind: jax.ShapeDtypeStruct) -> bool:
    return isinstance(leaf, jax.Array) and leaf.dtype == kind.dtype


def _array(name: str, leaf: Any, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """A leaf on the host, in its expected type. Raises StateError if it cannot be converted."""
    wanted, said = np.dtype(dtype), f"the state's {name} must be {np.dtype(dtype).name}{list(shape)}"
    if not _is_array(leaf):
        raise StateError(f"{said}, got {type(leaf).__name__}")
    kind = jnp.floating if jnp.issubdtype(wanted, jnp.floating) else jnp.integer
    if np.shape(leaf) != shape or not jnp.issubdtype(leaf.dtype, kind):
        raise StateError(f"{said}, got {leaf.dtype}{list(np.shape(leaf))}: it is that of another model or batch")
    try:
        array = np.asarray(leaf)
    except RuntimeError as error:  # it was donated
        raise StateError(f"the state's {name} cannot be read: {error}") from error
    if kind is jnp.floating:
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(wanted, copy=False)
        if not np.isfinite(array).all():
            raise StateError(f"the state's {name} holds a value that is not finite")
        return array
    limits = np.iinfo(wanted)
    if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
        raise StateError(f"{said}, got numbers from {array.min()} to {array.max()}")
    return array.astype(wanted, copy=False)


def _check_values(model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Checks that values are classes of the coding or lie in [-1, 1], and that the memory is within their bound."""
    coding = model.coding
    if not isinstance(coding, SampleCoding):
        return
    low, high = (0, coding.num_classes - 1) if coding.is_discrete else (-1, 1)
    names = ("value", *(f"cache{name}" for name in _VALUES))
    for name in (name for name in names if name in arrays):
        _check_range(name, arrays[name], low, high)
    loudest = 1.001 / (1 - coding.pre_emphasis)
    _check_range("memory", arrays["memory"], -loudest, loudest)


def _check_range(name: str, array: np.ndarray, low: float, high: float) -> None:
    if array.size and not (low <= array.min() and array.max() <= high):
        raise StateError(
            f"the state's {name} must lie in {low:g} .. {high:g}, got numbers from {array.min()} to {array.max()}"
        )


def _check_phase(phase: np.ndarray, config: Any) -> None:
    """Checks that all layers' `phase` come from the same step number, modulo each layer's rows of the ring."""
    rows = (config.kernel_size - 1) * np.asarray(config.dilations, np.int64)
    if not ((phase >= 0) & (phase < rows)).all():
        layer = int(np.argmax((phase < 0) | (phase >= rows)))
        raise StateError(
            f"the state's cache['phase'] of layer {layer} must lie in 0 .. {rows[layer] - 1}, got {phase[layer]}"
        )
    if ((phase[:, None] - phase[None]) % np.gcd.outer(rows, rows)).any():
        raise StateError("the state's cache['phase'] is not that of one step: its layers have come to different ones")


__all__ = ["StateError", "check_stream", "entering", "fingerprint"]
