"""Structured logs on standard error: one event a line, for people on a terminal, JSON elsewhere."""

import logging
import sys
from typing import Literal

import structlog

#: What libraries tell below this is noise: Alembic of each of its plugins, and asyncpg, with a
#: traceback, of each attempt to connect again. What an outage means is told by whom it keeps from
#: working.
_QUIET = {"alembic": logging.WARNING, "asyncpg": logging.ERROR}


def configure(level: str, style: Literal["console", "json"] | None, *, role: str) -> None:
    """Set up logging for this process. `style` None: console on a terminal, JSON otherwise.

    `role` is on every line. Libraries that use `logging` come out the same way. Secrets never get
    here: what holds one has no readable form.
    """
    console = style == "console" or (style is None and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    final = [] if console else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *final,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for library, least in _QUIET.items():
        logging.getLogger(library).setLevel(max(root.level, least))
    structlog.contextvars.bind_contextvars(role=role)
