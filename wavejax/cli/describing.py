"""`wavejax voices`, `wavejax info` and `wavejax export-params`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from wavejax.audio.files import AUDIO_SUFFIXES, read_audio
from wavejax.audio.levels import loudness
from wavejax.cli.inputs import FEATURE_SUFFIXES, InputError, read_features
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.data.discovery import find_files
from wavejax.data.midi import MIDI_SUFFIXES
from wavejax.documents import read_records
from wavejax.ranges import AT_LEAST_NONE, GV_SCALE, TEMPERATURE
from wavejax.terminal import quoted


@dataclass(frozen=True, kw_only=True)
class Voices:
    """List the models that ship with wavejax; their names are used like a folder's."""


def run_voices(arguments: Sequence[str]) -> int:
    """`wavejax voices`."""
    parse(Voices, "voices", arguments, example="wavejax voices")
    from wavejax.tasks.families import load_any_family, voices

    for name in voices():
        family, product = load_any_family(name)
        figures = family.figures(product.config)
        who = f"; speakers {', '.join(product.speakers)}" if product.speakers else ""
        rate = f"{product.sample_rate} samples/s, " if hasattr(product, "sample_rate") else ""
        use = family.usage(product.config, name)
        print(f"{name}: {product.kind}, {rate}{figures.parameters:,} parameters{who}; {use}")
    if not voices():
        print("no voice is installed; train one: wavejax train speech-16k-small --workdir run/")
    return 0


@dataclass(frozen=True, kw_only=True)
class Info:
    """Say what a folder or file is: a training, an export, a voice, a corpus, a recording, a score, features."""

    path: Positional[str]
    """The folder or file, or a shipped voice."""


def run_info(arguments: Sequence[str]) -> int:
    """`wavejax info`."""
    given = parse(Info, "info", arguments, example="wavejax info run/")
    from wavejax.experiments.loading import shipped_folder

    path = shipped_folder(given.path) or Path(given.path)
    if (path / "manifest.json").is_file() and not (path / "checkpoints").exists():
        lines = _describe_corpus(path)
    elif path.is_file() and path.suffix.lower() in AUDIO_SUFFIXES:
        waveform, rate = read_audio(path)
        lines = [f"recording: {len(waveform) / rate:.2f} s, {rate} Hz, {loudness(waveform, rate):.1f} LUFS"]
    elif path.is_file() and path.suffix.lower() in FEATURE_SUFFIXES:
        mel = read_features(path)
        lines = [f"features: shape {mel.shape}, {mel.dtype}, from {mel.min():.2f} to {mel.max():.2f}"]
    elif path.is_file() and path.suffix.lower() in MIDI_SUFFIXES:
        lines = _describe_score(path)
    elif path.is_file():
        raise InputError(f"{path} is neither a recording ({', '.join(AUDIO_SUFFIXES)}) nor features (.npy, .npz)")
    elif path.is_dir() and (count := len(find_files(path, AUDIO_SUFFIXES).paths)):
        lines = [f"folder of {count} recordings: wavejax prepare {quoted(path)} CORPUS makes it ready for training"]
    elif path.is_dir() and (count := len(find_files(path, MIDI_SUFFIXES).paths)):
        lines = [f"folder of {count} MIDI files: wavejax prepare {quoted(path)} CORPUS makes it ready for training"]
    else:
        lines = _describe_model(given.path, path)
    print("\n".join(lines))
    return 0


def _describe_score(path: Path) -> list[str]:
    from wavejax.data.midi_scores import read_score

    score, remarks = read_score(path)
    names = [track.name or ("drums" if track.drums else f"program {track.program}") for track in score.tracks]
    return [
        f"score: {score.num_notes} notes in {len(score.tracks)} tracks, {score.seconds:.1f} s",
        f"metre      {score.metre[0]}/{score.metre[1]}, {score.tempo:g} quarter notes a minute"
        + (f", {score.key}" if score.key else ""),
        f"tracks     {', '.join(names)}",
        *(f"note       {remark}" for remark in remarks),
    ]


def _describe_corpus(path: Path) -> list[str]:
    from wavejax.data import Corpus
    from wavejax.data.score_corpus import is_score_corpus

    if is_score_corpus(path):
        return _describe_scores(path)
    corpus = Corpus.open(path)
    splits = []
    for split in ("train", "validation", "test"):
        count = sum(entry.split == split for entry in corpus.entries)
        splits.append(f"{split} {count} ({corpus.seconds(split) / 60:.1f} minutes)")
    return [
        f"prepared corpus: {len(corpus)} utterances, {corpus.seconds() / 60:.1f} minutes",
        f"splits     {', '.join(splits)}",
        f"speakers   {', '.join(corpus.speakers)}",
        f"features   {corpus.spec.name}: {corpus.sample_rate} Hz, hop {corpus.spec.hop_length}, "
        f"{corpus.spec.num_channels} bands",
    ]


def _describe_scores(path: Path) -> list[str]:
    from wavejax.data import ScoreCorpus

    corpus = ScoreCorpus.open(path)
    count = sum(sum(entry.counts) for entry in corpus.entries)
    minutes = sum(entry.frame.seconds for entry in corpus.entries) / 60
    return [
        f"prepared corpus of scores: {len(corpus)} pieces, {count:,} notes, {minutes:.1f} minutes",
        f"splits     {corpus.sizes()}",
        f"grid       {corpus.steps_per_quarter} steps a quarter note",
    ]


def _describe_model(name: str, folder: Path) -> list[str]:
    from wavejax.tasks.families import load_any_family

    family, product = load_any_family(name)
    figures = family.figures(product.config)
    saved = "exported parameters" if product.step is None else f"training folder, step {product.step}"
    rows = [
        ("model", f"{figures.size}, {figures.parameters:,} parameters"),
        ("arithmetic", f"{figures.macs_per_unit:,} multiplications for each {figures.one}"),
        *figures.rows,
    ]
    if product.speakers:
        rows.append(("speakers", ", ".join(product.speakers)))
    rows.append(("use", family.usage(product.config, name)))
    rows += _last_metrics(folder / "metrics.jsonl")
    return [f"{product.config.name}: {product.kind}, {saved}", *(f"{label:<16}{text}" for label, text in rows)]


def _last_metrics(path: Path) -> list[tuple[str, str]]:
    last: dict[str, Any] = {}
    for record in read_records(path):
        last |= record
    names = ("step", "loss", "validation/loss")
    shown = [f"{name} {last[name]:.4g}" for name in names if isinstance(last.get(name), int | float)]
    return [("metrics", ", ".join(shown))] if shown else []


@dataclass(frozen=True, kw_only=True)
class ExportParams:
    """Write the averaged parameters of a training folder as a small folder, which every command reads."""

    source: Positional[str]
    """The training folder."""
    folder: Positional[Path]
    """The folder to write."""
    step: Annotated[int | None, AT_LEAST_NONE] = None
    """A particular checkpoint; default the newest sound one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 halves the size; `wavejax evaluate` says what it costs."""
    average_with: tuple[str, ...] = ()
    """Other trainings or exports of the same model: the mean of all their parameters is written. Ends of several
    trainings from the same parameters are often better together."""
    set: tuple[str, ...] = ()
    """Fields of the configuration and their new values, as in --set temperature=0.6 repeats=0.3; `config.json` of the
    folder lists them."""
    temperature: Annotated[float | None, TEMPERATURE] = None
    """What the voice draws with unless told otherwise: choose it on the validation split."""
    gv_scale: Annotated[float | None, GV_SCALE] = None
    """Of a speaker: each mel band's deviation from its mean over a sentence is multiplied by this. 1 is what it has
    learnt, 1.1 to 1.2 is crisper."""


def run_export(arguments: Sequence[str]) -> int:
    """`wavejax export-params`."""
    given = parse(ExportParams, "export-params", arguments, example="wavejax export-params run/ voice/")
    from wavejax.checkpoints.export import check_export
    from wavejax.experiments.loading import unmistakable
    from wavejax.tasks.families import export, load_any_family

    check_export(given.folder)
    changes = dict(map(_change, given.set))
    if given.gv_scale is not None:
        changes["gv_scale"] = given.gv_scale
    folder = export(
        given.source,
        given.folder,
        given.step,
        dtype=given.dtype,
        temperature=given.temperature,
        changes=changes,
        average_with=given.average_with,
    )
    size = sum(file.stat().st_size for file in folder.iterdir())
    family, product = load_any_family(folder)
    print(f"{given.folder}: {size / 1e6:.1f} MB; {family.usage(product.config, unmistakable(given.folder))}")
    return 0


def _change(text: str) -> tuple[str, Any]:
    """FIELD=VALUE, the value as JSON, or a string as it is."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--set takes FIELD=VALUE, such as temperature=0.6, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


COMMANDS: dict[str, Command] = {"voices": run_voices, "info": run_info, "export-params": run_export}
