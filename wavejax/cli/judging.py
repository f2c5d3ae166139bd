"""`wavejax evaluate` and `wavejax doctor`: the options are those of the model's family."""

import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from wavejax.cli.inputs import InputError
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_json, report_folder, write_json
from wavejax.evaluation.anchors import DEFAULT_ANCHORS
from wavejax.evaluation.findings import Finding, nothing_bad
from wavejax.evaluation.judged import Judged
from wavejax.evaluation.listening import judge_folders, named_judges
from wavejax.experiments.family import Evaluation
from wavejax.experiments.installation import check_installation
from wavejax.experiments.loading import Loaded
from wavejax.tasks.families import FAMILIES, get_family, load_any_family
from wavejax.terminal import quoted


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Judge a model on held-out data, beside baselines and anchors."""

    model: Positional[str]
    """A training folder, an exported folder, or a shipped voice."""
    output: Path | None = None
    """Folder for index.html (players, waveforms, spectrograms), report.md, report.json and the sounds."""
    json: Path | None = None
    """Also write everything, item by item, to this file."""


@dataclass(frozen=True, kw_only=True)
class EvaluateFolders:
    """Judge folders of recordings of any system, paired by file name with the originals."""

    reference: Path
    """A folder of original recordings; a metadata.csv (id|transcript) in it gives transcripts."""
    candidate: tuple[Path, ...]
    """Folders of a system's recordings of them. A draws.json {"seeds": [0], "drawn": 1} says how many were made."""
    judges: tuple[str, ...] = ("installed",)
    """Names from distillmos, p808, pesq, estoi, phonemes, words, speaker; "none": metrics of the signal alone."""
    anchors: tuple[str, ...] = DEFAULT_ANCHORS
    """Also: mu-law-9, mu-law-10, mu-law-8-emphasis, mu-law-9-emphasis, mu-law-10-emphasis, low-pass-4k."""
    output: Path | None = None
    """Folder for index.html (players, waveforms, spectrograms), report.md, report.json and the sounds."""
    json: Path | None = None
    """Also write everything, item by item, to this file."""


EXAMPLES = (
    "wavejax evaluate run/ --corpus corpus/ --output report/\n"
    "wavejax evaluate --reference originals/ --candidate system-a/ system-b/ --output report/"
)


def run_evaluate(arguments: Sequence[str]) -> int:
    """`wavejax evaluate`."""
    if not arguments or arguments[0] in ("-h", "--help"):
        return _explain("evaluate", Evaluate, EXAMPLES, arguments)
    if any(argument.partition("=")[0] in ("--reference", "--candidate") for argument in arguments):
        return _evaluate_folders(arguments)
    family, product = _named_model("evaluate", arguments)
    if family.evaluator is None:
        raise UsageError(f"nothing evaluates {product.config.name} yet: its family has no evaluator")
    given, evaluate = _parse_with(Evaluate, family.evaluator, "evaluate", arguments, EXAMPLES)
    check_json(given.json)
    with report_folder(given.output):
        return _report(evaluate(product, _say), given.output, given.json)


def _evaluate_folders(arguments: Sequence[str]) -> int:
    if not arguments[0].startswith("-"):
        raise UsageError("give either a model, or --reference FOLDER and --candidate FOLDER")
    given = parse(EvaluateFolders, "evaluate", arguments, example=EXAMPLES)
    check_json(given.json)
    with report_folder(given.output):
        comparison = judge_folders(
            given.reference, given.candidate, judges=named_judges(given.judges), anchors=given.anchors, say=_say
        )
        facts = {"system": ", ".join(folder.name for folder in given.candidate), "reference": str(given.reference)}
        return _report(Judged(comparison=comparison, facts=facts), given.output, given.json)


def _report(found: Evaluation, output: Path | None, json_path: Path | None) -> int:
    print("\n".join(found.lines()), flush=True)
    if json_path is not None:
        write_json(json_path, found.to_json())
    page = found.write(output) if output is not None else None
    if page is not None:
        print(f"the page: {page}")
    return 0


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Find out what is wrong: with the installation, with a model ("why is my output noise?"), with recordings.

    Exit code 1 if something is wrong.
    """

    model: Positional[str | None] = None
    """A training folder, an exported folder, or a shipped voice."""


DOCTOR_EXAMPLES = "wavejax doctor\nwavejax doctor run/ --audio speech.wav"


def run_doctor(arguments: Sequence[str]) -> int:
    """`wavejax doctor`."""
    if arguments and arguments[0] in ("-h", "--help"):
        return _explain("doctor", Doctor, DOCTOR_EXAMPLES, arguments)
    if arguments and arguments[0].startswith("-"):
        raise InputError("recordings are judged against a model: wavejax doctor MODEL --audio FILE")
    findings = _examination(arguments) if arguments else None
    sound = _show(check_installation())
    if findings is None:
        return 0 if sound else 1
    sound &= _show(findings)
    print("nothing is wrong" if sound else "something is wrong: see above")
    return 0 if sound else 1


def _examination(arguments: Sequence[str]) -> Iterable[Finding]:
    family, product = _named_model("doctor", arguments)
    if family.doctor is None:
        raise UsageError(f"nothing examines {product.config.name} yet: its family has no doctor")
    _, examine = _parse_with(Doctor, family.doctor, "doctor", arguments, DOCTOR_EXAMPLES)
    findings: Iterable[Finding] = examine(product)
    return findings


def _named_model(command: str, arguments: Sequence[str]) -> Loaded:
    if arguments[0].startswith("-"):
        raise UsageError(f"the model comes first: wavejax {command} MODEL {' '.join(map(quoted, arguments))}")
    return load_any_family(arguments[0])


def _parse_with(
    kind: type[Any], options: type[Any], command: str, arguments: Sequence[str], example: str
) -> tuple[Any, Any]:
    """An instance of `kind`, and one of a family's options, from one command line."""
    documented = {"__doc__": f"{inspect.cleandoc(kind.__doc__ or '')}\n\n{inspect.cleandoc(options.__doc__ or '')}"}
    both = dataclasses.make_dataclass(
        kind.__name__, [], bases=(kind, options), frozen=True, kw_only=True, namespace=documented
    )
    if any(argument in ("-h", "--help") for argument in arguments):
        arguments = ["--help"]  # tyro's help leaves out what was given already
    given: Any = parse(both, command, arguments, example=example)
    names = {field.name for field in dataclasses.fields(options)}
    return given, options(**{name: getattr(given, name) for name in names})


def _explain(command: str, kind: type[Any], examples: str, arguments: Sequence[str]) -> int:
    """The help of a command whose options depend on the model."""
    lines = [f"usage: wavejax {command} MODEL [OPTIONS]", "", inspect.cleandoc(kind.__doc__ or ""), ""]
    families: dict[Any, list[str]] = {}  # those of one product share their options
    for name in FAMILIES:
        family = get_family(name)
        options: Any = family.evaluator if command == "evaluate" else family.doctor
        if options is not None:
            families.setdefault(options, []).append(name)
    for options, names in families.items():
        flags = " ".join(f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(options))
        words = textwrap.wrap(" ".join(inspect.cleandoc(options.__doc__ or "").split()), 100)
        lines += [f"{', '.join(names)}: {flags}", *(f"  {line}" for line in words), ""]
    lines += [f"`wavejax {command} MODEL --help` explains the options for that model.", "", "Example:"]
    print("\n".join([*lines, *(f"  {line}" for line in examples.splitlines())]))
    if arguments:
        return 0
    raise UsageError("give either a model, or --reference FOLDER and --candidate FOLDER")


def _say(said: str) -> None:
    print(said, file=sys.stderr, flush=True)


def _show(findings: Iterable[Finding]) -> bool:
    marks = {"good": "ok   ", "bad": "WRONG", "note": "     "}
    shown = []
    for finding in findings:
        print(f"{marks[finding.verdict]} {finding.check}: {finding.words}", flush=True)
        shown.append(finding)
    return nothing_bad(shown)


COMMANDS: dict[str, Command] = {"evaluate": run_evaluate, "doctor": run_doctor}
