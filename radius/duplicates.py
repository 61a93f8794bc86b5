"""Recent requests and their replies, so that a retransmission is answered and not processed again.

RFC 5080 s2.2.2: a request is a duplicate when source address, source port, Identifier and
authenticator are those of an earlier one. A new authenticator under the same three is a new
request, and takes the place of the old one. This layer only spares work; records that a NAS
sends again under a new Identifier are recognised by their content, further down.
"""

from collections import OrderedDict
from enum import Enum

Key = tuple[str, int, int]
"""Source host, source port, Identifier."""

MIN_LIFETIME_MS = 5_000
MAX_LIFETIME_MS = 30_000


class Duplicate(Enum):
    """What is known of a request that came again before its reply."""

    IN_FLIGHT = "in flight"


class ReplyCache:
    """What was asked and what was answered, bounded by age and by number.

    Replies live for `lifetime_ms` (5,000 to 30,000, as RFC 5080 s2.2.2 has it) after they were
    made; requests in flight live until they are finished or released. Of each at most `capacity`
    are kept; beyond that the oldest is forgotten, and its retransmission counts as a new request.
    A reply takes about 300 octets of memory, the default capacity thus 20 MB.
    Raises ValueError for a lifetime or capacity out of range.
    """

    def __init__(self, *, lifetime_ms: int = MAX_LIFETIME_MS, capacity: int = 65_536) -> None:
        if not MIN_LIFETIME_MS <= lifetime_ms <= MAX_LIFETIME_MS:
            raise ValueError(
                f"reply cache lifetime_ms {lifetime_ms}; "
                f"allowed are {MIN_LIFETIME_MS} to {MAX_LIFETIME_MS}"
            )
        if capacity < 1:
            raise ValueError(f"reply cache capacity {capacity}; allowed is 1 or more")
        self._lifetime_ms = lifetime_ms
        self._capacity = capacity
        # Both in order of insertion, which for replies is the order in which they expire. A plain
        # dict keeps that order too, but finds its first entry by walking over all that were deleted
        # before it: 11 microseconds a reply once the cache is full.
        self._in_flight: OrderedDict[Key, bytes] = OrderedDict()
        # authenticator, reply, expiry
        self._replied: OrderedDict[Key, tuple[bytes, bytes, int]] = OrderedDict()

    def __len__(self) -> int:
        """How many requests and replies are held."""
        return len(self._in_flight) + len(self._replied)

    def find(self, key: Key, authenticator: bytes, now_ms: int) -> bytes | Duplicate | None:
        """The reply this request was given, or that it is in flight, or None: it is new."""
        if self._in_flight.get(key) == authenticator:
            return Duplicate.IN_FLIGHT
        replied = self._replied.get(key)
        if replied is None or replied[0] != authenticator or replied[2] <= now_ms:
            return None
        return replied[1]

    def begin(self, key: Key, authenticator: bytes) -> None:
        """Note a new request as in flight. It takes the place of any other under the same key."""
        self._replied.pop(key, None)
        in_flight = self._in_flight
        in_flight.pop(key, None)
        if len(in_flight) >= self._capacity:
            in_flight.popitem(last=False)
        in_flight[key] = authenticator

    def finish(self, key: Key, authenticator: bytes, reply: bytes, now_ms: int) -> None:
        """Keep the reply to a request in flight.

        Nothing is kept when another request has taken its place meanwhile: the NAS that reused the
        Identifier no longer waits for the old reply.
        """
        if self._in_flight.get(key) != authenticator:
            return
        del self._in_flight[key]
        replied = self._replied
        self._forget_expired(now_ms)
        if len(replied) >= self._capacity:
            replied.popitem(last=False)
        replied[key] = (authenticator, reply, now_ms + self._lifetime_ms)

    def release(self, key: Key, authenticator: bytes) -> None:
        """Forget a request in flight that gets no reply, so that its retransmission is new."""
        if self._in_flight.get(key) == authenticator:
            del self._in_flight[key]

    def _forget_expired(self, now_ms: int) -> None:
        replied = self._replied
        while replied:
            oldest = next(iter(replied))
            if replied[oldest][2] > now_ms:
                return
            replied.popitem(last=False)
