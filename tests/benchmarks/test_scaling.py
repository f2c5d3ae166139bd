"""The scaling benchmark, shrunk: real processes agree, and a pod's collectives are listed."""

import jax
import pytest

from benchmarks import scaling
from benchmarks.harness import WrongResult
from wavejax.parallel.topologies import Topology


@pytest.mark.slow
def test_a_pods_collectives_are_listed_with_and_without_split_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Topology, "devices", lambda self: jax.devices()[: self.num_devices])
    monkeypatch.setattr(Topology, "missing_packages", lambda self: ("libtpu",) if self.chip.platform == "tpu" else ())
    figures = scaling.run(jobs=(), topologies=("v5e:2x4", "h100x4"), quick=True)
    kinds = [(each["labels"]["shard_optimizer"], each["labels"]["kind"]) for each in figures["rows"]]
    assert kinds == [(False, "all-reduce"), (True, "all-reduce"), (True, "all-gather")]
    assert [each["details"]["operations"] for each in figures["rows"][:2]] == [1, 1]
    sent = figures["rows"][0]["details"]["sent_by_a_device_MiB"]
    assert sent == pytest.approx(figures["rows"][0]["median"] * 2 * 3 / 4, rel=1e-3)
    assert figures["notes"] == ["v5e:2x4 left out, not installed: libtpu (extra `aot`)"]


def test_jobs_of_as_many_devices_have_to_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {(1, 1): 2.0, (1, 2): 3.0, (2, 1): 3.0001}

    def answer(name: str, processes: int, devices: int, *_: object) -> dict:
        return {"seconds": [0.5, 0.1, 0.3], "median": 0.3, "loss": answers[processes, devices], "crop": 100}

    monkeypatch.setattr(scaling, "_run_job", answer)
    monkeypatch.setattr(scaling, "count_cores", lambda: 2)
    alone, two = scaling.run(jobs=("1x1", "1x2"), topologies=(), rows=4)["rows"]
    assert (two["median"], two["details"]["rows"]) == (300, 8)
    assert two["details"]["of_shared_cores"] == alone["details"]["of_shared_cores"] == 1
    assert two["details"]["samples_per_second"] == pytest.approx(8 * 100 / 0.3)
    with pytest.raises(WrongResult, match=r"2x1: loss 3.0001000, but 3.0000000 on 2 other devices"):
        scaling.run(jobs=("1x2", "2x1"), topologies=())


@pytest.mark.slow
def test_real_processes() -> None:
    figures = scaling.main(["--jobs", "1x1", "1x2", "2x1", "--topologies", "--quick", "--rows", "1"])
    assert [each["labels"]["where"] for each in figures["rows"]] == ["1x1", "1x2", "2x1"]
    assert all(each["lowest"] > 0 for each in figures["rows"])
