"""One clear log line when something fails, and one when it works again."""

import time

import structlog

_log = structlog.get_logger(__name__)

#: What fails again so soon after it worked has not been mended: that is one outage, told once.
CALM_S = 10.0


class Outage:
    """Follows whether something works. Repeated failures are counted, not logged.

    `name` is what operations call it, for example "the store".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._since: float | None = None
        self._failures = 0
        self._failed_at = 0.0
        self._worked_at: float | None = None  # when that was told
        self._failing = False
        self._silent = False  # the failure was not told, since it came so soon

    @property
    def lasts(self) -> bool:
        """Whether it failed the last time."""
        return self._failing

    def failed(self, error: Exception) -> None:
        """Note a failure; the first one is logged, or one that has lasted since another outage."""
        now = time.monotonic()
        self._failures += 1
        if self._since is None:
            self._since = now
            self._silent = self._worked_at is not None and now - self._worked_at < CALM_S
            if not self._silent:
                self._tell(error)
        elif self._silent and now - self._since >= CALM_S and self._failing:
            self._silent = False
            self._tell(error)
        self._failed_at, self._failing = now, True

    def works(self) -> None:
        """Note that it works; logged if it had failed.

        After a failure that came so soon that it was not logged, only once it works for a while.
        """
        self._failing = False
        if self._since is None:
            return
        now = time.monotonic()
        if self._silent and now - self._failed_at < CALM_S:
            return
        _log.warning(
            "works again",
            what=self.name,
            after_seconds=round(now - self._since, 1),
            failures=self._failures,
        )
        self._since, self._failures, self._silent, self._worked_at = None, 0, False, now

    def _tell(self, error: Exception) -> None:
        _log.error("failing", what=self.name, error=str(error), kind=type(error).__name__)
