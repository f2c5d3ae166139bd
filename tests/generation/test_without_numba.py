"""The backends where numba is installed and does not work."""

import importlib
import logging
import sys

import numba
import pytest

from tests.tiny import commands as tiny
from wavejax.generation import backends
from wavejax.generation.backends import open_backend
from wavejax.generation.cpu import backend, compiling


@pytest.fixture(autouse=True)
def asked_anew():
    def forget():
        for kept in (compiling.numba_trouble, backends._note_scan):
            kept.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def opened(monkeypatch):
    for module in (compiling, backend):  # nothing is compiled: the processes of tests share what is
        monkeypatch.setattr(module, "ahead", lambda weights: None)
    config = tiny.config()
    model, params = config.model.build(), tiny.params_of(config)
    return lambda name: open_backend(name, model, params)


def broken_import(monkeypatch, error):
    real = importlib.import_module

    def imported(name, *rest):
        if name == "numba":
            raise error
        return real(name, *rest)

    monkeypatch.setattr(compiling.importlib, "import_module", imported)


def test_auto_takes_scan_and_says_why_once_where_the_compiler_is_switched_off(opened, monkeypatch, caplog):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert [opened("auto").name for _ in range(2)] == ["scan", "scan"]
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == [
        "generating with backend 'scan', which is slower here: backend 'cpu' needs numba's compiler, which "
        "NUMBA_DISABLE_JIT switches off: unset that"
    ]
    with pytest.raises(ValueError, match=r"^backend 'cpu' needs numba's compiler.*unset that, or use backend='scan'$"):
        opened("cpu")


@pytest.mark.parametrize("error", [ImportError("Numba needs NumPy 2.3 or less. Got NumPy 2.5."), OSError("no LLVM")])
def test_auto_takes_scan_where_numba_cannot_be_imported(opened, monkeypatch, error):
    broken_import(monkeypatch, error)
    assert opened("auto").name == "scan"
    with pytest.raises(ValueError, match=rf"^backend 'cpu' cannot import numba \({error}\): pip install --upgrade"):
        opened("cpu")


def test_a_numba_that_works_is_used(opened):
    assert compiling.numba_trouble() is None
    assert "numba" in sys.modules
