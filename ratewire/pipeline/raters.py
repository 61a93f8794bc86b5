"""The rater that holds now: remade when the published plans have moved on."""

import secrets
from collections.abc import Callable

from balances.port import Directory
from ratewire.pipeline.plans import Plans
from ratewire.pipeline.steps import Rater, Terms
from ratewire.pipeline.uids import session_uid


class PlanReader:
    """The published plans, read anew when they moved."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._plans = Plans()

    async def at(self, revision: int) -> Plans:
        """Return at least this revision of the plans. Raises StoreError."""
        if revision != self._plans.revision:
            self._plans = Plans(*await self._directory.published("plans"))
        return self._plans


class Raters:
    """Gives the rater for a revision of the plans, reading them from the store when they moved."""

    def __init__(
        self,
        directory: Directory,
        terms: Terms,
        *,
        clock_ms: Callable[[], int],
        wraps_32: Callable[[str], bool],
        random_octets: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._directory = directory
        self._terms = terms
        self._clock_ms = clock_ms
        self._wraps_32 = wraps_32
        self._random_octets = random_octets
        self._plans = Plans()
        self._rater = self._make()

    @property
    def latest(self) -> Rater:
        """The rater of the revision that was asked for last."""
        return self._rater

    async def at(self, revision: int) -> Rater:
        """Return a rater with at least this revision of the plans. Raises StoreError."""
        if revision != self._plans.revision:
            read, published = await self._directory.published("plans")
            self._plans = Plans(read, published)
            self._rater = self._make()
        return self._rater

    def _make(self) -> Rater:
        return Rater(
            self._plans,
            self._terms,
            new_uid=lambda: session_uid(self._clock_ms(), self._random_octets(10)),
            wraps_32=self._wraps_32,
        )
