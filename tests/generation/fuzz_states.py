"""Mutated states, each given to both backends: `python -m tests.generation.fuzz_states COUNT [SEED]`.

A process of its own, so that a kernel that leaves its arrays ends this one and not the tests; without the shape checks
that tests install, as users have it. Prints how many were refused and how many ran; ends with 1 where a state was
refused in other words than ours, or by one backend only, or ran to another result than it must.
"""

import collections
import faulthandler
import os
import sys
import warnings

os.environ["JAX_PLATFORMS"] = "cpu"

import numpy as np

from tests.generation.odd_states import mutate
from tests.tiny.models import inputs, make
from wavejax.generation import ConditioningError, GenerationState, StateError, Streamer, generate

NAMES = ("speech-16k", "unconditional-mu-law-scalar", "r9y9-mol+speakers", "nsynth")
BATCH, FRAMES, COUNT = 2, 12, 6
CLOSE = 2e-3
"""Of a sample between backends, where no rounding difference has tipped a draw."""


def spoken(name: str, state: GenerationState | None, backend: str, door: int) -> np.ndarray:
    """Some samples from a state on, by one of two doors; [B, COUNT]."""
    model, params = make(name)
    given = inputs(model, BATCH, FRAMES)
    if door:
        return generate(model, params, num_samples=COUNT, state=state, backend=backend, temperature=0.0, **given)
    frames = given.pop("local_conditioning", None)
    streamer = Streamer(model, params, batch_size=BATCH, state=state, backend=backend, temperature=0.0, **given)
    if frames is not None:
        streamer.add_frames(frames)
    return streamer.take(COUNT)


def first_states(name: str) -> list[GenerationState]:
    """As both backends leave them, after an odd number of samples."""
    model, params = make(name)
    options = {"num_samples": 7, "batch_size": BATCH, "return_state": True, **inputs(model, BATCH, FRAMES)}
    return [generate(model, params, backend=backend, **options)[1] for backend in ("scan", "cpu")]


def loud(state: GenerationState) -> bool:
    """Whether the state holds numbers that no network has come to: then backends round differently, or overflow."""
    return bool(np.abs(np.asarray(state.cache["ring"], np.float64)).max() > 100)


def attempt(name: str, state: GenerationState, backend: str, door: int) -> np.ndarray | str:
    try:
        return spoken(name, state, backend, door)
    except (StateError, ConditioningError) as error:
        return str(error)


def main(count: int, seed: int) -> int:
    faulthandler.enable()
    warnings.simplefilter("error")
    random, seen, wrong = np.random.default_rng(seed), collections.Counter(), []
    states = {name: first_states(name) for name in NAMES}
    for trial in range(count):
        name, other = NAMES[trial % len(NAMES)], NAMES[(trial + 1) % len(NAMES)]
        state = states[name][random.integers(2)]
        for _ in range(random.integers(1, 4)):
            state = mutate(state, states[other][0], random)
        door = int(random.integers(2))
        scan, cpu = (attempt(name, state, backend, door) for backend in ("scan", "cpu"))
        if isinstance(scan, str) or isinstance(cpu, str):
            if str(scan) != str(cpu):
                wrong.append(f"trial {trial}, {name}: scan {scan}; cpu {cpu}")
            seen["refused"] += 1
            continue
        seen["ran"] += 1
        if not np.array_equal(cpu, spoken(name, state, "cpu", door), equal_nan=True):
            wrong.append(f"trial {trial}, {name}: the cpu backend does not repeat itself")
        if loud(state):
            seen["ran on numbers no network makes"] += 1
        elif not np.isfinite(cpu).all():
            wrong.append(f"trial {trial}, {name}: {cpu}")
        else:
            seen["differ by more than rounding"] += bool(np.abs(scan[:, 0] - cpu[:, 0]).max() > CLOSE)
    print(dict(seen))
    print("\n".join(wrong[:20]))
    tipped = seen["differ by more than rounding"]
    return 1 if wrong or tipped > 0.01 * count or min(seen["ran"], seen["refused"]) < 0.02 * count else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
