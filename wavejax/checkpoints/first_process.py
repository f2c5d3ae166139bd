"""Checkpoints of a run whose processes share no disk: process 0 keeps them for all."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wavejax.checkpoints.errors import (
    BucketError,
    CheckpointDamaged,
    CheckpointError,
    CheckpointMismatch,
    CheckpointNotFound,
    CheckpointWriteError,
    DamageReport,
)
from wavejax.checkpoints.leaves import is_key
from wavejax.checkpoints.storage import from_host
from wavejax.checkpoints.store import CheckpointStore, Restored
from wavejax.checkpoints.targets import as_target, placement
from wavejax.parallel import broadcast_bytes
from wavejax.parallel.placement import fetch
from wavejax.types import PyTree

_KINDS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (BucketError, CheckpointDamaged, CheckpointMismatch, CheckpointNotFound, CheckpointWriteError)
}


class FirstProcessStore:
    """The store of process 0, used by all processes of a run; every process makes the same calls.

    A save gathers the state on process 0, the only one that writes. A restore reads and verifies there, and sends the
    state to all processes, with any sharding. A failure on process 0 raises the same error on every process; the
    failure of an asynchronous save is raised by the next `save`, or at the end of the `with` statement.

    Args:
      open_first: opens the store; called only on process 0.
      directory: the local folder of process 0.

    Raises:
      CheckpointError: what `open_first` raises.
    """

    def __init__(self, open_first: Callable[[], CheckpointStore], directory: Path) -> None:
        self.directory = directory
        self._first: CheckpointStore | None = None
        self._unsaid: Exception | None = None  # a failure that the other processes have not been told of

        def opened() -> list[int]:
            self._first = open_first()
            return list(self._first.steps())

        self._known = set(self._everywhere(opened))

    def __enter__(self) -> "FirstProcessStore":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._everywhere(self._close)
            return
        if error is self._unsaid and self._first is not None:  # the others have come here without an error
            broadcast_bytes(_failed(self._unsaid))
        self._close()

    @property
    def damage_reports(self) -> list[DamageReport]:
        """The damage that `restore` has found so far; empty on all but process 0."""
        return [] if self._first is None else self._first.damage_reports

    def save(
        self,
        step: int,
        state: PyTree,
        meta: Mapping[str, Any],
        *,
        metrics: Mapping[str, float] | None = None,
        force: bool = False,
    ) -> bool:
        """See `CheckpointStore.save`; if an earlier save failed on process 0, its error is raised on all processes."""
        host = jax.tree.map(_on_host, state)

        def saved() -> bool:
            return self._store().save(step, host, meta, metrics=metrics, force=force)

        started = bool(self._everywhere(saved))
        self._known.add(step)
        return started

    def restore(self, target: PyTree, step: int | None = None) -> Restored:
        """See `CheckpointStore.restore`."""
        leaves: list[np.ndarray] = []

        def restored() -> dict[str, Any]:
            found = self._store().restore(target, step)
            leaves.extend(np.asarray(leaf) for leaf in jax.tree.leaves(found.state))
            return {"step": found.step, "meta": found.meta}

        said = self._everywhere(restored)
        data = broadcast_bytes(b"".join(leaf.tobytes() for leaf in leaves))
        placed, start = [], 0
        for leaf in jax.tree.leaves(target):
            form = _host_form(leaf)
            end = start + form.size * form.dtype.itemsize
            host = np.frombuffer(data[start:end], form.dtype).reshape(form.shape)
            place = placement(leaf)
            placed.append(as_target(host, leaf) if place is None else from_host(host, place))
            start = end
        return Restored(jax.tree.unflatten(jax.tree.structure(target), placed), said["meta"], said["step"])

    def steps(self) -> tuple[int, ...]:
        """Saved steps, ascending; on all but process 0, steps that have since been removed are included."""
        return tuple(sorted(self._known)) if self._first is None else self._first.steps()

    def wait(self) -> None:
        """On process 0, returns once everything is saved; on the others, immediately.

        Raises:
          CheckpointWriteError: the last save could not be finished; on process 0 only.
        """
        if self._first is not None:
            try:
                self._first.wait()
            except Exception as error:
                self._unsaid = error
                raise

    def close(self) -> None:
        """Waits on process 0, then closes the store."""
        self._close()

    def _store(self) -> CheckpointStore:
        if self._first is None:
            raise ValueError("only process 0 has the checkpoint store")
        return self._first

    def _close(self) -> None:
        if self._first is not None:
            self._first.close()

    def _everywhere(self, do: Callable[[], Any]) -> Any:
        """Calls `do` on process 0, and returns its result (JSON-able) or raises its error on every process."""
        said, failure = b"", None
        if jax.process_index() == 0:
            try:
                said = json.dumps({"result": do()}).encode()
            except Exception as error:
                said, failure = _failed(error), error
        answer = json.loads(broadcast_bytes(said))
        if failure is not None:
            raise failure
        if "error" in answer:
            raise _KINDS.get(answer["kind"], CheckpointError)(f"process 0: {answer['error']}")
        return answer.get("result")


def _failed(error: Exception) -> bytes:
    return json.dumps({"kind": type(error).__name__, "error": str(error)}).encode()


def _on_host(leaf: Any) -> Any:
    """The whole leaf on this process: a NumPy array, or keys on its first device. All processes must call it."""
    if not isinstance(leaf, jax.Array):
        return leaf
    host = fetch(leaf)
    return jax.random.wrap_key_data(jax.numpy.asarray(host), impl=jax.random.key_impl(leaf)) if is_key(leaf) else host


def _host_form(leaf: Any) -> Any:
    """Shape and dtype of a leaf on the host; for PRNG keys, those of their uint32 words."""
    if is_key(leaf):
        return jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(leaf.shape, leaf.dtype))
    return leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
