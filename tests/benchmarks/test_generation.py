"""What a backend returns is held against the parallel form: the engine and the peers pass, planted errors do not."""

import jax
import numpy as np
import pytest

from benchmarks import generation, generation_peers, naive_scan, plot, streaming
from benchmarks.harness import WrongResult, measure
from benchmarks.models import SEED, check_draws, frames_for, make_model, parallel_outputs, unconditional
from benchmarks.roofline import Roofline
from tests.tiny.models import CONFIGS
from wavejax.generation import generate

SAMPLES = 160
NAMES = ["nv-wavenet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("speech-16k", "r9y9-mol"))]


@pytest.fixture(scope="module", params=NAMES)
def heard(request):
    model, params = make_model(CONFIGS[request.param])
    frames = frames_for(model, 2, SAMPLES)
    options = {"num_samples": SAMPLES, "batch_size": 2, "local_conditioning": frames, "backend": "scan"}
    return model, params, frames, generate(model, params, seed=SEED, **options), options


def test_the_check_passes_the_engine(heard) -> None:
    model, params, frames, waveform, _ = heard
    checked = check_draws(model, params, waveform, frames)
    assert checked["samples"] == 2 * SAMPLES
    assert checked["mean_distance_at_most"] < 1e-7
    assert checked["distinct_values"] > 5


def test_the_check_refuses_another_network(heard) -> None:
    model, params, frames, _, options = heard
    other = jax.tree.map(lambda leaf: leaf * 1.1, params)
    with pytest.raises(WrongResult, match="are not the draws of the parallel form"):
        check_draws(model, params, generate(model, other, seed=SEED, **options), frames)


def test_the_check_refuses_other_noise(heard) -> None:
    model, params, frames, _, options = heard
    with pytest.raises(WrongResult, match="are not the draws"):
        check_draws(model, params, generate(model, params, seed=SEED + 1, **options), frames, dtype="int8")


def test_the_check_names_the_sample_that_was_changed(heard) -> None:
    model, params, frames, waveform, _ = heard
    values = np.array(model.coding.encode(waveform))
    values[1, 100] = (values[1, 100] + 8) % 16 if model.coding.is_discrete else -values[1, 100] + 0.3
    changed = np.asarray(model.coding.decode(values))
    with pytest.raises(WrongResult, match="the first at 100 of stream 1"):
        check_draws(model, params, changed, frames, what="planted")


@pytest.mark.slow
def test_the_naive_scan_draws_the_same_samples(heard) -> None:
    model, params, frames, waveform, _ = heard
    naive = naive_scan.naive_generator(model, params, batch_size=2, seed=SEED, frames=frames)
    check_draws(model, params, naive(SAMPLES), frames, what="naive")
    np.testing.assert_allclose(naive(SAMPLES)[:, :20], waveform[:, :20], atol=1e-3)


def test_a_planted_backend_cannot_win() -> None:
    model, params = make_model(unconditional(CONFIGS["nv-wavenet"]))

    def silent(*args, num_samples, batch_size, **options):
        return np.zeros((batch_size, num_samples), np.float32)

    labels, options = ("tiny", model, params, 2, [("scan", "float32")]), {"seconds": 0.01}
    wrong = generation.generation_cases(*labels, generator=silent, **options)
    with pytest.raises(WrongResult, match="wavejax scan"):
        measure(wrong, repeats=1)
    rows = measure(generation.generation_cases(*labels, **options), repeats=2)
    assert rows[0]["labels"] == {"preset": "tiny", "batch": 2, "implementation": "wavejax scan", "dtype": "float32"}
    assert rows[0]["check"]["distinct_values"] > 5


def test_every_backend_is_listed_once() -> None:
    model, params = make_model(CONFIGS["speech-16k"])
    listed = generation.available_backends(model, params)
    assert listed[:2] == [("scan", "float32"), ("scan", "bfloat16")]
    assert len(set(listed)) == len(listed)
    assert "auto" not in {name for name, _ in listed}


@pytest.mark.slow
def test_conditioning_at_the_sample_rate_is_what_the_layers_read() -> None:
    model, params = make_model(CONFIGS["r9y9-mol"])
    frames = frames_for(model, 1, SAMPLES)
    samples = generation_peers.upsampled(model, params, frames)
    assert samples.shape == (1, frames.shape[1] * model.hop_length, 3)
    # The last frame reaches nothing long before its own interval, so neither does it change the outputs there.
    other = np.array(frames)
    other[:, -1] += 1
    moved = np.abs(generation_peers.upsampled(model, params, other) - samples).max(axis=(0, 2)) > 1e-6
    values = np.zeros((1, SAMPLES), np.float32)
    outputs = [np.asarray(parallel_outputs(model, params, values, each)) for each in (frames, other)]
    changed = np.abs(outputs[0] - outputs[1]).max(axis=(0, 2)) > 1e-7
    assert np.argmax(moved) == np.argmax(changed) > 100


def test_the_roofline_says_what_binds() -> None:
    limits = Roofline(100.0, {4_000_000: 40.0, 1_000_000: 80.0})
    bound, binds = limits.bound(weight_bytes=4_000_000, flops=2e6, batch=1)
    assert (round(bound), binds) == (10_000, "reading")
    bound, binds = limits.bound(weight_bytes=4_000_000, flops=2e6, batch=64)
    assert (round(bound), binds) == (50_000, "arithmetic")


@pytest.mark.slow
def test_streaming_rows() -> None:
    model, params = make_model(CONFIGS["speech-16k"])
    options = {"seed": SEED, "backend": "scan"}
    labels = {"backend": "scan", "dtype": "float32"}
    rows = streaming.rows_of_backend(model, params, labels, options, repeats=2, seconds=0.2)
    assert [row["labels"]["what"] for row in rows[:2]] == ["first 10 ms", "10 ms block"]
    assert rows[1]["median"] <= rows[1]["details"]["p95"] <= rows[1]["details"]["worst"]
    assert rows[-1]["details"]["pushes"] > 100
    assert 0 <= rows[-1]["details"]["underruns"] <= rows[-1]["details"]["pushes"]


def test_the_plot_reads_results(tmp_path) -> None:
    pytest.importorskip("matplotlib")

    def row(name: str, batch: int, speed: float) -> dict:
        labels = {"preset": "tiny", "batch": batch, "implementation": name, "dtype": "float32"}
        return {"labels": labels, "median": speed, "lowest": 0.9 * speed, "highest": 1.1 * speed}

    rows = [row("peer", 1, 10), row("wavejax scan", 4, 300), row("wavejax scan", 1, 100), row("peer", 4, 20)]
    results = [{"benchmark": "generation", "environment": {"cpu": "a chip", "cores": 2}, "rows": rows}]
    lines = plot.series(results, "tiny")
    assert list(lines) == ["wavejax scan", "peer"]
    assert [point[:2] for point in lines["wavejax scan"]] == [(1, 100), (4, 300)]
    plot.draw(results, tmp_path / "speed.svg", "tiny")
    assert (tmp_path / "speed.svg").read_text().count("<path") > 10
    with pytest.raises(ValueError, match="no generation of the preset 'other'"):
        plot.series(results, "other")
