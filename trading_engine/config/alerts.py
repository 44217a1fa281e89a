"""The keys of what a person, or a machine that watches, is told.

What belongs here: channels of alerts, what is worth an alert beyond orders and limits, the heartbeat, the figures
served to a monitor. What does not: limits (limits), sending (alerts).
"""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from trading_engine.config import fields
from trading_engine.config.fields import Flag, PercentOrZero, TimesOrZero, mistake
from trading_engine.config.section import Section
from trading_engine.domain.severity import Severity


class ExpectedConfig(Section):
    """What a strategy's backtest has promised, as `backtest --json` prints it."""

    win_rate_pct: Annotated[PercentOrZero, Field(description="Trades won, percent; 0 is not compared.")] = Decimal(0)
    profit_factor: Annotated[
        TimesOrZero, Field(description="Gross gains for each unit of gross losses; 0 is not compared.")
    ] = Decimal(0)


class ChannelConfig(Section):
    """One receiver of alerts."""

    url: Annotated[SecretStr, Field(description="Apprise URL (https://appriseit.com/services/); take it from ${VAR}.")]
    min_severity: Annotated[Severity, Field(description="The least severe alert that goes here.")] = Severity.INFO

    @field_validator("url")
    @classmethod
    def _looks_like_a_url(cls, value: SecretStr) -> SecretStr:
        scheme, separator, rest = value.get_secret_value().partition("://")
        if not (separator and rest.strip() and scheme.replace("+", "").replace("-", "").isalnum()):
            raise mistake("is not an Apprise URL (SCHEME://…, as tgram://BOT_TOKEN/CHAT_ID)")
        return value


class HeartbeatConfig(Section):
    """A dead man's switch: a service that raises the alarm when it is not called any more."""

    url: Annotated[SecretStr, Field(description="Address that is called (GET); take it from ${VAR}.")]
    interval_s: Annotated[
        Annotated[int, fields.seconds(10, 86_400)],
        Field(description="Time between two calls, s; only while candles are decided on."),
    ] = 60

    @field_validator("url")
    @classmethod
    def _looks_like_a_url(cls, value: SecretStr) -> SecretStr:
        scheme, separator, rest = value.get_secret_value().partition("://")
        if scheme not in ("http", "https") or not (separator and rest.strip("/")):
            raise mistake("is not an address (https://HOST/PATH)")
        return value


class AlertsConfig(Section):
    """Who is told, how often, and of what beyond orders and limits."""

    channels: Annotated[tuple[ChannelConfig, ...], Field(description="Receivers; none means that nobody is told.")] = ()
    throttle_s: Annotated[
        Annotated[int, fields.seconds(0, 86_400)],
        Field(description="Alerts of the same kind within this time become one message, s; 0 for never."),
    ] = 60
    timeout_s: Annotated[
        Annotated[int, fields.seconds(1, 300)],
        Field(description="A message not accepted within this time is tried again later, s."),
    ] = 10
    heartbeat: Annotated[
        HeartbeatConfig | None, Field(description="A dead man's switch that is called while the engine decides.")
    ] = None
    daily_summary: Annotated[Flag, Field(description="Sum up each day when it has ended.")] = True
    hourly_summary: Annotated[Flag, Field(description="Say each hour where the account stands.")] = False
    slippage_pct: Annotated[
        PercentOrZero, Field(description="A fill so much worse than it was meant to be is told, percent; 0 for off.")
    ] = Decimal("0.5")
    slow_call_ms: Annotated[
        Annotated[int, fields.milliseconds(0, 60_000)],
        Field(description="An answer of the venue that takes longer is slow, ms; 0 for off."),
    ] = 3_000
    slow_calls: Annotated[
        Annotated[int, fields.count(1, 1_000, "answers")],
        Field(description="So many slow answers in a row are told."),
    ] = 3
    stuck_minutes: Annotated[
        Annotated[int, fields.count(0, 10_080, "minutes")],
        Field(description="A position that does not get closed, or opened, for so long is told; 0 for off."),
    ] = 5
    disk_free_mb: Annotated[
        Annotated[int, fields.count(0, 1_000_000, "megabytes")],
        Field(description="Less free space for the state is told, MB; a tenth of it ends entries; 0 for off."),
    ] = 2_000
    expected_after_trades: Annotated[
        Annotated[int, fields.count(1, 200, "trades")],
        Field(description="Strategies are compared with their `expected` after so many trades."),
    ] = 20


class MetricsConfig(Section):
    """`/metrics`, `/healthz` and `/readyz` on this machine alone (127.0.0.1)."""

    enabled: Annotated[Flag, Field(description="Serve them.")] = False
    port: Annotated[Annotated[int, fields.count(0, 65_535, "a port")], Field(description="Port; 0 takes any.")] = 9_464
