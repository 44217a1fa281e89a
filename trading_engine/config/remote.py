"""The keys of a venue over a network: its addresses, the account's modes, the API key.

What belongs here: these sections and their checks. What does not: the venues' own addresses (venues), which mode
may reach which host (runtime).
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from trading_engine.config.fields import mistake

_SHORTEST_KEY = 4
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


class RemoteSection(BaseModel):
    """Frozen, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        defer_build=True,  # only the outermost model validates
    )


class VenueConfig(RemoteSection):
    """One venue: only what is not derived from its name."""

    rest_url: Annotated[
        str | None,
        Field(description="Another REST address: http://127.0.0.1:PORT (a local server), or https://… of the venue."),
    ] = None
    ws_url: Annotated[
        str | None,
        Field(description="The same for websockets: ws://127.0.0.1:PORT or wss://…; needs rest_url beside it."),
    ] = None
    position_mode: Annotated[
        Literal["one_way", "hedge"], Field(description="One net position a symbol, or long and short apart.")
    ] = "one_way"
    margin_mode: Annotated[
        Literal["isolated", "cross"], Field(description="Each position its own margin, or all share the account's.")
    ] = "isolated"
    trigger_by: Annotated[
        Literal["last", "mark"], Field(description="The price that triggers stops and targets at the venue.")
    ] = "last"

    @property
    def is_on_this_machine(self) -> bool:
        """A local venue server: its keys open nothing."""
        return self.rest_url is not None and urlsplit(self.rest_url).hostname in _THIS_MACHINE

    @field_validator("rest_url", "ws_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname or parts.query or parts.username:
            raise mistake("is not an address (SCHEME://HOST[:PORT][/PATH], without a query or a user)")
        if parts.scheme in ("http", "ws") and parts.hostname not in _THIS_MACHINE:
            raise mistake(f"is open to everybody on the way; on another machine it must be {parts.scheme}s://")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _addresses_come_together(self) -> "VenueConfig":
        if (self.rest_url is None) != (self.ws_url is None):
            raise mistake("needs both rest_url and ws_url, or neither: an account must not be split over two hosts")
        if self.rest_url is not None and len({urlsplit(url).hostname in _THIS_MACHINE for url in self._urls}) > 1:
            raise mistake("has one of rest_url and ws_url on this machine, which is play money, and one elsewhere")
        return self

    @property
    def _urls(self) -> tuple[str, str]:
        return self.rest_url or "", self.ws_url or ""


class VenuesConfig(RemoteSection):
    """By venue."""

    binance: Annotated[VenueConfig, Field(description="Binance USDⓈ-M.")] = VenueConfig()
    bingx: Annotated[VenueConfig, Field(description="BingX perpetual swap.")] = VenueConfig()
    zoomex: Annotated[VenueConfig, Field(description="Zoomex V3.")] = VenueConfig()


class CredentialsConfig(RemoteSection):
    """The API key of the account. Trading permission is all it needs; it must not be able to withdraw.

    Only the keys of a server on this machine may stand in the file; others come by ${VAR}.
    """

    key: Annotated[SecretStr, Field(description="API key; take it from ${VAR}.")]
    secret: Annotated[SecretStr, Field(description="API secret; take it from ${VAR}.")]

    @field_validator("key", "secret")
    @classmethod
    def _is_something(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if len(text.strip()) < _SHORTEST_KEY or text != text.strip():
            raise mistake("is too short, or has spaces around it")
        return value
