"""The shipped voice speaks held-out recordings from their mels, as they are and edited, and a page shows the result."""

import time
from pathlib import Path

import numpy as np
import tyro
from demo_folder import open_folder
from rich.console import Console
from rich.table import Table

from wavejax.audio import resample, write_audio
from wavejax.data import embedded_corpus
from wavejax.evaluation.pictures import compare_picture
from wavejax.evaluation.report import write_report
from wavejax.evaluation.selection import select
from wavejax.tasks.families import load
from wavejax.tasks.vocoder.evaluation import judge_vocoder
from wavejax.tasks.vocoder.product import Vocoder

TEMPI = {"slower": 0.8, "faster": 1.25}
SEMITONES = {"higher": 3.0, "lower": -3.0}


def stretched(mel: np.ndarray, rate: float) -> np.ndarray:
    """The mel [F, n_mels] spoken `rate` times as fast: frames interpolated in between, nothing else changed."""
    places = np.arange(round(len(mel) / rate)) * rate
    low = np.minimum(places.astype(int), len(mel) - 1)
    weight = (places - low)[:, None].astype(np.float32)
    return mel[low] * (1 - weight) + mel[np.minimum(low + 1, len(mel) - 1)] * weight


def transposed(vocoder: Vocoder, waveform: np.ndarray, semitones: float) -> np.ndarray:
    """The mel of the recording at another pitch (and a throat of another size): resampled, then back to its tempo."""
    factor = 2 ** (semitones / 12)
    rate = vocoder.spec.sample_rate
    return stretched(vocoder.mel(resample(waveform, round(rate * factor), rate)), 1 / factor)


def main(
    out: Path = Path("demo"),
    voice: str = "allison",
    utterances: int = 4,
    seed: int = 0,
    temperature: float | None = None,
) -> None:
    """Speak, time, write the page.

    Args:
        out: where the results go; an earlier demo's are replaced.
        voice: a shipped voice (`wavejax voices`) or a folder.
        utterances: how many held-out recordings are spoken.
        seed: of the noise.
        temperature: of the draws; the voice's own unless given.
    """
    open_folder(out)
    console = Console()
    vocoder, corpus = load(voice, kind=Vocoder), embedded_corpus()
    temperature = vocoder.config.temperature if temperature is None else temperature
    rate = vocoder.spec.sample_rate
    selection = select(corpus, "test", at_most=utterances)
    comparison = judge_vocoder(
        vocoder, corpus, selection, temperatures=(temperature,), num_seeds=1, judges=(), say=console.print
    )
    page = write_report(
        out,
        comparison,
        title=f"wavejax: the voice {voice}",
        facts={"voice": voice, "temperature": str(temperature), "seed": str(seed), "utterances": selection.chosen},
    )
    longest = max(selection.utterances, key=lambda each: len(each.waveform))
    started = time.perf_counter()
    spoken = vocoder(longest.frames, seed=seed, temperature=temperature)
    seconds = time.perf_counter() - started
    write_audio(out / "original.wav", longest.waveform, rate)
    write_audio(out / "generated.wav", spoken, rate)
    title = f"“{longest.transcript}” recorded, and spoken by {voice} from its mel"
    compare_picture(out / "comparison.png", longest.waveform, spoken, vocoder.spec, title)
    mels = {name: stretched(longest.frames, tempo) for name, tempo in TEMPI.items()}
    mels |= {name: transposed(vocoder, longest.waveform, by) for name, by in SEMITONES.items()}
    for name, mel in mels.items():
        write_audio(out / f"{name}.wav", vocoder(mel, seed=seed, temperature=temperature), rate)
    table = Table(title="demo", show_header=False)
    length = len(spoken) / rate
    table.add_row("times_real_time", f"{length / seconds:.2f} ({length:.1f} s of audio in {seconds:.1f} s)")
    for column in comparison.columns:
        interval = comparison.mean(comparison.systems[-1].name, column.name)
        if interval is not None:
            table.add_row(column.title, f"{interval.mean:.{column.digits}f}")
    table.add_row("open", str(page))
    table.add_row("listen to", f"{out}/original.wav, {out}/generated.wav")
    table.add_row("edited mels", ", ".join(f"{out}/{name}.wav" for name in mels))
    table.add_row("look at", f"{out}/comparison.png")
    console.print(table)


if __name__ == "__main__":
    tyro.cli(main)
