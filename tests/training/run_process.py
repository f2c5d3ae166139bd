"""One process of a training run over several, started by test_processes.py.

    python run_process.py FOLDER NUM_STEPS NUM_PROCESSES PROCESS_ID PORT

It saves every second step and goes on from what it finds in FOLDER; each process brings its own rows of the batch.
"""

import sys
from pathlib import Path

import jax
import numpy as np

from tests.checkpoints.states import META, OPTIMIZER, tiny_batch, tiny_loss, tiny_state
from wavejax.checkpoints import CheckpointStore
from wavejax.parallel import get_strategy, initialize_processes
from wavejax.training import CheckpointHook, fit, make_train_step


def main(folder: Path, num_steps: int, num_processes: int, process_id: int, port: int) -> None:
    if num_processes > 1:
        initialize_processes(f"localhost:{port}", num_processes=num_processes, process_id=process_id)
    strategy = get_strategy("spmd")
    rows = slice(process_id * 8 // num_processes, (process_id + 1) * 8 // num_processes)
    with CheckpointStore(folder) as store:
        state = strategy.place(tiny_state())
        if store.steps():
            state = store.restore(strategy.abstract(state)).state
        first = int(state.step)
        step = strategy.compile(make_train_step(tiny_loss, OPTIMIZER.build(), ema_decay=0.9))
        batches = ({name: x[rows] for name, x in tiny_batch(number).items()} for number in range(first, num_steps))
        result = fit(step, state, batches, [CheckpointHook(store, META, every=2)], num_steps=num_steps)
    values = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(strategy.fetch(result.state))]
    print(f"{strategy.num_devices} devices, from step {first}:", *np.concatenate(values).tolist(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
