"""The house's floors: imports go down only, importing costs nothing, no file names the machine it was written on."""

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import wavejax
from wavejax.cli.main import COMMANDS
from wavejax.extras import MissingExtra, require_extra
from wavejax.tasks.families import FAMILIES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "wavejax"

# What a package may import besides itself and what is everybody's.
EVERYBODYS = {
    "types",
    "extras",
    "allocator",
    "atomic",
    "caching",
    "compilation_cache",
    "documents",
    "interruption",
    "limits",
    "locks",
    "ownership",
    "ranges",
    "stored_programs",
    "terminal",
}
_FLOOR_1 = {"audio", "parallel", "text"}
_FLOOR_2 = {"nn", "distributions", "data"}
_FLOOR_3 = {"models", "losses"}
_FLOOR_4 = {"generation", "training", "checkpoints", "evaluation", "decoding"}
_FLOOR_5 = {"conversion", "experiments", "supervision"}
_FLOOR_6 = {"tasks"}
MAY_IMPORT: dict[str, set[str]] = {
    "types": set(),
    "extras": set(),
    "allocator": set(),
    "atomic": set(),
    "caching": set(),
    "compilation_cache": set(),
    "stored_programs": set(),
    "ranges": set(),
    "interruption": set(),
    "locks": set(),
    "ownership": set(),
    "terminal": set(),
    "limits": set(),
    "documents": set(),
    "audio": set(),
    "parallel": set(),
    "text": set(),
    **{name: _FLOOR_1 for name in _FLOOR_2},
    **{name: _FLOOR_1 | _FLOOR_2 for name in _FLOOR_3},
    **{name: _FLOOR_1 | _FLOOR_2 | _FLOOR_3 for name in _FLOOR_4},
    "training": (_FLOOR_1 | _FLOOR_2 | _FLOOR_3) - {"audio", "text", "models"},
    **{name: _FLOOR_1 | _FLOOR_2 | _FLOOR_3 | _FLOOR_4 for name in _FLOOR_5},
    **{name: _FLOOR_1 | _FLOOR_2 | _FLOOR_3 | _FLOOR_4 | _FLOOR_5 for name in _FLOOR_6},
    "cli": _FLOOR_1 | _FLOOR_2 | _FLOOR_3 | _FLOOR_4 | _FLOOR_5 | _FLOOR_6,
    "__main__": {"cli"},
}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 600, 80
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}
OPTIONAL_PACKAGES = {
    *("array_record", "av", "grain", "librosa", "matplotlib", "numba"),
    *("tensorboardX", "tensorflow", "torch", "wavenet_vocoder"),
    *("distillmos", "hama", "onnxruntime", "pesq", "pocketsphinx", "pystoi", "pyworld", "resemblyzer", "speechmos"),
    *("fsspec", "gcsfs", "onnx", "s3fs", "tinysoundfont", "torchaudio"),
}


class Import(NamedTuple):
    """One imported module of one file."""

    line: int
    module: str  # absolute, dotted
    at_module_scope: bool


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_module(dotted: str) -> bool:
    path = ROOT.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def _targets_of(node: ast.AST, path: Path) -> Iterator[str]:
    """The absolute names of the modules that one statement (or import_module("...") call) imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = path.relative_to(ROOT).parent.parts
            base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            if base == "wavejax" and alias.name in wavejax._LAZY_NAMES:
                yield wavejax._LAZY_NAMES[alias.name]
            else:
                yield inner if inner.startswith("wavejax.") and _is_module(inner) else base
    elif isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in {"import_module", "__import__"} and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def _imports(path: Path) -> Iterator[Import]:
    def visit(node: ast.AST, at_module_scope: bool) -> Iterator[Import]:
        for target in _targets_of(node, path):
            yield Import(getattr(node, "lineno", 0), target, at_module_scope)
        inside_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        only_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_module_scope and not inside_function and not only_for_types)

    yield from visit(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)), True)


def _complaint(importer: str, imported: str) -> str | None:
    """Why module `importer` may not import module `imported` (dotted names below wavejax), or None where it may."""
    source, target = importer.split(".")[1:], imported.split(".")[1:]
    if not target or target[0] in EVERYBODYS or not source:
        return None
    home, other = source[0], target[0]
    if home not in MAY_IMPORT:
        return f"wavejax/{home} has no place in the table of tests/test_imports.py"
    if home == "tasks" and other == "tasks":
        return _between_tasks(source[1:], target[1:])
    if home == other:
        # A model's configurations may stand beside it: `wavenet_presets` reads `wavenet`.
        own = len(source) > 1 and len(target) > 1 and source[1] in (target[1], f"{target[1]}_presets")
        if home == "models" and len(source) > 1 and len(target) > 1 and not own:
            return "one model is one file: models share layers (wavejax.nn), never each other's code"
        return None
    if other in MAY_IMPORT[home]:
        return None
    allowed = ", ".join(sorted(MAY_IMPORT[home])) or f"nothing but {', '.join(sorted(EVERYBODYS))}"
    return f"that goes up or sideways: wavejax.{home} may import {allowed}"


def _between_tasks(source: list[str], target: list[str]) -> str | None:
    """A product imports none of another; the table of families imports nobody, and only doors import it."""
    if target[:1] == ["families"] and source[:1] != ["families"]:
        return "only wavejax.cli and wavejax itself import the table of families: families never learn of each other"
    products = {path.name for path in (PACKAGE / "tasks").iterdir() if (path / "__init__.py").exists()} | {"a", "b"}
    if source and target and source[0] in products and target[0] in products and source[0] != target[0]:
        return (
            f"products do not import each other: what tasks.{source[0]} and tasks.{target[0]} share stands below them"
        )
    return None


FILES = sorted(PACKAGE.rglob("*.py"))


def test_imports_go_down_only() -> None:
    complaints = []
    for path in FILES:
        importer = _module_name(path)
        for line, module, _ in _imports(path):
            if module.partition(".")[0] == "wavejax" and (why := _complaint(importer, module)):
                complaints.append(f"{path.relative_to(ROOT)}:{line} imports {module}; {why}")
            if module.partition(".")[0] in {"tests", "benchmarks", "scripts"}:
                complaints.append(f"{path.relative_to(ROOT)}:{line} imports {module}; the package imports only itself")
    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("wavejax.audio.one", "wavejax.nn.one", False),
        ("wavejax.audio.one", "wavejax.parallel", False),
        ("wavejax.nn.one", "wavejax.distributions", False),
        ("wavejax.models.a", "wavejax.models.b", False),
        ("wavejax.models.a_presets", "wavejax.models.a", True),
        ("wavejax.models", "wavejax.models.a", True),
        ("wavejax.losses.one", "wavejax.models.a", False),
        ("wavejax.training.one", "wavejax.audio.one", False),
        ("wavejax.training.one", "wavejax.parallel", True),
        ("wavejax.generation.one", "wavejax.training.one", False),
        ("wavejax.cli.one", "wavejax.tasks.one", True),
        ("wavejax.tasks.one", "wavejax.cli.one", False),
        ("wavejax.tasks.a.one", "wavejax.tasks.a.two", True),
        ("wavejax.tasks.a.one", "wavejax.tasks.b.one", False),
        ("wavejax.tasks.a.one", "wavejax.tasks.upgrades", True),
        ("wavejax.tasks.a.one", "wavejax.tasks.families", False),
        ("wavejax.cli.one", "wavejax.tasks.families", True),
        ("wavejax.experiments.one", "wavejax.tasks.a.one", False),
        ("wavejax.experiments.one", "wavejax.supervision.one", False),
        ("wavejax.types", "wavejax.audio", False),
        ("wavejax.atomic", "wavejax.audio", False),
        ("wavejax.audio.one", "wavejax.types", True),
        ("wavejax.training.one", "wavejax.atomic", True),
        ("wavejax.extra_floor", "wavejax.audio", False),
    ],
)
def test_the_table_decides(importer: str, imported: str, allowed: bool) -> None:
    assert (_complaint(importer, imported) is None) == allowed


RENAMING = {"replace", "rename", "renames"}


def _renamings(source: str) -> list[int]:
    """Lines that rename through `os`."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "os" and node.attr in RENAMING:
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and node.module == "os" and RENAMING & {each.name for each in node.names}:
            lines.append(node.lineno)
    return sorted(lines)


def test_only_atomic_renames_files() -> None:
    assert _renamings("import os\nos.replace(a, b)\nfrom os import rename\n'a'.replace('b', 'c')") == [2, 3]
    found = {path.relative_to(PACKAGE).as_posix() for path in FILES if _renamings(path.read_text(encoding="utf-8"))}
    assert found == {"atomic.py"}, "write files with wavejax.atomic, which leaves the old or the new one"


def test_every_way_to_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "wavejax/audio").mkdir(parents=True)
    (tmp_path / "wavejax/cli.py").touch()
    path = tmp_path / "wavejax/audio/probe.py"
    path.write_text(
        "from wavejax import cli\nfrom .. import cli\nfrom . import files\nfrom ..audio.files import read_audio\n"
        "from wavejax import load\n"
        "def later():\n    import torch\n    importlib.import_module('wavejax.tasks')\n"
        "try:\n    import numba\nexcept ImportError:\n    pass\n"
    )
    assert list(_imports(path)) == [
        Import(1, "wavejax.cli", True),
        Import(2, "wavejax.cli", True),
        Import(3, "wavejax.audio", True),
        Import(4, "wavejax.audio.files", True),
        Import(5, "wavejax.tasks.families", True),
        Import(7, "torch", False),
        Import(8, "wavejax.tasks", False),
        Import(10, "numba", True),
    ]


def test_no_module_is_named_for_nothing() -> None:
    names = [str(path.relative_to(ROOT)) for path in FILES if FORBIDDEN_NAMES & {path.stem, *path.parts}]
    assert not names, f"a helper lives with the concept it serves; rename {names}"


def test_optional_packages_are_imported_where_they_are_used() -> None:
    complaints = [
        f"{path.relative_to(ROOT)}:{line} imports {module} at module scope; call wavejax.extras.require_extra in the "
        f"function that needs it"
        for path in FILES
        for line, module, at_module_scope in _imports(path)
        if at_module_scope and module.partition(".")[0] in OPTIONAL_PACKAGES
    ]
    assert not complaints, "\n" + "\n".join(complaints)


_IMPORT_EVERYTHING = """
import importlib, json, os, sys
import jax, jax.numpy, flax.linen, optax, orbax.checkpoint
from jax._src import xla_bridge
config, environment = dict(jax.config.values), dict(os.environ)
optional = set(json.loads(sys.argv[1]))
before = optional & set(sys.modules)
for name in json.loads(sys.argv[2]):
    importlib.import_module(name)
    assert not xla_bridge._backends, f"importing {name} started the backends {list(xla_bridge._backends)}"
    changed = {k: v for k, v in jax.config.values.items() if config.get(k, v) != v}
    assert not changed, f"importing {name} changed jax.config: {changed}"
    assert dict(os.environ) == environment, f"importing {name} changed the environment"
    loaded = (optional & set(sys.modules)) - before
    assert not loaded, f"importing {name} loaded the optional packages {sorted(loaded)}"
"""


def test_importing_starts_no_backend_and_changes_nothing() -> None:
    names = [_module_name(path) for path in FILES if path.stem != "__main__"]
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_EVERYTHING, json.dumps(sorted(OPTIONAL_PACKAGES)), json.dumps(names)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_modules_named_by_strings_exist_and_go_down() -> None:
    """Tables of module names do what imports do, unseen by the parser."""
    for path in FILES:
        importer = _module_name(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if re.fullmatch(r"wavejax(\.\w+)+", text) and "-" not in text and (ROOT / text.split(".")[0]).is_dir():
                assert _is_module(text), f"{path.relative_to(ROOT)}:{node.lineno} names {text}, which is no module"
                why = _complaint(importer, text)
                assert why is None, f"{path.relative_to(ROOT)}:{node.lineno} names {text}; {why}"
    for module, _ in COMMANDS.values():
        assert importlib.import_module(module).COMMANDS
    for name, module in FAMILIES.items():
        assert importlib.import_module(module).FAMILY.name == name


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in FILES:
        names = {module for _, module, at_module_scope in _imports(path) if at_module_scope}
        graph[_module_name(path)] = {name for name in names if name.startswith("wavejax.")}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for other in sorted(graph.get(name, ())):
                if other != name:
                    visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_files_and_functions_are_short_enough_to_be_read() -> None:
    long = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MOST_LINES:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines, of at most {MOST_LINES}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines")
    assert not long, "\n" + "\n".join(long)


@pytest.mark.parametrize("package", ["experiments", "training", "cli"])
def test_the_middle_of_the_house_names_no_family_and_no_model(package: str) -> None:
    """Verbs of one product aside: those import it."""
    verbs = {"playing.py", "speaking.py", "saying.py", "speakers.py", "transcribing.py", "composing.py"}
    verbs |= {"exporting_onnx.py", "checking.py"}  # the latter is `say --check`
    products = "Vocoder|Babbler|Instrument|Composer|Recognizer"
    words = re.compile(rf"\b(WaveNet|wavenet|WaveRNN|wavernn|NoteSpec|{products})\w*")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((PACKAGE / package).rglob("*.py"))
        if not (package == "cli" and path.name in verbs)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_public_name_resolves() -> None:
    for name in wavejax.__all__:
        assert getattr(wavejax, name) is not None
    assert set(wavejax.__all__) == {*wavejax._LAZY_NAMES, "__version__"}


def test_an_unknown_name_is_an_attribute_error_that_lists_the_names() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'vocodr'; it offers .*load"):
        _ = wavejax.vocodr


def test_a_missing_extra_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = r"reading of G\.722 needs the package no_such_package: pip install 'wavejax-audio\[corpora\]'$"
    with pytest.raises(MissingExtra, match=sentence):
        require_extra("no_such_package.inner", "corpora", "reading of G.722")
    assert require_extra("json", "train", "this test") is json
    (tmp_path / "broken_package.py").write_text("import absent_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="absent_dependency") as caught:
        require_extra("broken_package", "train", "this test")
    assert not isinstance(caught.value, MissingExtra)


def test_no_file_names_a_machine_path() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    machine_path = re.compile(r"(?<![\w.~/-])/(?:work|root|home/\w+)\b")
    assert machine_path.search("see /" + "work/main")
    assert not machine_path.search("../work/main and/or https://a/work")
    found = []
    for name in filter(None, listed):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" in data[:8192]:
            continue  # not text
        lines = data.decode("utf-8", errors="replace").splitlines()
        found += [f"{name}:{i}: {line.strip()[:100]}" for i, line in enumerate(lines, 1) if machine_path.search(line)]
    assert not found, "these lines hold only on one machine:\n" + "\n".join(found)
