"""`wavejax convert`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from wavejax.cli.parsing import Command, parse

if TYPE_CHECKING:
    from wavejax.conversion import Converted


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Convert the weights of a public project into a folder for inference.

    Reads what torch.save writes, .safetensors and .npz, without PyTorch and without running anything that the file
    says. Known are the generators of jik876/hifi-gan, charactr/vocos-mel-24khz, and the Tacotron 2 of NVIDIA and of
    torchaudio.
    """

    file: Positional[Path]
    """The weight file."""
    folder: Positional[Path]
    """The folder to write."""
    part: str | None = None
    """Which dict of tensors, by its place in the file, where several would do: "generator", "model/ema"."""


def run_convert(arguments: Sequence[str]) -> int:
    """`wavejax convert`."""
    given = parse(Convert, "convert", arguments, example="wavejax convert g_02500000 voice/")
    from wavejax.conversion import convert

    converted = convert(given.file, given.part)
    folder = converted.export(given.folder)
    print("\n".join(_described(converted)))
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{given.folder}: {size / 1e6:.1f} MB; {_use(given.folder)}")
    return 0


def _described(converted: "Converted") -> list[str]:
    report, spec = converted.report, converted.spec
    part = f", part {report.part!r}" if report.part else ""
    reasons = Counter(report.ignored.values())
    rows = [
        ("file", f"{report.format}{part}; SHA-256 {report.sha256[:16]}..."),
        ("recognised", report.title),
        ("tensors", f"{report.tensors}: {report.used} used for {report.parameters:,} parameters"),
        *(("left out", f"{count}: {reason}") for reason, count in reasons.items()),
        ("features", f"{spec.name}: {spec.sample_rate} Hz, hop {spec.hop_length}, {spec.num_channels} bands"),
        (
            "parity",
            f"{report.parity.samples} {report.parity.unit}, at most {report.parity.largest_difference:.1e} of full "
            f"scale from {report.parity.compared_with}",
        ),
    ]
    return [f"{report.file}:", *(f"{label:<16}{text}" for label, text in rows)]


def _use(folder: Path) -> str:
    """What can be done with it now."""
    from wavejax.tasks.families import load_any_family

    card, product = load_any_family(folder)
    return card.usage(product.config, str(folder))


COMMANDS: dict[str, Command] = {"convert": run_convert}
