"""What BingX's codes mean, as data.

What belongs here: every code whose meaning is known, the texts that tell overloaded codes apart, the instant that a
ban names. What does not: what follows from a meaning (wire.outcome, venue).

The codes were renumbered in October 2025 and both numberings are still answered; 109400 alone means twenty
different things, so some codes only mean something together with their text. The key of such a pair is the code,
a blank and the text's fragment. A code, or a pair, that is not listed proves nothing.
"""

import re
from collections.abc import Mapping

from trading_engine.venues.wire.outcome import CodeTable, Meaning

OVERLOADED = ("109400", "80001", "80014", "109414")

# fragments in lower case, the first that is found counts
TEXTS: tuple[tuple[tuple[str, ...], str, Meaning], ...] = (
    ((*OVERLOADED, "100400", "100421"), "timestamp", Meaning.CLOCK),
    (OVERLOADED, "order not exist", Meaning.NOT_FOUND),
    (OVERLOADED, "order doesn't exist", Meaning.NOT_FOUND),
    (OVERLOADED, "order does not exist", Meaning.NOT_FOUND),
    (OVERLOADED, "order is already filled", Meaning.NOT_OPEN),
    (OVERLOADED, "symbol not exist", Meaning.REFUSED),
    (OVERLOADED, "positionside", Meaning.REFUSED),
    (OVERLOADED, "reduceonly", Meaning.REFUSED),
    (OVERLOADED, "'side' field", Meaning.REFUSED),
    (OVERLOADED, "parameter quantity or stopprice is must", Meaning.REFUSED),
    (OVERLOADED, "margin is not enough", Meaning.REFUSED),
    (OVERLOADED, "insufficient margin", Meaning.REFUSED),
    (OVERLOADED, "positions or pending orders", Meaning.REFUSED),
    (OVERLOADED, "api orders are temporarily disabled", Meaning.BUSY),
    (OVERLOADED, "copy trading signal in process", Meaning.BUSY),
    (OVERLOADED, "assets are being processed", Meaning.BUSY),
    (OVERLOADED, "more than seven days", Meaning.REFUSED),
    (("101400",), "client order id", Meaning.DUPLICATE),
    (("101400",), "clientorderid", Meaning.DUPLICATE),
    (("101400",), "client_order_id", Meaning.DUPLICATE),
)

_BY_MEANING: Mapping[Meaning, tuple[str, ...]] = {
    Meaning.REFUSED: (
        "100202",  # insufficient balance
        "100204",  # no data, unknown symbol
        "100400",  # bad parameter
        "100404",  # no such path
        "100437",
        "100440",  # too far from the market
        "100490",  # pair offline
        "101402",
        "80013",  # too many pending orders
        "80015",
        "80017",  # no position
        "109420",
        "80403",
        "80020",  # risk control of too many requests or cancels
        "40029",
        "109403",
        "101201",  # position too large for the leverage
        "101202",  # below the minimum
        "110422",
        "101204",  # insufficient margin
        "101206",
        "101253",
        "110424",
        "101212",
        "101205",  # no position to close
        "110203",  # closable amount insufficient
        "101209",  # position value for the leverage
        "110287",
        "101414",  # leverage above the limit
        "101211",  # price outside of the band
        "110402",
        "101215",  # post-only would take
        "101222",  # leverage risk
        "101290",  # reduce-only would open
        "101400",  # validation, where it is not about the client id
        "101413",  # outside of trading hours
        "104424",
        "101415",  # pair suspended
        "110280",
        "101514",  # account suspended from trading
        "101515",
        "101419",  # too many pending orders
        "101424",  # position limits
        "101429",
        "112414",
        "101434",  # trial fund, lead trader, pending TWAP
        "104414",
        "109430",
        "101460",  # beyond the liquidation price
        "101461",
        "101479",  # not isolated
        "101483",  # KYC, region
        "101484",
        "101485",  # closing size below the minimum
        "102201",  # would make the account negative
        "104103",  # mode change with positions or orders
        "109401",
        "104108",
        "109417",  # pre-launch, offline
        "109418",
        "109425",  # no such symbol
        "110206",  # count of stops
        "110284",
        "110400",
        "110426",
        "110406",  # a stop for the position exists
        "110407",
        "110411",  # stop on the wrong side of the price
        "110412",
        "110413",
        "110414",
        "110415",
        "110418",
        "110419",
        "110420",
        "110425",  # precision
        "110427",
        "110428",
    ),
    Meaning.BUSY: (
        "HTTP 429",
        "HTTP 418",
        "HTTP 403",
        "100409",
        "100410",
        "109429",
        "101214",  # funding is being settled
        "101219",  # assets are being processed
        "101412",  # account information changed
    ),
    Meaning.CLOCK: ("100421",),
    Meaning.KEY: (
        "100001",  # signature
        "100004",  # permission
        "100401",
        "100412",  # signature missing
        "100413",  # key
        "100414",  # account abnormal, region
        "100441",
        "101210",
        "100419",  # address not on the key's list
    ),
    Meaning.DUPLICATE: ("101481", "109201"),
    Meaning.NOT_OPEN: ("80018", "109422"),
    Meaning.NOT_FOUND: ("80016", "109421"),
    Meaning.UNKNOWN: (
        "100500",
        "100503",
        "80012",
        "109500",
        "80019",
        "109423",
        "101500",
        "109701",
        "110500",
    ),
}

MEANINGS: Mapping[str, Meaning] = {code: meaning for meaning, codes in _BY_MEANING.items() for code in codes} | {
    f"{code} {fragment}": meaning for codes, fragment, meaning in TEXTS for code in codes
}
TABLE = CodeTable("bingx", MEANINGS)

LIMITED = frozenset({"HTTP 429", "100409", "100410", "109429"})  # this call only, until an instant that is named
BANNED = frozenset({"HTTP 418", "HTTP 403"})  # every call
BAN_MS = 300_000  # how long it lasts where no instant is named

_WRAPPERS = frozenset({"80012", "109500"})
_INNER_CODE = re.compile(r'"code"\s*:\s*"?(\d{4,6})\b', re.IGNORECASE)
_INSTANT = re.compile(r"(?<!\d)(1\d{12})(?!\d)")


def key_of(code: str, text: str) -> str:
    """What the table lists a code under, given the text that came with it."""
    lowered = text.lower()
    if code in _WRAPPERS:
        inner = _INNER_CODE.search(text)
        if inner is not None:
            return inner.group(1)
    for codes, fragment, _ in TEXTS:
        if code in codes and fragment in lowered:
            return f"{code} {fragment}"
    return code


def named_instant_ms(text: str) -> int | None:
    """The instant, in ms of the venue's clock, at which a ban ends, where the text names one."""
    found = _INSTANT.search(text)
    return int(found.group(1)) if found else None
