"""Settings of every test process, made before jax starts a backend; subprocesses inherit them."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8".strip()
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ.setdefault("MPLBACKEND", "agg")
# Commands keep what they compile, as they do for users, but neither read nor write in the home of who runs the tests.
os.environ["WAVEJAX_CACHE"] = tempfile.mkdtemp(prefix="wavejax-tests-")
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "numba"))
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # ahead-of-time compilation in several test processes

import jax
from jaxtyping import install_import_hook

import tests.typechecker  # noqa: F401  (the hook finds it by name)

# A pytest plug-in may have imported jax before this file, and then the environment came too late.
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

install_import_hook("wavejax", "tests.typechecker.check")

# Programs that JAX traces are millions of objects, of which few die: to look through them often is a tenth of the time.
gc.set_threshold(100_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def eight_devices() -> None:
    """Fails at once if a backend was started before the settings above could reach it."""
    assert jax.default_backend() == "cpu"
    assert jax.device_count() == 8


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests() -> Iterator[None]:
    """Removes what the tests have kept."""
    folder = os.environ["WAVEJAX_CACHE"]
    yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def programs_of_a_module() -> Iterator[None]:
    """Forgets what a module's tests have compiled: a test process would hold gigabytes of it at the end."""
    yield
    jax.clear_caches()


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Grows by one entry for every program that JAX compiles during the test."""
    events: list[str] = []

    def listen(name: str, seconds: float, **extra: object) -> None:
        if name == "/jax/core/compile/backend_compile_duration":
            events.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield events
    jax.monitoring.unregister_event_duration_listener(listen)
