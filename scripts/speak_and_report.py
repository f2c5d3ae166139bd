"""A shipped voice says a text; others speak held-out recordings from their mels, as they are and edited; a recogniser
writes down what it hears of all of them; a page shows them side by side."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tyro
from demo_folder import open_folder
from rich.console import Console
from rich.table import Table

from wavejax.audio import resample, write_audio
from wavejax.data import embedded_corpus
from wavejax.data.corpus import Corpus, Utterance
from wavejax.evaluation.comparison import Comparison, System
from wavejax.evaluation.listening import Say, Speak, judge_voice, spoken_systems
from wavejax.evaluation.measures import JUDGED_RATE
from wavejax.evaluation.pictures import compare_picture
from wavejax.evaluation.report import Exhibit, write_report
from wavejax.evaluation.selection import Selection, select
from wavejax.tasks.families import load
from wavejax.tasks.recognizer.product import Recognizer
from wavejax.tasks.speaker.product import Speaker
from wavejax.tasks.vocoder.product import Vocoder

TEMPI = {"slower": 0.8, "faster": 1.25}
SEMITONES = {"higher": 3.0, "lower": -3.0}
LISTENER = "listener-en"

Hear = Callable[[np.ndarray, int], str]
"""(waveform [T], sample rate) -> what is said in it."""


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


def spoken_by(vocoder: Vocoder) -> Speak:
    """A function that lets a voice speak an utterance from its mel."""

    def speak(utterance: Utterance, temperature: float, seed: int) -> np.ndarray:
        return np.asarray(vocoder(vocoder.mel(utterance.waveform), seed=seed, temperature=temperature), np.float32)

    return speak


def heard_by(listener: Recognizer) -> Hear:
    """A function that writes down what is said."""

    def hear(waveform: np.ndarray, rate: int) -> str:
        return listener.transcribe(resample(waveform, rate, listener.sample_rate)).text

    return hear


def opened(names: tuple[str, ...], rate: int) -> dict[str, Vocoder]:
    """The voices by name; ends the program where one does not read recordings at `rate`."""
    found = {Path(name).name: load(name, kind=Vocoder) for name in names}
    for name, vocoder in found.items():
        if vocoder.sample_rate != rate:
            raise SystemExit(
                f"error: {name} speaks at {vocoder.sample_rate} Hz, and the demo's recordings have {rate} Hz: judge it "
                "with wavejax evaluate and a corpus of its own"
            )
    return found


def compared(
    corpus: Corpus, selection: Selection, vocoders: Mapping[str, Vocoder], heat: Mapping[str, float], say: Say
) -> Comparison:
    """The voices' takes of the selected recordings beside anchors; `heat` is the temperature of each voice."""

    def systems() -> list[System]:
        return [
            system
            for name, vocoder in vocoders.items()
            for system in spoken_systems(
                name,
                selection.utterances,
                spoken_by(vocoder),
                corpus.sample_rate,
                temperatures=(heat[name],),
                num_seeds=1,
                say=say,
            )
        ]

    first = next(iter(vocoders.values()))
    return judge_voice(corpus, selection, first.spec, systems, judges=(), say=say)


def heard_in(comparison: Comparison, hear: Hear) -> dict[tuple[str, int, int], str]:
    """What the recogniser hears of each system, take and recording: captions for the page."""
    return {
        (system.name, number, index): f"{LISTENER} hears: {hear(waveform, JUDGED_RATE)}"
        for system in comparison.systems
        for number, take in enumerate(system.takes)
        for index, waveform in enumerate(take)
    }


def write_spoken(
    out: Path, utterance: Utterance, vocoders: Mapping[str, Vocoder], heat: Mapping[str, float], seed: int
) -> list[str]:
    """Writes a recording, what the first voice makes of its mel, and a picture of both; how many times faster than
    real time each voice speaks it."""
    spoken, speed = {}, []
    for name, vocoder in vocoders.items():
        started = time.perf_counter()
        spoken[name] = vocoder(utterance.frames, seed=seed, temperature=heat[name])
        speed.append(f"{len(spoken[name]) / vocoder.sample_rate / (time.perf_counter() - started):.2f}")
    first, vocoder = next(iter(vocoders.items()))
    write_audio(out / "original.wav", utterance.waveform, vocoder.sample_rate)
    write_audio(out / "generated.wav", spoken[first], vocoder.sample_rate)
    title = f"“{utterance.transcript}” recorded, and spoken by {first} from its mel"
    compare_picture(out / "comparison.png", utterance.waveform, spoken[first], vocoder.spec, title)
    return speed


def write_edited(out: Path, utterance: Utterance, vocoder: Vocoder, heat: float, seed: int) -> list[Path]:
    """Writes what a voice makes of the recording's mel at other tempi and pitches; the files."""
    mels = {name: stretched(utterance.frames, tempo) for name, tempo in TEMPI.items()}
    mels |= {name: transposed(vocoder, utterance.waveform, by) for name, by in SEMITONES.items()}
    for name, mel in mels.items():
        write_audio(out / f"{name}.wav", vocoder(mel, seed=seed, temperature=heat), vocoder.sample_rate)
    return [out / f"{name}.wav" for name in mels]


def figures(comparison: Comparison, vocoders: Mapping[str, Vocoder], speed: Sequence[str]) -> Table:
    """The table for the terminal: the speed of each voice and its means."""
    table = Table("", *vocoders, title="demo")
    table.add_row("times real time", *speed)
    for column in comparison.columns:
        means = [comparison.mean(system.name, column.name) for system in comparison.systems if not system.is_anchor]
        table.add_row(column.title, *("-" if each is None else f"{each.mean:.{column.digits}f}" for each in means))
    return table


def main(
    out: Path = Path("demo"),
    say: str = "Hello. On Jan. 5th, this cost $45.50, and no one had to say it.",
    voice: tuple[str, ...] = ("allison", "universal"),
    utterances: int = 4,
    seed: int = 0,
    temperature: float | None = None,
) -> None:
    """Speak, listen, time, write the page.

    Args:
        out: where the results go; an earlier demo's are replaced.
        say: a text in English, which the shipped voice heart says in said.wav.
        voice: shipped voices (`wavejax voices`) or folders, side by side on the page; the first one also speaks what is
            edited.
        utterances: how many held-out recordings are spoken.
        seed: of the noise of generated.wav and of what is edited; the page has seed 0.
        temperature: of the draws; each voice's own unless given.
    """
    open_folder(out)
    console = Console()
    speech = load("heart", kind=Speaker).say(say)
    write_audio(out / "said.wav", speech.waveform, speech.sample_rate)
    console.print(f"listen to {out}/said.wav: heart says what is written")
    hear = heard_by(load(LISTENER, kind=Recognizer))
    understood = f"{LISTENER} hears: {hear(speech.waveform, speech.sample_rate)}"
    console.print(understood)
    corpus = embedded_corpus()
    vocoders = opened(voice, corpus.sample_rate)
    selection = select(corpus, "test", at_most=utterances)
    heat = {name: each.config.temperature if temperature is None else temperature for name, each in vocoders.items()}
    comparison = compared(corpus, selection, vocoders, heat, console.print)
    page = write_report(
        out,
        comparison,
        title=f"wavejax: {', '.join(vocoders)}",
        facts={"voices": ", ".join(vocoders), "utterances": selection.chosen},
        captions=heard_in(comparison, hear),
        exhibits=[Exhibit("heart says a text", "said.wav", (say, understood))],
    )
    longest = max(selection.utterances, key=lambda each: len(each.waveform))
    speed = write_spoken(out, longest, vocoders, heat, seed)
    first, vocoder = next(iter(vocoders.items()))
    edited = write_edited(out, longest, vocoder, heat[first], seed)
    console.print(figures(comparison, vocoders, speed))
    console.print(f"open {page}")
    console.print(f"listen to {out}/original.wav, {out}/generated.wav ({first})")
    console.print(f"edited mels: {', '.join(map(str, edited))}")
    console.print(f"look at {out}/comparison.png")


if __name__ == "__main__":
    tyro.cli(main)
