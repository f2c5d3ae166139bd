"""`wavejax evaluate` and `wavejax doctor`."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from wavejax.cli.inputs import InputError
from wavejax.cli.parsing import Command, parse
from wavejax.data import Corpus, embedded_corpus
from wavejax.tasks import diagnosis
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
    """Bits per sample of held-out recordings under a model, beside baselines over the same classes.

    Teacher-forced: the model hears the recording and is asked for each next sample. Differences carry 95 % intervals of
    a paired bootstrap over utterances; a model that listens to its features is worse with another utterance's.
    """

    model: Positional[str]
    """A training folder, an exported folder, or a shipped voice."""
    corpus: str = "embedded"
    """A folder made by `wavejax prepare`, or "embedded": the recordings that ship with wavejax."""
    split: Literal["train", "validation", "test"] = "test"
    batch_size: int = 8
    """Crops scored at a time."""
    json: Path | None = None
    """Also write everything, utterance by utterance, to this file."""


def run_evaluate(arguments: Sequence[str]) -> int:
    """`wavejax evaluate`."""
    example = "wavejax evaluate run/ --corpus corpus/ --json scores.json"
    given = parse(Evaluate, "evaluate", arguments, example=example)
    from wavejax.tasks.scoring import score_report

    vocoder = load(given.model)
    report = score_report(vocoder, _open(given.corpus, vocoder), given.split, batch_size=given.batch_size)
    if given.json is not None:
        _write_json(given.json, report)
    print(_table(report))
    return 0


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
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
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
