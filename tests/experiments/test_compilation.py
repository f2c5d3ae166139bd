"""Training steps compiled ahead of time: what is said of them, and the largest batch that fits."""

import dataclasses
import functools

import jax
import pytest

from tests.tiny.experiments import tiny_config
from wavejax.experiments.compilation import CompiledStep, compile_step, largest_rows, with_rows
from wavejax.experiments.running import abstract_step, training_strategy
from wavejax.parallel.flops import count_flops
from wavejax.parallel.hlo import Collective
from wavejax.parallel.topologies import DoesNotFit, get_topology
from wavejax.tasks.families import preset
from wavejax.tasks.vocoder.wavenet import FAMILY, WaveNetVocoderConfig

MIB = 2**20


def config_of(*, shard: bool) -> WaveNetVocoderConfig:
    return with_rows(tiny_config(shard_optimizer=shard), 1, 8)


@functools.cache
def compiled(*, shard: bool) -> CompiledStep:
    return compile_step(FAMILY, config_of(shard=shard), jax.devices(), limit_bytes=64 * MIB)


def test_one_sum_of_gradients_a_step_and_nothing_in_a_loop() -> None:
    """Left to the compiler, the gradients of stacked layers are summed over devices layer by layer."""
    step = compiled(shard=False)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(abstract_step(FAMILY, config_of(shard=False))[1].params))
    payload = 4 * (parameters + 2)  # loss and weight besides the gradients
    assert step.collectives == (Collective("all-reduce", payload, 8, 1),)
    sent = round(payload * 2 * 7 / 8)
    assert step.exchanged() == {"all-reduce": {"count": 1, "payload_bytes": payload, "sent_bytes": sent}}
    assert (step.rows_per_device, step.num_devices, step.fits) == (1, 8, True)
    assert 4 * 4 * parameters < step.state_bytes < step.peak_bytes < 64 * MIB
    assert not dataclasses.replace(step, limit_bytes=step.peak_bytes - 1).fits
    twice = with_rows(tiny_config(), 16, 1)
    # A few products are of parameters alone.
    assert count_flops(*abstract_step(FAMILY, twice)) == pytest.approx(2 * step.flops, rel=1e-3)


def test_splitting_the_optimizer_saves_what_is_said_and_gathers_the_parameters() -> None:
    whole, parts = compiled(shard=False), compiled(shard=True)
    assert parts.state_saved_bytes == whole.state_saved_bytes == whole.state_bytes - parts.state_bytes
    assert whole.peak_bytes - parts.peak_bytes > 0.9 * parts.state_saved_bytes
    assert [each for each in parts.collectives if each.kind == "all-reduce"] == list(whole.collectives)
    gathered = parts.exchanged()["all-gather"]["payload_bytes"]
    split = config_of(shard=True)
    averages = jax.tree.leaves(training_strategy(split).abstract(abstract_step(FAMILY, split)[1]).ema_params)
    assert gathered == sum(4 * leaf.size for leaf in averages if not leaf.sharding.is_fully_replicated)
    assert gathered > 0.9 * sum(4 * leaf.size for leaf in averages)


def test_what_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_size 12, of the whole job, .* 8 devices: --training.batch-size 8, or"):
        compile_step(FAMILY, tiny_config(batch_size=12), jax.devices(), limit_bytes=MIB)
    with pytest.raises(ValueError, match="the pmap strategy compiles only for devices that are there"):
        compile_step(FAMILY, tiny_config(strategy="pmap"), jax.devices(), limit_bytes=MIB)
    with pytest.raises(ValueError, match=r"shard_optimizer needs training.strategy 'spmd': 'pmap' holds"):
        tiny_config(strategy="pmap", shard_optimizer=True)


class Compiler:
    """Programs whose memory is known; counts what it is asked for."""

    def __init__(
        self, *, base: float, slope: float, curve: float = 0.0, limit: int = 1000, raises: bool = False
    ) -> None:
        self.base, self.slope, self.curve, self.limit, self.raises = base, slope, curve, limit, raises
        self.asked: list[int] = []

    def __call__(self, rows: int) -> CompiledStep:
        self.asked.append(rows)
        peak = int(self.base + self.slope * rows + self.curve * rows**2)
        if self.raises and peak > self.limit:
            raise DoesNotFit("RESOURCE_EXHAUSTED")
        return CompiledStep(
            rows_per_device=rows,
            num_devices=8,
            limit_bytes=self.limit,
            peak_bytes=peak,
            state_bytes=0,
            state_saved_bytes=0,
            collectives=(),
            flops=0,
            seconds=0,
        )


@pytest.mark.parametrize("raises", [False, True])
def test_the_largest_batch_takes_three_compilations(raises: bool) -> None:
    compiler = Compiler(base=100, slope=30.1, raises=raises)
    best = largest_rows(compiler)
    assert best is not None
    assert (best.rows_per_device, compiler.asked) == (29, [1, 4, 29])
    compiler = Compiler(base=100, slope=30.1, raises=raises)
    assert largest_rows(compiler, unit=4, known=[compiler(8)]).rows_per_device == 28
    assert compiler.asked == [8, 4, 16, 28]


def test_memory_that_grows_faster_than_a_line_is_found_out() -> None:
    compiler = Compiler(base=100, slope=20, curve=0.05, raises=True)
    best = largest_rows(compiler)
    assert best.fits
    assert best.rows_per_device >= 37  # 41 is the largest
    assert len(compiler.asked) <= 5


def test_what_hardly_fits_or_not_at_all() -> None:
    assert largest_rows(Compiler(base=900, slope=200, raises=True)) is None
    assert largest_rows(Compiler(base=700, slope=200)).rows_per_device == 1
    assert largest_rows(Compiler(base=700, slope=140)).rows_per_device == 2


ACCELERATORS = [
    ("r9y9-mol", "v5e:16x16"),
    ("wavenet-30", "v6e:16x16"),
    ("wavenet-30", "h100x8"),
    ("speech-16k", "v5e:2x4"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "slice_name"), ACCELERATORS)
def test_one_sum_of_gradients_a_step_on_accelerators(name: str, slice_name: str) -> None:
    topology = get_topology(slice_name)
    if absent := topology.missing_packages():
        pytest.skip(f"not installed: {', '.join(absent)} (extra `aot`)")
    config = with_rows(preset(name), 1, topology.num_devices)
    step = compile_step(FAMILY, config, topology.devices(), topology.chip.memory_bytes)
    assert step.fits
    assert step.exchanged()["all-reduce"]["count"] == 1
    assert list(step.exchanged()) == ["all-reduce"]
    parameters = sum(leaf.size for leaf in jax.tree.leaves(abstract_step(FAMILY, config)[1].params))
    # Loss and weight besides; a compiler may send padding along.
    assert 4 * parameters < step.exchanged()["all-reduce"]["payload_bytes"] < 4.4 * parameters
