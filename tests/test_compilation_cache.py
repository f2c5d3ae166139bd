"""Programs that were compiled before are read; whatever happens to the folder, they are right."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from jax._src import compilation_cache as of_jax

from wavejax import compilation_cache
from wavejax.caching import CACHE, cache_root

ROOT = Path(__file__).resolve().parents[1]

_COMPILE = """
import json, logging, os, sys
import jax, jax.numpy as jnp
from wavejax import compilation_cache
logging.basicConfig(format="%(message)s")
events = []
jax.monitoring.register_event_listener(lambda name, **_: events.append(name.split("/")[-1]))
if len(sys.argv) > 1:
    jax.config.update("jax_compilation_cache_dir", sys.argv[1])
with compilation_cache.in_use():
    value = jax.jit(lambda x: jnp.sin(x) * 3 + jnp.cumsum(x))(jnp.arange(7.0))
counted = {"hits": events.count("cache_hits"), "misses": events.count("cache_misses")}
print(json.dumps({**counted, "sum": value.sum().item()}))
"""


def compile_once(cache: Path, *arguments: str, **environment: str) -> tuple[dict, str]:
    """What a process that compiles a program with the cache in use counts, and what it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION")}
    done = subprocess.run(
        [sys.executable, "-c", _COMPILE, *arguments],
        cwd=ROOT,
        env={**inherited, CACHE: str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def programs(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "compiled").rglob("*") if path.is_file())


def test_jax_has_the_place_at_which_it_is_given_our_store():
    """Fails with a JAX that has moved it: then nothing would be kept, and nobody told."""
    assert list(inspect.signature(of_jax.get_file_cache).parameters) == ["path"]
    assert "get_file_cache(path)" in inspect.getsource(of_jax._initialize_cache)


def test_the_second_process_reads_what_the_first_compiled(tmp_path):
    first, _ = compile_once(tmp_path)
    second, _ = compile_once(tmp_path)
    assert first["hits"] == 0
    assert first["misses"] > 0
    assert (second["hits"], second["misses"]) == (first["misses"], 0)
    assert second["sum"] == first["sum"]
    assert len({path.parent for path in programs(tmp_path)}) == 1


def test_damaged_programs_are_compiled_again_and_replaced_without_a_word(tmp_path):
    first, _ = compile_once(tmp_path)
    for number, path in enumerate(programs(tmp_path)):
        data = bytearray(path.read_bytes())
        if number % 2:
            data[len(data) // 2] ^= 16
        else:
            del data[len(data) // 3 :]
        path.write_bytes(data)
    second, said = compile_once(tmp_path)
    assert (second, said) == (first, "")
    assert compile_once(tmp_path)[0]["hits"] == first["misses"]


def test_the_variable_turns_it_off(tmp_path):
    counted, _ = compile_once(tmp_path, **{compilation_cache.SWITCH: "off"})
    assert counted["misses"] == 0
    assert not (tmp_path / "compiled").exists()


def test_a_folder_of_the_user_s_own_comes_first(tmp_path):
    compile_once(tmp_path / "ours", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "theirs"))
    compile_once(tmp_path / "ours", str(tmp_path / "theirs, set in Python"))
    assert (tmp_path / "theirs").is_dir()
    assert not (tmp_path / "ours").exists()


def test_a_folder_that_cannot_be_written_costs_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    _, said = compile_once(tmp_path / "file")
    assert said.count("\n") == 1
    assert said.startswith("what was compiled cannot be kept in ")


def test_without_a_home_nothing_is_kept(monkeypatch, caplog):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(compilation_cache, "cache_root", homeless)
    with compilation_cache.in_use() as store:
        assert store is None
    assert [record.getMessage() for record in caplog.records] == [
        "the user has no home to keep compiled programs in: set WAVEJAX_CACHE to a folder, or "
        "WAVEJAX_COMPILATION_CACHE=off"
    ]


def test_two_processes_at_once_do_not_disturb_each_other(tmp_path):
    environment = {**os.environ, CACHE: str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", _COMPILE], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    counted = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert counted[0]["sum"] == counted[1]["sum"]


def test_afterwards_everything_is_as_it_was():
    before, asked = dict(jax.config.values), of_jax.get_file_cache
    opened = of_jax._cache if jax.config.jax_compilation_cache_dir else None  # a contributor's own, for faster reruns
    assert compilation_cache.active() is None
    with compilation_cache.in_use() as store:
        assert store is not None
        assert compilation_cache.active() is store
        assert store.folder.parent == cache_root() / "compiled"
    assert compilation_cache.active() is None
    assert dict(jax.config.values) == before
    assert of_jax.get_file_cache is asked
    assert of_jax._cache is opened


@pytest.mark.parametrize("name", ["jax", "numba"])
def test_another_version_has_a_folder_of_its_own(name, monkeypatch):
    before, real = compilation_cache.section(), compilation_cache._version
    monkeypatch.setattr(compilation_cache, "_version", lambda package: "999.0" if package == name else real(package))
    assert compilation_cache.section() != before


def test_another_processor_has_a_folder_of_its_own(monkeypatch):
    before = compilation_cache.section()
    monkeypatch.setattr(compilation_cache, "_processor", lambda: "flags: none")
    assert compilation_cache.section() != before


def test_of_several_processes_none_reads_or_writes(tmp_path, monkeypatch):
    """One that skips a compilation would leave the others waiting for what it contributes to theirs."""
    with compilation_cache.in_use() as store:
        assert store is not None
        of_jax_store = compilation_cache._JaxStore(store)
        of_jax_store.put("probe", b"value")
        assert of_jax_store.get("probe") == b"value"
        monkeypatch.setattr(jax, "process_count", lambda: 2)
        assert of_jax_store.get("probe") is None
        of_jax_store.put("another", b"value")
        assert store.get("another") is None
