"""One process of `train_and_evaluate` over several, started by test_distributed.py.

    python run_process.py FOLDER NUM_STEPS NUM_PROCESSES PROCESS_ID PORT [STOP_AT [SHARD [WAIT]]]

It prints one line of JSON: what was logged, a hash of each row of each batch that this process drew, and the sizes of
the averages at the end. With STOP_AT the last process sends itself a SIGTERM after that step, of which the others learn
from it alone. SHARD 1 splits moments and averages over the devices. With WAIT the last process needs so many seconds
for each batch.
"""

import json
import logging
import os
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tests.tiny.experiments import tiny_config, tiny_corpus
from wavejax.checkpoints import BucketError
from wavejax.checkpoints.bucket import Bucket
from wavejax.experiments import running
from wavejax.experiments.autoregressive import data
from wavejax.parallel import initialize_processes
from wavejax.tasks import families
from wavejax.training import Hook, Logger

CONFIG = {"validate_every": 2, "num_speakers": 2}
STEPS = 6


class Kept(Logger):
    """Keeps numbers that do not depend on the machine."""

    def __init__(self) -> None:
        self.records: list[dict] = []

    def scalars(self, step, values):
        timings = ("_per_second", "_seconds_max", "_seconds_median", "_share", "slowest_process")
        numbers = {name: value for name, value in values.items() if not name.endswith(timings)}
        self.records.append({"step": step, **numbers})


class StopAt(Hook):
    """A scheduler that wants one process to end."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.ending: Any = None

    def on_step(self, step, state, metrics):
        if step == self.step and jax.process_index() == jax.process_count() - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_end(self, step, state, reason):
        self.ending = [step, reason]


class Warned(logging.Handler):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def observe_batches(seen: list[list[int]], wait: float = 0.0) -> None:
    """Hashes of the rows of every training batch from now on."""
    original = data.training_batches

    def observed(*arguments: Any, **options: Any) -> Iterator[dict[str, np.ndarray]]:
        for batch in original(*arguments, **options):
            rows = [zlib.crc32(b"".join(x[i].tobytes() for x in batch.values())) for i in range(len(batch["id"]))]
            seen.append(rows)
            time.sleep(wait)
            yield batch

    data.training_batches = observed


def respect_full_buckets() -> None:
    """Makes a bucket that holds an object `full` refuse uploads."""
    original = Bucket.put

    def put(self: Bucket, step: int, folder: Path) -> None:
        if Path(self.url.removeprefix("file://")).with_name("full").exists():
            raise BucketError("the bucket is full")
        original(self, step, folder)

    Bucket.put = put


def sizes(params: Any) -> list[float]:
    """The Euclidean norm of each array."""
    return [float(np.linalg.norm(leaf)) for leaf in jax.tree.leaves(params)]


def main(
    folder: Path,
    num_steps: int,
    num_processes: int,
    process_id: int,
    port: int,
    stop_at: int = 0,
    shard: int = 0,
    wait: float = 0.0,
) -> None:
    if num_processes > 1:
        initialize_processes(f"localhost:{port}", num_processes=num_processes, process_id=process_id)
    logged, batches, stop, warned = Kept(), [], StopAt(stop_at), Warned()
    logging.getLogger("wavejax").addHandler(warned)
    respect_full_buckets()
    observe_batches(batches, wait if process_id == num_processes - 1 else 0.0)
    config = tiny_config(num_steps=num_steps, shard_optimizer=bool(shard), **CONFIG)
    state = families.train_and_evaluate(config, folder, corpus=tiny_corpus(2), console=logged, hooks=[stop])
    report = {
        "records": logged.records,
        "batches": batches,
        "ending": stop.ending,
        "devices": jax.device_count(),
        "averages": sizes(running.training_strategy(config).fetch(state.ema_params)),
        "split": sum(not leaf.is_fully_replicated for leaf in jax.tree.leaves(state.ema_params)),
        "warnings": warned.lines,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:7]), *map(float, sys.argv[7:]))
