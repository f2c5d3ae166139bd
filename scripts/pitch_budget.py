"""Where the F0 error of a vocoder with a pitch network comes from: what it is with better and better knowledge.

    python scripts/pitch_budget.py --corpus ALLISON            # the validation utterances; needs the extra `eval`

Each row is compared with WORLD's F0 of the recordings, as `wavejax evaluate` does. "edges" are the 30 ms within the
beginning and the end of a voiced stretch.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import linen as nn

from wavejax.data import Corpus
from wavejax.evaluation.pitch import FRAME_SECONDS, pitch, pitch_of_frames
from wavejax.evaluation.report import text_table
from wavejax.evaluation.selection import select
from wavejax.models.vocos import HarmonicVocosConfig, mel_to_magnitudes
from wavejax.nn.harmonics import Pitch, PitchNetwork
from wavejax.tasks.families import load
from wavejax.tasks.vocoder.product import Vocoder

_EDGE = round(0.03 / FRAME_SECONDS)
_WINDOW = 200
"""Recordings are filled up to a multiple of this number of frames, so that few programs are compiled."""


class Errors(NamedTuple):
    """Of one reading."""

    cents: np.ndarray
    """Of the frames that are voiced in both."""
    at_edge: np.ndarray
    voicing: float


def errors(known: np.ndarray, sound: np.ndarray, rate: int) -> Errors:
    """What WORLD hears in a sound beside what it heard in the recording."""
    heard = pitch(sound.astype(np.float64), rate)
    length = min(len(known), len(heard))
    known, heard = known[:length], heard[:length]
    inner = known > 0
    for shift in range(1, _EDGE + 1):
        inner[shift:] &= known[:-shift] > 0
        inner[:-shift] &= known[shift:] > 0
    both = (known > 0) & (heard > 0)
    cents = 1200 * np.abs(np.log2(heard[both] / known[both]))
    return Errors(cents, ~inner[both], 100 * float(np.mean((known > 0) != (heard > 0))))


def with_true_phases(waveform: np.ndarray, mel: np.ndarray, config: HarmonicVocosConfig) -> np.ndarray:
    """The recording with its own phases, and the magnitudes of which its mel could have come."""
    size, hop = config.spec.win_length, config.hop_length
    window = np.hanning(size + 1)[:-1]
    padded = np.pad(waveform, (size, 2 * size))
    starts = np.arange(len(mel)) * hop + config.frame_centre + size // 2
    spectrum = np.fft.rfft(np.stack([padded[start : start + size] * window for start in starts]))
    magnitude = np.asarray(mel_to_magnitudes(jnp.asarray(mel)[None], config.spec, size))[0]
    frames = np.fft.irfft(magnitude * np.exp(1j * np.angle(spectrum))) * window
    total, weight = np.zeros(len(padded)), np.zeros(len(padded))
    for start, frame in zip(starts, frames, strict=True):
        total[start : start + size] += frame
        weight[start : start + size] += window**2
    return (total / np.maximum(weight, 1e-3))[size:][: len(waveform)]


@partial(jax.jit, static_argnums=0)
def _spoken(model: Any, params: Any, window: jax.Array, noise: jax.Array, known: jax.Array) -> jax.Array:
    """`synthesize` with F0 in Hz that is `known` where it is above 0, [1, frames]."""

    def told(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        found = call(*args, **kwargs)
        if not isinstance(context.module, PitchNetwork) or context.method_name != "__call__":
            return found
        first = 6 - model.config.embedding_lookahead - model.config.neighbours
        own = known[:, first : first + found.frequency.shape[1]]
        return Pitch(jnp.where(own > 0, own, found.frequency), found.voicing, found.scores)

    heat = jnp.ones(window.shape[:2], jnp.float32)
    with nn.intercept_methods(told):
        made: jax.Array = model.apply({"params": params}, window, noise, heat, method="synthesize")
    return made


def readings(vocoder: Vocoder, waveform: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """(name, sound) of each row."""
    spec, model = vocoder.spec, vocoder.config.model.build()
    mel = np.asarray(vocoder.mel(waveform))
    rng = np.random.default_rng(seed)
    yield "recording, with noise at -60 dB", waveform + 1e-3 * np.std(waveform) * rng.normal(size=len(waveform))
    yield "the mel's magnitudes, the recording's phases", with_true_phases(waveform, mel, vocoder.config.model)
    widths = model.lookback, model.lookahead + -len(mel) % _WINDOW
    window = np.pad(mel, (widths, (0, 0)), mode="edge")[None]
    noise = rng.uniform(size=(1, window.shape[1], model.noise_size)).astype(np.float32)
    heard = pitch_of_frames(waveform, spec.sample_rate, spec.hop_length, spec.frame_centre)[: len(mel)]
    known = np.zeros(window.shape[1], np.float32)
    known[model.lookback :][: len(heard)] = heard
    for name, told in (("the voice, told WORLD's F0", known), ("the voice", np.zeros_like(known))):
        made = _spoken(model, vocoder.params, jnp.asarray(window), jnp.asarray(noise), jnp.asarray(told)[None])
        yield name, np.asarray(made)[0, : len(waveform)]


def main(corpus: Path, voice: str = "universal", split: str = "validation", seeds: int = 2) -> None:
    """Print the table.

    Args:
        corpus: a folder of recordings made by `wavejax prepare`.
        voice: a shipped voice or a folder, of the kind `harmonic-vocos`.
        split: the recordings' split.
        seeds: readings of each recording.
    """
    vocoder = load(voice, kind=Vocoder)
    if not isinstance(vocoder.config.model, HarmonicVocosConfig):
        raise SystemExit(f"error: {voice} has no pitch network: give a voice of the kind harmonic-vocos")
    rows: dict[str, list[Errors]] = defaultdict(list)
    for utterance in select(Corpus.open(corpus), split).utterances:
        known = pitch(utterance.waveform.astype(np.float64), vocoder.sample_rate)
        for seed in range(seeds):
            for name, sound in readings(vocoder, utterance.waveform, seed):
                rows[name].append(errors(known, sound, vocoder.sample_rate))
    table = [["", "F0 error (cents)", "median", "at edges", "elsewhere", "voicing error (%)"]]
    for name, found in rows.items():
        cents, edge = (np.concatenate([getattr(each, part) for each in found]) for part in ("cents", "at_edge"))
        figures = (
            np.mean([each.cents.mean() for each in found]),
            np.median(cents),
            cents[edge].mean(),
            cents[~edge].mean(),
            np.mean([each.voicing for each in found]),
        )
        table.append([name, *(f"{figure:.1f}" for figure in figures)])
    print(text_table(table))


if __name__ == "__main__":
    tyro.cli(main)
