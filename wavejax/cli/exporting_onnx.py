"""`wavejax export-onnx`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from wavejax import atomic
from wavejax.cli.inputs import InputError
from wavejax.cli.parsing import Command, UsageError, parse
from wavejax.cli.results import check_file


@dataclass(frozen=True, kw_only=True)
class ExportOnnx:
    """Write a vocoder that makes all samples at once (Vocos, HiFi-GAN) as an ONNX model: features in, waveform out.

    The inverse Fourier transform is part of it, as matrix products. Sample rate, hop and the features' spec stand in
    the model's metadata. onnxruntime runs it beside wavejax before anything is written.
    """

    voice: Positional[str]
    """A training folder, an export or a shipped voice."""
    file: Positional[Path]
    """The file to write, NAME.onnx."""
    streaming: bool = False
    """Write the streaming form instead: FILE takes a state and new frames, and gives samples and the next state;
    NAME.begin.onnx beside it makes the first state."""
    overwrite: bool = False
    """Write files again that are there."""
    json: bool = False
    """Say what was written as JSON."""


def run_export_onnx(arguments: Sequence[str]) -> int:
    """`wavejax export-onnx`."""
    given = parse(ExportOnnx, "export-onnx", arguments, example="wavejax export-onnx voice/ voice.onnx")
    if given.file.suffix != ".onnx":
        raise UsageError(f"{given.file}: an ONNX model's file ends in .onnx")
    files = [given.file.with_suffix(".begin.onnx"), given.file] if given.streaming else [given.file]
    for file in files:
        if file.exists() and not given.overwrite:
            raise InputError(f"{file} is there already: choose another name, or --overwrite")
        check_file(file)
    from wavejax.conversion.onnx_vocoder import PortableVocoder, parity_of_stream, parity_of_whole
    from wavejax.tasks.families import load
    from wavejax.tasks.vocoder.product import Vocoder

    product = load(given.voice, kind=Vocoder)
    vocoder = PortableVocoder.of(product.config.name, product.config.model, product.params, product.spec)
    models = vocoder.streaming() if given.streaming else (vocoder.whole(),)
    written = [model.SerializeToString() for model in models]
    parity = (parity_of_stream if given.streaming else parity_of_whole)(vocoder, *written)
    for file, content in zip(files, written, strict=True):
        atomic.write_bytes(file, content)
    described = {
        "files": [{"file": str(file), "bytes": len(content)} for file, content in zip(files, written, strict=True)],
        "inputs": [one.name for one in models[-1].graph.input],
        "outputs": [one.name for one in models[-1].graph.output],
        "parity": parity._asdict(),
    }
    if given.json:
        print(json.dumps(described))
        return 0
    for file, content in zip(files, written, strict=True):
        print(f"{file}: {len(content) / 1e6:.1f} MB")
    print(f"{', '.join(described['inputs'])} -> {', '.join(described['outputs'])}")
    print(
        f"parity: {parity.samples} samples, at most {parity.largest_difference:.1e} of full scale from wavejax's own "
        f"(loudest {parity.loudest:.2f}), by onnxruntime"
    )
    return 0


COMMANDS: dict[str, Command] = {"export-onnx": run_export_onnx}
