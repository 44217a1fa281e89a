"""The line that a person watches."""

import asyncio
import io

import pytest

from trading_engine.cli.status_line import StatusLine


class Terminal(io.StringIO):
    """Somebody watches."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_a_line_is_written_over_and_what_is_told_stands_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the window; in the end nothing of it is left."""
    monkeypatch.setenv("COLUMNS", "10")
    out = Terminal()
    line = StatusLine(out)
    line.show("0123456789abc")
    line.tell("note: the disk is full")
    line.clear()
    line.clear()
    clear = "\r\x1b[K"
    assert f"{clear}012345678{clear}note: the disk is full\n012345678{clear}" == out.getvalue()


def test_without_a_terminal_only_what_is_told_is_written() -> None:
    """A script's log has no line that moves."""
    out = io.StringIO()
    line = StatusLine(out)
    line.show("12 %")
    line.tell("note: x")
    line.clear()
    assert "note: x\n" == out.getvalue()


def test_a_line_is_shown_again_until_it_is_cancelled() -> None:
    """And taken away then."""
    out = Terminal()

    async def main() -> None:
        task = asyncio.create_task(StatusLine(out).keep(lambda: "going on"))
        while "going on" not in out.getvalue():  # noqa: ASYNC110 - a text tells nobody
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert out.getvalue().endswith("\r\x1b[K")
