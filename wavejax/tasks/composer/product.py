"""A trained composer: bars out, freely or around voices that are given."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int16

from wavejax.data.keys import key_signature, key_tonic, transposed_key
from wavejax.data.scores import Score
from wavejax.evaluation.music import key_of, sounding
from wavejax.experiments.metadata import ExperimentError
from wavejax.experiments.product import Product
from wavejax.generation import generate, stream, teacher_forced
from wavejax.models.chorale import FREE, ChoraleConfig, frames_of
from wavejax.nn.scores import HOLD, REST
from wavejax.ranges import Range
from wavejax.tasks.composer.config import ComposerConfig
from wavejax.tasks.composer.data import Piece, classes_of
from wavejax.types import Params

BARS = 16
"""Of a piece, where nothing says how long it shall be."""
MOST_BARS = 4096
TAKES = Range(1, 1024)
TEMPO = 90.0
"""Quarter notes a minute."""
_ROUNDED = 128
"""Scored pieces are filled up to a multiple of this many steps, so that a program serves many of them."""


class ComposingError(ExperimentError):
    """Music that cannot be composed; the message says why and what to do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """Voices that are to be kept, on the model's grid."""

    codes: Int16[np.ndarray, "steps voices"]
    """As `Piece.codes`; what is not given is a rest."""
    voices: tuple[int, ...]
    """Numbers of the voices that are given."""
    upbeat: int
    """Steps before the first bar line."""
    bar: int
    """Steps of a bar."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What `Composer.bars` is asked for: its arguments, with the temperature that counts."""

    bars: int | None
    given: Score | None
    key: str | None
    seed: SupportsIndex
    temperature: float
    takes: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Composer(Product[Any]):
    """A model that writes music in voices. `composer.compose(bars=16)` returns a `Score`.

    A subclass draws the codes (`_bars`). One that draws them one after the other (`ChoraleComposer`) also has a
    likelihood, and keeps voices that are given.
    """

    kind: ClassVar[str] = "composer"

    def compose(
        self,
        bars: int | None = None,
        *,
        given: Score | None = None,
        tempo: float | None = None,
        key: str | None = None,
        seed: SupportsIndex = 0,
        temperature: float | None = None,
        takes: int = 1,
    ) -> Score:
        """A piece in the model's voices.

        Args:
            bars: how many, an upbeat not counted; default those of `given`, else `BARS`.
            given: what is kept (see `given_voices`): one voice is harmonised; all voices are a beginning, which is
                continued as far as `bars` says; beyond its end every voice is free.
            tempo: quarter notes a minute; default that of `given`, else `TEMPO`.
            key: such as "G major" or "Em", which the model then aims at; default that of `given`.
            seed: another seed, another piece.
            temperature: of the draws: below 1 more careful; default the composer's own.
            takes: draw as many pieces, and keep the one that the model finds most probable.

        Raises:
            ComposingError: bars or takes, or voices that cannot be given. ValueError: a key or temperature that cannot
                be meant.
        """
        options: dict[str, Any] = {"key": key, "seed": seed, "temperature": temperature, "takes": takes}
        return self.score_of(np.concatenate(list(self.bars(bars, given=given, **options))), given=given, tempo=tempo)

    def bars(
        self,
        bars: int | None = None,
        *,
        given: Score | None = None,
        key: str | None = None,
        seed: SupportsIndex = 0,
        temperature: float | None = None,
        takes: int = 1,
    ) -> Iterator[Int16[np.ndarray, "steps voices"]]:
        """The codes of `compose`, bar by bar as they are drawn; an upbeat is a short first bar. Of several takes the
        first bar comes when all of them are drawn."""
        heat = self.config.temperature if temperature is None else temperature
        return self._bars(Request(bars=bars, given=given, key=key, seed=seed, temperature=heat, takes=takes))

    def _bars(self, request: Request) -> Iterator[Int16[np.ndarray, "steps voices"]]:
        """What a subclass draws for `bars`; it raises the errors of `compose` at once, not with the first bar."""
        raise NotImplementedError

    def score_of(
        self, codes: Int16[np.ndarray, "steps voices"], *, given: Score | None = None, tempo: float | None = None
    ) -> Score:
        """The score of codes that this model drew."""
        model = self.config.model
        pace = tempo if tempo is not None else TEMPO if given is None else given.tempo
        return Score.from_voices(
            codes,
            steps_per_quarter=model.steps_per_beat,
            tempo=pace,
            metre=(model.beats_per_bar, 4) if given is None else given.metre,
            key=key_called(key_of(codes)),
            upbeat=0 if given is None else given.upbeat,
            source=f"composed by wavejax, {self.config.name}",
        )

    def _num_bars(self, bars: int | None, given: Given | None) -> int:
        if bars is None:
            bars = BARS if given is None else max(1, -(-(len(given.codes) - given.upbeat) // given.bar))
        if not 1 <= bars <= MOST_BARS:
            raise ComposingError(f"a piece has 1 to {MOST_BARS} bars, got bars={bars}")
        return bars


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ChoraleComposer(Composer):
    """A model that draws the codes of all voices one after the other, on the generation engine."""

    config: ComposerConfig

    def _bars(self, request: Request) -> Iterator[Int16[np.ndarray, "steps voices"]]:
        model, given, key = self.config.model, request.given, request.key
        kept = None if given is None else given_voices(given, model)
        size, upbeat = (model.steps_per_bar, 0) if kept is None else (kept.bar, kept.upbeat)
        total = upbeat + self._num_bars(request.bars, kept) * size
        if key is None and given is not None:
            key = given.key
        frames = self._frames(total, kept, None if key is None else key_number(key))
        if check_takes(request.takes) > 1:
            return _split(self._best(frames, request.seed, request.temperature, request.takes), upbeat, size)
        return self._drawn(frames, request.seed, request.temperature, upbeat, size)

    def _best(
        self, frames: Float[np.ndarray, "steps channels"], seed: SupportsIndex, temperature: float, takes: int
    ) -> Int16[np.ndarray, "steps voices"]:
        """The most probable of several takes; the first of them is what one take gives."""
        model = self.config.model
        options: dict[str, Any] = {"seed": seed, "temperature": temperature}
        every = np.repeat(frames[None], takes, axis=0)
        drawn = np.asarray(generate(model.build(), self.params, local_conditioning=every, **options))
        codes = np.rint(drawn).astype(np.int16).reshape(takes, -1, model.num_voices)
        classes = classes_of(model, codes)
        return codes[int(np.argmin(self._costs(classes, frames, np.zeros_like(classes)).sum(axis=(1, 2))))]

    def _drawn(
        self, frames: np.ndarray, seed: SupportsIndex, temperature: float, upbeat: int, size: int
    ) -> Iterator[np.ndarray]:
        model = self.config.model
        options: dict[str, Any] = {"seed": seed, "temperature": temperature, "block_size": size * model.num_voices}
        waiting = np.zeros((0, model.num_voices), np.int16)
        for block in stream(model.build(), self.params, local_conditioning=frames[None], **options):
            waiting = np.concatenate([waiting, np.rint(block[0]).astype(np.int16).reshape(-1, model.num_voices)])
            while len(waiting) >= (upbeat or size):
                ready, waiting = np.split(waiting, [upbeat or size])
                upbeat = 0
                yield ready
        if len(waiting):
            yield waiting

    def harmonised(
        self,
        piece: Piece,
        *,
        seed: SupportsIndex = 0,
        temperature: float | None = None,
        takes: int = 1,
        key: int | None = None,
    ) -> Int16[np.ndarray, "steps voices"]:
        """The codes of a piece of the corpus whose first voice is kept, and whose others are composed; of several takes
        the most probable one. `key` (see `key_of`) is what the model is told."""
        size = piece.bar or self.config.model.steps_per_bar
        kept = Given(codes=piece.codes, voices=(0,), upbeat=piece.upbeat, bar=size)
        heat = self.config.temperature if temperature is None else temperature
        frames = self._frames(len(piece.codes), kept, key)
        if check_takes(takes) > 1:
            return self._best(frames, seed, heat, takes)
        return np.concatenate(list(self._drawn(frames, seed, heat, 0, size)))

    def _frames(self, total: int, given: Given | None, key: int | None) -> Float[np.ndarray, "steps channels"]:
        model, (upbeat, bar) = self.config.model, (0, None) if given is None else (given.upbeat, given.bar)
        chosen = np.full((total, model.num_voices), FREE)
        if given is not None:
            kept = given.codes[:total]
            for voice in given.voices:
                chosen[: len(kept), voice] = classes_of(model, kept)[:, voice] + 1
        return frames_of(model, total, given=chosen, first=-upbeat, bar=bar, total=total - upbeat, key=key)

    def nats(
        self,
        piece: Piece | Int16[np.ndarray, "steps voices"],
        *,
        given: Sequence[str] = (),
        merge_repeats: bool = False,
    ) -> Float[np.ndarray, "steps voices"]:
        """What each code of a piece costs, in nats: minus the log of its probability after all codes before it.

        Args:
            piece: codes [T, V], or a `Piece`, whose upbeat then counts.
            given: names of the voices that are given, whose codes cost nothing and are known ahead of time.
            merge_repeats: to hold a note and to strike it again are one and the same: what is scored is what sounds, as
                in an encoding that writes the pitch at every step.

        Returns:
            float32 [T, V]; the sum is the piece's negative log-likelihood, exactly.
        """
        model = self.config.model
        whole = piece if isinstance(piece, Piece) else Piece("", np.asarray(piece))
        codes = whole.codes
        unknown = [name for name in given if name not in model.voices]
        if unknown:
            raise ComposingError(f"there is no voice {unknown[0]!r}: the model has {', '.join(model.voices)}")
        classes = classes_of(model, codes)
        kept = np.isin(model.voices, given)[None]
        chosen = np.where(kept, classes + 1, FREE)
        frames = frames_of(model, len(codes), given=chosen, first=-whole.upbeat, bar=whole.bar or None)
        same = _alike(model, codes) if merge_repeats else np.zeros_like(classes)
        return self._costs(classes[None], frames, same[None])[0]

    def _costs(
        self,
        classes: Int[np.ndarray, "takes steps voices"],
        frames: Float[np.ndarray, "steps channels"],
        same: Int[np.ndarray, "takes steps voices"],
    ) -> Float[np.ndarray, "takes steps voices"]:
        """Nats of classes under the same frames; `same` are further classes that count as well, 0 for none."""
        model = self.config.model
        spare = -classes.shape[1] % _ROUNDED

        def flat(classes: np.ndarray) -> np.ndarray:
            return np.pad(classes, ((0, 0), (0, spare), (0, 0))).reshape(len(classes), -1)

        every = np.repeat(np.pad(frames, ((0, spare), (0, 0)), mode="edge")[None], len(classes), axis=0)
        found = _nats(model.build(), self.params, flat(classes), every, flat(same))
        return np.asarray(found).reshape(len(classes), -1, model.num_voices)[:, : classes.shape[1]]


def check_takes(takes: int) -> int:
    """The number of takes. Raises ComposingError on one that cannot be."""
    if takes not in TAKES:
        raise ComposingError(f"takes must be {TAKES}, got {takes}")
    return takes


def _alike(model: ChoraleConfig, codes: Int16[np.ndarray, "steps voices"]) -> Int[np.ndarray, "steps voices"]:
    """The class by which the same would sound: of a held note its pitch, of one that is struck again a hold; else 0."""
    pitch = sounding(codes)
    before = np.concatenate([np.zeros_like(pitch[:1]), pitch[:-1]])
    again = (codes > 0) & (codes == before)
    return np.where(codes == HOLD, classes_of(model, pitch), classes_of(model, np.where(again, HOLD, REST)))


def _split(codes: Int16[np.ndarray, "steps voices"], upbeat: int, size: int) -> Iterator[np.ndarray]:
    """Bars, the first of which may be an upbeat."""
    edges = [edge for edge in (0, *range(upbeat, len(codes), size)) if edge < len(codes)]
    for start, stop in itertools.pairwise([*dict.fromkeys(edges), len(codes)]):
        yield codes[start:stop]


@functools.partial(jax.jit, static_argnums=0)
def _nats(model: Any, params: Params, classes: Array, frames: Array, same: Array) -> Array:
    """Nats [B, T V] of classes; where `same` is above 0, that class counts as well."""
    outputs, distribution = teacher_forced(model, params, classes, frames), model.distribution
    own, other = (distribution.log_prob(outputs, each) for each in (classes, same))
    return -jnp.where(same > 0, jnp.logaddexp(own, other), own)


def given_voices(score: Score, model: ChoraleConfig) -> Given:
    """What of a score a model keeps.

    Tracks that have names of the model's voices are those voices. Otherwise one track is the first voice (a melody),
    and several are the first voices in their order. Drums are left out.

    Raises:
        ComposingError: no notes, too many tracks, another grid, or pitches that the model does not know.
    """
    tracks = [track for track in score.tracks if track.notes and not track.drums]
    if not tracks:
        raise ComposingError("the given score has no notes: leave it out, or give a melody")
    if score.steps_per_quarter != model.steps_per_beat:
        raise ComposingError(
            f"the given score has {score.steps_per_quarter} steps a quarter note, and the model "
            f"{model.steps_per_beat}: read it with Score.from_midi(path, {model.steps_per_beat})"
        )
    names = [track.name.strip().lower() for track in tracks]
    named = len(set(names)) == len(names) and set(names) <= set(model.voices)
    if len(tracks) > model.num_voices:
        raise ComposingError(
            f"the given score has {len(tracks)} tracks with notes, and the model {model.num_voices} voices "
            f"({', '.join(model.voices)}): leave some out"
        )
    voices = tuple(model.voices.index(name) for name in names) if named else tuple(range(len(tracks)))
    codes = np.full((score.length, model.num_voices), REST, np.int16)
    for voice, track in zip(voices, tracks, strict=True):
        codes[:, voice] = dataclasses.replace(score, tracks=(track,)).voices(1)[:, 0]
    pitches = codes[codes > 0].tolist()
    if pitches and not (model.lowest <= min(pitches) and max(pitches) <= model.highest):
        raise ComposingError(
            f"the given score has pitches from {min(pitches)} to {max(pitches)}, and the model knows {model.lowest} "
            f"to {model.highest}: transpose it (Score.transposed)"
        )
    if not model.holds:
        codes = sounding(codes).astype(np.int16)
    return Given(codes=codes, voices=voices, upbeat=score.upbeat, bar=score.steps_per_bar)


def key_number(key: str) -> int:
    """The number of a key as `frames_of` takes it. Raises ValueError where it is none."""
    return key_tonic(key) + (12 if key_signature(key)[1] else 0)


def key_called(number: int) -> str:
    """The name of a key by its number."""
    return transposed_key("C major" if number < 12 else "C minor", number % 12)
