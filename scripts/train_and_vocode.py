"""Train a small WaveNet on the embedded speech, vocode a held-out utterance, and say how good and how fast it was."""

import dataclasses
import json
import shutil
import time
from pathlib import Path

import numpy as np
import tyro
from demo_folder import open_folder
from rich.console import Console
from rich.table import Table

from wavejax.audio import write_audio
from wavejax.data import embedded_corpus
from wavejax.evaluation.pictures import compare_picture
from wavejax.experiments.autoregressive.scoring import score_report
from wavejax.nn import FrameNetworkConfig
from wavejax.tasks.families import load, preset, train_and_evaluate
from wavejax.tasks.vocoder.product import Vocoder
from wavejax.tasks.vocoder.wavenet import WaveNetVocoderConfig

NAMES = {
    "model": "the model",
    "other_frames": "the model given another utterance's mel",
    "unigram": "class frequencies",
    "order1": "order-1 table",
    "linear_prediction": "linear prediction, order 16",
}


def configuration(steps: int, minutes: float) -> WaveNetVocoderConfig:
    """The preset `speech-16k-small` with short crops, many updates and a schedule that ends with them.

    No dropout: minutes of training cannot overfit, and it costs a tenth of the time.
    """
    config = preset("speech-16k-small")
    network = dataclasses.replace(config.model.frame_network or FrameNetworkConfig(), dropout=0.0)
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, frame_network=network),
        data=dataclasses.replace(config.data, crop_length=2000),
        optimizer=dataclasses.replace(
            config.optimizer,
            learning_rate=2e-3,
            schedule="cosine",
            warmup_steps=40,
            decay_steps=steps,
            end_learning_rate=1e-4,
        ),
        training=dataclasses.replace(
            config.training,
            num_steps=steps,
            max_minutes=minutes,
            batch_size=4,
            ema_decay=0.98,
            log_every=25,
            validate_every=0,
            exhibit_every=0,
            checkpoint_every=200,
        ),
    )


def main(
    out: Path = Path("demo"), steps: int = 400, minutes: float = 3.5, seed: int = 0, temperature: float = 0.8
) -> None:
    """Train, vocode, measure.

    Args:
        out: where the results go; an earlier demo's are replaced.
        steps: updates of 4 x 2,000 scored samples.
        minutes: stop training after so long, even if fewer updates were made.
        seed: of the vocoder's noise.
        temperature: of its draws.
    """
    open_folder(out)
    console = Console()
    run = out / "run"
    shutil.rmtree(run, ignore_errors=True)
    corpus = embedded_corpus()
    console.print(
        f"training on {corpus.seconds('train'):.0f} s of speech; {corpus.seconds('test'):.0f} s more are held out"
    )
    started = time.perf_counter()
    train_and_evaluate(configuration(steps, minutes), run, corpus=corpus)
    train_seconds = time.perf_counter() - started
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    vocoder = load(run, kind=Vocoder)
    utterance = max(corpus.utterances("test"), key=lambda u: len(u.waveform))
    console.print(f"vocoding a held-out utterance: {utterance.transcript!r}")
    vocoder(utterance.frames[:3], temperature=temperature)  # compiles
    started = time.perf_counter()
    generated = vocoder(utterance.frames, seed=seed, temperature=temperature)
    seconds = time.perf_counter() - started
    rate = vocoder.spec.sample_rate
    write_audio(out / "original.wav", utterance.waveform, rate)
    write_audio(out / "generated.wav", generated, rate)
    title = f"“{utterance.transcript}” recorded, and generated from its mel"
    compare_picture(out / "comparison.png", utterance.waveform, generated, vocoder.spec, title)

    report = score_report(vocoder, corpus, "test")
    (out / "report.json").write_text(json.dumps(report, indent=2, default=float) + "\n")
    table = Table(title="demo", show_header=False)
    table.add_row("updates", f"{records[-1]['step']} in {train_seconds:.0f} s, compilation included")
    table.add_row("training", f"{np.median([r['samples_per_second'] for r in records]):,.0f} samples/s")
    table.add_row("training loss", f"{records[0]['loss']:.2f} -> {records[-1]['loss']:.2f} bits per sample")
    for name, bits in report["bits_per_sample"].items():
        text = f"{bits:.3f}"
        if name in report["differences"]:
            interval = report["differences"][name]
            text += f"  ({interval['mean']:+.3f}, 95 % interval {interval['low']:+.3f} to {interval['high']:+.3f})"
        table.add_row(f"held-out bits per sample: {NAMES[name]}", text)
    length = len(generated) / rate
    table.add_row("times_real_time", f"{length / seconds:.2f} ({length:.1f} s of audio in {seconds:.1f} s)")
    table.add_row("listen to", f"{out}/original.wav, {out}/generated.wav")
    table.add_row("look at", f"{out}/comparison.png")
    console.print(table)


if __name__ == "__main__":
    tyro.cli(main)
