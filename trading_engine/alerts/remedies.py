"""What to do about each kind of alert: one line for each key, in the words of somebody who is woken by it.

What belongs here: the table, by the beginning of an alert's key. What does not: when an alert is raised (core), what
happened (the alert's own text). docs/alerts.md shows the table.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Rule(NamedTuple):
    """A kind of alert: what it is about, and what to do."""

    about: str
    remedy: str


_LOOK = "nothing to do; `trading-engine positions` shows it"

RULES: Mapping[str, Rule] = {
    "run:started": Rule("started", "nothing to do; if you did not start it, `trading-engine status` says since when"),
    "run:stopped": Rule(
        "stopped", "nothing to do if you stopped it; otherwise start it again, stops rest at the venue"
    ),
    "run:crashed": Rule(
        "crashed", "read the log of the run before; `trading-engine audit` proves that nothing is lost"
    ),
    "entry": Rule("order placed", _LOOK),
    "withheld": Rule(
        "entry of a run with --signals-only",
        "nothing to do, nothing was sent; `trading-engine signals` shows what would have been ordered",
    ),
    "rejected": Rule(
        "order rejected",
        "`trading-engine orders` shows the reason; where it is critical: look at the position at the venue now",
    ),
    "unknown": Rule(
        "outcome of an order unknown", "wait a minute, it is being asked after; then `trading-engine orders`"
    ),
    "gone": Rule("order gone at the venue", "if you cancelled it there, nothing; otherwise ask the venue why"),
    "key:refused": Rule(
        "authentication failure",
        "check key, permissions and address list at the venue; after a change of the key restart the engine",
    ),
    "key:accepted": Rule("authentication works again", "nothing to do"),
    "opened": Rule("position opened", _LOOK),
    "partial": Rule("part of a profit taken", _LOOK),
    "dropped": Rule(
        "position dropped by an operator",
        "book what the wallet lost or won by it (`trading-engine reconcile --apply --book-gap`), then"
        " `trading-engine resume`; if that was not you, look who was at the machine",
    ),
    "closed": Rule("position closed", "nothing to do; `trading-engine trades` shows it"),
    "unprotected": Rule(
        "stop not confirmed", "it is being closed; see at the venue that it is, else close it there by hand"
    ),
    "unfilled": Rule("stop passed without a fill", "it is being closed; see at the venue that it is"),
    "stuck": Rule(
        "position stuck",
        "look at it at the venue; if it does not close: `trading-engine flatten`, or by hand there; if the venue holds"
        " none of it: `trading-engine reconcile --plan`",
    ),
    "aged": Rule("position older than its limit", "decide whether it should go on; `exits.on_max_age` can close it"),
    "liquidation": Rule("liquidation near", "reduce it, or add margin at the venue; lower `leverage` for the next"),
    "outside": Rule("position changed from outside", "if that was not you, change the account's password and keys now"),
    "late": Rule("late fill", "nothing to do if `trading-engine positions` is flat in a minute; else close it by hand"),
    "limit": Rule(
        "limit tripped", "`trading-engine risk` shows the numbers; `trading-engine resume` only if you mean it"
    ),
    "shock": Rule("market too wild", "nothing to do; entries come back by themselves"),
    "control:RUN": Rule("trading resumed", "if that was not you, `touch STOP` and look who was at the machine"),
    "control": Rule(
        "kill switch raised", "find the cause, then `trading-engine resume`; positions keep their stops meanwhile"
    ),
    "pause": Rule("entries paused, or not any more", "nothing to do; `trading-engine resume` ends a pause"),
    "config:changed": Rule("configuration changed", "if that was not you, look who was at the machine"),
    "strategy": Rule("strategy switched", "nothing to do; `trading-engine status` lists what is off"),
    "venue:lost": Rule("venue not heard", "nothing to do yet; you are told if it lasts"),
    "venue:down": Rule(
        "venue down", "see the venue's status page and the machine's network; watch open positions at the venue"
    ),
    "venue:up": Rule("venue up again", "nothing to do; the account was compared"),
    "stream:silent": Rule("user stream deaf", "nothing to do; if it repeats every hour, restart the engine"),
    "slow:calls": Rule("slow API", "see the venue's status page and the machine's load; entries go on"),
    "slow:over": Rule("API answers in time again", "nothing to do"),
    "clock:blocked": Rule("clock drift", "set the machine's clock right now: `timedatectl set-ntp true`"),
    "clock:off": Rule("clock drift", "have the clock kept right: `timedatectl set-ntp true`"),
    "clock": Rule("clock right again", "nothing to do"),
    "feed:stale": Rule("data stale", "see the venue's status page; entries wait, stops rest at the venue"),
    "feed": Rule("market data odd", "nothing to do unless it lasts an hour; then restart the engine"),
    "errors:blocked": Rule("repeated errors", "see the log for the cause; entries come back after an answer"),
    "errors": Rule("errors over", "nothing to do"),
    "wallet": Rule(
        "reconciliation difference", "`trading-engine reconcile --plan` shows it; book a transfer as it says"
    ),
    "orphan": Rule("reconciliation difference", "`trading-engine reconcile --plan`; was a backup restored?"),
    "frozen": Rule("symbol frozen", "`trading-engine reconcile --plan`, put it right, then `trading-engine resume`"),
    "pnl": Rule("reconciliation difference", "compare the trade at the venue; its figure is the one that is booked"),
    "fee": Rule(
        "fees in another asset",
        "PnL leaves these fees out; switch them back to the settle asset at the venue"
        " (Binance: futures settings, use BNB for fees: off)",
    ),
    "foreign_order": Rule("order of somebody else", "cancel it at the venue, or leave it; it counts as exposure"),
    "foreign": Rule("position of somebody else", "close it at the venue, or set `reconciliation` to what you want"),
    "taken_over": Rule("position taken over", "see that its stop is where you want it: `trading-engine positions`"),
    "slippage": Rule(
        "abnormal slippage", "smaller sizes, quieter hours or a more liquid symbol; `trading-engine trades`"
    ),
    "degraded": Rule(
        "strategy degradation", "`trading-engine strategy disable NAME` ends its entries; backtest it on recent candles"
    ),
    "component": Rule("part of the engine failed", "`trading-engine health` shows it; the log has the cause; restart"),
    "disk:full": Rule("disk full", "free space now (old backups, logs); entries wait until then"),
    "disk": Rule("disk", "free space: old backups, logs, candles; `trading-engine doctor` names the folders"),
    "summary:day": Rule("daily summary", "`trading-engine trades` and `trading-engine risk` have the details"),
    "summary:hour": Rule("hourly summary", "nothing to do"),
}
"""By the beginning of a key, the longest that fits counts."""


def rule_of(key: str) -> Rule | None:
    """The rule of an alert, None for a key that no rule begins."""
    parts = key.split(":")
    for length in (2, 1):
        found = RULES.get(":".join(parts[:length]))
        if found is not None:
            return found
    return None


def remedy_of(key: str) -> str:
    """What to do about an alert."""
    found = rule_of(key)
    return found.remedy if found else "`trading-engine status` and the log say more"
