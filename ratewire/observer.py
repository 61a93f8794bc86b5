"""What the working parts tell of themselves; `telemetry` makes metrics of it."""

from typing import Protocol


class Observer(Protocol):
    """Counts events and times stages. Both are called per batch, not per record."""

    def count(self, what: str, by: int = 1) -> None:
        """Note that something happened so many times."""
        ...

    def stage(self, name: str, seconds: float) -> None:
        """Note how long a batch spent in a stage."""
        ...


class Silent:
    """Observes nothing."""

    def count(self, what: str, by: int = 1) -> None:
        """Do nothing."""

    def stage(self, name: str, seconds: float) -> None:
        """Do nothing."""
