"""One measurement in a process of its own, and the memory it takes.

python -m benchmarks.process MODULE:FUNCTION JSON
"""

import ctypes
import gc
import importlib
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MIB = 2.0**20
RETURNED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "524288"}
"""Environment of a process whose memory is measured: what is freed goes back at once. By default malloc keeps what a
thread has freed, and a second peak would hide in what the first one left."""


def peak_growth(run: Callable[[], Any]) -> float:
    """MiB by which this process' resident memory grows at its peak while `run` runs.

    On Linux the peak is first reset to the present (what was freed before is given back), so that imports and
    compilation do not count; elsewhere it is the rise of the process' peak.
    """
    gc.collect()
    status = Path("/proc/self/status")
    if not status.exists():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run()
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _field("VmRSS")
    run()
    return (_field("VmHWM") - before) * 1024 / _MIB


def _field(name: str) -> int:
    """KiB of a field of this process' status."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


def main() -> None:
    module, _, function = sys.argv[1].partition(":")
    answer = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
