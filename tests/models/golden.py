"""Golden parameter trees: names, shapes and types of every preset, frozen (parameter names are a public format).

A tree that changes makes old checkpoints unreadable. Where that is meant, rewrite the files and say so in the commit:

    python -m tests.models.golden            # every preset
    python -m tests.models.golden NAME ...   # only these
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import jax

from wavejax.models import (
    attend_spell,
    chorale,
    conv_ctc,
    deep_speech,
    hifi_gan,
    listen_attend_spell,
    musegan,
    parallel_speaker,
    tacotron2,
    vocos_presets,
    voices_gan,
    wavenet_presets,
    wavernn_presets,
)
from wavejax.models.wavenet import WaveNet, WaveNetConfig
from wavejax.nn.parallel import initial_parallel_params
from wavejax.nn.parameters import initial_params, initial_recognizer_params
from wavejax.types import ParallelModel

FOLDER = Path(__file__).parent / "golden"
RECOGNIZERS = {
    **conv_ctc.PRESETS,
    **deep_speech.PRESETS,
    **listen_attend_spell.PRESETS,
    **attend_spell.PRESETS,
}
GAMES = {**voices_gan.PRESETS, **musegan.PRESETS}
PRESETS = {
    **wavenet_presets.PRESETS,
    **wavernn_presets.PRESETS,
    **vocos_presets.PRESETS,
    **hifi_gan.PRESETS,
    **RECOGNIZERS,
    **chorale.PRESETS,
    **parallel_speaker.PRESETS,
    **tacotron2.PRESETS,
    **GAMES,
}


@functools.cache
def tree(name: str) -> dict[str, dict]:
    """Path -> shape and dtype of each parameter of a preset, from its abstract initialisation."""
    config = PRESETS[name]
    model = WaveNet(config) if isinstance(config, WaveNetConfig) else config.build()
    initial: Any = initial_parallel_params if isinstance(model, ParallelModel) else initial_params
    if name in RECOGNIZERS:
        initial = initial_recognizer_params
    elif name in parallel_speaker.PRESETS:
        initial = parallel_speaker.initial_speaker_params
    elif name in tacotron2.PRESETS:
        initial = tacotron2.initial_tacotron2_params
    elif name in GAMES:

        def initial(players: Any, key: Any) -> Any:
            return dict(zip(("generator", "critic"), players.initial_params(key), strict=True))

    shapes = jax.eval_shape(lambda: initial(model, jax.random.key(0)))
    return {
        "/".join(key.key for key in path): {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)
    }


def read(name: str) -> dict[str, dict]:
    """The frozen tree of a preset."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def write(name: str) -> None:
    """Freeze a preset's tree as it is now."""
    rows = [f"  {json.dumps(path)}: {json.dumps(leaf)}" for path, leaf in sorted(tree(name).items())]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or PRESETS:
        write(name)
