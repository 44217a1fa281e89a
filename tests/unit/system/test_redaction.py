"""Secrets are found by value and by name, and ordinary text is left alone."""

import math
import time
from typing import Never

import pytest

from trading_engine.system.redaction import MASK, Redactor

SECRET = "hunter2-S3cr3t/+="


@pytest.mark.parametrize(
    "text",
    [
        f"GET /fapi/v1/order?symbol=BTCUSDT&signature={'a1' * 32}&timestamp=5",
        "X-MBX-APIKEY: a1a1a1a1",
        "{'X-BX-APIKEY': 'a1a1a1a1'}",
        '{"apiKey":"a1a1a1a1","secretKey":"a1a1a1a1"}',
        "[('X-BAPI-API-KEY', 'a1a1a1a1'), ('X-BAPI-SIGN', 'a1a1a1a1')]",
        "api_key=a1a1a1a1",
        "api-secret: a1a1a1a1",
        "listenKey=a1a1a1a1",
        "wss://fstream.binance.com/ws/" + "a1" * 32,
        "access_token=a1a1a1a1&x=1",
        "password = a1a1a1a1",
        "smtp_passwd='a1 a1 a1'",
        "passphrase: a1a1a1a1",
        "https://user:a1a1a1a1@host/path",
        "https://a1a1a1a1@host/path",
        "mailto://me:a1a1a1a1@mail.example",
        "Authorization: Bearer a1a1a1a1",
        "authorization: a1a1a1a1",
        "https://api.telegram.org/bot123456:a1a1a1a1a1a1a1a1a1a1/sendMessage",
        "https://h/?key=a1a1a1a1",
        '"{\\"token\\": \\"a1a1a1a1\\"}"',
        "b'token': b'a1a1a1a1'",
    ],
)
def test_a_secret_is_known_by_its_name(text: str) -> None:
    """Names that venues and services use, as headers, queries, JSON, reprs and addresses."""
    result = Redactor().text(text)
    assert "a1" not in result
    assert MASK in result


@pytest.mark.parametrize(
    "text",
    [
        "PENDING → OPEN P000123 BTCUSDT long 0.008 @ 61,240.0 (te7f3a00000ae00001)",
        "risk.max_daily_loss_pct = 150 is not a percentage between 0 and 100",
        "GET https://fapi.binance.com/fapi/v1/klines?symbol=BTCUSDT&interval=1m 200 in 85 ms",
        "alert unprotected:P000123 at 12:30:05",
        "the keyboard, the tokenizer and the secretary",
        "state /var/lib/trading-engine/engine.db opened",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    """A log that hides what happened is no log."""
    assert text == Redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"x{SECRET}y",
        "hunter2-S3cr3t%2F%2B%3D",
        f"{[SECRET]!r}",
        repr(ValueError(SECRET)),
    ],
)
def test_a_registered_secret_is_found_wherever_it_stands(text: str) -> None:
    """As it is, encoded for an address, and inside a repr."""
    redactor = Redactor()
    redactor.register_secret(SECRET)
    assert "S3cr3t" not in redactor.text(text)


def test_secrets_with_escapes_are_found_in_their_repr() -> None:
    """A backslash or a line break looks different in an exception."""
    redactor = Redactor()
    redactor.register_secret("hun\\ter\n2'x")
    assert "ter" not in redactor.text(repr(KeyError("hun\\ter\n2'x")))


def test_the_parts_of_a_registered_address_are_secrets_too() -> None:
    """Libraries log path, user and query apart; the host of a web hook stays readable."""
    redactor = Redactor()
    redactor.register_secret("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?x=abc")
    redactor.register_secret("mailto://me:hunter@mail.example")
    assert f"POST /api/webhooks/{MASK}" == redactor.text("POST /api/webhooks/JHMHI8qBe7bk2ZwO5U711o3dV_js")
    assert f"login {MASK} at mail.example" == redactor.text("login hunter at mail.example")


def test_what_is_too_short_to_be_a_secret_is_not_masked() -> None:
    """An empty or tiny value would blind the whole log."""
    redactor = Redactor()
    for value in ("", "a", "abc"):
        redactor.register_secret(value)
    assert "abc aaa" == redactor.text("abc aaa")


def test_the_longest_secret_wins() -> None:
    """Of two where one contains the other nothing remains."""
    redactor = Redactor()
    redactor.register_secret("abcd")
    redactor.register_secret("abcd-efgh")
    assert f"x {MASK} y" == redactor.text("x abcd-efgh y")


class _Unprintable:
    def __str__(self) -> Never:
        raise RuntimeError


def test_values_become_plain_without_their_secrets() -> None:
    """Nested fields, secret keys, foreign objects; numbers stay numbers, JSON stays possible."""
    redactor = Redactor()
    redactor.register_secret(SECRET)
    value = {
        "api_secret": 5,
        "key": "abcdefg",
        "token_valid": True,
        "nested": [{"password": ["x"]}, (1, 2.5, None), {SECRET}],
        "bytes": SECRET.encode(),
        "error": ValueError(SECRET),
        "broken": _Unprintable(),
        "nan": math.nan,
        SECRET: 1,
    }
    assert {
        "api_secret": MASK,
        "key": MASK,
        "token_valid": True,
        "nested": [{"password": MASK}, [1, 2.5, None], [MASK]],
        "bytes": f"b'{MASK}'",
        "error": MASK,
        "broken": "<_Unprintable>",
        "nan": "nan",
        MASK: 1,
    } == redactor.value(value)


def test_a_value_that_contains_itself_ends() -> None:
    """Depth is bounded."""
    loop: list[object] = []
    loop.append(loop)
    assert isinstance(Redactor().value(loop), list)


def test_the_time_for_a_text_grows_with_its_length_not_with_its_square() -> None:
    """Eight times the text takes about eight times the processor time; by its square it would be sixty-four."""
    redactor = Redactor()

    def least_s(text: str) -> float:
        taken = []
        for _ in range(2):
            start = time.process_time()
            redactor.text(text)
            taken.append(time.process_time() - start)
        return min(taken)

    for piece in ("a.", "token-", "://", "key=", "'secret", "bearer "):
        assert least_s(piece * 8_000) < 25 * least_s(piece * 1_000) + 0.02, piece
