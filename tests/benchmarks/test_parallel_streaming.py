"""A parallel vocoder's stream is measured: speed in blocks and time to the first sample."""

import pytest

from benchmarks import parallel_streaming


@pytest.mark.slow
def test_rows_of_a_parallel_stream() -> None:
    figures = parallel_streaming.run(quick=True, presets=("harmonic-vocos-16k-small",))
    speed, first = figures["rows"]
    assert (speed["labels"]["what"], speed["unit"]) == ("20 ms blocks", "times real time")
    assert speed["check"] == {"samples": 3200, "same": True}
    assert (first["labels"]["what"], first["unit"]) == ("first sample", "ms")
    assert min(speed["median"], first["median"]) > 0
