"""A bar shows how far long work is, to a person; scripts see only what is told."""

import io
import sys

import pytest

from trading_engine.cli import progress
from trading_engine.cli.progress import Bar


class Terminal(io.StringIO):
    """Somebody watches."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_nobody_sees_a_bar_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes are lines of their own."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(progress, "_AFTER_S", 0.0)
    with Bar("BTCUSDT") as bar:
        bar.show(1, 2)
        bar.tell("note: a thing")
    assert "note: a thing\n" == out.getvalue()


def test_short_work_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing flickers."""
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    with Bar("BTCUSDT") as bar:
        bar.show(1, 2)
    assert "" == out.getvalue()


def test_long_work_has_one_with_notes_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is, how far, and what it waits for; brackets of a note are no markup."""
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(progress, "_AFTER_S", 0.0)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with Bar("asking") as bar:
        bar.show(0, 0)
        bar.what = "BTCUSDT 1m"
        bar.show(1_200, 5_000, "waiting 3 s")
        bar.tell("note: [one] thing")
    told = out.getvalue()
    assert "BTCUSDT 1m" in told
    assert "1200/5000" in told
    assert "waiting 3 s" in told
    assert "note: [one] thing" in told
