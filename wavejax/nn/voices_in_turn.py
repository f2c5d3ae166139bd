"""Codes of several voices drawn in turn: step after step, and voice after voice, each knowing what sounds.

Heads for a generator whose noise has become a plan, one vector for each step (`models.voices_gan`). They tell what
each code of a voice is worth from the plan, from all notes at the step before and from the notes of the voices above.
Three tables add what does not depend on the key: the interval to each note above, the voice's own leap, and motion in
the same direction as a voice above (`nn.scores.motion_worth`).

A phrase is drawn by a scan without a gradient. Then the logits of all its codes, each with what was drawn around it,
are computed at once (`VoicesInTurn.logits`), and the gradient passes through these alone. So none passes back through
time.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from wavejax.nn.kernels import declare, declare_kernel
from wavejax.nn.scores import FIRST_PITCH, HOLD_CLASS, ScoreCoding, initial_motion, motion_worth, notes_of

_HELD = 5.0
_IMPOSSIBLE = -1e9
_CROSSING = -3.0
"""What a pitch above a voice that should be higher is worth before training, in nats."""


def held_at_first(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    """Initial bias [..., classes]: a logit of holding beside those of 58 pitches around 0, so that three codes in four
    hold, as in a chorale."""
    del key
    bias = np.zeros(shape, np.float32)
    bias[..., HOLD_CLASS] = _HELD
    return jnp.asarray(bias)


def _crossing(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    """Of the interval from a note of another voice up to this voice's: upwards it begins with a low worth."""
    del key
    table = np.zeros(shape, np.float32)
    table[..., shape[-1] // 2 + 1 :] = _CROSSING
    return jnp.asarray(table)


class VoicesInTurn(nn.Module):
    """Plans [B, T, C] and noise -> the codes of a phrase, and their logits."""

    num_voices: int
    coding: ScoreCoding
    inputs: int
    """Channels of the plan."""
    channels: int

    def setup(self) -> None:
        """Declare the parameters."""
        voices, width, gain = self.num_voices, self.channels, math.sqrt(2.0)
        pitches, classes = self.coding.num_pitches, self.coding.num_classes
        spread, zeros = nn.initializers.normal(0.3), nn.initializers.zeros
        self.plan_kernel = declare_kernel(self, "plan_kernel", (voices, self.inputs, width), num_stacked=1, gain=gain)
        self.plan_bias = declare(self, "plan_bias", zeros, (voices, width))
        self.before_embedding = declare(self, "before_embedding", spread, (voices, voices, 1 + pitches, width))
        self.above_embedding = declare(self, "above_embedding", spread, (voices, voices, 1 + pitches, width))
        self.struck_embedding = declare(self, "struck_embedding", spread, (voices, voices, 2, width))
        self.output_kernel = declare_kernel(self, "output_kernel", (voices, width, classes), num_stacked=1)
        self.output_bias = declare(self, "output_bias", held_at_first, (voices, classes))
        self.interval_bias = declare(self, "interval_bias", _crossing, (voices, voices, 2 * pitches - 1))
        self.leap_bias = declare(self, "leap_bias", zeros, (voices, 2 * pitches - 1))
        self.motion_bias = declare(self, "motion_bias", initial_motion, (voices, voices, 12, 12))

    def _planned(self, plan: Float[Array, "batch steps channels"]) -> Float[Array, "batch steps voices width"]:
        return jnp.einsum("bti,vio->btvo", plan, self.plan_kernel) + self.plan_bias[None, None]

    def _worth(self, table: Float[Array, " intervals"], note: Int[Array, "*batch"]) -> Float[Array, "*batch pitches"]:
        """What a table of intervals adds to each pitch: from a note (0: none, else 1 + its number) up to it."""
        pitches = np.arange(self.coding.num_pitches)
        by_pitch = table[pitches[None, :] - pitches[:, None] + len(pitches) - 1]
        return jnp.where((note > 0)[..., None], by_pitch[jnp.maximum(note - 1, 0)], jnp.float32(0))

    def _head(
        self,
        voice: int,
        planned: Float[Array, "*batch width"],
        before: Int[Array, "*batch voices"],
        now: Int[Array, "*batch voices"],
        struck: Int[Array, "*batch voices"],
    ) -> Float[Array, "*batch classes"]:
        """Logits of one voice's code.

        Args:
            voice: its number; of `now` and `struck` it reads the voices above, which have lower ones.
            planned: its own part of the plan.
            before: notes of all voices at the step before (0: none, else 1 + the pitch's number).
            now: notes of this step.
            struck: 1 where they are struck here.
        """
        x, own = planned, before[..., voice]
        for other in range(self.num_voices):
            x = x + self.before_embedding[voice, other][before[..., other]]
        for other in range(voice):
            x = x + self.above_embedding[voice, other][now[..., other]]
            x = x + self.struck_embedding[voice, other][struck[..., other]]
        bias = self.output_bias[voice].reshape((1,) * (x.ndim - 1) + (-1,))
        logits = jax.nn.relu(x) @ self.output_kernel[voice] + bias
        added = self._worth(self.leap_bias[voice], own)
        for other in range(voice):
            added = added + self._worth(self.interval_bias[voice, other], now[..., other])
            table = self.motion_bias[voice, other]
            added = added + motion_worth(table, own, before[..., other], now[..., other], self.coding)
        logits = logits.at[..., FIRST_PITCH:].add(added)
        number = lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
        nothing_to_hold = (number == HOLD_CLASS) & (own == 0)[..., None]
        return jnp.where(nothing_to_hold, jnp.float32(_IMPOSSIBLE), logits)

    def draw(
        self,
        plan: Float[Array, "batch steps channels"],
        gumbel: Float[Array, "batch steps voices classes"],
        choose: Callable[[Array, Array], Array],
    ) -> Int[Array, "batch steps voices"]:
        """Classes that `choose` draws: (logits [B, classes], Gumbel noise of the same shape) -> classes [B]."""

        def step(before: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
            planned, added = row
            now, struck, drawn = before, jnp.zeros_like(before), []
            for voice in range(self.num_voices):
                logits = self._head(voice, planned[:, voice], before, now, struck)
                code = choose(logits, added[:, voice])
                note = jnp.where(code == HOLD_CLASS, before[:, voice], jnp.maximum(code - (FIRST_PITCH - 1), 0))
                now = now.at[:, voice].set(note)
                struck = struck.at[:, voice].set((code >= FIRST_PITCH).astype(jnp.int32))
                drawn.append(code)
            return now, jnp.stack(drawn, axis=1)

        rows = jnp.moveaxis(self._planned(plan), 1, 0), jnp.moveaxis(gumbel, 1, 0)
        silent = jnp.zeros((plan.shape[0], self.num_voices), jnp.int32)
        return jnp.moveaxis(lax.scan(step, silent, rows)[1], 0, 1)

    def logits(
        self, plan: Float[Array, "batch steps channels"], codes: Int[Array, "batch steps voices"]
    ) -> Float[Array, "batch steps voices classes"]:
        """Logits of all codes of a phrase, each with what the phrase has around it."""
        now, struck = notes_of(codes)
        before = jnp.pad(now, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        planned = self._planned(plan)
        heads = [self._head(v, planned[:, :, v], before, now, struck) for v in range(self.num_voices)]
        return jnp.stack(heads, axis=2)


__all__ = ["VoicesInTurn", "held_at_first"]
