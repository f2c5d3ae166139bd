"""Measure, check and compare: `python -m benchmarks.run BENCHMARK [--peers] [--json OUT] [--quick]`.

generation  samples/s by backend, type of weights and batch; peers in torch and naive JAX; share of the roofline
streaming   time to the first block, per block of 10, 20, 50 ms, and a paced run that counts underruns
parallel    a parallel vocoder's stream in blocks of 20 ms: times real time, and milliseconds to the first sample
vocoding    HiFi-GAN and Vocos of the published sizes beside torch, from features to a waveform: times real time
recognition a recogniser's parts, greedy and with a beam, beside pocketsphinx: times real time
listening   utterances/s of one optimisation step of a recogniser, beside torch with the same weights
training    samples/s and peak memory of one optimisation step, beside torch with the same weights
adversarial samples/s of an update of HiFi-GAN V2 against all its discriminators, beside torch
dsp         log-mel, mu-law, resampling beside librosa; Griffin-Lim from the same mel
data        batches of the training pipeline against what training consumes
composing   a composer's 16 bars and their sound from the shipped piano, in seconds of processor time
startup     a whole command cold and warm: imports, compiling, sound; `--beside` another checkout in turns
compile     seconds to compile generation (by length and by layers) and the training step
memory      peak memory and speed of generation by length; speed by layers
folding     seams of a trained voice's folds against places without a seam; speed of folds
all         each of these as it is done, then a page with all tables and a picture in the folder --json, in --minutes

A row's unit, median and spread are of repeats that take turns; nothing is timed before its check has passed.
Freed memory stays with the process, as in `wavejax` itself, for peers as well; --malloc default gives it back.
`--peers` needs the extra `peers` (torch), `dsp` the extra `eval`, `data` the extra `train`.
"""

import argparse
import functools
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import WRONG, check_json, table, write_json
from wavejax import allocator

MODULES = {
    "generation": "benchmarks.generation",
    "streaming": "benchmarks.streaming",
    "parallel": "benchmarks.parallel_streaming",
    "vocoding": "benchmarks.vocoding",
    "recognition": "benchmarks.recognition",
    "listening": "benchmarks.recognition_training",
    "training": "benchmarks.training",
    "adversarial": "benchmarks.adversarial_training",
    "dsp": "benchmarks.dsp",
    "data": "benchmarks.data",
    "composing": "benchmarks.composing",
    "startup": "benchmarks.startup",
    "compile": "benchmarks.compilation",
    "memory": "benchmarks.memory",
    "folding": "benchmarks.folding",
}
TRAININGS = ("training", "adversarial", "listening")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run one benchmark; prints its table and returns its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=[*MODULES, "all"])
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=("naive", "compiled", "vocoder"),
        help="measure other implementations in the same run: these, or all",
    )
    parser.add_argument("--parts", nargs="+", choices=("speed", "memory", "quality"), help="training, folding: which")
    parser.add_argument("--json", type=Path, help="write the result here, too")
    parser.add_argument("--append", action="store_true", help="keep the results that the file already holds")
    parser.add_argument("--quick", action="store_true", help="few repeats and small sizes: does it run at all?")
    parser.add_argument("--presets", nargs="+", help="generation, vocoding, listening: only these")
    parser.add_argument("--backends", nargs="+", help="generation: only these")
    parser.add_argument("--dtypes", nargs="+", help="generation: only these types of weights")
    parser.add_argument("--batches", nargs="+", type=int, help="generation, listening: only these batch sizes")
    parser.add_argument("--corpus", help="data, folding, recognition: a folder of `wavejax prepare`")
    parser.add_argument("--beside", type=Path, help="startup: another checkout, measured in turns")
    parser.add_argument("--voice", help="folding, startup, recognition, composing: a shipped model or a folder")
    parser.add_argument("--lm", help="recognition: an ARPA file, or a text with a sentence on each line")
    parser.add_argument("--folds", type=int, help="folding: pieces")
    parser.add_argument("--seams", type=int, help="folding: how many are measured, at least")
    parser.add_argument("--warm-up", type=int, help="folding: samples before a fold is heard")
    parser.add_argument("--temperature", type=float, help="folding")
    parser.add_argument("--malloc", choices=("kept", "default"), default="kept", help="what is freed stays, or goes")
    parser.add_argument("--repeats", type=int)
    parser.add_argument(
        "--seconds", type=float, help="generation: of each repeat; vocoding, dsp, folding, startup: of the sound"
    )
    parser.add_argument("--minutes", type=float, help="all: what does not fit is left out, and told (default 25)")
    parser.add_argument("--only", nargs="+", help="all: these tables, beside those that the folder already holds")
    given = vars(parser.parse_args(arguments))
    benchmark, path, append = given.pop("benchmark"), given.pop("json"), given.pop("append")
    if given.pop("malloc") == "kept" and benchmark != "memory":
        allocator.keep_freed_memory(one_heap=benchmark in TRAININGS)  # as the command line has it
    if benchmark == "all":
        from benchmarks import everything

        if path is None:
            parser.error("all needs --json FOLDER for its tables")
        names = ("voice", "minutes", "only", "quick")
        return everything.run(path, **{name: given[name] for name in names if given[name] is not None})
    run = importlib.import_module(MODULES[benchmark]).run
    if given["peers"] == []:
        given["peers"] = ("naive", "compiled", "vocoder")
    given = {name: value for name, value in given.items() if value not in (None, False)}
    options = inspect.signature(run).parameters
    unknown = sorted(given.keys() - options.keys())
    if unknown:
        parser.error(f"{benchmark} has no option --{', --'.join(unknown)}")
    _check(parser, path)
    if path is not None and not append and "keep" in options:
        given["keep"] = functools.partial(write_json, path)
    figures: dict[str, Any] = run(**given)
    print(table(figures))
    if path is not None:
        write_json(path, figures, append=append)
    return figures


def _check(parser: argparse.ArgumentParser, path: Path | None) -> None:
    try:
        check_json(path)
    except OSError as error:
        parser.error(f"--json {path}: {error.strerror}")


if __name__ == "__main__":
    sys.exit(any(note.startswith(WRONG) for note in main()["notes"]))
