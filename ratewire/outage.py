"""One clear log line when something fails, and one when it works again."""

import time

import structlog

_log = structlog.get_logger(__name__)


class Outage:
    """Follows whether something works. Repeated failures are counted, not logged.

    `name` is what operations call it, for example "the store".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._since: float | None = None
        self._failures = 0

    @property
    def lasts(self) -> bool:
        """Whether it failed the last time."""
        return self._since is not None

    def failed(self, error: Exception) -> None:
        """Note a failure; the first one is logged."""
        self._failures += 1
        if self._since is None:
            self._since = time.monotonic()
            _log.error("failing", what=self.name, error=str(error), kind=type(error).__name__)

    def works(self) -> None:
        """Note that it works; logged if it had failed."""
        if self._since is not None:
            _log.warning(
                "works again",
                what=self.name,
                after_seconds=round(time.monotonic() - self._since, 1),
                failures=self._failures,
            )
            self._since, self._failures = None, 0
