"""A tiny training run that can kill itself, started as a process of its own by test_kill.py.

    python run_training.py FOLDER NUM_STEPS [MOMENT STEP DELAY]

It saves every third step and goes on from what it finds in FOLDER. At STEP it ends by SIGKILL at MOMENT:
`step` before the update, `writing` DELAY seconds after the save has begun to write files, `sealed` when all files are
written but not committed, `saved` once the step is on disk, `deleting` while an old step is being removed.
"""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wavejax.checkpoints.store as store_module
from tests.checkpoints.states import META, OPTIMIZER, tiny_batch, tiny_loss, tiny_state
from wavejax.checkpoints import CheckpointStore
from wavejax.parallel import get_strategy
from wavejax.training import CallHook, CheckpointHook, fit, make_train_step

WIDTH = 64
SAVE_EVERY = 3


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(folder: Path, step: int, delay: float) -> None:
    """Watches for the temporary folder of a step."""
    while not any(folder.glob(f"{step}.orbax-checkpoint-tmp*")):
        time.sleep(0.0005)
    time.sleep(delay)
    die()


def prepare_death(folder: Path, moment: str, step: int, delay: float) -> None:
    if moment == "writing":
        threading.Thread(target=die_while_writing, args=(folder, step, delay), daemon=True).start()
    elif moment == "sealed":
        seal = store_module.write_manifest

        def seal_and_die(temporary: Path) -> None:
            seal(temporary)
            if temporary.name.startswith(f"{step}."):
                die()

        store_module.write_manifest = seal_and_die
    elif moment == "deleting":
        remove = shutil.rmtree

        def remove_half(path: Any, *arguments: Any, **options: Any) -> None:
            if ".deleting-" in str(path):
                next(entry for entry in Path(path).rglob("*") if entry.is_file()).unlink()
                die()
            remove(path, *arguments, **options)

        shutil.rmtree = remove_half  # type: ignore[assignment]


def main(folder: Path, num_steps: int, moment: str = "", at: int = 0, delay: float = 0.0) -> None:
    strategy = get_strategy("spmd")
    prepare_death(folder, moment, at, delay)

    def batches(start: int) -> Iterator[dict]:
        for step in range(start, num_steps):
            if (moment, at) == ("step", step + 1):
                die()
            yield tiny_batch(step)

    with CheckpointStore(folder, keep_last=2) as store:
        state = strategy.place(tiny_state(WIDTH))
        if store.steps():
            state = store.restore(strategy.abstract(state)).state
        first = int(state.step)
        print(f"starts from step {first}", flush=True)
        hooks = [CheckpointHook(store, META, every=SAVE_EVERY)]
        if moment == "saved":
            hooks.append(CallHook(lambda step, *_: (store.wait(), die()) if step == at else None, every=1))
        step = strategy.compile(make_train_step(tiny_loss, OPTIMIZER.build(), ema_decay=0.9))
        fit(step, state, batches(first), hooks, num_steps=num_steps)
    print(f"finished step {num_steps}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4], *map(int, sys.argv[4:5]), *map(float, sys.argv[5:6]))
