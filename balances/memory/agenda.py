"""What has to be looked at, by the time it is due."""

import heapq


class Agenda:
    """Names, each with the one time (Unix ms) at which it is due; earliest first, then by name."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._due)

    def set(self, name: str, due_ms: int) -> None:
        """Put a name on the agenda, or move it."""
        if self._due.get(name) == due_ms:
            return
        self._due[name] = due_ms
        heapq.heappush(self._heap, (due_ms, name))
        # Moved names leave their old places behind; a heap mostly of those is made anew.
        if len(self._heap) > 2 * len(self._due) + 64:
            self._heap = [(at, each) for each, at in self._due.items()]
            heapq.heapify(self._heap)

    def discard(self, name: str) -> None:
        """Take a name off the agenda, if it is on it."""
        self._due.pop(name, None)

    def take(self, now_ms: int, limit: int) -> list[str]:
        """Take off and return at most `limit` names that are due."""
        taken: list[str] = []
        while len(taken) < limit:
            first = self.next_ms()
            if first is None or first > now_ms:
                break
            name = heapq.heappop(self._heap)[1]
            del self._due[name]
            taken.append(name)
        return taken

    def next_ms(self) -> int | None:
        """Return when the first name is due; None if there is none."""
        while self._heap:
            due_ms, name = self._heap[0]
            if self._due.get(name) == due_ms:
                return due_ms
            heapq.heappop(self._heap)
        return None

    def soonest(self, limit: int) -> list[str]:
        """Return at most `limit` names in their order, leaving them where they are."""
        return sorted(self._due, key=lambda name: (self._due[name], name))[:limit]
