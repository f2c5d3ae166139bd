"""Findings of checks, in words; `wavejax doctor` shows them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np

from wavejax.types import Params

Verdict = Literal["good", "bad", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check."""

    check: str
    verdict: Verdict
    words: str
    """What was found and, if it is bad, what to do."""


def nothing_bad(findings: Iterable[Finding]) -> bool:
    """True if no finding is bad."""
    return all(finding.verdict != "bad" for finding in findings)


def check_parameters(params: Params) -> Finding:
    """A finding that lists the parameters that are NaN or infinite."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    bad = {
        "/".join(str(getattr(key, "key", key)) for key in path): np.size(leaf) - np.count_nonzero(np.isfinite(leaf))
        for path, leaf in leaves
        if not np.isfinite(leaf).all()
    }
    if bad:
        named = ", ".join(f"{name} ({number} values)" for name, number in bad.items())
        words = (
            f"parameters that are not finite: {named}. The training blew up: go back to an earlier checkpoint, lower "
            "optimizer.learning_rate or set optimizer.clip_norm"
        )
        return Finding(check="parameters", verdict="bad", words=words)
    number = sum(int(np.size(leaf)) for _, leaf in leaves)
    return Finding(check="parameters", verdict="good", words=f"all {number:,} parameters are finite")
