"""Telling people: from the outbox to their phones, never in the way of trading.

What belongs here: delivery, repetition, throttling, routing. What does not: what is worth an alert
(core) and the rows themselves (store).
"""

from trading_engine.alerts.channel import Channel
from trading_engine.alerts.check import CheckResult, send_test
from trading_engine.alerts.outbox_worker import OutboxWorker
from trading_engine.alerts.port import AlertRow, OutboxReader

__all__ = ["AlertRow", "Channel", "CheckResult", "OutboxReader", "OutboxWorker", "send_test"]
