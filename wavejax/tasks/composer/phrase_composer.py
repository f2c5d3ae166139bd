"""A composer that makes phrases of several bars at once, out of noise."""

import dataclasses
import functools
from collections.abc import Iterator
from operator import index

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int16, Key

from wavejax.data.voices import transposed_codes, without_empty_holds
from wavejax.evaluation.music import Grid, key_of, parallels, sounding
from wavejax.generation.noise import seed_words
from wavejax.models.voices_gan import VoicesConfig
from wavejax.nn.scores import avoid_parallels
from wavejax.ranges import TEMPERATURE
from wavejax.tasks.composer.phrases import MuseGANConfig, shift_to_one_key
from wavejax.tasks.composer.product import Composer, ComposingError, Request, check_takes, key_number
from wavejax.types import Params

_PIECE = 2**31 - 1
"""Number of the phrase whose noise all phrases of a piece share."""
_C_MAJOR, _A_MINOR = 0, 21
"""Keys that a model learns in which learns in one, see `key_of`."""
_FORM = 4
"""Phrases of a form, whose second may repeat the first."""
_TRIES = 16
"""Draws of a phrase until one follows the phrase before well."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PhraseComposer(Composer):
    """A generator that learnt against a critic. Phrases follow each other in one key, without knowing of each other
    but for parallels where they meet; the second of four may repeat the first (`config.repeats`).

    Of what `bars` takes, `given` must be None, as it keeps no voices, and `takes` 1, for want of a likelihood.
    `key` is the key that each phrase has, if one of 16 draws has it; by default the piece is moved to one that the seed
    chooses, and each phrase is in it or near it. A model that learnt in all keys at once is asked in vain.
    A longer piece of the same seed begins with the shorter one. At `temperature` 0 the most probable codes are taken.
    """

    config: MuseGANConfig

    def _bars(self, request: Request) -> Iterator[Int16[np.ndarray, "steps voices"]]:
        if request.given is not None:
            raise ComposingError(
                f"{self.config.name} makes whole phrases of its own and keeps no voices that are given: leave them "
                "out, or take a composer that draws note by note, such as chorales"
            )
        if (takes := check_takes(request.takes)) > 1:
            raise ComposingError(
                f"{self.config.name} has no likelihood by which the best of {takes} takes could be chosen: ask for one"
            )
        if request.temperature not in TEMPERATURE:
            raise ValueError(f"temperature must be {TEMPERATURE}, got {request.temperature}")
        bars, key = self._num_bars(request.bars, None), None if request.key is None else key_number(request.key)
        return self._phrases(bars, key, index(request.seed), request.temperature)

    def phrase(self, seed: int, number: int, temperature: float) -> Int16[np.ndarray, "steps voices"]:
        """A phrase in the key that the model learnt in: a function of the seed and the phrase's number alone."""
        model = self.config.model
        keys = jnp.stack([phrase_key(seed, number), phrase_key(seed, _PIECE)])
        common, params = jnp.float32(self.config.common), self.params
        if penalty := self.config.parallel_penalty:
            params = {**params, "heads": avoid_parallels(params["heads"], jnp.float32(penalty))}
        classes = np.asarray(_drawn(model, params, keys, common, jnp.float32(temperature)))[0]
        codes = np.where(classes < 2, -classes, classes + (model.lowest - 2))  # class 1, a hold, is the code -1
        return without_empty_holds(codes.astype(np.int16))

    def _phrases(self, bars: int, key: int | None, seed: int, temperature: float) -> Iterator[np.ndarray]:
        model, one_key = self.config.model, self.config.data.one_key
        shift = 0
        if one_key:
            drawn = int(np.random.default_rng((seed & (2**64 - 1), 1)).integers(12)) if key is None else key
            shift = -shift_to_one_key(drawn)
        phrase, home = None, None if key is None or not one_key else _A_MINOR if key >= 12 else _C_MAJOR
        for place in range(-(-bars // model.bars)):
            if phrase is None or place % _FORM != 1 or not self._repeats(seed, place):
                phrase = self._next(seed, place, temperature, home, phrase)
            codes = transposed_codes(phrase, shift)
            for bar in range(min(model.bars, bars - place * model.bars)):
                yield codes[bar * model.steps_per_bar : (bar + 1) * model.steps_per_bar]

    def _repeats(self, seed: int, place: int) -> bool:
        """Whether the phrase at this place repeats the one before."""
        return np.random.default_rng((seed & (2**64 - 1), 2, place)).random() < self.config.repeats

    def _next(
        self, seed: int, number: int, temperature: float, home: int | None, before: np.ndarray | None
    ) -> np.ndarray:
        """The first draw of a phrase that is in the key `home`, if one is asked for, and that moves into no parallel
        fifth or octave from the phrase before; the last draw where none does."""
        for again in range(_TRIES):
            codes = self.phrase(seed, number + 2**16 * again, temperature)
            at_home = home is None or key_of(codes) == home
            if at_home and (before is None or not _joins_in_parallel(before, codes)):
                break
        return codes


def _joins_in_parallel(before: np.ndarray, codes: np.ndarray) -> bool:
    """Whether two voices move in parallel fifths or octaves from the end of a phrase to the beginning of the next."""
    return parallels(np.stack([sounding(before)[-1], sounding(codes[:1])[0]]), Grid(steps_per_beat=1)) > 0


def phrase_key(seed: int, number: int) -> Key[Array, ""]:
    """The key of a phrase of a piece."""
    return jax.random.fold_in(jax.random.wrap_key_data(seed_words(seed), impl="threefry2x32"), number)


@functools.partial(jax.jit, static_argnums=0)
def _drawn(
    model: VoicesConfig,
    params: Params,
    keys: Key[Array, "2"],
    common: Float[Array, ""],
    temperature: Float[Array, ""],
) -> Int[Array, "batch steps voices"]:
    """Classes of one phrase, whose noise has a share in common with its piece."""
    players = model.build()
    own, piece = players.noise(keys)
    noise = jnp.sqrt(1 - common) * own + jnp.sqrt(common) * piece  # as normal as either of them
    return players.draw(params, noise[None], keys[:1], temperature)[0]
