"""`wavejax evaluate` and `wavejax doctor`."""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from wavejax.atomic import write_json
from wavejax.audio.notes import NoteSpec
from wavejax.cli.inputs import InputError
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.data import Corpus, embedded_corpus
from wavejax.data.notes import read_notes
from wavejax.evaluation.anchors import DEFAULT_ANCHORS
from wavejax.evaluation.comparison import Comparison
from wavejax.evaluation.report import markdown, write_report
from wavejax.tasks import diagnosis, listening, note_listening
from wavejax.tasks.playing import TAKES
from wavejax.tasks.scoring import score_report
from wavejax.tasks.selection import select
from wavejax.tasks.vocoder import Vocoder, load

_NAMES = {
    "model": "the model",
    "other_mel": "the model, another utterance's mel",
    "unigram": "unigram",
    "order1": "order 1",
    "linear_prediction": "linear prediction, order 16, fitted to each frame",
}


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Judge a vocoder on held-out recordings, beside anchors made of the same recordings.

    Two views of a model. Bits per sample: it hears the recording and is asked for each next sample; beside baselines
    over the same classes. Copy-synthesis: it speaks the recordings from their features, once per seed, all of which are
    scored; metrics of the signal and every judge that is installed listen, level-matched. Intervals are 95 % ones of a
    paired bootstrap over utterances; "!" marks what lies beyond its bar. Choose checkpoints and temperatures on
    --split validation and score test once.

    An instrument plays the notes of the split (--corpus is a folder of notes): pitch, decay and spectrum against the
    recordings, beside resampled neighbours and a sine. A reading is what `wavejax play` makes: the most typical of
    several takes, which choose among themselves.

    Without a model, --reference and --candidate judge folders of recordings of any system, paired by file name.
    """

    model: Positional[str | None] = None
    """A training folder, an exported folder, or a shipped voice."""
    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with wavejax."""
    split: Literal["train", "validation", "test"] = "test"
    utterances: str | None = None
    """A list of what to judge: a file {"test": [ids], ...}, or the name of a shipped one. Default: the shipped list of
    this corpus if there is one, else all of the split that last a second."""
    at_most: int = 0
    """Above 0: judge only so many utterances, evenly spread over the list."""
    seeds: int = 3
    """Readings, of seeds 0, 1, ...; 0: bits per sample alone."""
    temperature: tuple[float, ...] = ()
    """Several make several systems. Default: what the voice was exported with, or 1."""
    judges: tuple[str, ...] = ("installed",)
    """Names from distillmos, p808, pesq, estoi, phonemes, words, speaker; "none": metrics of the signal alone."""
    anchors: tuple[str, ...] = DEFAULT_ANCHORS
    """Also: mu-law-9, mu-law-10, mu-law-8-emphasis, mu-law-9-emphasis, mu-law-10-emphasis, low-pass-4k."""
    output: Path | None = None
    """Folder for index.html (players, waveforms, spectrograms), report.md, report.json and the sounds."""
    json: Path | None = None
    """Also write everything, utterance by utterance, to this file."""
    batch_size: int = 8
    """Crops scored at a time for the bits."""
    reference: Path | None = None
    """A folder of original recordings; a metadata.csv (id|transcript) in it gives transcripts."""
    candidate: tuple[Path, ...] = ()
    """Folders of a system's recordings of them. A draws.json {"seeds": [0], "drawn": 1} says how many were made."""


def run_evaluate(arguments: Sequence[str]) -> int:
    """`wavejax evaluate`."""
    example = (
        "wavejax evaluate run/ --corpus corpus/ --output report/\n"
        "wavejax evaluate --reference originals/ --candidate system-a/ system-b/ --output report/"
    )
    given = parse(Evaluate, "evaluate", arguments, example=example)
    if (given.model is None) == (given.reference is None) or bool(given.candidate) != (given.reference is not None):
        raise UsageError("give either a model, or --reference FOLDER and --candidate FOLDER")
    if given.seeds < 0 or given.batch_size < 1 or not all(0 <= each < float("inf") for each in given.temperature):
        raise UsageError("--seeds and --temperature must be at least 0, --batch-size at least 1")
    bits, comparison, facts = _judge_folders(given) if given.model is None else _judge_model(given, given.model)
    if given.json is not None:
        _write_json(given.json, bits | ({"listening": comparison.to_json()} if comparison else {}))
    if bits:
        print(_table(bits))
    if comparison is not None:
        print(markdown(comparison))
        print("\n".join(f"{name}: {value}" for name, value in facts.items() if "median" in name))
    if given.output is not None and comparison is not None:
        notes = _table(bits) if bits else ""
        page = write_report(
            given.output, comparison, title=facts["system"], facts=facts, notes=notes, extra={"bits": bits}
        )
        print(f"the page: {page}")
    return 0


def _judge_model(given: Evaluate, model: str) -> tuple[dict[str, Any], Comparison | None, dict[str, str]]:
    vocoder = load(model)
    if not given.temperature:
        given = dataclasses.replace(given, temperature=(vocoder.config.temperature,))
    if isinstance(vocoder.config.spec, NoteSpec):
        return _judge_instrument(given, vocoder)
    corpus = _open(given.corpus, vocoder)
    bits = score_report(vocoder, corpus, given.split, batch_size=given.batch_size)
    if not given.seeds or vocoder.config.model.frame_network is None:
        return bits, None, {}
    selection = select(corpus, given.split, given.utterances, given.at_most)
    comparison = listening.judge_vocoder(
        vocoder,
        corpus,
        selection,
        temperatures=given.temperature,
        num_seeds=given.seeds,
        judges=_judges(given),
        anchors=given.anchors,
        say=_say,
    )
    return bits, comparison, _facts(given, vocoder, selection.chosen)


def _judge_instrument(given: Evaluate, vocoder: Vocoder) -> tuple[dict[str, Any], Comparison, dict[str, str]]:
    if not given.seeds:
        raise UsageError("an instrument is judged by what it plays: --seeds must be at least 1")
    comparison = note_listening.judge_instrument(
        vocoder,
        read_notes(given.corpus),
        given.split,
        temperatures=given.temperature,
        num_seeds=given.seeds,
        say=_say,
    )
    facts = _facts(given, vocoder, f"{len(comparison.items)} {given.split} notes")
    facts["takes"] = f"each reading is the most typical of {TAKES} takes, by their own mean"
    for system in comparison.systems:
        if not system.is_anchor:
            median = note_listening.median_figure(comparison, system.name, "pitch")
            facts[f"{system.name}, median pitch error"] = f"{median:.1f} cents"
    return {}, comparison, facts


def _facts(given: Evaluate, vocoder: Vocoder, chosen: str) -> dict[str, str]:
    step = "" if vocoder.step is None else f", step {vocoder.step}"
    return {
        "system": f"{vocoder.config.name}{step}",
        "from": vocoder.source,
        "corpus": f"{given.corpus}: {chosen}",
        "seeds": ", ".join(map(str, range(given.seeds))) + ", all scored",
        "temperature": ", ".join(f"{each:g}" for each in given.temperature),
    }


def _judge_folders(given: Evaluate) -> tuple[dict[str, Any], Comparison, dict[str, str]]:
    if given.reference is None:
        raise UsageError("give --reference FOLDER")
    comparison = listening.judge_folders(
        given.reference, given.candidate, judges=_judges(given), anchors=given.anchors, say=_say
    )
    facts = {"system": ", ".join(folder.name for folder in given.candidate), "reference": str(given.reference)}
    return {}, comparison, facts


def _judges(given: Evaluate) -> tuple[str, ...] | None:
    if given.judges == ("installed",):
        return None
    return () if given.judges == ("none",) else given.judges


def _say(said: str) -> None:
    print(said, file=sys.stderr, flush=True)


def _open(corpus: str, vocoder: Vocoder) -> Corpus:
    return embedded_corpus(vocoder.spec) if corpus == "embedded" else Corpus.open(corpus)


def _table(report: dict[str, Any]) -> str:
    step = "" if report["step"] is None else f" (step {report['step']})"
    lines = [
        f"{report['model']}{step} on {report['num_utterances']} {report['split']} utterances, "
        f"{report['num_samples']:,} samples, {report['coding']}; bits per sample:"
    ]
    for name, bits in report["bits_per_sample"].items():
        difference = report["differences"].get(name)
        worse = ""
        if difference:
            worse = f"   {difference['mean']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
        lines.append(f"  {_NAMES[name]:<50} {bits:7.3f}{worse}")
    return "\n".join(lines)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    try:
        write_json(path, content, indent=1)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}; choose another place") from error


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Find out what is wrong: with the installation, with a model ("why is my output noise?"), with recordings.

    Of a model: are its parameters finite, do the form that was trained and the form that speaks agree, do held-out
    recordings cost few bits, does it listen to its features, is its own audio as likely as real speech, as loud, of the
    same spectrum. Of a recording: rate, level, clipping, band, against what the model reads.
    Exit code 1 if something is wrong.
    """

    model: Positional[str | None] = None
    """A training folder, an exported folder, or a shipped voice."""
    audio: tuple[Path, ...] = ()
    """Recordings that the model was given or is to be given."""
    corpus: str = "embedded"
    """Recordings to judge the model on: a folder made by `wavejax prepare`, or those that ship with wavejax."""
    split: Literal["train", "validation", "test"] = "test"
    """Part of the corpus; it should not have been trained on."""
    seconds: float = 2.0
    """How much of each of three recordings is judged."""
    seed: int = 0
    """Of the audio that the model makes."""


def run_doctor(arguments: Sequence[str]) -> int:
    """`wavejax doctor`."""
    given = parse(Doctor, "doctor", arguments, example="wavejax doctor\nwavejax doctor run/ --audio speech.wav")
    sound = _show(diagnosis.check_installation())
    if given.model is None:
        if given.audio:
            raise InputError("recordings are judged against a model: wavejax doctor MODEL --audio FILE")
        return 0 if sound else 1
    vocoder = load(given.model)
    for path in given.audio:
        sound &= _show(diagnosis.check_recording(vocoder, path))
    from wavejax.tasks.training import check_corpus

    corpus = _open(given.corpus, vocoder)
    check_corpus(vocoder.config, corpus)
    excerpts = diagnosis.held_out_excerpts(vocoder, corpus, given.split, seconds=given.seconds)
    sound &= _show(diagnosis.diagnose(vocoder, excerpts, seed=given.seed))
    print("nothing is wrong" if sound else "something is wrong: see above")
    return 0 if sound else 1


def _show(findings: Iterable[diagnosis.Finding]) -> bool:
    marks = {"good": "ok   ", "bad": "WRONG", "note": "     "}
    shown = []
    for finding in findings:
        print(f"{marks[finding.verdict]} {finding.check}: {finding.words}", flush=True)
        shown.append(finding)
    return diagnosis.judge(shown)


COMMANDS: dict[str, Command] = {"evaluate": run_evaluate, "doctor": run_doctor}
