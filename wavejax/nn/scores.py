"""Scores as numbers: codes and classes, what sounds, and what it is worth to move as another voice does.

Music lies on a grid of steps. At each step each voice has a code: a pitch is struck, the note before is held, or there
is a rest.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from wavejax.types import Params

REST, HOLD = 0, -1
"""Codes that strike no pitch."""
REST_CLASS, HOLD_CLASS, FIRST_PITCH = 0, 1, 2
"""The same as classes, and the class of the lowest pitch."""
_PARALLEL, PERFECT = -4.0, (0, 7)
"""What parallel octaves and fifths are worth before training, in nats: Bach writes one where chance writes forty."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreCoding:
    """Codes as classes: 0 rests, 1 holds, 2 strikes the lowest pitch, and so on upwards.

    A `wavejax.types.Coding`, by which the engine hands codes through as if they were samples.
    """

    lowest: int = 31
    """MIDI number of the lowest pitch."""
    highest: int = 88
    """MIDI number of the highest pitch."""

    def __post_init__(self) -> None:
        if not 1 <= self.lowest <= self.highest <= 127:
            raise ValueError(
                f"pitches go from lowest to highest within 1 .. 127, got {self.lowest} and {self.highest}: give MIDI "
                "numbers, the middle C being 60"
            )

    @property
    def num_pitches(self) -> int:
        """How many pitches there are."""
        return self.highest - self.lowest + 1

    @property
    def num_classes(self) -> int:
        """Rest, hold and the pitches."""
        return FIRST_PITCH + self.num_pitches

    is_discrete = True

    @property
    def silence(self) -> int:
        """The class of a rest."""
        return REST_CLASS

    def encode(self, waveform: Any) -> Array:
        """Codes [..., T] -> classes int32; pitches out of range become the nearest one in range."""
        code = jnp.round(jnp.asarray(waveform)).astype(jnp.int32)
        pitch = jnp.clip(code, self.lowest, self.highest) - (self.lowest - FIRST_PITCH)
        return jnp.where(code == REST, REST_CLASS, jnp.where(code < 0, HOLD_CLASS, pitch))

    def decode_values(self, values: Array) -> Array:
        """Classes -> codes as float32."""
        struck = values + (self.lowest - FIRST_PITCH)
        code = jnp.where(values == REST_CLASS, REST, jnp.where(values == HOLD_CLASS, HOLD, struck))
        return code.astype(jnp.float32)

    def de_emphasize(self, signal: Array, memory: Array) -> tuple[Array, Array]:
        """The codes unchanged."""
        return signal, memory


def initial_motion(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32) -> Array:
    """Nothing, but for parallel octaves and fifths."""
    del key
    table = np.zeros(shape)
    table[:, :, PERFECT, PERFECT] = _PARALLEL
    return jnp.asarray(table, dtype)


def avoid_parallels(params: Params, nats: float | Float[Array, ""]) -> Params:
    """Parameters to whose table `motion_bias` (`motion_worth`) parallel octaves and fifths are worth `nats` less."""
    table = jnp.asarray(params["motion_bias"])
    return {**params, "motion_bias": table.at[:, :, PERFECT, PERFECT].add(-nats)}


def motion_worth(
    table: Float[Array, "12 12"],
    own: Int[Array, "*batch"],
    before: Int[Array, "*batch"],
    note: Int[Array, "*batch"],
    coding: ScoreCoding,
) -> Float[Array, "*batch pitches"]:
    """What each pitch is worth to a voice for moving in the same direction as another one.

    Args:
        table: by the interval from this voice up to the other in semitones modulo 12, before and after.
        own: this voice's note before (0: none, else 1 + the pitch's number).
        before: the other's.
        note: the other's as it is now.
        coding: of the pitches.
    """
    pitch = np.arange(coding.num_pitches) + 1
    row = (1,) * own.ndim + (-1,)
    moved = jnp.where((own > 0) & (before > 0) & (note > 0), jnp.sign(note - before), 0)
    similar = moved[..., None] * jnp.sign(pitch.reshape(row) - own[..., None]) > 0
    reached = (note[..., None] - np.arange(12).reshape(row)) % 12
    by_chroma = jnp.take_along_axis(table[(before - own) % 12], reached, axis=-1)
    spread = jnp.asarray(pitch[None] % 12 == np.arange(12)[:, None], jnp.float32)
    return jnp.where(similar, jnp.matmul(by_chroma, spread, precision=lax.Precision.HIGHEST), jnp.float32(0))


def notes_of(grid: Int[Array, "batch steps voices"]) -> tuple[Array, Array]:
    """What sounds at each step (0: nothing, else 1 + the pitch's number), and whether it was struck there (1 or 0)."""
    step = lax.broadcasted_iota(jnp.int32, grid.shape, 1)
    changed = lax.cummax(jnp.where(grid == HOLD_CLASS, -1, step), axis=1)
    note = jnp.maximum(grid - (FIRST_PITCH - 1), 0)
    sounding = jnp.take_along_axis(note, jnp.maximum(changed, 0), axis=1)
    return jnp.where(changed < 0, 0, sounding), (grid >= FIRST_PITCH).astype(jnp.int32)


__all__ = [
    "FIRST_PITCH",
    "HOLD",
    "HOLD_CLASS",
    "PERFECT",
    "REST",
    "REST_CLASS",
    "ScoreCoding",
    "avoid_parallels",
    "initial_motion",
    "motion_worth",
    "notes_of",
]
