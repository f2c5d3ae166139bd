"""Devices that need not be there: names, refusals, and (where their compilers are installed) the compilers' answers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wavejax.extras import MissingExtra
from wavejax.parallel.topologies import (
    CHIPS,
    GIB,
    CompilerFailed,
    DoesNotFit,
    compile_lowered,
    get_topology,
    memory_use,
)


@pytest.mark.parametrize(
    ("name", "chip", "devices"),
    [("v5e:16x16", "v5e", 256), ("v5p:4x4x4", "v5p", 64), ("v6e:2x4", "v6e", 8), ("h100x8", "h100", 8)],
)
def test_names_say_chip_and_shape(name: str, chip: str, devices: int) -> None:
    topology = get_topology(name)
    assert (topology.chip.name, topology.num_devices, topology.name) == (chip, devices, name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("v5e", r"there is no topology 'v5e': names look like v5e:16x16, .* chips are v4, v5e, v5p, v6e, h100$"),
        ("v9:2x2", "there is no topology 'v9:2x2'"),
        ("h100:8", "there is no topology 'h100:8'"),
        ("v5p:4x4", r"a slice of v5p has 3 dimension\(s\) of 1 or more, not 'v5p:4x4'"),
        ("v5e:0x4", r"a slice of v5e has 2 dimension\(s\)"),
        ("h100x12", "'h100x12' does not fill its servers"),
    ],
)
def test_other_names_are_refused_with_examples(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        get_topology(name)


def test_a_compiler_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    topology = get_topology("v5e:2x4")
    chip = topology.chip
    monkeypatch.setattr(type(topology), "missing_packages", lambda self: ("libtpu",))
    with pytest.raises(MissingExtra, match=r"v5e:2x4 needs libtpu: pip install 'wavejax-audio\[aot\]'"):
        topology.devices()
    monkeypatch.undo()
    object.__setattr__(topology, "chip", type(chip)(**{**vars(chip), "packages": ("no-such-package", "jax")}))
    assert topology.missing_packages() == ("no-such-package",)


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        (
            "INVALID_ARGUMENT: no such",
            ValueError,
            r"v5e:2x4: the compiler knows no such slice \(INVALID_ARG",
        ),
        ("ABORTED: its lockfile", RuntimeError, r"another process uses libtpu, .* set ALLOW_MULTIPLE_LIBTPU_LOAD=1"),
        ("INTERNAL: a bug", jax.errors.JaxRuntimeError, "^INTERNAL: a bug"),
    ],
)
def test_what_a_compiler_says_is_not_taken_for_something_else(
    words: str, kind: type[Exception], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise jax.errors.JaxRuntimeError(words)

    topology = get_topology("v5e:2x4")
    monkeypatch.setattr(type(topology), "missing_packages", lambda self: ())
    monkeypatch.setattr("wavejax.parallel.topologies.topologies.get_topology_desc", refuse)
    with pytest.raises(kind, match=sentence):
        topology.devices()


def test_what_a_program_takes() -> None:
    x = jax.ShapeDtypeStruct((1000, 1000), jnp.float32)
    use = memory_use(jax.jit(lambda x: x @ x.T).lower(x).compile())
    assert use.arguments == 4_000_000
    assert 8_000_000 <= use.peak < 20_000_000


def test_only_a_lack_of_memory_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered = jax.jit(lambda x: x).lower(jnp.zeros(1))

    def refuse(words: str) -> None:
        def compile(self: object) -> None:
            raise jax.errors.JaxRuntimeError(words)

        monkeypatch.setattr(jax.stages.Lowered, "compile", compile)

    refuse("RESOURCE_EXHAUSTED: Ran out of memory (9G)\nmore")
    with pytest.raises(DoesNotFit, match=r"^RESOURCE_EXHAUSTED: Ran out of memory \(9G\)$"):
        compile_lowered(lowered)
    refuse("INTERNAL: a bug")
    with pytest.raises(CompilerFailed, match=r"itself fails .* INTERNAL: a bug\. Try another number of rows"):
        compile_lowered(lowered)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "processes"),
    [
        ("v5e:16x16", 64),
        ("v5e:1x1", 1),
        ("v6e:2x4", 2),
        ("v5p:4x4x4", 16),
        ("v4:2x2x4", 4),
        ("h100x8", 1),
        ("h100x16", 2),
    ],
)
def test_the_compilers_know_these_slices_and_this_machine_computes_on(name: str, processes: int) -> None:
    topology = get_topology(name)
    if absent := topology.missing_packages():
        pytest.skip(f"not installed: {', '.join(absent)} (extra `aot`)")
    devices = topology.devices()
    assert len(devices) == topology.num_devices
    assert len({device.process_index for device in devices}) == processes
    sharding = NamedSharding(Mesh(np.asarray(devices), ("d",)), PartitionSpec("d"))
    x = jax.ShapeDtypeStruct((len(devices), 128), jnp.float32, sharding=sharding)
    compiled = compile_lowered(jax.jit(lambda x: jnp.sum(jnp.sin(x), axis=0)).lower(x))
    assert memory_use(compiled).peak >= 128 * 4
    assert float(jnp.sum(jnp.ones(3))) == 3
    assert jax.default_backend() == "cpu"


@pytest.mark.slow
def test_a_slice_that_no_pod_has_is_refused() -> None:
    topology = get_topology("v5e:3x5")
    if absent := topology.missing_packages():
        pytest.skip(f"not installed: {', '.join(absent)} (extra `aot`)")
    with pytest.raises(ValueError, match=r"v5e:3x5: the compiler knows no such slice .*not divisible"):
        topology.devices()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v4:2x2x1", "v5e:2x2", "v5p:2x2x1", "v6e:2x2"])
def test_the_memory_of_a_chip_is_what_its_compiler_says(name: str) -> None:
    topology = get_topology(name)
    if absent := topology.missing_packages():
        pytest.skip(f"not installed: {', '.join(absent)} (extra `aot`)")
    sharding = NamedSharding(Mesh(np.asarray(topology.devices()[:1]), ("d",)), PartitionSpec())
    x = jax.ShapeDtypeStruct((50 * 2**20, 1024), jnp.float32, sharding=sharding)  # 200 GiB
    with pytest.raises(DoesNotFit) as caught:
        compile_lowered(jax.jit(lambda x: jnp.sum(jnp.cumsum(jnp.sin(x), axis=0) * jnp.sin(x)[::-1])).lower(x))
    stated = re.search(r"available HBM \(([\d.]+)G\)", str(caught.value))
    assert stated is not None, str(caught.value)
    assert CHIPS[topology.chip.name].memory_bytes == int(float(stated.group(1)) * GIB)
