"""All tables in one run: targets are read off rows, a page is written from what is there, what hangs is stopped."""

import sys
import time

import pytest

from benchmarks import everything, run
from benchmarks.harness import markdown, result, row, write_json
from benchmarks.targets import PLAIN, TARGETS, summary


def generation(batch: int, implementation: str, speed: float, dtype: str = "float32", preset: str = PLAIN) -> dict:
    labels = {"preset": preset, "batch": batch, "implementation": implementation, "dtype": dtype}
    return row(labels, "samples/s", [speed], roofline_share=0.5, bound_by="reading")


def lines_of(*results: dict) -> dict[str, list[str]]:
    """Cells of the summary by figure."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in summary(results)[2:]]
    return {figure: rest for figure, *rest in cells}


def test_what_was_not_measured_says_so() -> None:
    lines = lines_of()
    assert len(lines) == len(TARGETS)
    assert all(rest[1:] == ["-", "not measured"] for rest in lines.values())


def test_targets_are_read_off_rows() -> None:
    rows = [
        generation(1, "wavejax cpu", 15_000),
        generation(1, "wavejax cpu", 30_000, "int8"),
        generation(1, "wavejax scan", 9_000),
        generation(1, "torch.compile step", 3_000),
        generation(1, "wavenet_vocoder 0.1.1", 250),
        generation(1, "wavejax cpu", 99_000, preset="speech-16k"),
    ]
    lines = lines_of(result("generation", rows))
    assert lines["batch 1, float32, samples/s: floor"] == [">= 13,000", "15,000", "met"]
    assert lines["batch 1, float32, samples/s: goal"] == [">= 18,000", "15,000", "**missed**"]
    assert lines["batch 1, narrower weights, samples/s: goal"] == [">= 24,000", "30,000", "met"]
    assert lines["scan, batch 1, samples/s"] == [">= 10,000", "9,000", "**missed**"]
    assert lines["batch 1, float32, to wavenet_vocoder"] == [">= 55x", "60", "met"]
    assert lines["batch 1, float32, to torch.compile"] == [">= 6x", "5", "**missed**"]
    assert lines["batch 16, samples/s: floor"][1:] == ["-", "not measured"]


def test_training_is_held_to_the_best_torch_of_the_same_batch_and_allocator() -> None:
    def trained(batch: int, case: str, value: float, malloc: str = "default", unit: str = "samples/s") -> dict:
        return row({"batch": batch, "length": 100, "case": case, "malloc": malloc}, unit, [value])

    rows = [
        trained(1, "wavejax, frame rate", 30),
        trained(1, "wavenet_vocoder, weight norm removed", 20),
        trained(1, "wavenet_vocoder, as constructed", 10),
        trained(4, "wavejax, frame rate", 28),
        trained(4, "wavenet_vocoder, as constructed", 20),
        trained(4, "wavejax, frame rate", 1000, "kept"),
        trained(4, "wavejax, frame rate", 60, unit="MiB at peak"),
        trained(4, "wavenet_vocoder, as constructed", 100, unit="MiB at peak"),
    ]
    lines = lines_of(result("training", rows))
    assert lines["training to torch, conditioning at frame rate"] == [">= 1.3x", "1.4", "met"]
    assert lines["training to torch, conditioning at sample rate"][1:] == ["-", "not measured"]
    assert lines["training, peak memory to torch"] == ["<= 0.5x", "0.6", "**missed**"]


def test_growth_leaves_the_waveform_itself_out() -> None:
    rows = []
    for seconds, peak, speed in ((100, 46, 900), (1, 10, 1000), (10, 11, 990)):
        labels = {"layers": 16, "seconds": seconds}
        rows.append(row(labels, "MiB at peak", [peak], output_MiB=0.06 * seconds))
        rows.append(row(labels, "samples/s", [speed]))
    lines = lines_of(result("memory", rows))
    assert lines["memory of 100 s more than of 1 s, waveform left out"] == ["<= 20 MiB", "30.1", "**missed**"]
    assert lines["speed at 1 to 100 s, slowest to fastest"] == [">= 0.8x", "0.9", "met"]


def test_markdown_shows_labels_that_differ() -> None:
    figures = result("generation", [generation(1, "a", 1234.5), generation(4, "b", 2)], ["said"])
    lines = markdown(figures)
    assert lines[0] == "| batch | implementation | median | range | unit | roofline share | bound by |"
    assert lines[2] == "| 1 | a | 1,234 | 1,234 to 1,234 | samples/s | 0.5 | reading |"
    assert lines[-1] == "- said"


def test_a_page_is_made_of_what_is_there_and_of_what_is_not(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(everything.importlib.util, "find_spec", lambda name: None)
    write_json(tmp_path / "memory.json", result("memory", [row({"layers": 16}, "samples/s", [7.0])]))
    figures = run.main(["all", "--json", str(tmp_path), "--only", "data", "streaming", "--minutes", "0"])
    assert figures["notes"] == [
        "streaming is left out: 0 s were left, and it takes about 110",
        "data is left out: grain is not installed",
    ]
    page = (tmp_path / "results.md").read_text()
    assert "## Growth: by length, by layers" in page
    assert "- data is left out: grain is not installed" in page
    with pytest.raises(ValueError, match="no table is called speed; there are generation, "):
        everything.run(tmp_path, only=["speed"])


def test_a_table_that_hangs_or_fails_is_told(tmp_path) -> None:
    log = tmp_path / "log"
    start = time.monotonic()
    assert everything._finish([sys.executable, "-c", "import time; time.sleep(60)"], log, 0.5) is None
    assert time.monotonic() - start < 20
    assert everything._finish([sys.executable, "-c", "print('x'); raise SystemExit(3)"], log, 60) == 3
    assert log.read_text() == "x\n"
