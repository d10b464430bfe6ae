"""Structured logs on stderr: one JSON object a line, never payloads or secrets.

What libraries log by the standard `logging` becomes such lines too.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

import structlog

SPARED_S = 10.0
"""A library's warning is logged once in that time, with how often it came again meanwhile."""
_MAX_KNOWN = 100
_ADVICE = "pip install"

_STAMPS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


class Sparing(logging.Filter):
    """Keeps libraries' warnings few: anybody who can connect can cause one.

    Advice to install something is dropped: what liftlock leaves out it leaves out on purpose. Errors always pass.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._known: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is logged; one that stands for others says for how many (`again`)."""
        if record.levelno > logging.WARNING:
            return True
        if _ADVICE in record.getMessage():
            return False
        key, now = (record.name, str(record.msg)), self._now()
        since, again = self._known.get(key, (now - SPARED_S, 0))
        if now - since < SPARED_S:
            self._known[key] = (since, again + 1)
            return False
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[key] = (now, 0)
        if again:
            record.again = again
        return True


def configure_logging(process: str) -> None:
    """Make every log line of this process JSON with time, level and the process' name."""
    structlog.configure(
        processors=[*_STAMPS, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(["again"]),
                *_named(process),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(Sparing())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _named(process: str) -> list[structlog.typing.Processor]:
    """Return what stamps a library's record, which may come from a thread that has no context."""

    def name(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"process": process, **event}

    return [name, *_STAMPS]
