"""The rules of the house, checked like behaviour: types, style, layers, sizes, diagrams, imports."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FILE = 600
LONGEST_FUNCTION = 70
SOURCES = sorted((ROOT / "trading_engine").rglob("*.py"))


def _run(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_types_are_strict() -> None:
    """Mypy strict finds nothing."""
    _run("-m", "mypy")


def test_scripts_import_what_there_is() -> None:
    """Benchmarks and the scripts beside the documents and tests run seldom: a name that has moved is noticed here."""
    folders = ("benchmarks", "docs", "tests/parity", "tests/e2e", "migrations")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        (path, node.module, item.name)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trading_engine")
        for item in node.names
    ]
    assert len(found) > 100
    lacking = [(str(path.relative_to(ROOT)), module, name) for path, module, name in found if not _has(module, name)]
    assert [] == lacking


def _has(module: str | None, name: str) -> bool:
    """A name of a module, or a module of a package."""
    assert module is not None
    return hasattr(import_module(module), name) or find_spec(f"{module}.{name}") is not None


def test_style_is_kept() -> None:
    """Ruff's broad rule set finds nothing, and the format is the formatter's."""
    _run("-m", "ruff", "check", ".")
    _run("-m", "ruff", "format", "--check", ".")


def test_imports_go_downward_only() -> None:
    """The layers and the forbidden modules of import-linter hold."""
    _run("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")


def test_diagrams_are_those_of_the_tables() -> None:
    """The pictures in docs/architecture.md are what the code's tables give."""
    _run("docs/make_diagrams.py", "--check")


def test_what_happens_when_is_what_the_simulation_shows() -> None:
    """docs/operations/what-happens-when.md is made from lives of the simulation's story, each with one death."""
    _run("docs/make_what_happens_when.py", "--check")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    """No file over 600 lines, no function over 70."""
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    long = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert [] == long


def test_engine_process_stays_lean() -> None:
    """What a run imports holds no numba, pandas, polars, Alembic or web code, and no apprise without channels."""
    script = """
import sys
import trading_engine.cli.main
import trading_engine.runtime.app
heavy = {"numba", "pandas", "polars", "alembic", "apprise", "aiohttp", "fastapi", "nicegui", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


def test_nothing_in_the_tree_names_a_machine() -> None:
    """No path of a working machine and no package index host stands in a tracked text."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    words = ["/ro" + "ot/", "/wo" + "rk/", "pypi" + ".org", "file:" + "///opt/py"]
    found = [
        (name, word)
        for name in listed.stdout.split()
        if (ROOT / name).is_file()
        for word in words
        if word in (ROOT / name).read_text(errors="ignore")
    ]
    assert [] == found
