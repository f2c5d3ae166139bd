"""A process that loads mutated folders, one after the other, and prints what came of it as JSON.

Its own process, so that its memory can be measured, and a hang ended.
"""

import collections
import json
import logging
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny import sealed
from tests.tiny.commands import config, export, params_of
from wavejax.checkpoints import CheckpointError, CheckpointStore
from wavejax.checkpoints.manifest import write_manifest
from wavejax.checkpoints.record import digest
from wavejax.cli.checkpoints import _logged_metrics
from wavejax.cli.describing import _last_metrics
from wavejax.experiments.metadata import ExperimentError, metadata
from wavejax.tasks.families import load
from wavejax.training.loggers import JsonLinesLogger

REFUSALS = (ExperimentError, CheckpointError)
VALUES: list[Any] = [
    *(None, True, 0, -1, 1, 7, 2**15, 2**31 - 1, 2**31, 2**40, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.0, -1.5, 1e30, 1e308, float("nan"), float("inf"), "", "x", "float64", "object", "\u2028\x1b[2J", "x" * 10**5),
    *([], {}, [[]], [0] * 300, [1] * 10**5, ["a"], {"kind_of": "FeatureSpec"}, {"a": {"b": 1}}, [None], [-1], [2**40]),
]


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Bits flipped, cut short, a length field replaced, a piece removed or doubled."""
    changed = bytearray(data)
    how = draw.randrange(6)
    at = draw.randrange(len(changed)) if changed else 0
    if how == 0:
        return bytes(changed[:at])
    if how == 1:
        width = draw.choice([2, 4, 8])
        changed[at : at + width] = draw.choice([b"\xff", b"\x00", b"\x7f"]) * width
    elif how == 2:
        del changed[at : at + draw.randrange(1, 200)]
    elif how == 3:
        changed[at:at] = changed[at : at + draw.randrange(1, 200)]
    else:
        for _ in range(draw.randrange(1, 8)):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def change_something(tree: Any, draw: random.Random) -> None:
    """Replace, remove or add one entry at a place drawn from the whole tree."""
    places: list[tuple[Any, Any]] = []
    pending = [tree]
    while pending:
        node = pending.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        places += [(node, key) for key in keys]
        pending += [node[key] for key in keys if isinstance(node[key], dict | list)]
    node, key = draw.choice(places)
    if draw.random() < 0.15:
        del node[key]
    else:
        node[key] = draw.choice(VALUES)


def change_config(folder: Path, draw: random.Random) -> Path:
    if draw.random() < 0.3:
        path = folder / "config.json"
        path.write_bytes(mutated(path.read_bytes(), draw))
    else:
        sealed.changed(folder, lambda record: change_something(record, draw))
    return folder


def change_archive(folder: Path, draw: random.Random) -> Path:
    return sealed.with_archive(folder, mutated((folder / "params.npz").read_bytes(), draw))


def change_checkpoint(folder: Path, draw: random.Random) -> Path:
    step = folder / "checkpoints" / "1"
    if draw.random() < 0.4:
        path = step / "meta" / "metadata"
        record = json.loads(path.read_text())
        change_something(record, draw)
        record.pop("sha256", None)
        path.write_text(json.dumps({**record, "sha256": digest(record)}))
    else:
        path = draw.choice(sorted(each for each in step.rglob("*") if each.is_file()))
        path.write_bytes(mutated(path.read_bytes(), draw))
    if draw.random() < 0.5:
        write_manifest(step)
    return folder


def read_metrics(folder: Path, draw: random.Random) -> str:
    path = folder / "metrics.jsonl"
    records: list[Any] = [{"step": step, "loss": 1.5, "time": 1.0} for step in range(6)]
    if draw.random() < 0.5:
        change_something(records, draw)
        records.append(draw.choice(VALUES))
        draw.shuffle(records)
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(mutated(text, draw) if draw.random() < 0.7 else text)
    _last_metrics(path)
    _logged_metrics(path, 3)
    JsonLinesLogger(path).start(3)
    return "read"


def attempt(folder: Path) -> str:
    try:
        load(folder)
    except REFUSALS as refusal:
        return "refused" if len(str(refusal)) < 4000 else f"a message of {len(str(refusal))} characters"
    return "loaded"


def main(seed: int) -> None:
    logging.disable(logging.CRITICAL)
    place, draw = Path(tempfile.mkdtemp()), random.Random(seed)
    whole = export(place / "voice", config())
    run = place / "run"
    with CheckpointStore(run / "checkpoints") as store:
        state = {"ema_params": params_of(config()), "step": 1}
        store.save(1, state, metadata(config(), {"speakers": []}))
    load(whole), load(run)
    changes: list[tuple[int, Path, Callable[[Path, random.Random], Path]]] = [
        (270, whole, change_config),
        (180, whole, change_archive),
        (110, run, change_checkpoint),
    ]
    counts: collections.Counter[str] = collections.Counter()
    failures, slowest, began, cpu = [], 0.0, time.monotonic(), time.process_time()
    jobs = [(original, change) for count, original, change in changes for _ in range(count)] + [(None, None)] * 140
    for number, (original, change) in enumerate(jobs):
        folder, started = place / "mutated", time.process_time()
        try:
            if original is None or change is None:
                folder.mkdir(exist_ok=True)
                counts[read_metrics(folder, draw)] += 1
            else:
                shutil.copytree(original, folder)
                counts[f"{change.__name__}: {attempt(change(folder, draw))}"] += 1
        except Exception:
            failures.append(f"mutation {number}: {traceback.format_exc()[-1500:]}")
        shutil.rmtree(folder, ignore_errors=True)
        slowest = max(slowest, time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "counts": counts,
                "failures": failures,
                "seconds": time.monotonic() - began,
                "cpu": time.process_time() - cpu,
                "slowest": slowest,
                "peak_mb": peak,
            }
        )
    )
    shutil.rmtree(place)


if __name__ == "__main__":
    main(int(sys.argv[1]))
