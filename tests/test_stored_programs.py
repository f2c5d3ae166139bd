"""Compiled programs that the next process loads without tracing."""

from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from wavejax import compilation_cache, stored_programs
from wavejax.stored_programs import StoredProgram

pytestmark = pytest.mark.usefixtures("no_cache_of_ones_own")
GIVEN = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.fixture
def no_cache_of_ones_own() -> Iterator[None]:
    """A contributor's JAX_COMPILATION_CACHE_DIR, which comes before ours."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()  # JAX keeps the one that earlier tests have opened
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    reset_cache()


class Traced:
    """A function that counts how often JAX traces it."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, tree: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        self.times += 1
        return tree["x"] * 2, {"sum": jnp.sum(tree["x"])}


def ask(identity: str = "doubled") -> tuple[int, np.ndarray]:
    """How often a fresh program is traced, as in a fresh process, and what it returns."""
    function = Traced()
    doubled, rest = StoredProgram(function, identity)(GIVEN)
    assert float(rest["sum"]) == 15.0
    return function.times, np.asarray(doubled)


def test_a_second_process_does_not_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAVEJAX_CACHE", str(tmp_path))
    with compilation_cache.in_use():
        first, made = ask()
        second, again = ask()
    assert (first, second) == (1, 0)
    np.testing.assert_array_equal(made, again)
    np.testing.assert_array_equal(made, 2 * GIVEN["x"])


def test_without_the_cache_it_is_jit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAVEJAX_CACHE", str(tmp_path))
    assert ask()[0] == 1
    assert ask()[0] == 1
    assert not list(tmp_path.rglob("program-*"))


@pytest.mark.parametrize("changed", ["identity", "source", "shape", "setting"])
def test_what_a_program_depends_on_is_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: str) -> None:
    monkeypatch.setenv("WAVEJAX_CACHE", str(tmp_path))
    with compilation_cache.in_use():
        ask()
        if changed == "source":
            monkeypatch.setattr(stored_programs, "_source", lambda: "edited")
        if changed == "shape":
            monkeypatch.setitem(GIVEN, "x", np.full((1, 15), 1, np.float32))
        if changed == "setting":
            with jax.default_matmul_precision("float32"):
                assert ask()[0] == 1
        else:
            assert ask("another" if changed == "identity" else "doubled")[0] == 1


def test_a_stored_program_that_cannot_be_loaded_is_compiled_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAVEJAX_CACHE", str(tmp_path))
    with compilation_cache.in_use() as store:
        assert store is not None
        ask()
        [stored] = tmp_path.rglob("program-*")
        store.put(stored.name, b"of another version")
        times, doubled = ask()
    assert times == 1
    np.testing.assert_array_equal(doubled, 2 * GIVEN["x"])


def test_a_program_that_jax_has_stored_is_compiled_for_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was loaded from a cache loses its kernels when it is serialised again."""
    monkeypatch.setenv("WAVEJAX_CACHE", str(tmp_path))
    with compilation_cache.in_use():
        jax.jit(Traced())(GIVEN)
        ask()
        assert ask()[0] == 0


def test_where_jax_has_its_own_cache_ours_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAVEJAX_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    with compilation_cache.in_use():
        assert (ask()[0], ask()[0]) == (1, 1)
    assert not list(tmp_path.rglob("program-*"))


def test_the_source_changes_with_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("1")
    monkeypatch.setattr(stored_programs, "__file__", str(tmp_path / "stored_programs.py"))
    before = stored_programs._source.__wrapped__()
    (tmp_path / "one.py").write_text("12")
    assert stored_programs._source.__wrapped__() != before
