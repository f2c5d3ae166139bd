"""What folds cost in quality and win in speed: `python -m benchmarks.folding VOICE [--corpus FOLDER] [--seams 100]`.

The held-out mels of a corpus, laid end to end, are spoken in folds and whole, with the same seeds. At each seam, and at
as many random places of the unfolded speech:

- bump: level of the 10 ms centred there minus the mean level of the 10 ms before and after, in dB;
- bits: the model's own bits per sample over the following 20 ms, teacher-forced on what was made.

Levels below -60 dB (full scale sine 0) are silence and left out. A seam is merged where both folds had become the same
waveform.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.environment import describe_machine
from benchmarks.harness import row, table, write_json
from wavejax.data import Corpus, embedded_corpus
from wavejax.generation import Seam, generate, generate_folded
from wavejax.tasks.vocoder import Vocoder, load

CHUNK = 8000
QUIET_DB = -60.0


def bits_per_sample(vocoder: Vocoder, waveform: np.ndarray, mel: np.ndarray) -> np.ndarray:
    """The model's bits for every sample of a waveform [T], T a multiple of the hop."""
    config = vocoder.config
    hop, shape = config.spec.hop_length, config.crop_shape
    padded = np.pad(waveform, (shape.history, CHUNK))
    frames = shape.frames_before + CHUNK // hop + shape.frames_after
    bits = []
    for start in range(0, len(waveform), CHUNK):
        index = np.clip(start // hop - shape.frames_before + np.arange(frames), 0, len(mel) - 1)
        piece = padded[start : start + shape.history + CHUNK]
        bits.append(np.asarray(_bits(config, vocoder.params, piece[None], mel[index][None]))[0])
    return np.concatenate(bits)[: len(waveform)]


@partial(jax.jit, static_argnames="config")
def _bits(config: Any, params: Any, waveform: jax.Array, frames: jax.Array) -> jax.Array:
    from wavejax.models.wavenet import WaveNet

    values = config.model.coding.encode(waveform)[:, 1:]
    first = config.first_predicted
    outputs = WaveNet(config.model).apply({"params": params}, values[:, :-1], frames, first=first, scored=CHUNK)
    return config.model.distribution.log_prob(outputs, values[:, -CHUNK:]) / -jnp.log(jnp.float32(2))


def bumps(waveform: np.ndarray, places: Sequence[int], sample_rate: int) -> np.ndarray:
    """dB by which the 10 ms centred on each place stand out of their neighbours; NaN in silence."""
    size = sample_rate // 100

    def level(start: int) -> float:
        return 10 * np.log10(np.mean(np.square(waveform[start : start + size], dtype=np.float64)) * 2 + 1e-12)

    found = []
    for place in places:
        start = place - size // 2
        around = (level(start - size) + level(start + size)) / 2
        found.append(level(start) - around if around > QUIET_DB else np.nan)
    return np.asarray(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", help="a shipped voice or a folder")
    parser.add_argument("--corpus", help="a folder of `wavejax prepare`; default the embedded recordings")
    parser.add_argument("--folds", type=int, default=16)
    parser.add_argument("--seams", type=int, default=100)
    parser.add_argument("--warm-up", type=int, help="samples; default that of generate_folded")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the recording that is timed")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    vocoder = load(given.voice)
    corpus = Corpus.open(given.corpus) if given.corpus else embedded_corpus(vocoder.spec)
    mel = np.concatenate([utterance.log_mel for utterance in corpus.utterances("test")])
    options = {"temperature": given.temperature}
    model, params, rate = vocoder.model, vocoder.params, vocoder.spec.sample_rate
    rng = np.random.default_rng(0)
    seams: list[Seam] = []
    found: dict[str, list[np.ndarray]] = {"bump seam": [], "bump random": [], "bits seam": [], "bits random": []}
    for seed in range(-(-given.seams // (given.folds - 1))):
        made, its_seams = generate_folded(
            model, params, mel[None], folds=given.folds, warm_up=given.warm_up, seed=seed, **options
        )
        whole = generate(model, params, local_conditioning=mel[None], seed=seed, **options)[0]
        places = [seam.position for seam in its_seams]
        random = rng.integers(rate, len(whole) - rate, len(places))
        window = np.arange(rate // 50)
        for name, waveform, where in (("seam", made[0], places), ("random", whole, random)):
            bits = bits_per_sample(vocoder, waveform, mel)
            found[f"bits {name}"].append(bits[np.asarray(where)[:, None] + window].mean(axis=1))
            found[f"bump {name}"].append(bumps(waveform, where, rate))
        seams += its_seams
    figures = {name: np.concatenate(values) for name, values in found.items()}
    voiced = np.asarray([seam.is_voiced for seam in seams])
    merged = np.asarray([seam.is_merged for seam in seams])
    print(f"{len(seams)} seams of {given.folds} folds, {len(mel) * vocoder.spec.hop_length / rate:.0f} s each time")
    for name, mask in (("voiced", voiced), ("unvoiced or silent", ~voiced)):
        print(f"merged, {name}: {merged[mask].sum()} of {mask.sum()}")
    for name in ("seam", "random"):
        bump, bits = np.abs(figures[f"bump {name}"]), figures[f"bits {name}"]
        print(
            f"{name}: |bump| median {np.nanmedian(bump):.2f} dB, worst {np.nanmax(bump):.2f} dB "
            f"({np.isfinite(bump).sum()} not silent); bits median {np.median(bits):.3f}, mean {np.mean(bits):.3f}"
        )
    rows = timings(vocoder, mel[: round(given.seconds * rate / vocoder.spec.hop_length)], given.folds, options)
    result = {"benchmark": "folding", "environment": describe_machine(), "notes": [], "rows": rows}
    print(table(result))
    if given.json:
        write_json(given.json, result)


def timings(vocoder: Vocoder, mel: np.ndarray, folds: int, options: dict[str, Any]) -> list[dict[str, Any]]:
    """Folded and unfolded generation of one recording, taking turns."""
    speeds: dict[str, list[float]] = {"1": [], str(folds): [], "auto": []}
    for repeat in range(4):
        for name in speeds:
            count = name if name == "auto" else int(name)
            start = time.perf_counter()
            made = generate(
                vocoder.model, vocoder.params, local_conditioning=mel[None], folds=count, seed=repeat, **options
            )
            if repeat:  # the first compiles
                speeds[name].append(made.shape[1] / (time.perf_counter() - start))
    return [row({"folds": name}, "samples/s", values) for name, values in speeds.items()]


if __name__ == "__main__":
    main()
