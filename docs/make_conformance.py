"""Write conformance.md from the table of rules for venue adapters.

python docs/make_conformance.py          write it
python docs/make_conformance.py --check  exit 1 where the page differs from the table
"""

import sys
import tomllib
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "trading_engine" / "venues" / "conformance.toml"
PAGE = ROOT / "docs" / "conformance.md"
VENUES = {"binance": "Binance", "bingx": "BingX", "zoomex": "Zoomex", "embedded": "embedded"}

HEAD = """# What a venue adapter must do

Made from `trading_engine/venues/conformance.toml` by `python docs/make_conformance.py`; there each rule names the
tests that prove it, venue by venue. `tests/quality/test_conformance.py` fails where a rule has no answer for a venue,
names a test that does not exist or that the venue skips, or where a case of the contract belongs to no rule.

✓ is proven by tests. A number is an exemption, with its reason below the table. `of` names what a rule is drawn from:
codes of the product's demands, or "trap" for what the venues' own pages warn of.

A new venue begins by adding its key to every rule. A rule that nothing proves is not written down as done: it gets a
test, or an exemption that is true.
"""


def page(rules: list[dict[str, Any]]) -> str:
    """The whole page."""
    parts = [HEAD, f"{len(rules)} rules, {_tally(rules)}.\n"]
    for name, members in groupby(rules, key=lambda rule: str(rule["group"])):
        parts.append(_section(name, list(members)))
    return "\n".join(parts)


def _tally(rules: list[dict[str, Any]]) -> str:
    counts = [
        f"{title} {sum('exempt' not in rule.get(venue, {}) for rule in rules)}" for venue, title in VENUES.items()
    ]
    return "proven for " + ", ".join(counts)


def _section(name: str, rules: list[dict[str, Any]]) -> str:
    reasons: list[str] = []
    lines = [
        f"## {name}",
        "",
        f"| rule | what must hold | of | {' | '.join(VENUES.values())} |",
        "|---|---|---|" + "---|" * 4,
    ]
    for rule in rules:
        cells = []
        for venue in VENUES:
            reason = rule.get(venue, {}).get("exempt")
            if reason is not None and reason not in reasons:
                reasons.append(reason)
            cells.append("✓" if reason is None else str(reasons.index(reason) + 1))
        lines.append(f"| {rule['name']} | {rule['says']} | {', '.join(rule['of'])} | {' | '.join(cells)} |")
    if reasons:
        lines += ["", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))]
    return "\n".join([*lines, ""])


def main() -> int:
    """Write, or check."""
    made = page(tomllib.loads(TABLE.read_text(encoding="utf-8"))["rule"])
    if "--check" in sys.argv[1:]:
        return int(not PAGE.is_file() or made != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
