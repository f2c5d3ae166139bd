"""The backends where numba is installed and does not work."""

import importlib
import logging

import numba
import numpy as np
import pytest

from tests.tiny import commands as tiny
from wavejax.generation import generate
from wavejax.generation.cpu import compiling


@pytest.fixture(autouse=True)
def asked_anew():
    """Nothing that other tests of this process have found out, and nothing left for them."""

    def forget():
        for kept in (compiling.numba_trouble, compiling.note_scan, compiling.ahead, compiling.lanes):
            kept.cache_clear()

    forget()
    yield
    forget()


def made(name):
    config = tiny.unconditional()
    model, params = config.model.build(), tiny.params_of(config)
    return np.asarray(generate(model, params, num_samples=40, seed=3, backend=name))


def broken_import(monkeypatch, error):
    real = importlib.import_module

    def imported(name, *rest):
        if name.startswith(("numba", "llvmlite")):
            raise error
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", imported)


def test_auto_goes_on_with_scan_and_says_why_once_where_the_compiler_is_switched_off(monkeypatch, caplog):
    expected = made("scan")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    for _ in range(2):
        np.testing.assert_array_equal(made("auto"), expected)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [
        "generating with backend 'scan', which is slower here: backend 'cpu' needs numba's compiler, which "
        "NUMBA_DISABLE_JIT switches off: unset that"
    ]
    with pytest.raises(ValueError, match=r"^backend 'cpu' needs numba's compiler.*unset that, or use backend='scan'$"):
        made("cpu")


@pytest.mark.parametrize("error", [ImportError("Numba needs NumPy 2.3 or less. Got NumPy 2.5."), OSError("no LLVM")])
def test_auto_goes_on_with_scan_where_numba_cannot_be_imported(monkeypatch, error):
    expected = made("scan")
    broken_import(monkeypatch, error)
    np.testing.assert_array_equal(made("auto"), expected)
    assert compiling.numba_trouble() == f"cannot import numba ({error}): pip install --upgrade 'wavejax-audio[cpu]'"


def test_a_numba_that_works_is_used():
    assert compiling.numba_trouble() is None
