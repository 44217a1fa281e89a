"""What goes wrong at a venue, over real sockets: every trouble ends safe, and the alert that tells of it is named.

Each case is one life of the real engine (adapter, session, core, database) on the local server of a venue, whose
faults are written as in a file of `exchange serve --faults`. Time is made up, so that minutes of an outage take none.
`docs/operations/venue-faults.md` shows the same table to people.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes.fault_rig import PRICE, STOP_TICKS, Minute, VenueRig, lived

from trading_engine.domain.ids import parse_client_order_id
from trading_engine.venue_servers.faults import Mishap, Rule

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "venue-faults.md"
VENUES = ("binance", "bingx", "zoomex")
ROUTINE = ("run", "entry", "opened", "closed")  # alerts of every life
CRASH = Minute(PRICE - 2 * STOP_TICKS, PRICE - 2 * STOP_TICKS)
ENTRY_S = 10.0  # the first candle closes


@dataclass(frozen=True, slots=True)
class Words:
    """How a venue says things.

    entry, stop       site of an order, and what is in the call of one that is an entry or a stop
    limited           status, headers and body for too many calls
    banned            likewise for an address or key that is shut out for a minute
    maintenance       likewise for a venue that is being worked on
    stop_refused      likewise for a stop that is not taken
    """

    entry: tuple[str, str]
    stop: tuple[str, str]
    limited: tuple[int, dict[str, str], str]
    banned: tuple[int, dict[str, str], str]
    maintenance: tuple[int, dict[str, str], str]
    stop_refused: tuple[int, dict[str, str], str]


_JSON = {"Content-Type": "application/json"}
_BINGX_PAUSE = "The endpoint trigger frequency limit rule is currently in the disabled period and will be unblocked"
WORDS = {
    "binance": Words(
        entry=("POST /fapi/v1/order", "type=MARKET"),
        stop=("POST /fapi/v1/algoOrder", "STOP_MARKET"),
        limited=(429, {**_JSON, "Retry-After": "2"}, '{"code":-1003,"msg":"Too many requests."}'),
        banned=(
            418,
            {**_JSON, "Retry-After": "60"},
            '{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until {later_ms}."}',
        ),
        maintenance=(400, _JSON, '{"code":-1016,"msg":"This service is no longer available."}'),
        stop_refused=(400, _JSON, '{"code":-4045,"msg":"Reach max stop order limit."}'),
    ),
    "bingx": Words(
        entry=("POST /openApi/swap/v2/trade/order", "type=MARKET"),
        stop=("POST /openApi/swap/v2/trade/order", "type=STOP_MARKET"),
        limited=(
            429,
            {**_JSON, "Retry-After": "2"},
            f'{{"code":109429,"msg":"{_BINGX_PAUSE} after {{later_ms}}","data":{{}}}}',
        ),
        banned=(418, _JSON, f'{{"code":100410,"msg":"{_BINGX_PAUSE} after {{later_ms}}","data":{{}}}}'),
        maintenance=(200, _JSON, '{"code":100503,"msg":"the server is busy, please try again later","data":{}}'),
        stop_refused=(200, _JSON, '{"code":110206,"msg":"the number of stop orders has reached its limit","data":{}}'),
    ),
    "zoomex": Words(
        entry=("POST /cloud/trade/v3/order/create", '"reduceOnly":false'),
        stop=("POST /cloud/trade/v3/order/create", "triggerPrice"),
        limited=(429, {"Content-Type": "text/plain", "Retry-After": "2"}, "too many requests"),
        banned=(403, {"Content-Type": "text/plain"}, "access too frequent"),
        maintenance=(503, {"Content-Type": "text/html"}, "<html>Service Unavailable</html>"),
        stop_refused=(
            200,
            _JSON,
            '{"retCode":110009,"retMsg":"The number of stop orders exceeds","result":{},"time":1}',
        ),
    ),
}
BAN_S = {"binance": 60, "bingx": 60, "zoomex": 600}  # without a word Zoomex wants ten minutes


def answered(at: tuple[str, str], how: tuple[int, dict[str, str], str], **more: object) -> Rule:
    """A call that is answered so, not carried out."""
    status, headers, body = how
    return Rule.model_validate(
        {
            "site": at[0],
            "contains": at[1],
            "fault": "status",
            "status": status,
            "headers": headers,
            "body": body,
            **more,
        }
    )


def at(place: tuple[str, str], fault: Mishap, **more: object) -> Rule:
    """What happens to a kind of call."""
    return Rule.model_validate({"site": place[0], "contains": place[1], "fault": fault, **more})


LATE_STREAM = Rule(site="stream.user", fault=Mishap.DELAY, delay_ms=500, until_ms=12_000)


# ── the stories ─────────────────────────────────────────────────────────────


async def round_trip(rig: VenueRig) -> None:
    """In, behind a stop, out by the stop."""
    await rig.enter()
    await rig.protected()
    rig.minutes.append(CRASH)
    await rig.flat()


async def round_trip_unknown(rig: VenueRig) -> None:
    """The same, with an entry of which nobody knows at first: the symbol takes no other."""
    await round_trip(rig)
    assert rig.doubts
    assert all(any("is unknown" in reason for reason in reasons) for reasons in rig.doubts)


async def never_taken(rig: VenueRig) -> None:
    """An entry that was never carried out stays in doubt until that is proven; then another one is."""
    await rig.enter()
    await rig.until(lambda: rig.position is None)
    assert [] == rig.entries
    await round_trip_unknown(rig)


async def refused_then_taken(rig: VenueRig) -> None:
    """An entry is refused; nothing is sent before the venue wants to hear of us, and the next candle's is taken."""
    await rig.enter()
    await rig.until(lambda: rig.position is None)
    assert [] == rig.entries
    calls = rig.calls
    await rig.later(1.5)
    assert calls == rig.calls
    await round_trip(rig)


async def banned_then_taken(rig: VenueRig) -> None:
    """The same, and nothing at all is asked for as long as a ban lasts."""
    await rig.enter()
    await rig.until(lambda: rig.position is None)
    assert [] == rig.entries
    calls = rig.calls
    await rig.later(BAN_S[rig.name] - 5)
    assert calls == rig.calls
    await rig.until(lambda: rig.pump.state.market.is_synced)
    await rig.later(5)
    await round_trip(rig)


async def closed_without_stop(rig: VenueRig) -> None:
    """A position without a stop is closed."""
    await rig.enter()
    await rig.until(lambda: bool(rig.entries))
    await rig.flat()


async def out_of_reach(rig: VenueRig) -> None:
    """The venue goes away while a position is open, and its stop fills meanwhile."""
    await rig.enter()
    await rig.protected()
    await rig.later(5)
    await rig.server.disconnect_all()
    await rig.until(lambda: "venue:down" in rig.alerts)
    assert "not reconciled with the venue yet" in rig.gates()
    assert rig.is_covered
    rig.minutes.append(CRASH)
    await rig.flat()
    await rig.until(lambda: "venue:up" in rig.alerts)


async def silent_stream(rig: VenueRig) -> None:
    """Nothing is told of the entry; what is read suffices, and the stream is made anew."""
    await rig.enter()
    await rig.protected()
    await rig.until(lambda: "stream:silent" in rig.alerts)
    await rig.until(lambda: rig.pump.state.market.is_synced and not rig.gates())
    rig.minutes.append(CRASH)
    await rig.flat()


async def late_stream(rig: VenueRig) -> None:
    """Nothing is entered before the stream is there."""
    assert rig.seconds > 15
    await round_trip(rig)


async def stop_in_vain(rig: VenueRig) -> None:
    """The stop triggers, nothing is traded, the price stays beyond it."""
    await rig.enter()
    await rig.protected()
    rig.minutes.append(CRASH)
    await rig.flat()


async def clock_jumps(rig: VenueRig) -> None:
    """The machine's clock goes wrong between two orders: one is refused, the clock measured, the next one taken."""
    rig.clock.wrong_by_ms += 3_000
    await rig.enter()
    await rig.until(lambda: rig.position is None)
    assert [] == rig.entries
    await round_trip(rig)


Story = Callable[[VenueRig], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Profile:
    """A trouble, what is lived through it, and which alerts tell of it; `told` and `does` are the words of the page.

    alerts      kinds of alerts, as `key` without numbers; `by_venue` where a venue differs
    clock_ms    how wrong the engine's clock is from the start
    """

    name: str
    told: str
    does: str
    story: Story
    rules: Callable[[Words, str], Sequence[Rule]]
    alerts: frozenset[str]
    by_venue: dict[str, frozenset[str]] = field(default_factory=dict)
    clock_ms: int = 0


def kinds(*names: str) -> frozenset[str]:
    return frozenset(names)


PROFILES = (
    Profile(
        "lost reply",
        "entry and stop are carried out, the answers get lost",
        "Both are UNKNOWN and looked up by their ids; the symbol takes no entry until that is answered. A"
        " stop without an answer for 2 s is sent again under a new id, and the extra one is cancelled.",
        round_trip_unknown,
        lambda say, _: [
            at(say.entry, Mishap.LOST_REPLY, visits=[1]),
            at(say.stop, Mishap.LOST_REPLY, visits=[1]),
            LATE_STREAM,
        ],
        kinds("unknown:entry", "unknown:stop"),
    ),
    Profile(
        "5xx, carried out",
        "the entry is answered with 502 and carried out",
        "UNKNOWN, looked up, found; the stop follows.",
        round_trip_unknown,
        lambda say, _: [at(say.entry, Mishap.STATUS_AFTER, visits=[1], status=502), LATE_STREAM],
        kinds("unknown:entry"),
    ),
    Profile(
        "5xx, not carried out",
        "the entry is answered with 500 and not carried out",
        "UNKNOWN and no entry on the symbol until the send window, the receive window and the visibility"
        " delay are over and a whole reading shows no such order: then VOID, and the next signal may enter.",
        never_taken,
        lambda say, _: [at(say.entry, Mishap.STATUS, visits=[1], status=500)],
        kinds("unknown:entry"),
    ),
    Profile(
        "429 on the entry",
        "the entry is answered with 429 and Retry-After",
        "The entry is abandoned, nothing is sent before the time that the venue names. Zoomex documents no"
        " such answer, so there it proves nothing: as a 5xx.",
        refused_then_taken,
        lambda say, _: [answered(say.entry, say.limited, visits=[1], delay_ms=2_000)],
        kinds("rejected:entry"),
        {"zoomex": kinds("unknown:entry")},
    ),
    Profile(
        "429 on the stop",
        "the stop is answered with 429 and Retry-After",
        "The stop is placed again when the time has come; a position without a confirmed stop for 5 s is closed.",
        round_trip,
        lambda say, _: [answered(say.stop, say.limited, visits=[1], delay_ms=2_000)],
        kinds("rejected:stop"),
        {"zoomex": kinds("unknown:stop")},
    ),
    Profile(
        "ban on the entry",
        "the entry is answered with a ban",
        "The entry is abandoned and nothing at all is sent until the ban is over (Zoomex names no time: ten minutes).",
        banned_then_taken,
        lambda say, _: [answered(say.entry, say.banned, visits=[1], delay_ms=60_000)],
        kinds("rejected:entry"),
        {"zoomex": kinds("rejected:entry", "venue:lost", "venue:down", "venue:up")},
    ),
    Profile(
        "ban on the stop",
        "the entry fills, the stop is answered with a ban",
        "After 5 s without a stop the position is to be closed; exit and stop leave in the moment in which"
        " the ban ends. Until then nothing can protect it.",
        closed_without_stop,
        lambda say, _: [answered(say.stop, say.banned, visits=[1], delay_ms=60_000)],
        kinds("rejected:stop", "unprotected", "rejected:exit", "venue:lost"),
        {
            "zoomex": kinds(
                *("rejected:stop", "unprotected", "rejected:exit", "stuck", "venue:lost", "venue:down", "venue:up")
            )
        },
    ),
    Profile(
        "maintenance",
        "every call is answered with the venue's word for it and the streams are cut",
        "No entries; the stop rests at the venue and may fill there. What happened is read and booked when"
        " the venue is back.",
        out_of_reach,
        lambda say, _: [
            answered((site, ""), say.maintenance, from_ms=14_000, until_ms=104_000)
            for site in ("GET ", "POST ", "PUT ", "DELETE ", "CONNECT ")
        ],
        kinds("venue:lost", "venue:down", "venue:up"),
    ),
    Profile(
        "silent user stream",
        "the stream stays open and tells nothing of the account for a minute",
        "The fill is found by asking for the order; the stop follows. A stream that has not told a fill 10 s"
        " after it was read is made anew, and the account read.",
        silent_stream,
        lambda *_: [Rule(site="stream.user", fault=Mishap.DROP, until_ms=60_000)],
        kinds("stream:silent", "venue:lost"),
    ),
    Profile(
        "no user stream at the start",
        "the stream cannot be opened for the first 15 s",
        "No entries before the stream is there and the account was read; at Binance the start waits for it.",
        late_stream,
        lambda *_: [Rule(site="CONNECT ", fault=Mishap.STATUS, until_ms=15_000)],
        kinds("venue:lost"),
        {"binance": kinds()},
    ),
    Profile(
        "expired key of the stream",
        "the key expires in the moment in which the stop fills",
        "The stream is made anew with a new key (Zoomex: signed in anew), the account is read, the fill booked.",
        round_trip,
        lambda *_: [Rule(site="stream.user", fault=Mishap.EXPIRE, from_ms=20_000, until_ms=120_000)],
        kinds("venue:lost"),
    ),
    Profile(
        "clock 3 s ahead",
        "since the start",
        "Requests carry the venue's time as it was measured at the start; the ledger is dated by it.",
        round_trip,
        lambda *_: [],
        kinds(),
        clock_ms=3_000,
    ),
    Profile("clock 3 s behind", "since the start", "As above.", round_trip, lambda *_: [], kinds(), clock_ms=-3_000),
    Profile(
        "clock jumps ahead by 3 s",
        "between two orders",
        "The entry is refused for its timestamp and not repeated; the clock is measured before the next request.",
        clock_jumps,
        lambda *_: [],
        kinds("rejected:entry"),
    ),
    Profile(
        "reordered and duplicated events",
        "every other message of the user stream comes twice, the others change places",
        "Each fill is booked once, to the order it belongs to; an exit told before its entry waits for the"
        " whole story.",
        round_trip,
        lambda *_: [
            Rule(site="stream.user", fault=Mishap.DUPLICATE, every=2),
            Rule(site="stream.user", fault=Mishap.SWAP, delay_ms=400),
        ],
        kinds(),
    ),
    Profile(
        "stop rejected",
        "the venue refuses the stop with a code of its own",
        "The position is closed at market at once.",
        closed_without_stop,
        lambda say, _: [answered(say.stop, say.stop_refused, visits=[1])],
        kinds("rejected:stop"),
    ),
    Profile(
        "stop triggered, ended unfilled",
        "the stop triggers, finds nobody, and the venue ends it",
        "A new stop is refused because the price is beyond it, and the position is closed at market.",
        stop_in_vain,
        lambda *_: [Rule(site="trigger", fault=Mishap.UNFILLED, visits=(1,))],
        kinds("rejected:stop"),
    ),
    Profile(
        "stop triggered, stuck",
        "the stop triggers and stays open without a fill",
        "The first candle that closes beyond the stop has the venue asked; after the second the position is"
        " closed at market.",
        stop_in_vain,
        lambda *_: [Rule(site="trigger", fault=Mishap.STUCK, visits=(1,), delay_ms=600_000)],
        kinds("unfilled"),
    ),
)


# ── the end ─────────────────────────────────────────────────────────────────


def kind_of(rig: VenueRig, key: str) -> str:
    """An alert's key without its numbers: `rejected:P000001:stop` is `rejected:stop`."""
    first, *rest = key.split(":")
    said = [part for part in rest if not re.fullmatch(r"P\d+", part)]
    named = [parse_client_order_id(part) for part in said]
    return ":".join([first, *(part if id_ is None else id_.purpose for part, id_ in zip(said, named, strict=True))])


def require_safe(rig: VenueRig, alerts: frozenset[str]) -> None:
    """Nothing in doubt, one entry a position, covered or flat on both sides, money that agrees, the alerts named."""
    book = rig.pump.state.book
    assert not [order for order in rig.orders if order.state.is_unresolved], rig.told()
    taken = Counter(order.client_order_id[:-6] for order in rig.entries)
    assert all(count == 1 for count in taken.values()), rig.told()
    ours = sum(position.quantity * position.side.sign for position in book.positions.values())
    assert ours == rig.held, rig.told()
    assert rig.is_covered if rig.held else not rig.open_orders, rig.told()
    assert rig.exchange.wallet == book.ledger.balance, rig.told()
    assert [] == rig.audit_failures, rig.told()
    told = {kind_of(rig, key) for key in rig.alerts}
    assert alerts == {kind for kind in told if kind.split(":")[0] not in ROUTINE}, rig.told()


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name.replace(" ", "-"))
def test_every_trouble_at_a_venue_ends_safe_and_is_told(tmp_path: Path, venue: str, profile: Profile) -> None:
    """One entry at most, covered or flat, ledger and wallet equal, and just the alerts that are named."""

    async def story() -> None:
        rig = VenueRig(tmp_path, venue, profile.rules(WORDS[venue], venue))
        rig.clock.wrong_by_ms = profile.clock_ms
        try:
            await rig.begin()
            await profile.story(rig)
            require_safe(rig, profile.by_venue.get(venue, profile.alerts))
            await rig.end()
        finally:
            rig.shut()

    lived(story)


# ── the page ────────────────────────────────────────────────────────────────


def row_of(profile: Profile) -> str:
    """The line of the page."""
    named = [_named(profile.alerts)]
    named += [f"{venue}: {_named(alerts)}" for venue, alerts in sorted(profile.by_venue.items())]
    return f"| {profile.name} | {profile.told} | {profile.does} | {'; '.join(named)} |"


def _named(alerts: frozenset[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in sorted(alerts)) or "none"


def test_the_page_shows_what_is_lived_here() -> None:
    """Trouble, what the engine does, alerts: line by line."""
    shown = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert [row_of(profile) for profile in PROFILES] == shown[1 : 1 + len(PROFILES)]


def test_the_page_explains_every_alert() -> None:
    """Each kind that is named in a row has a line of its own."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    explained = {match[1] for line in lines if (match := re.match(r"\| `([a-z:]+)` \|", line))}
    named = {kind for profile in PROFILES for kinds in (profile.alerts, *profile.by_venue.values()) for kind in kinds}
    assert named <= explained
