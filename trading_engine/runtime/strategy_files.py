"""Strategies of your own: a Python file each, loaded by name from a folder.

What belongs here: loading a file, and telling what is wrong with it as FILE:LINE. What does not: the built-in
strategies (strategy.registry), what a strategy decides.

NAME.py defines one frozen dataclass with `name = "NAME"` that fulfils `strategy.api.Strategy`. The file is code of the
operator's own and runs with the rights of the engine. What it prints goes to standard error, for standard output is
what a command answers, JSON often.
"""

import ast
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.time import MINUTE_MS
from trading_engine.strategy.api import Series, Signals, Strategy
from trading_engine.strategy.registry import BUILT_IN
from trading_engine.strategy.settings import build
from trading_engine.strategy.shape import shape_mistake

_PACKAGE = "strategy_files"  # what the modules are called; no package of that name exists
_DEMANDED = ("primary_interval_ms", "intervals", "warm_up", "is_silent", "compute")

T = TypeVar("T")


def file_of(folder: Path, name: str) -> Path:
    """Where the strategy of that name lies, whether it is there or not; ConfigInvalid for a ~ of nobody."""
    return _expanded(folder) / f"{name}.py"


def names_in(folder: Path) -> tuple[str, ...]:
    """The names that files in the folder give, sorted; files that begin with an underscore are left alone."""
    return tuple(sorted(path.stem for path in _expanded(folder).glob("*.py") if not path.stem.startswith("_")))


def known_names(folder: Path) -> tuple[str, ...]:
    """The names of the built-in strategies, then those that files in the folder give."""
    return tuple(dict.fromkeys((*sorted(BUILT_IN), *names_in(folder))))


def require_known(name: str, folder: Path) -> None:
    """ConfigInvalid, as for any wrong argument, where neither the folder nor what is built in has such a strategy."""
    names = known_names(folder)
    if name not in names:
        raise ConfigInvalid(f"strategy {name!r} does not exist; there are {', '.join(names)}", exit_code=2)


def _expanded(folder: Path) -> Path:
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise ConfigInvalid(f"{folder}: there is no such home directory; write the folder out") from error


def load_kind(path: Path) -> type[Strategy]:
    """The strategy class of a file; ConfigInvalid with FILE:LINE for one that cannot be used."""
    name = path.stem
    if name in BUILT_IN:
        raise ConfigInvalid(f"{path}: {name} is a built-in strategy; give the file and its strategy another name")
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source, str(path))
    except SyntaxError as error:
        raise ConfigInvalid(f"{path}:{error.lineno or 1}: {error.msg}") from error
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{path}: cannot be read ({error})") from error
    lines = {node.name: node.lineno for node in tree.body if isinstance(node, ast.ClassDef)}
    module = ModuleType(f"{_PACKAGE}.{name}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    _located(path, 1, lambda: exec(compile(tree, str(path), "exec"), module.__dict__))  # noqa: S102 - that is its use
    return _kind_in(module, path, lines)


def create(path: Path, settings: Mapping[str, object]) -> Strategy:
    """The strategy of a file with these settings; ConfigInvalid as `load_kind`, or for a setting."""
    kind: Any = load_kind(path)
    line = _line_of(path, kind.__name__)
    return _FromFile(_located(path, line, lambda: build(kind, path.stem, settings)), path, line)


class _FromFile:
    """A strategy whose mistakes are told as FILE:LINE, and end the run as bad input does: a restart cures none.

    Only the code's own faults: what it is asked, and when, is as for any other strategy.
    """

    def __init__(self, inner: Strategy, path: Path, line: int) -> None:
        self._inner = inner
        self._path = path
        self._line = line
        self.name: str = inner.name
        self.primary_interval_ms: int = self._plain("primary_interval_ms")
        self.intervals: Mapping[int, int] = self._plain("intervals")
        self._require(_window_mistake(self.primary_interval_ms, self.intervals))
        self.warm_up: int = self._plain("warm_up")
        is_count = type(self.warm_up) is int and self.warm_up >= 0
        self._require("" if is_count else f"warm_up = {self.warm_up!r} is not a number of candles from 0")

    def is_silent(self, market: Mapping[int, Series]) -> bool:
        """As the file says."""
        kept = _locked(market)
        return bool(_located(self._path, self._line, lambda: self._inner.is_silent(kept)))

    def compute(self, market: Mapping[int, Series]) -> Signals:
        """As the file says, if those are signals."""
        kept = _locked(market)
        signals: object = _located(self._path, self._line, lambda: self._inner.compute(kept))
        if not isinstance(signals, Signals):
            raise ConfigInvalid(f"{self._path}:{self._line}: compute gives {type(signals).__name__}, not Signals")
        rows = len(market[self.primary_interval_ms])
        self._require(_located(self._path, self._line, lambda: shape_mistake(signals, rows)))
        return signals

    def __getattr__(self, name: str) -> Any:
        """The settings of the strategy itself."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def _require(self, mistake: str) -> None:
        if mistake:
            raise ConfigInvalid(f"{self._path}:{self._line}: {mistake}")

    def _plain(self, name: str) -> Any:
        return _located(self._path, self._line, lambda: getattr(self._inner, name))


def _locked(market: Mapping[int, Series]) -> dict[int, Series]:
    return {interval_ms: series.locked() for interval_ms, series in market.items()}


def _kind_in(module: ModuleType, path: Path, lines: Mapping[str, int]) -> type[Strategy]:
    """The one class of a module that bears the file's name."""
    own: list[Any] = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and hasattr(kind, "name")
    ]
    named = [kind for kind in own if kind.name == path.stem]
    if len(named) != 1:
        first = own[0] if own else None
        line = lines.get(first.__name__, 1) if first else 1
        has = f"; {first.__name__} has {first.name!r}" if first and not named else ""
        count = "more than one class" if named else "no class"
        raise ConfigInvalid(f'{path}:{line}: {count} with name = "{path.stem}", the name of the file{has}')
    kind = named[0]
    line = lines.get(kind.__name__, 1)
    lacking = [name for name in _DEMANDED if not hasattr(kind, name)]
    if lacking:
        raise ConfigInvalid(f"{path}:{line}: {kind.__name__} lacks {', '.join(lacking)} (see `strategy new`)")
    if not getattr(getattr(kind, "__dataclass_params__", None), "frozen", False):
        raise ConfigInvalid(f"{path}:{line}: {kind.__name__} is not a @dataclass(frozen=True)")
    strategy: type[Strategy] = kind
    return strategy


def _window_mistake(primary: object, windows: object) -> str:
    """What is wrong with the candles that a strategy declares; empty where nothing is."""
    if type(primary) is not int or primary <= 0 or primary % MINUTE_MS:
        return f"primary_interval_ms = {primary!r} is not a whole number of minutes in ms"
    if not isinstance(windows, Mapping) or primary not in windows:
        return f"intervals = {windows!r} is not a mapping that has primary_interval_ms = {primary}"
    for interval_ms, count in windows.items():
        if type(interval_ms) is not int or interval_ms <= 0 or interval_ms % MINUTE_MS:
            return f"intervals has {interval_ms!r}, which is not a whole number of minutes in ms"
        if type(count) is not int or count < 1:
            return f"intervals[{interval_ms}] = {count!r} is not a number of candles from 1"
    return ""


def _located(path: Path, line: int, action: Callable[[], T]) -> T:
    """What the action gives; whatever it raises is told with the last line of the file that it passed.

    What it prints goes to standard error.
    """
    try:
        with redirect_stdout(sys.stderr):
            return action()
    except ConfigInvalid:
        raise
    except (Exception, SystemExit) as error:
        passed = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        at = passed[-1] if passed and passed[-1] is not None else line
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigInvalid(f"{path}:{at}: {what}") from error


def _line_of(path: Path, name: str) -> int:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next((node.lineno for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), 1)
