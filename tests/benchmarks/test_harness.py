"""The harness: cases take turns and are checked before they are timed; results can be read again and printed."""

import json

import numpy as np
import pytest

from benchmarks import run
from benchmarks.environment import describe_machine
from benchmarks.harness import (
    Case,
    WrongResult,
    in_fresh_process,
    measure,
    percentiles,
    read_json,
    result,
    summarise,
    table,
    write_json,
)
from benchmarks.process import peak_growth


def case(name: str, order: list[str], *, wrong: bool = False) -> Case:
    def check() -> dict:
        order.append(f"check {name}")
        if wrong:
            raise WrongResult(f"{name} is wrong")
        return {"compared": 3}

    return Case(labels={"case": name}, run=lambda: order.append(name), work=2.0, check=check, details={"threads": 1})


def test_cases_are_checked_before_any_is_timed_and_then_take_turns() -> None:
    order: list[str] = []
    rows = measure([case("a", order), case("b", order)], repeats=2)
    assert order == ["a", "check a", "b", "check b", "a", "b", "a", "b"]
    assert [row["labels"]["case"] for row in rows] == ["a", "b"]
    assert rows[0]["check"] == {"compared": 3}
    assert len(rows[0]["repeats"]) == 2
    assert rows[0]["lowest"] <= rows[0]["median"] <= rows[0]["highest"]
    assert rows[0]["details"].keys() == {"per_core_second", "first_run_seconds", "threads"}


def test_a_wrong_case_stops_the_measurement() -> None:
    order: list[str] = []
    with pytest.raises(WrongResult, match="b is wrong"):
        measure([case("a", order), case("b", order, wrong=True)], repeats=2)
    assert order.count("a") == 1


def test_summaries() -> None:
    assert summarise([3.0, 1.0, 2.0]) == {"median": 2.0, "lowest": 1.0, "highest": 3.0, "repeats": [3.0, 1.0, 2.0]}
    assert percentiles(list(range(200))) == {"p50": 100, "p95": 190, "p99": 198, "worst": 199}


def test_results_are_written_appended_read_and_printed(tmp_path) -> None:
    rows = measure([case("a", [])], repeats=3)
    figures = result("generation", rows, ["a note"])
    path = tmp_path / "figures.json"
    write_json(path, figures)
    write_json(path, figures, append=True)
    first, second = read_json(path)
    assert first == second
    assert first.keys() == {"benchmark", "environment", "notes", "rows"}
    assert first["rows"][0].keys() == {"labels", "unit", "median", "lowest", "highest", "repeats", "check", "details"}
    write_json(path, figures)
    assert len(read_json(path)) == 1
    lines = table(figures).splitlines()
    assert lines[-1] == "a note"
    assert lines[1].split()[:5] == ["case", "median", "lowest", "highest", "unit"]


def test_the_machine_is_described() -> None:
    machine = describe_machine(["numpy", "no-such-package"])
    assert machine["numpy"] == np.__version__
    assert "no-such-package" not in machine
    assert machine["cpu"]
    assert machine["cores"] >= 1
    json.dumps(machine)


def test_a_function_runs_in_its_own_process_and_its_failure_is_told() -> None:
    answer = in_fresh_process("benchmarks.roofline:trial", {"OPENBLAS_NUM_THREADS": "1"}, weight_sizes=[100_000])
    assert answer["gflops"] > 0
    assert answer["bandwidth"]["100000"] > 0
    with pytest.raises(RuntimeError, match="unexpected keyword argument 'nothing'"):
        in_fresh_process("benchmarks.roofline:trial", nothing=1)


def test_peak_growth_sees_what_is_taken_for_a_moment() -> None:
    def take() -> float:
        return float(np.ones(2**23, np.float32).sum())  # 32 MiB

    assert 25 < peak_growth(take) < 60


def test_unknown_options_are_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        run.main(["dsp", "--corpus", "x"])
    assert "dsp has no option --corpus" in capsys.readouterr().err
