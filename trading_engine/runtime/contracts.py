"""What a venue said of its contracts, kept beside the paper account that trades in their units.

What belongs here: keeping and reading it, and whether a change of it harms what is open. What does not: asking the
venue (paper_live), facts that are built in (venues.embedded).

The paper exchange counts in ticks and steps: its memory means something only together with what they were.
"""

import os
from collections.abc import Collection, Mapping

import msgspec

from trading_engine.domain import money
from trading_engine.domain.errors import ConfigInvalid
from trading_engine.domain.instrument import Instrument
from trading_engine.system.state_dir import StateDir


def keep(state: StateDir, traded: Mapping[str, Instrument]) -> None:
    """Write them down, beside those of symbols that are not traded any more."""
    known = {**kept(state), **traded}
    draft = state.contracts.with_name(f".{state.contracts.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode([known[symbol] for symbol in sorted(known)]))
    draft.replace(state.contracts)


def kept(state: StateDir) -> Mapping[str, Instrument]:
    """By symbol, what was written down; ConfigInvalid where the file cannot be read."""
    if not state.contracts.exists():
        return {}
    try:
        found = msgspec.json.decode(state.contracts.read_bytes(), type=list[Instrument])
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigInvalid(
            f"{state.contracts}: unreadable ({type(error).__name__}); restore it, or delete it while nothing is open"
        ) from None
    return {instrument.symbol: instrument for instrument in found}


def changed(before: Mapping[str, Instrument], now: Mapping[str, Instrument], held: Collection[str]) -> str:
    """Why a run must not begin: the units of something that is open are others now. Empty where it may."""
    for symbol in sorted(set(held) & set(before) & set(now)):
        for what in ("tick", "step"):
            was, has = getattr(before[symbol], what), getattr(now[symbol], what)
            if was != has:
                return (
                    f"{symbol} is open and its {what} was {money.text(was)}, the venue says {money.text(has)} now; set"
                    f" paper.instruments.{symbol}.{what}: {money.text(was)} until it is closed"
                )
    return ""
