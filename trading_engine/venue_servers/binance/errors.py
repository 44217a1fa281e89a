"""The venue's error codes with their texts.

What belongs here: a refusal as the venue words it, and what the exchange's own refusals are called there. What does
not: who refuses, and why (params, limits, filters, orders).
"""

from collections.abc import Mapping

from trading_engine.venues.embedded.matching import Refusal

_TEXTS: Mapping[int, str] = {
    -1003: "Too many requests; current limit of IP({}) is {} requests per minute. Please use the websocket for live"
    " updates to avoid polling the API.",
    -1015: "Too many new orders; current limit is {} orders per {}.",
    -1020: "This operation is not supported.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1100: "Illegal characters found in parameter '{}'; legal range is '{}'.",
    -1101: "Too many values sent for parameter '{}'.",
    -1102: "Mandatory parameter '{}' was not sent, was empty/null, or malformed.",
    -1105: "Parameter '{}' was empty.",
    -1106: "Parameter '{}' sent when not required.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1125: "This listenKey does not exist.",
    -1127: "More than {} days between startTime and endTime.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for parameter '{}' is not valid.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2019: "Margin is insufficient.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2025: "Reach max open order limit.",
    -4001: "Price less than or equal to zero.",
    -4002: "Price greater than max price.",
    -4003: "Quantity less than or equal to zero.",
    -4004: "Quantity less than min quantity.",
    -4005: "Quantity greater than max quantity.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id is not valid.",
    -4016: "Limit price can't be higher than {}.",
    -4021: "{} is not valid depth limit.",
    -4023: "Qty not increased by step size.",
    -4024: "Limit price can't be lower than {}.",
    -4028: "Leverage {} is not valid.",
    -4032: "Exceed max cancel order size.",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4059: "No need to change position side.",
    -4061: "Order's position side does not match user's setting.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4082: "Invalid number of batch place orders.",
    -4116: "ClientOrderId is duplicated.",
    -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    -4137: "Quantity must be zero with closePosition equals true.",
    -4138: "Reduce only must be false with closePosition equals true.",
    -4161: "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
    -4164: "Order's notional must be no smaller than {} (unless you choose reduce only).",
    -4171: "No need to change Multi-Assets Mode.",
    -4509: "Time in Force (TIF) GTE can only be used with open positions.",
    -5000: "Path {}, Method {} is invalid",
    -5021: "Due to the order could not be filled immediately, the FOK order has been rejected.",
    -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    -5040: "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than"
    " 253402300799000.",
}

_STATUSES: Mapping[int, int] = {-1003: 429, -1015: 429, -2014: 401, -2015: 401, -5000: 404}

_REFUSALS: Mapping[str, int] = {
    "symbol": -1121,
    "tick": -4014,
    "step": -4023,
    "duplicate": -4116,
    "no_market": -4131,
    "would_trigger": -2021,
    "would_take": -5022,
    "reduce_only": -2022,
    "other_side": -1020,
    "margin": -2019,
    "quantity": -4005,  # what is too small the filters have caught before
    "price": -4001,
    "notional": -4164,
}


class ApiError(Exception):
    """A refusal as the venue words it; the code says what it is, the words may change."""

    def __init__(
        self, code: int, *details: object, text: str = "", status: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        self.code = code
        self.text = text or _TEXTS[code].format(*details)
        self.status = status or _STATUSES.get(code, 400)
        self.headers = headers or {}
        super().__init__(f"{code}: {self.text}")

    def body(self) -> dict[str, object]:
        """What the venue answers."""
        return {"code": self.code, "msg": self.text}


def of_refusal(refusal: Refusal, min_notional: str) -> ApiError:
    """What a refusal of the exchange is called here."""
    return ApiError(_REFUSALS[refusal.code], min_notional)
