"""Write docs/alerts.md: every kind of alert and what to do about it.

python docs/make_alerts.py          write it
python docs/make_alerts.py --check  exit 1 where the page differs from the table

The table is `trading_engine/alerts/remedies.py`; each message ends with its line of it.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from trading_engine.alerts.remedies import RULES  # noqa: E402 - the path comes first

PAGE = ROOT / "docs" / "alerts.md"
HEAD = """# Alerts

An alert is a row that is committed together with what it reports; a worker that no decision ever waits for carries it
to the channels (`alerts.channels`, any service of Apprise). A message says what happened, what to do, and when:

```
trading-engine: critical
BTCUSDT: stop of P000012 is not confirmed in time; closing the position
→ it is being closed; see at the venue that it is, else close it there by hand
2026-11-21T20:16:48.045Z
```

- **Routing**: each channel has a `min_severity` (info, warning, critical).
- **Throttle**: alerts of one kind within `throttle_s` become one message that counts them; a graver one is never held.
- **Outage of a channel**: retried with pauses that double up to five minutes; then one digest instead of a flood.
- **A receiver that hangs, refuses or answers without end** costs one thread a channel, bounded memory and nothing else.
- **Dead man's switch**: `alerts.heartbeat.url` is called every minute, only while candles are decided on; the service
  behind it raises the alarm when the calls stop.
- **Before the venue is reached**, too: a start that cannot reach its venue says so, at once where positions are open.

`trading-engine alerts test --config FILE` sends a message to every channel.

Keys are what stands in the log and in `alert_outbox`; what follows them names the position, order or symbol.

| key | about | what to do |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(f"| `{key}` | {rule.about} | {rule.remedy} |\n" for key, rule in sorted(RULES.items()))


def main() -> int:
    """Write or check."""
    if "--check" in sys.argv:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
