"""Fees that another wallet pays.

What belongs here: telling a person that results leave them out. What does not: what the ledger books (project), what
a fill says of its fee (domain.fills).

The ledger is the wallet of the settle asset. What a venue charges in another asset, at a price that no fill tells,
does not touch it; the fill's row keeps the amount and its asset.
"""

from trading_engine.core.draft import Draft
from trading_engine.domain import money
from trading_engine.domain.fills import Fill
from trading_engine.domain.severity import Severity


def tell_left_out(draft: Draft, fill: Fill) -> None:
    """A fee in another asset is told once for each asset and run."""
    asset, told = fill.fee_asset, draft.market.fee_assets
    if not fill.fee or asset == draft.settings.asset or asset in told:
        return
    draft.see(fee_assets=told | {asset})
    text = (
        f"{fill.symbol}: trade {fill.trade_id} paid its fee in {asset} ({money.text(fill.fee)}); the ledger counts"
        f" {draft.settings.asset} only, so PnL, limits and reports leave fees in {asset} out"
    )
    draft.alert(Severity.WARNING, f"fee:{asset}", text)
