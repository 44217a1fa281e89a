"""The user's cache is the user's alone, and nobody needs it."""

from pathlib import Path

import pytest

from trading_engine.backtest import cache


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_folders_are_for_their_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made so, and narrowed where an older version has made them wider."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = cache.candle_folder()
    assert tmp_path / "cache" / "trading-engine" / "candles" == folder
    assert [0o700, 0o700] == [mode(folder), mode(folder.parent)]
    folder.parent.chmod(0o755)
    assert folder == cache.candle_folder()
    assert 0o700 == mode(folder.parent)


def test_without_a_place_there_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the way is no reason to fail."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache.candle_folder() is None
