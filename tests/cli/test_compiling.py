"""`wavejax compile`, the pod played by eight CPU devices."""

import json

import jax
import pytest

from tests.tiny import commands as tiny
from wavejax.parallel.topologies import Topology

SMALL = ["speech-16k-small", *tiny.FLAGS]


@pytest.fixture(autouse=True)
def eight_devices_for_a_pod(monkeypatch):
    monkeypatch.setattr(Topology, "devices", lambda self: jax.devices()[: self.num_devices])


def test_a_step_that_fits_is_described(run):
    said = run("compile", "--topology", "v5e:2x4", *SMALL, "--rows-per-device", "2")
    assert said.code == 0
    first, *lines = said.out.splitlines()
    assert first.startswith("speech-16k-small on v5e:2x4: 8 devices, 2 rows a device of 400 samples (float32")
    assert any("at its peak on each device, of 15.75 (what libtpu leaves to programs)" in line for line in lines)
    assert any(line.startswith("exchanged  1 all-reduce a step, 0.0 MiB") for line in lines)
    assert any("GFLOP a step" in line for line in lines)


def test_a_batch_that_does_not_fit_is_refused_with_the_largest_that_does(run, monkeypatch):
    monkeypatch.setattr("wavejax.cli.compiling._limit", lambda topology: 3 * 2**20)
    said = run("compile", *SMALL, "--topology", "h100x8", "--rows-per-device", "64", "--json")
    assert said.code == 1
    figures = json.loads(said.out)
    best = figures["largest"]
    assert (figures["fits"], figures["batch_size"], best["num_devices"]) == (False, 512, 8)
    assert 1 <= best["rows_per_device"] < 64
    assert 0.5 * figures["limit_bytes"] < best["peak_bytes"] <= figures["limit_bytes"] < figures["step"]["peak_bytes"]
    assert best["collectives"][0]["kind"] == "all-reduce"
    assert "speech-16k-small with 64 row(s) of 400 samples a device needs" in said.error
    assert f"--training.batch-size {8 * best['rows_per_device']};" in said.error


def test_where_nothing_fits_it_says_what_helps(run, monkeypatch):
    monkeypatch.setattr("wavejax.cli.compiling._limit", lambda topology: 1000)
    said = run("compile", "--config", *SMALL, "--topology", "h100x8", "--training.batch-size", "8")
    assert said.code == 1
    words = "Not even 1 row(s) fit: try --training.dtype bfloat16, --training.remat, a shorter --data.crop-length"
    assert words in said.error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name a preset, for example: wavejax compile r9y9-mol"),
        (["r9y9-mul"], "there is no preset 'r9y9-mul' (did you mean r9y9-mol?)"),
        (["r9y9-mol"], "missing: --topology"),
        (["r9y9-mol", "--topology", "v5e"], "--topology: there is no topology 'v5e': names look like"),
        (["r9y9-mol", "--topology", "v5e:2x4", "--rows-per-device", "0"], "--rows-per-device must be at least 1"),
    ],
)
def test_what_is_asked_wrongly_is_explained(run, arguments, sentence):
    said = run("compile", *arguments)
    assert said.code in (1, 2)
    assert sentence in said.error


def test_help_names_the_presets_and_each_option(run):
    said = run("compile", "--help")
    assert said.code == 0
    assert said.out.startswith("usage: wavejax compile PRESET --topology NAME")
    assert "r9y9-mol" in said.out
    said = run("compile", "r9y9-mol", "--help")
    assert said.code == 0
    assert "--rows-per-device" in said.out
    assert "--training.shard-optimizer" in said.out


def test_a_batch_that_the_pod_does_not_divide(run):
    said = run("compile", "--topology", "v5e:2x4", *SMALL, "--training.batch-size", "12")
    assert said.code == 1
    assert "batch_size 12, of the whole job, cannot be split evenly over 8 devices" in said.error
    assert "--rows-per-device 1" in said.error
