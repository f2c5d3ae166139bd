"""Commands that docs/ tells people to type: options that have to agree with what ships."""

import re
from pathlib import Path

from wavejax.tasks.families import load

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_what_starts_from_a_shipped_listener_has_its_sizes() -> None:
    """docs/own-voice.md writes the sizes of `listener-en` out."""
    model = load("listener-en").config.model.listener
    commands = (DOCS / "own-voice.md").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    starting = [line for line in commands if line.startswith("wavejax train listener")]
    assert len(starting) == 2
    for line in starting:
        given = {name.replace("-", "_"): int(size) for name, size in re.findall(r"--model\.([a-z-]+) (\d+)", line)}
        assert given == {name: getattr(model, name) for name in given}, line
        assert {"channels", "num_blocks", "kernel_size"} <= given.keys()
