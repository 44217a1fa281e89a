"""Sending one message through apprise, blocking.

What belongs here: the library, imported on the first message (23 MB that an engine without channels never
pays), finding out why it refused, and how much of an answer is read. What does not: threads, retries, wording.
"""

import logging
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Self

from trading_engine.alerts.channel import Channel, Message, SendFailed
from trading_engine.domain.severity import Severity

LONGEST_ANSWER = 1_000_000  # bytes; services answer with a few hundred

_NOTIFY_TYPE = {Severity.INFO: "INFO", Severity.WARNING: "WARNING", Severity.CRITICAL: "FAILURE"}


class AppriseSender:
    """A `Send`; keeps one service object a channel, for the services' own rate limits."""

    def __init__(self) -> None:
        self._services: dict[Channel, Any] = {}

    def __call__(self, channel: Channel, message: Message) -> None:
        """Send, or raise SendFailed with apprise's own reason; a plugin's bug raises what it raises."""
        with _Complaints() as complaints:
            accepted = self._notify(channel, message)
        if not accepted:
            reason = " ".join(complaints.texts) or "refused without a reason"
            raise SendFailed(channel.hide(reason))

    def _notify(self, channel: Channel, message: Message) -> bool:
        import apprise  # noqa: PLC0415 - only an engine that tells somebody pays for it

        _bound_answers()

        service = self._services.get(channel)
        if service is None:
            service = self._services[channel] = _service(apprise, channel)
        notify_type = apprise.NotifyType[_NOTIFY_TYPE[message.severity]]
        # The service itself, not `Apprise.notify`: that one sends from shared pools, whose threads
        # outlive a timeout and are waited for when the process ends.
        return bool(service.notify(body=message.body, title=message.title, notify_type=notify_type))


def _service(apprise: ModuleType, channel: Channel) -> Any:
    asset = apprise.AppriseAsset(app_id="trading-engine", app_desc="trading-engine", async_mode=False)
    service = apprise.Apprise.instantiate(channel.url, asset=asset)
    if service is None:
        raise SendFailed(f"{channel.label} is not a URL that Apprise knows; see appriseit.com/services")
    return service


def _bound_answers() -> None:
    """Read no more of an answer than any service has to say: one that never ends would fill the memory.

    apprise reads whole answers through requests and offers no limit of its own. Nothing else in this process uses
    requests.
    """
    import requests  # noqa: PLC0415 - apprise has loaded it

    whole = requests.Response.iter_content
    if getattr(whole, "is_bounded", False):
        return

    def iter_content(answer: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        read = 0
        for chunk in whole(answer, *arguments, **options):
            read += len(chunk)
            if read > LONGEST_ANSWER:
                raise requests.exceptions.ContentDecodingError(f"an answer of more than {LONGEST_ANSWER} bytes")
            yield chunk

    iter_content.is_bounded = True  # type: ignore[attr-defined]
    setattr(requests.Response, "iter_content", iter_content)  # noqa: B010 - replaced on purpose


class _Complaints(logging.Handler):
    """What apprise says at WARNING and above in this thread, its only way of giving a reason."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text of this thread's records."""
        if record.thread == self._thread:
            self.texts.append(record.getMessage())

    def __enter__(self) -> Self:
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)
