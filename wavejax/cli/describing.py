"""`wavejax voices`, `wavejax info` and `wavejax export-params`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from wavejax.audio.feature_spec import FeatureSpec
from wavejax.audio.files import AUDIO_SUFFIXES, read_audio
from wavejax.audio.levels import loudness
from wavejax.cli.inputs import FEATURE_SUFFIXES, InputError, read_features
from wavejax.cli.parsing import Command, parse


@dataclass(frozen=True, kw_only=True)
class Voices:
    """List the models that ship with wavejax; their names are used like a folder's."""


def run_voices(arguments: Sequence[str]) -> int:
    """`wavejax voices`."""
    parse(Voices, "voices", arguments, example="wavejax voices")
    from wavejax.cli.presets import how_to_hear
    from wavejax.tasks.vocoder import describe, load, voices

    for name in voices():
        vocoder = load(name)
        rate, parameters = vocoder.config.spec.sample_rate, describe(vocoder.config)["parameters"]
        who = f"speakers {', '.join(vocoder.speakers) or 'one'}"
        if vocoder.config.command == "play":
            who = "an instrument"
        print(f"{name}: {rate} Hz, {parameters:,} parameters, {who}; {how_to_hear(vocoder.config, name)}")
    if not voices():
        print("no voice is installed; train one: wavejax train speech-16k-small --workdir run/")
    return 0


@dataclass(frozen=True, kw_only=True)
class Info:
    """Say what a folder or file is: a training, an export, a voice, a prepared corpus, a recording, features."""

    path: Positional[str]
    """The folder or file, or a shipped voice."""


def run_info(arguments: Sequence[str]) -> int:
    """`wavejax info`."""
    given = parse(Info, "info", arguments, example="wavejax info run/")
    path = Path(given.path)
    if (path / "manifest.json").is_file() and not (path / "checkpoints").exists():
        lines = _describe_corpus(path)
    elif path.is_file() and path.suffix.lower() in AUDIO_SUFFIXES:
        waveform, rate = read_audio(path)
        lines = [f"recording: {len(waveform) / rate:.2f} s, {rate} Hz, {loudness(waveform, rate):.1f} LUFS"]
    elif path.is_file() and path.suffix.lower() in FEATURE_SUFFIXES:
        mel = read_features(path)
        lines = [f"features: shape {mel.shape}, {mel.dtype}, from {mel.min():.2f} to {mel.max():.2f}"]
    elif path.is_file():
        raise InputError(f"{path} is neither a recording ({', '.join(AUDIO_SUFFIXES)}) nor features (.npy, .npz)")
    elif path.is_dir() and (count := sum(file.suffix.lower() in AUDIO_SUFFIXES for file in path.rglob("*"))):
        lines = [f"folder of {count} recordings: wavejax prepare {path} CORPUS makes it ready for training"]
    else:
        lines = _describe_model(given.path)
    print("\n".join(lines))
    return 0


def _describe_corpus(path: Path) -> list[str]:
    from wavejax.data import Corpus

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


def _describe_model(path: str) -> list[str]:
    from wavejax.tasks.vocoder import describe, load

    vocoder = load(path)
    figures, model, spec = describe(vocoder.config), vocoder.config.model, vocoder.config.spec
    kind = "exported parameters" if vocoder.step is None else f"training folder, step {vocoder.step}"
    coding = f"{model.coding.kind}, {model.coding.num_classes} classes, pre-emphasis {model.coding.pre_emphasis}"
    lines = [
        f"{vocoder.config.name}: {kind}",
        f"model      {model.num_layers} layers, {figures['parameters']:,} parameters, receptive field "
        f"{figures['receptive_field_ms']:.1f} ms, {figures['macs_per_sample']:,} multiplications per sample",
        f"output     {type(model.distribution).__name__}; {coding}",
        f"features   {spec.name}: {spec.sample_rate} Hz, hop {spec.hop_length}, {spec.num_channels} "
        + ("bands" if isinstance(spec, FeatureSpec) else "channels of notes")
        + ("" if model.frame_network is not None else " (not used: the model is unconditional)"),
    ]
    if model.num_speakers:
        lines.append(f"speakers   {', '.join(vocoder.speakers) or model.num_speakers}")
    lines += _last_metrics(Path(path) / "metrics.jsonl")
    return lines


def _last_metrics(path: Path) -> list[str]:
    if not path.is_file():
        return []
    last: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            last |= json.loads(line)
        except ValueError:  # a line that is being written
            continue
    shown = [f"{name} {last[name]:.4g}" for name in ("step", "loss", "validation/loss") if last.get(name) is not None]
    return [f"metrics    {', '.join(shown)}"] if shown else []


@dataclass(frozen=True, kw_only=True)
class ExportParams:
    """Write the averaged parameters of a training folder as a small folder, which every command reads."""

    source: Positional[str]
    """The training folder."""
    folder: Positional[Path]
    """The folder to write."""
    step: int | None = None
    """A particular checkpoint; default the newest sound one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 halves the size; `wavejax evaluate` says what it costs."""
    temperature: float | None = None
    """What the voice draws with unless told otherwise: choose it on the validation split."""


def run_export(arguments: Sequence[str]) -> int:
    """`wavejax export-params`."""
    given = parse(ExportParams, "export-params", arguments, example="wavejax export-params run/ voice/")
    from wavejax.cli.presets import how_to_hear
    from wavejax.tasks.training import export
    from wavejax.tasks.vocoder import load

    folder = export(given.source, given.folder, given.step, dtype=given.dtype, temperature=given.temperature)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{given.folder}: {size / 1e6:.1f} MB; {how_to_hear(load(folder).config, given.folder)}")
    return 0


COMMANDS: dict[str, Command] = {"voices": run_voices, "info": run_info, "export-params": run_export}
