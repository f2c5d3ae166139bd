"""The results of an evaluation: bits per sample, judges' figures, or both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wavejax.evaluation.comparison import Comparison
from wavejax.evaluation.report import markdown, write_report
from wavejax.evaluation.scoring import score_lines


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """An evaluation of sound. `wavejax evaluate` prints its lines and writes its page."""

    bits: Mapping[str, Any] = field(default_factory=dict)
    """A report of `wavejax.evaluation.scoring`; empty if no bits were requested."""
    comparison: Comparison | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """Description of the evaluation for the page; `system` is the page's title."""
    figures: Sequence[str] = ()
    """Names of the facts that are also shown in the terminal."""

    def lines(self) -> list[str]:
        """Lines of text for the terminal."""
        lines = score_lines(self.bits) if self.bits else []
        if self.comparison is not None:
            lines.append(markdown(self.comparison))
        return [*lines, *(f"{name}: {self.facts[name]}" for name in self.figures)]

    def to_json(self) -> dict[str, Any]:
        """All results, utterance by utterance."""
        listening = {} if self.comparison is None else {"listening": self.comparison.to_json()}
        return {**self.bits, **listening}

    def write(self, folder: Path) -> Path | None:
        """Writes a page with players and spectrograms, report.md, report.json and the audio files, and returns the
        page's path; None without a comparison."""
        if self.comparison is None:
            return None
        notes = "\n".join(score_lines(self.bits)) if self.bits else ""
        title, extra = self.facts["system"], {"bits": dict(self.bits)}
        return write_report(folder, self.comparison, title=title, facts=self.facts, notes=notes, extra=extra)
