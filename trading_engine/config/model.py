"""Every key of the configuration file: its type, range, default and meaning.

What belongs here: the sections and the checks between keys. What does not: reading files (load), wording
of pydantic's own complaints (explain), values for lower layers (runtime).

Percentages are in percent (0.5 means 0.5 %), money is in the settle asset, durations carry their unit in
the key. Everything is frozen; a changed configuration is another object.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from trading_engine.config import fields
from trading_engine.config.alerts import AlertsConfig, ExpectedConfig, MetricsConfig
from trading_engine.config.exits import ExitsConfig, StopConfig, TargetConfig
from trading_engine.config.fields import (
    Amount,
    Flag,
    Leverage,
    Money,
    Name,
    Percent,
    PercentOrZero,
    Settings,
    Symbol,
    mistake,
    mistakes,
)
from trading_engine.config.filters import FiltersConfig
from trading_engine.config.limits import RiskConfig
from trading_engine.config.remote import CredentialsConfig, VenuesConfig
from trading_engine.config.section import Section
from trading_engine.config.sizing import SizingConfig


def _listed_once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise mistake(f"names {', '.join(twice)} more than once")
    if not names:
        raise mistake("is empty; leave it out to mean all")
    return names


class StrategyConfig(Section):
    """One strategy and where it trades."""

    name: Annotated[
        Name, Field(description="Name of a built-in strategy (`strategy list`), or of a file in strategy_folder.")
    ]
    symbols: Annotated[
        tuple[Symbol, ...] | None,
        Field(description="Symbols it trades; null for all of the top-level list."),
    ] = None
    settings: Annotated[
        Settings,
        Field(description="Settings of this strategy; what is not given keeps the strategy's default."),
    ] = {}  # noqa: RUF012 - pydantic copies it
    partials: Annotated[
        Flag | None,
        Field(description="Take partial profits by exits.partials; null for the strategy's own habit."),
    ] = None
    trailing: Annotated[
        Flag | None,
        Field(
            description="Trail the stop by exits.trailing; null for the strategy's own habit. false also leaves out "
            "exits.break_even_at_r and exits.trail_…"
        ),
    ] = None
    stop: Annotated[StopConfig | None, Field(description="Where its stop is put; null for where it says itself.")] = (
        None
    )
    target: Annotated[
        TargetConfig | None, Field(description="Where its target is put; null for where it says itself.")
    ] = None
    filters: Annotated[
        FiltersConfig, Field(description="What keeps its signals from becoming entries; all off by default.")
    ] = FiltersConfig()
    expected: Annotated[
        ExpectedConfig | None,
        Field(description="What its backtest has promised; trades that fall far short of it are told. null: nothing."),
    ] = None

    @field_validator("symbols")
    @classmethod
    def _symbols_differ(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else _listed_once(value)


class ExecutionConfig(Section):
    """Deadlines of orders."""

    max_send_delay_ms: Annotated[
        Annotated[int, fields.milliseconds(100, 60_000)],
        Field(description="An intent older than this is not sent any more, ms."),
    ] = 10_000
    recv_window_ms: Annotated[
        Annotated[int, fields.milliseconds(100, 60_000)],
        Field(description="How long the venue may take a signed request for valid, ms."),
    ] = 5_000
    unprotected_timeout_ms: Annotated[
        Annotated[int, fields.milliseconds(500, 600_000)],
        Field(description="A position whose stop is not confirmed for this long is closed, ms."),
    ] = 5_000
    entry_ttl_ms: Annotated[
        Annotated[int, fields.milliseconds(1_000, 86_400_000)],
        Field(description="An entry not filled within this time is cancelled, ms."),
    ] = 60_000
    reconcile_interval_s: Annotated[
        Annotated[int, fields.seconds(10, 86_400)],
        Field(description="Time between two comparisons with the venue, s."),
    ] = 300
    outage_alert_s: Annotated[
        Annotated[int, fields.seconds(10, 86_400)],
        Field(description="A venue that is out of reach for this long is told of, s."),
    ] = 300


_Foreign = Literal["ignore", "freeze", "adopt", "flatten"]


class ReconciliationConfig(Section):
    """What becomes of positions at the venue that are not the engine's own."""

    default: Annotated[
        _Foreign,
        Field(
            description="For every traded symbol: ignore (left alone, counted as exposure), freeze (no entries until "
            "resumed), adopt (taken over with a stop) or flatten (closed at the market)."
        ),
    ] = "freeze"
    symbols: Annotated[dict[Symbol, _Foreign], Field(description="By symbol, where it is another than default.")] = {}  # noqa: RUF012 - pydantic copies it
    adopt_stop_pct: Annotated[
        Annotated[Decimal, fields.percent(50)],
        Field(description="Distance from the venue's mark price to the stop of an adopted position, percent."),
    ] = Decimal(2)


class KillSwitchConfig(Section):
    """The file that stops the engine without asking it."""

    file: Annotated[
        Path, Field(description="While this file exists there are no entries; relative to where it starts.")
    ] = Path("STOP")
    action: Annotated[
        Literal["block", "flatten"],
        Field(description="What the bare file does; a file that says `flatten` always closes positions."),
    ] = "block"

    @field_validator("file")
    @classmethod
    def _names_a_file(cls, value: Path) -> Path:
        if value.name in {"", ".."}:
            raise mistake("does not name a file (as ./STOP)")
        return value


class InstrumentConfig(Section):
    """Facts of one instrument on the embedded exchange that replace the built-in ones."""

    tick: Annotated[Amount | None, Field(description="Price step.")] = None
    step: Annotated[Amount | None, Field(description="Quantity step, base coin.")] = None
    min_quantity: Annotated[Amount | None, Field(description="Smallest order, base coin.")] = None
    max_quantity: Annotated[Amount | None, Field(description="Largest order, base coin.")] = None
    min_notional: Annotated[Money | None, Field(description="Smallest opening order, money.")] = None
    max_leverage: Annotated[Leverage | None, Field(description="Highest leverage.")] = None
    maintenance_pct: Annotated[Percent | None, Field(description="Maintenance margin, percent of notional.")] = None


class PaperConfig(Section):
    """The embedded exchange."""

    balance: Annotated[Money, Field(description="Balance that a new account starts with, money.")] = Decimal(1_000)
    taker_fee_pct: Annotated[PercentOrZero, Field(description="Fee of a market order, percent.")] = Decimal("0.06")
    maker_fee_pct: Annotated[PercentOrZero, Field(description="Fee of a resting order, percent.")] = Decimal("0.02")
    slippage: Annotated[
        Literal["fixed", "spread_volatility", "depth"],
        Field(
            description="What a market order fills worse by: fixed (slippage_pct), spread_volatility "
            "(half_spread_pct and range_share_pct) or depth (half_spread_pct and impact_pct)."
        ),
    ] = "fixed"
    slippage_pct: Annotated[
        PercentOrZero, Field(description="fixed: how much worse than the price a market order fills, percent.")
    ] = Decimal("0.05")
    half_spread_pct: Annotated[
        PercentOrZero,
        Field(description="spread_volatility, depth: half of what lies between bid and ask, percent of the price."),
    ] = Decimal("0.02")
    range_share_pct: Annotated[
        PercentOrZero,
        Field(description="spread_volatility: share of the candle's range (high less low) before the fill, percent."),
    ] = Decimal(10)
    impact_pct: Annotated[
        PercentOrZero,
        Field(
            description="depth: percent of the price that a fill as large as the whole volume of the candle before "
            "costs; a smaller one that times the root of its share."
        ),
    ] = Decimal("0.1")
    latency_candles: Annotated[
        Annotated[int, fields.count(0, 5, "candles")],
        Field(description="How many candles later an order at the market trades than with the next; not resting ones."),
    ] = 0
    volume_share_pct: Annotated[
        Percent, Field(description="Share of a candle's volume that own orders may take, percent.")
    ] = Decimal(10)
    instruments: Annotated[
        dict[Symbol, InstrumentConfig],
        Field(description="By symbol, facts that replace the built-in ones."),
    ] = {}  # noqa: RUF012 - pydantic copies it


class DemoConfig(Section):
    """The synthetic market, used where no recorded candles are given."""

    seed: Annotated[
        Annotated[int, fields.count(0, 2**63 - 1, "seed numbers")],
        Field(description="Equal seeds give equal markets."),
    ] = 7
    candles: Annotated[
        Annotated[int, fields.count(100, 10_000_000, "candles")],
        Field(description="Length of the market, 1-minute candles per symbol."),
    ] = 20_000


class LoggingConfig(Section):
    """The log: coloured text on stderr and, if wanted, JSON lines in the state directory."""

    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="The least that is logged.")] = (
        "INFO"
    )
    file: Annotated[Flag, Field(description="JSON lines in logs/ as well; not under systemd.")] = True
    rotation_mb: Annotated[
        Annotated[int, fields.count(1, 10_000, "megabytes")],
        Field(description="Size at which the file is rotated, MB."),
    ] = 50
    keep: Annotated[
        Annotated[int, fields.count(1, 1_000, "files")],
        Field(description="Files kept, the current one included."),
    ] = 5


class Config(Section):
    """The whole file."""

    mode: Annotated[
        Literal["paper", "testnet", "live"],
        Field(description="paper: no real money, no keys; testnet: the venue's play money; live: real money."),
    ]
    venue: Annotated[
        Literal["embedded", "binance", "bingx", "zoomex"],
        Field(
            description="Where it trades; in mode paper whose live market it follows (embedded: recorded or synthetic)."
        ),
    ] = "embedded"
    account: Annotated[Name, Field(description="Name of the account in the database; fills are unique within it.")] = (
        "paper"
    )
    symbols: Annotated[
        tuple[Symbol, ...], Field(min_length=1, description="What is traded; every symbol needs candles.")
    ]
    strategies: Annotated[
        tuple[StrategyConfig, ...], Field(min_length=1, description="What decides, on which symbols.")
    ]
    strategy_folder: Annotated[
        Path, Field(description="Where strategies of your own lie, NAME.py each; ~ or relative to where it starts.")
    ] = Path("strategies")
    leverage: Annotated[Leverage, Field(description="Leverage set at the venue for every symbol.")] = Decimal(1)
    venues: Annotated[VenuesConfig, Field(description="Addresses and account modes, by venue.")] = VenuesConfig()
    credentials: Annotated[
        CredentialsConfig | None, Field(description="The API key, for testnet and live; paper does not read it.")
    ] = None
    sizing: Annotated[SizingConfig, Field(description="How large a position becomes.")] = SizingConfig()
    exits: Annotated[ExitsConfig, Field(description="Partial profits, trailing, age.")] = ExitsConfig()
    risk: Annotated[RiskConfig, Field(description="Limits that stop entries.")] = RiskConfig()
    execution: Annotated[ExecutionConfig, Field(description="Deadlines of orders and comparisons.")] = ExecutionConfig()
    reconciliation: Annotated[
        ReconciliationConfig, Field(description="Positions at the venue that are not the engine's own.")
    ] = ReconciliationConfig()
    kill_switch: Annotated[KillSwitchConfig, Field(description="The stop file.")] = KillSwitchConfig()
    on_shutdown: Annotated[
        Literal["keep", "flatten"],
        Field(description="On a clean stop: keep positions behind their stops, or close all."),
    ] = "keep"
    paper: Annotated[PaperConfig, Field(description="What the embedded exchange charges and fills.")] = PaperConfig()
    demo: Annotated[DemoConfig, Field(description="The synthetic market.")] = DemoConfig()
    logging: Annotated[LoggingConfig, Field(description="The log.")] = LoggingConfig()
    alerts: Annotated[AlertsConfig, Field(description="Receivers of alerts, and what they are told.")] = AlertsConfig()
    metrics: Annotated[MetricsConfig, Field(description="Figures for Prometheus, and whether it is well, by HTTP.")] = (
        MetricsConfig()
    )

    @property
    def is_paper_at_venue(self) -> bool:
        """The market is a venue's, live and without a key; the orders are filled by the embedded exchange."""
        return self.mode == "paper" and self.venue != "embedded"

    @field_validator("venue")
    @classmethod
    def _venue_fits_the_mode(cls, value: str, info: ValidationInfo) -> str:
        mode = info.data.get("mode")
        if mode in ("testnet", "live") and value == "embedded":
            raise mistake(f"does not go with mode = {mode}; expected binance, bingx or zoomex")
        return value

    @field_validator("credentials")
    @classmethod
    def _keys_are_where_they_are_needed(
        cls, value: CredentialsConfig | None, info: ValidationInfo
    ) -> CredentialsConfig | None:
        mode = info.data.get("mode")
        if mode == "paper":
            return None  # a run that needs no key holds none
        if mode in ("testnet", "live") and value is None and "venue" in info.data:  # one thing after the other
            raise mistake(f"is missing: mode = {mode} needs credentials.key and credentials.secret (from ${{VAR}})")
        return value

    @field_validator("symbols")
    @classmethod
    def _symbols_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _listed_once(value)

    @field_validator("strategies")
    @classmethod
    def _strategies_trade_known_symbols(
        cls, value: tuple[StrategyConfig, ...], info: ValidationInfo
    ) -> tuple[StrategyConfig, ...]:
        _listed_once(tuple(strategy.name for strategy in value))
        known = info.data.get("symbols")
        unknown = [
            f"strategies[{index}].symbols = {symbol} is not in the top-level symbols; add it there"
            for index, strategy in enumerate(value)
            for symbol in strategy.symbols or ()
            if known is not None and symbol not in known
        ]
        unknown += [
            f"strategies[{index}].filters.reference.symbol = {reference.symbol} is not in the top-level symbols; "
            "add it there (strategies[…].symbols says where a strategy trades)"
            for index, strategy in enumerate(value)
            if known is not None and (reference := strategy.filters.reference) and reference.symbol not in known
        ]
        if unknown:
            raise mistakes(unknown)
        return value

    @field_validator("risk")
    @classmethod
    def _limits_leave_room(cls, value: RiskConfig, info: ValidationInfo) -> RiskConfig:
        """Refuse what could never enter, instead of an engine that refuses every signal in silence."""
        lines = []
        leverage, sizing = info.data.get("leverage"), info.data.get("sizing")
        if leverage is not None and leverage > value.max_leverage:
            lines.append(f"leverage = {leverage} is above risk.max_leverage = {value.max_leverage}")
        if sizing is not None:
            lines += _sizing_above_limits(sizing, value)
        known = info.data.get("symbols")
        lines += [
            f"risk.groups.{name}.symbols = {symbol} is not one of the top-level symbols"
            for name, group in value.groups.items()
            for symbol in group.symbols
            if known is not None and symbol not in known
        ]
        if lines:
            raise mistakes(lines)
        return value

    @field_validator("reconciliation")
    @classmethod
    def _policies_are_of_traded_symbols(cls, value: ReconciliationConfig, info: ValidationInfo) -> ReconciliationConfig:
        """What is not traded is always ignored: a policy for it would do nothing."""
        known = info.data.get("symbols")
        idle = [
            f"reconciliation.symbols.{symbol} is not one of the top-level symbols; what is not traded is left alone"
            for symbol in value.symbols
            if known is not None and symbol not in known
        ]
        if idle:
            raise mistakes(idle)
        return value

    @field_validator("paper")
    @classmethod
    def _overrides_are_traded(cls, value: PaperConfig, info: ValidationInfo) -> PaperConfig:
        known = info.data.get("symbols")
        idle = [
            f"paper.instruments.{symbol} is not one of the top-level symbols"
            for symbol in value.instruments
            if known is not None and symbol not in known
        ]
        if idle:
            raise mistakes(idle)
        return value


def _sizing_above_limits(sizing: SizingConfig, risk: RiskConfig) -> list[str]:
    lines = []
    if sizing.risk_pct > risk.max_portfolio_risk_pct:
        lines.append(
            f"sizing.risk_pct = {sizing.risk_pct} is above risk.max_portfolio_risk_pct = {risk.max_portfolio_risk_pct}"
        )
    if sizing.method == "kelly" and sizing.kelly_max_risk_pct > risk.max_portfolio_risk_pct:
        lines.append(
            f"sizing.kelly_max_risk_pct = {sizing.kelly_max_risk_pct} is above "
            f"risk.max_portfolio_risk_pct = {risk.max_portfolio_risk_pct}"
        )
    if sizing.max_position_pct > risk.max_position_pct:
        lines.append(
            f"sizing.max_position_pct = {sizing.max_position_pct} is above "
            f"risk.max_position_pct = {risk.max_position_pct}"
        )
    return lines
