"""Tables on a terminal: alignment, narrow windows, colour."""

import io
from decimal import Decimal

import pytest
from rich.console import Console

from trading_engine.cli import table
from trading_engine.cli.line import Cell, Line
from trading_engine.cli.table import Column, Out, Pipe
from trading_engine.cli.window import Window

COLUMNS = (
    Column("NAME"),
    Column("PRICE", is_number=True, gives_way=1),
    Column("QTY", is_number=True),
    Column("TAG", gives_way=2),
)
ROWS = [["a", "61,240.5", Cell("0.008", table.GOOD), "first"], ["bbbb", "9", "4", "x"]]


def printed(width: int, *, colour: bool = False) -> list[str]:
    """The table in a window of this width."""
    file = io.StringIO()
    out = Console(file=file, width=width, force_terminal=colour, color_system="standard" if colour else None)
    table.show(Window(out), COLUMNS, ROWS)
    return file.getvalue().splitlines()


def test_numbers_stand_below_each_other_and_no_line_trails_off() -> None:
    """Texts to the left, decimal points in one column, one space in front of every line."""
    assert [
        " NAME     PRICE    QTY  TAG",
        " a     61,240.5  0.008  first",
        " bbbb       9    4      x",
    ] == printed(80)


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (30, [" NAME     PRICE    QTY  TAG", " a     61,240.5  0.008  first"]),
        (27, [" NAME    PRICE   QTY TAG", " a    61,240.5 0.008 first"]),
        (25, [" NAME     PRICE    QTY", " a     61,240.5  0.008", "   tag first"]),
        (18, [" NAME    QTY", " a     0.008", "   price 61,240.5 · tag first"]),
        (10, [" NAME", " a", "   price 61,240.5 · qty 0.008 · tag first"]),
    ],
)
def test_columns_give_way_on_a_narrow_terminal(width: int, lines: list[str]) -> None:
    """Closer first, then to a second line, the least important first: nothing is lost and nothing is too wide."""
    assert lines == printed(width)[: len(lines)]


def test_what_is_not_known_takes_no_place_on_the_second_line() -> None:
    """Dashes and blanks are left out there."""
    file = io.StringIO()
    table.show(Window(Console(file=file, width=22)), COLUMNS, [["a", "—", "1", ""], ["b" * 9, "2", "123456789", "x"]])
    assert [
        " NAME             QTY",
        " a                  1",
        " bbbbbbbbb  123456789",
        "   price 2 · tag x",
    ] == file.getvalue().splitlines()


def test_a_long_line_goes_on_below_in_a_window_and_stays_whole_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Broken between words, indented; a script reads one line."""
    words = "no limit tripped · engine not running · last decision —"
    file = io.StringIO()
    table.say(Window(Console(file=file, width=29)), words)
    assert [" no limit tripped · engine", "   not running · last", "   decision —"] == file.getvalue().splitlines()
    table.say(Pipe(), words)
    assert f" {words}\n" == capsys.readouterr().out


def test_colour_is_written_only_to_a_terminal() -> None:
    """The same cell with and without one."""
    assert "\x1b[32m0.008" in printed(80, colour=True)[1]
    assert "\x1b" not in printed(80)[1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", Cell("+1.00", table.GOOD)),
        ("-1", Cell("−1.00", table.BAD)),
        ("0", Cell("0.00")),
        (None, Cell("—")),
    ],
)
def test_a_result_is_green_or_red_or_neither(value: str | None, expected: Cell) -> None:
    """Colour says whether money was made or lost."""
    assert expected == table.pnl(None if value is None else Decimal(value))


def test_a_pipe_gets_the_lines_of_a_wide_window(capsys: pytest.CaptureFixture[str]) -> None:
    """Letter by letter, of any width, without what a terminal would obey."""
    rows: list[list[Cell | str]] = [*ROWS, ["漢字", "−1.5", "2", "é\ré"], ["", "", "", ""]]
    file = io.StringIO()
    window = Window(Console(file=file, width=200))
    outs: tuple[Out, Out] = (window, Pipe())
    for out in outs:
        table.show(out, COLUMNS, rows)
        table.say(out, "")
        table.say(out, Line(Cell("a", table.BAD), Cell(" b")))
        out.write(Line(Cell("as it is")))
    told = capsys.readouterr().out
    assert file.getvalue() == told
    assert " 漢字      −1.5  2      éé\n" in told


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_pipe_may_be_wanted_in_colour(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """As the terminals of build servers are; it is as wide as any pipe, and its lines stay whole."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert isinstance(table.console(), Pipe)
    for value in ("1", "0", ""):
        monkeypatch.setenv(name, value)
        out = table.console()
        assert isinstance(out, Window)
        assert 200 == out.width
        table.say(out, "word " * 60)
    assert 3 == capsys.readouterr().out.count("\n")


def test_a_line_is_in_the_pipe_once_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads may be gone, the disk may be full, and the process may die in a minute."""
    file = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(file, encoding="utf-8"))
    table.say(table.console(), "a line")
    assert b" a line\n" == file.getvalue()


def test_a_pipe_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody looks through a window, no column gives way; COLUMNS is obeyed."""
    monkeypatch.delenv("COLUMNS", raising=False)
    assert 200 == table.console().width
    monkeypatch.setenv("COLUMNS", "90")
    assert 90 == table.console().width


def test_brackets_are_texts_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A reason that a venue gave is shown as it is."""
    table.say(table.console(), "[red]x[/red] :smile:")
    assert " [red]x[/red] :smile:\n" == capsys.readouterr().out
