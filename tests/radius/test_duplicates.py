"""The reply cache: a retransmission finds its reply, a new request never finds another's."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from radius.duplicates import Duplicate, Key, ReplyCache

KEY: Key = ("192.0.2.10", 49152, 7)
A, B = b"A" * 16, b"B" * 16


@pytest.fixture
def cache() -> ReplyCache:
    return ReplyCache(lifetime_ms=5_000, capacity=3)


class TestLife:
    def test_a_request_is_new_then_in_flight_then_replied_then_new(self, cache: ReplyCache) -> None:
        assert cache.find(KEY, A, 0) is None
        cache.begin(KEY, A)
        assert cache.find(KEY, A, 0) is Duplicate.IN_FLIGHT
        cache.finish(KEY, A, b"reply", 1_000)
        assert cache.find(KEY, A, 5_999) == b"reply"
        assert cache.find(KEY, A, 6_000) is None

    def test_in_flight_does_not_end_with_time(self, cache: ReplyCache) -> None:
        """A slow commit must not let the retransmission be processed beside it."""
        cache.begin(KEY, A)
        assert cache.find(KEY, A, 10**9) is Duplicate.IN_FLIGHT

    def test_a_released_request_is_new_again(self, cache: ReplyCache) -> None:
        cache.begin(KEY, A)
        cache.release(KEY, A)
        assert cache.find(KEY, A, 0) is None
        assert len(cache) == 0

    @pytest.mark.parametrize(
        "other", [("192.0.2.11", 49152, 7), ("192.0.2.10", 1, 7), (*KEY[:2], 8)]
    )
    def test_host_port_and_identifier_tell_requests_apart(
        self, cache: ReplyCache, other: Key
    ) -> None:
        cache.begin(KEY, A)
        assert cache.find(other, A, 0) is None

    def test_a_new_authenticator_replaces_a_reply(self, cache: ReplyCache) -> None:
        cache.begin(KEY, A)
        cache.finish(KEY, A, b"reply to A", 0)
        assert cache.find(KEY, B, 1) is None
        cache.begin(KEY, B)
        assert cache.find(KEY, A, 1) is None
        assert cache.find(KEY, B, 1) is Duplicate.IN_FLIGHT
        assert len(cache) == 1

    def test_a_late_reply_does_not_answer_the_request_that_took_the_place(
        self, cache: ReplyCache
    ) -> None:
        cache.begin(KEY, A)
        cache.begin(KEY, B)
        cache.finish(KEY, A, b"reply to A", 0)
        assert cache.find(KEY, B, 0) is Duplicate.IN_FLIGHT
        cache.release(KEY, A)
        assert cache.find(KEY, B, 0) is Duplicate.IN_FLIGHT
        cache.finish(KEY, B, b"reply to B", 0)
        assert cache.find(KEY, B, 0) == b"reply to B"


class TestBounds:
    def test_the_oldest_reply_makes_room(self, cache: ReplyCache) -> None:
        for number in range(4):
            cache.begin((*KEY[:2], number), A)
            cache.finish((*KEY[:2], number), A, b"%d" % number, number)
        found = [cache.find((*KEY[:2], number), A, 10) for number in range(4)]
        assert found == [None, b"1", b"2", b"3"]

    def test_the_oldest_in_flight_makes_room_and_its_reply_is_not_kept(
        self, cache: ReplyCache
    ) -> None:
        for number in range(4):
            cache.begin((*KEY[:2], number), A)
        assert len(cache) == 3
        assert cache.find((*KEY[:2], 0), A, 0) is None
        cache.finish((*KEY[:2], 0), A, b"late", 0)
        assert cache.find((*KEY[:2], 0), A, 0) is None

    def test_expired_replies_are_forgotten_as_new_ones_come(self) -> None:
        cache = ReplyCache(lifetime_ms=5_000)
        for number in range(200):
            cache.begin((*KEY[:2], number), A)
            cache.finish((*KEY[:2], number), A, b"reply", number * 100)
        assert len(cache) == 50

    @pytest.mark.parametrize("lifetime_ms", [0, 4_999, 30_001])
    def test_a_lifetime_outside_the_rfcs_is_refused(self, lifetime_ms: int) -> None:
        with pytest.raises(ValueError, match="allowed are 5000 to 30000"):
            ReplyCache(lifetime_ms=lifetime_ms)

    def test_a_capacity_of_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="allowed is 1 or more"):
            ReplyCache(capacity=0)


class CacheMachine(RuleBasedStateMachine):
    """The cache against a plain list of what happened, newest last.

    A few keys and authenticators, so that they collide. Capacity is 4: the list is searched with
    the same bounds, in the most simple-minded way.
    """

    LIFETIME_MS = 5_000
    CAPACITY = 4
    keys = st.sampled_from(
        [("a", 1, 1), ("a", 1, 2), ("a", 2, 1), ("b", 1, 1), ("b", 1, 2), ("c", 1, 1)]
    )
    authenticators = st.sampled_from([A, B])

    def __init__(self) -> None:
        super().__init__()
        self.cache = ReplyCache(lifetime_ms=self.LIFETIME_MS, capacity=self.CAPACITY)
        self.now_ms = 0
        self.in_flight: list[tuple[Key, bytes]] = []
        self.replied: list[tuple[Key, bytes, bytes, int]] = []
        self.replies = 0

    @rule(milliseconds=st.sampled_from([0, 1, 1_000, 4_999, 5_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.now_ms += milliseconds

    @rule(key=keys, authenticator=authenticators)
    def receive(self, key: Key, authenticator: bytes) -> None:
        """As the engine does: look it up, and begin what is new."""
        found = self.cache.find(key, authenticator, self.now_ms)
        if (key, authenticator) in self.in_flight:
            assert found is Duplicate.IN_FLIGHT
            return
        live = [entry for entry in self.replied if self.now_ms < entry[3] + self.LIFETIME_MS]
        replies = [entry[2] for entry in live if entry[:2] == (key, authenticator)]
        if replies:
            assert [found] == replies
            return
        assert found is None
        self.cache.begin(key, authenticator)
        self.in_flight = [entry for entry in self.in_flight if entry[0] != key]
        self.replied = [entry for entry in self.replied if entry[0] != key]
        self.in_flight = [*self.in_flight, (key, authenticator)][-self.CAPACITY :]

    @rule(key=keys, authenticator=authenticators)
    def answer(self, key: Key, authenticator: bytes) -> None:
        """Also of what is not, or no longer, in flight."""
        self.replies += 1
        reply = b"reply %d" % self.replies
        self.cache.finish(key, authenticator, reply, self.now_ms)
        if (key, authenticator) not in self.in_flight:
            return
        self.in_flight.remove((key, authenticator))
        live = [entry for entry in self.replied if self.now_ms < entry[3] + self.LIFETIME_MS]
        self.replied = [*live, (key, authenticator, reply, self.now_ms)][-self.CAPACITY :]

    @rule(key=keys, authenticator=authenticators)
    def abandon(self, key: Key, authenticator: bytes) -> None:
        self.cache.release(key, authenticator)
        if (key, authenticator) in self.in_flight:
            self.in_flight.remove((key, authenticator))

    @invariant()
    def it_holds_what_the_list_holds(self) -> None:
        assert len(self.cache) == len(self.in_flight) + len(self.replied)


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=300, stateful_step_count=40)
