"""Draw the diagrams of architecture.md from the code's own tables.

python docs/make_diagrams.py          write them
python docs/make_diagrams.py --check  exit 1 where the page differs from the tables
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from trading_engine.domain.lifecycle import MOVES  # noqa: E402 - the path comes first
from trading_engine.domain.orders import OrderState  # noqa: E402 - as above

PAGE = ROOT / "docs" / "architecture.md"


def layers() -> str:
    """The layers contract, highest first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    width = max(len(row) for row in rows)
    lines = [f"  {row.replace(' | ', '   ').ljust(width)}" for row in rows]
    return "```\n" + "\n        ▼\n".join(line.rstrip() for line in lines) + "\n```"


def lifecycle() -> str:
    """The table of moves as a state diagram."""
    moves = "\n".join(f"    {source} --> {target}: {trigger}" for trigger, source, target in MOVES)
    return f"```mermaid\nstateDiagram-v2\n    [*] --> {MOVES[0][1]}\n{moves}\n    {MOVES[-1][2]} --> [*]\n```"


def orders() -> str:
    """The order states from low to high; terminal ones are marked."""
    return (
        "```\n"
        + "  <  ".join(f"{state}{'■' if state.is_terminal else ''}" for state in OrderState)
        + "\n■ terminal\n```"
    )


def drawn(page: str) -> str:
    """The page with every marked section made anew."""
    for name, made in (("layers", layers()), ("lifecycle", lifecycle()), ("orders", orders())):
        section = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)"
        page = re.sub(section, lambda found, made=made: f"{found[1]}{made}\n{found[2]}", page, flags=re.DOTALL)
    return page


def main() -> int:
    """Write, or check."""
    before = PAGE.read_text()
    after = drawn(before)
    if "--check" in sys.argv[1:]:
        return int(before != after)
    PAGE.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
