"""Write docs/operations/what-happens-when.md: what a death at each crash point leaves, and what a start does.

    python docs/make_what_happens_when.py            write the page
    python docs/make_what_happens_when.py --check    exit 1 where the page is not what the simulation shows

Every row is a run of the simulation's short story (one position from entry to exit, filled in slices) in which
the process dies at that very place and is started again; nothing here is written by hand.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trading_engine.domain.records import FillApplied, OrderUpdated, PositionAdvanced, Record
from trading_engine.simulation.faults import Fault
from trading_engine.simulation.runner import live_sequence
from trading_engine.simulation.sequences import Pair
from trading_engine.simulation.telling import kind_of
from trading_engine.simulation.world import Noted, Result

PAGE = Path(__file__).parent / "operations" / "what-happens-when.md"
POINTS = (
    ("engine.commit.before", range(3, 9)),
    ("engine.commit.inside", range(3, 5)),
    ("engine.commit.after", range(3, 9)),
    ("send.before", range(1, 9)),
    ("send.after", range(1, 9)),
    ("cancel.before", range(1, 4)),
    ("cancel.after", range(1, 4)),
    ("lookup.after", range(1, 3)),
    ("snapshot.after", range(1, 4)),
)
_HEAD = """\
# What happens when the process dies

A process can die between any two steps: power, kernel, `kill -9`. This table is made by
`docs/make_what_happens_when.py` from the simulation: each row is one life of the same short story (a long position
in BTCUSDT, filled in slices, with stop, targets and an exit by signal) in which the process dies at the place named
on the left and is started again after a pause. A test fails when the table and the engine disagree.

How to read it: orders are named by purpose and generation, "stop 2" is the second stop order of the position.
*Place* is a hook in the code, with the number of its visit and what was going on; *exchange* and *database* say what
each of them holds at that instant; *then* is what the next start does, with the seconds since that start, until the
position is in order.

What never changes: a row is committed before each request, so nothing at the exchange is unknown to the database;
an order without an answer stays UNKNOWN until the exchange proves what became of it; the stop rests at the exchange
and needs no process.

| place | exchange | database | then |
|---|---|---|---|
"""


class Row(NamedTuple):
    """One line of the table."""

    place: str
    exchange: str
    database: str
    then: str


def rows() -> Iterator[Row]:
    """Live the story once a crash point and visit."""
    for point, visits in POINTS:
        for visit in visits:
            result = live_sequence((Pair(f"die.{point}", visit, Fault.DEATH),))
            if result.violations:
                raise SystemExit(f"{point} {visit}: {result.violations[0]}")
            row = _row(point, visit, result)
            if row is not None:
                yield row


def _row(point: str, visit: int, result: Result) -> Row | None:
    lines = result.noted
    died = next((at for at, line in enumerate(lines) if line[1] == "engine" and str(line[2]).startswith("died")), None)
    if died is None:
        return None
    doing = _doing(lines[:died])
    left = (str(what) for _, _, what in lines[died + 1 : died + 3])
    return Row(f"`{point}` {visit}: {doing}", *left, _then(lines[died + 3 :]))


def _doing(lines: Sequence[Noted]) -> str:
    """What the engine was about when it died: its last step."""
    for _, who, what in reversed(lines):
        if who == "send":
            return f"sending {_order(str(what))}"
        if not isinstance(what, str):
            order_id = _order_id(what)
            return f"after “{kind_of(what)}{' of ' + _order(order_id) if order_id else ''}”"
    return "starting"


def _order_id(record: Record) -> str:
    """The order that a record is about, empty where it is about none of ours."""
    about = getattr(record, "order", None) or getattr(record, "fill", None) or record
    return str(getattr(about, "client_order_id", ""))


def _order(text: str) -> str:
    purpose = {"e": "entry", "s": "stop", "t": "target", "p": "partial", "x": "exit"}[text[12]]
    leg = int(text[13], 36) + 1 if purpose == "partial" else ""
    return f"{purpose}{leg} {int(text[14:18], 36)}"


def _then(lines: Sequence[Noted]) -> str:
    """What the next incarnation did about orders and position, the first seconds of it."""
    start = next((line[0] for line in lines if line[1] == "engine"), None)
    if start is None:
        return "nothing: the story was over"
    told: list[str] = []
    for at_ms, who, what in lines:
        seconds = f"{(at_ms - start) / 1000:.1f} s"
        if at_ms - start > _SHOWN_MS:
            break
        if who == "send":
            told.append(f"{seconds}: sends {_order(str(what))}")
        elif not isinstance(what, str) and (found := _outcome(what)):
            told.append(f"{seconds}: {found}")
    return "; ".join(told[:_MOST]) or "all is in order: waits for the next event"


def _outcome(record: Record) -> str:
    if isinstance(record, OrderUpdated):
        return f"{_order(record.client_order_id)} is {record.state}"
    if isinstance(record, FillApplied):
        return f"books a fill of {_order(record.fill.client_order_id)}"
    return f"position {record.target}" if isinstance(record, PositionAdvanced) else ""


_SHOWN_MS = 25_000
_MOST = 7


def page() -> str:
    """The whole page."""
    lines = [f"| {row.place} | {row.exchange} | {row.database} | {row.then} |" for row in rows()]
    return _HEAD + "\n".join(lines) + "\n"


def main() -> int:
    """Write or check."""
    text = page()
    if "--check" in sys.argv:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
