"""The accounting client: RFC 2866 and 5080, and the sums of what was acknowledged."""

import hashlib
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius.packet import Code
from radius.records import AcctStatus
from ratewire.fleet.accounting import (
    FORMER,
    LONGEST_RETRY_S,
    OUTSTANDING,
    Accounting,
    Acknowledged,
    Reply,
    Report,
    Tally,
    is_answer,
)
from tests.ratewire.fleet.wire import DELAY_TIME, NOW, SECRET, answer, number_in, record_of


def signed(head: bytes, request: bytes, attributes: bytes = b"") -> bytes:
    """A reply with a right Response Authenticator, whatever its header says."""
    authenticator = hashlib.md5(head + request[4:20] + attributes + SECRET).digest()
    return head + authenticator + attributes


Forge = Callable[[bytes], bytes]

FORGED: dict[str, Forge] = {
    "secret": lambda sent: answer(sent, secret=b"other"),
    "code": lambda sent: signed(b"\2" + sent[1:2] + b"\0\x14", sent),
    "identifier": lambda sent: signed(b"\5" + bytes([(sent[1] + 1) % 256]) + b"\0\x14", sent),
    "one octet short": lambda sent: answer(sent)[:-1],
    "shorter than a header": lambda sent: answer(sent)[:19],
    "empty": lambda sent: b"",
    "length 19": lambda sent: signed(b"\5" + sent[1:2] + b"\0\x13", sent),
    "length 21": lambda sent: signed(b"\5" + sent[1:2] + b"\0\x15", sent),
    "the request": lambda sent: b"\5" + sent[1:],
}


def report(
    status: AcctStatus = AcctStatus.INTERIM,
    session_id: str = "s1",
    octets: int = 0,
    *,
    at: float = NOW,
    session: Acknowledged | None = None,
) -> Report:
    """A report of a session whose counters are all told by one number."""
    return Report(
        status=status,
        session_id=session_id,
        attributes={
            "Acct-Status-Type": int(status),
            "Acct-Session-Id": session_id,
            "Acct-Input-Octets": octets,
        },
        at=at,
        octets_in=octets,
        octets_out=2 * octets,
        seconds=3 * octets,
        session=session,
    )


class Client:
    """An accounting client with its tally, and what it sends."""

    def __init__(self, *, seed: int = 1, delay_time: bool = False) -> None:
        self.tally = Tally()
        self.accounting = Accounting(SECRET, Random(seed), self.tally, delay_time=delay_time)

    def send(self, made: Report, now: float = NOW) -> bytes:
        """The one datagram that goes out for a report."""
        [datagram] = self.accounting.report(made, now)
        return datagram

    def next_transmission(self) -> tuple[float, bytes]:
        """The next retransmission, and when it is due."""
        at = self.accounting.next_due()
        assert at is not None
        assert self.accounting.due(at - 0.001) == []
        [datagram] = self.accounting.due(at)
        return at, datagram


class TestRetransmission:
    @settings(deadline=None)
    @given(st.integers(), st.booleans())
    def test_intervals_double_up_to_the_longest_each_with_jitter(
        self, seed: int, delay_time: bool
    ) -> None:
        client = Client(seed=seed, delay_time=delay_time)
        client.send(report())
        sent_at, intervals = NOW, list[float]()
        for _ in range(8):
            at, _ = client.next_transmission()
            intervals.append(at - sent_at)
            sent_at = at
        assert 1.8 <= intervals[0] <= 2.2
        for before, after in pairwise(intervals):
            # The jitter decides whether doubling would pass the longest.
            doubled = 1.9 * before - 1e-6 <= after <= min(2.1 * before, LONGEST_RETRY_S) + 1e-6
            longest = 0.9 * LONGEST_RETRY_S <= after + 1e-6 <= 1.1 * LONGEST_RETRY_S + 2e-6
            assert doubled or (longest and 2.1 * before > LONGEST_RETRY_S)
        assert client.tally.transmissions == 9
        assert client.tally.retransmissions == 8

    def test_each_interval_has_jitter_of_its_own(self) -> None:
        ratios: list[list[float]] = []
        for seed in range(5):
            client = Client(seed=seed)
            client.send(report())
            times = [NOW, *(client.next_transmission()[0] for _ in range(5))]
            intervals = [after - before for before, after in pairwise(times)]
            ratios.append([after / before for before, after in pairwise([1.0, *intervals])])
        for of_one_step in zip(*ratios, strict=True):
            assert len({round(ratio, 6) for ratio in of_one_step}) == 5

    def test_it_is_the_same_octets(self) -> None:
        client = Client()
        first = client.send(report())
        assert {client.next_transmission()[1] for _ in range(3)} == {first}

    def test_with_delay_time_it_is_another_request_that_is_older_each_time(self) -> None:
        client = Client(delay_time=True)
        sent = [(NOW, client.send(report(at=NOW)))]
        sent += [client.next_transmission() for _ in range(4)]
        delays = [number_in(record_of(datagram), DELAY_TIME) for _, datagram in sent]
        assert delays == [int(at - NOW) for at, _ in sent]
        assert delays == sorted(set(delays))
        assert len({datagram[1] for _, datagram in sent}) == 5
        assert len({datagram[4:20] for _, datagram in sent}) == 5
        assert client.accounting.unanswered == 1

    def test_without_it_there_is_no_delay_time(self) -> None:
        assert record_of(Client().send(report())).attributes.get(DELAY_TIME) is None

    def test_a_clock_that_was_set_back_makes_no_negative_delay(self) -> None:
        client = Client(delay_time=True)
        assert number_in(record_of(client.send(report(at=NOW), NOW - 60)), DELAY_TIME) == 0

    def test_what_is_answered_is_not_sent_again(self) -> None:
        client = Client()
        sent = client.send(report())
        assert client.accounting.answered(answer(sent), NOW + 0.5) == (Reply.ANSWER, [])
        assert client.accounting.next_due() is None
        assert client.accounting.due(NOW + 100) == []
        assert list(client.tally.answer_times) == [0.5]

    def test_the_time_to_an_answer_counts_from_the_first_transmission(self) -> None:
        client = Client(delay_time=True)
        client.send(report())
        at, again = client.next_transmission()
        client.accounting.answered(answer(again), at + 1)
        assert list(client.tally.answer_times) == pytest.approx([at + 1 - NOW])


class TestIdentifiers:
    def test_no_two_outstanding_requests_share_one_and_the_rest_waits(self) -> None:
        client = Client()
        sent: list[bytes] = []
        for number in range(OUTSTANDING + 44):
            sent += client.accounting.report(report(AcctStatus.START, f"s{number}"), NOW)
        assert len(sent) == OUTSTANDING
        assert {datagram[1] for datagram in sent} == set(range(256))
        assert client.accounting.unanswered == OUTSTANDING + 44
        assert client.accounting.due(NOW + 1) == []

        freed = sent[100]
        _, [next_one] = client.accounting.answered(answer(freed), NOW + 1)
        assert next_one[1] == freed[1]
        assert record_of(next_one).session_id == f"s{OUTSTANDING}"

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 3), max_size=20), st.booleans())
    def test_an_identifier_in_use_is_never_used_again(
        self, steps: list[int], delay_time: bool
    ) -> None:
        client = Client(delay_time=delay_time)
        in_use: dict[int, str] = {}
        last: dict[str, bytes] = {}
        now, number = NOW, 0

        def note(datagrams: list[bytes]) -> None:
            for datagram in datagrams:
                session = record_of(datagram).session_id
                if delay_time and session in last:
                    del in_use[last[session][1]]
                assert in_use.setdefault(datagram[1], session) == session
                last[session] = datagram

        for step in steps:
            if step < 2:
                for _ in range(100):
                    number += 1
                    made = report(AcctStatus.START, f"s{number}", at=now)
                    note(client.accounting.report(made, now))
            elif step == 2 and in_use:
                identifier = sorted(in_use)[number % len(in_use)]
                answered = last.pop(in_use.pop(identifier))
                kind, sent = client.accounting.answered(answer(answered), now)
                assert kind is Reply.ANSWER
                note(sent)
            else:
                now += 3
                note(client.accounting.due(now))
            assert len(in_use) == min(client.accounting.unanswered, OUTSTANDING)


class TestSupersession:
    def test_a_newer_interim_takes_the_place_of_one_that_is_not_answered(self) -> None:
        client = Client()
        client.send(report(octets=1))
        newer = client.send(report(octets=2))
        assert client.tally.superseded == 1
        assert client.accounting.unanswered == 1
        assert client.next_transmission()[1] == newer

    def test_so_does_the_stop_but_nothing_takes_the_place_of_a_start(self) -> None:
        client = Client()
        start = client.send(report(AcctStatus.START))
        client.send(report(octets=1))
        stop = client.send(report(AcctStatus.STOP, octets=2))
        assert client.tally.superseded == 1
        assert set(client.accounting.due(NOW + 2.3)) == {start, stop}

    def test_sessions_do_not_supersede_each_other(self) -> None:
        client = Client()
        client.send(report(session_id="s1"))
        client.send(report(session_id="s2"))
        assert client.tally.superseded == 0
        assert client.accounting.unanswered == 2

    def test_an_answered_interim_is_not_superseded(self) -> None:
        client = Client()
        client.accounting.answered(answer(client.send(report(octets=1))), NOW)
        client.send(report(octets=2))
        assert client.tally.superseded == 0

    def test_an_interim_that_was_sent_anew_is_superseded_as_well(self) -> None:
        client = Client(delay_time=True)
        client.send(report(octets=1))
        client.next_transmission()
        newer = client.send(report(octets=2), NOW + 3)
        assert client.tally.superseded == 1
        [again] = client.accounting.due(NOW + 60)
        assert record_of(again).octets_in == record_of(newer).octets_in == 2

    def test_in_the_queue_a_newer_interim_keeps_the_place_and_a_stop_clears_it(self) -> None:
        client = Client()
        sent: list[bytes] = []
        for number in range(OUTSTANDING):
            sent += client.accounting.report(report(AcctStatus.START, f"s{number}"), NOW)
        waiting = [("first", 1), ("second", 1), ("third", 1), ("first", 2)]
        for session_id, octets in waiting:
            assert client.accounting.report(report(session_id=session_id, octets=octets), NOW) == []
        stop = report(AcctStatus.STOP, "second", 2)
        assert client.accounting.report(stop, NOW) == []
        assert client.tally.superseded == 2

        left: list[tuple[str, int, int | None]] = []
        for start in sent[:3]:
            _, [freed] = client.accounting.answered(answer(start), NOW)
            found = record_of(freed)
            left.append((found.session_id, found.status, found.octets_in))
        assert left == [
            ("first", AcctStatus.INTERIM, 2),
            ("third", AcctStatus.INTERIM, 1),
            ("second", AcctStatus.STOP, 2),
        ]


class TestReplies:
    def test_a_copy_of_an_answer_is_late(self) -> None:
        client = Client()
        reply = answer(client.send(report()))
        assert client.accounting.answered(reply, NOW)[0] is Reply.ANSWER
        assert client.accounting.answered(reply, NOW)[0] is Reply.LATE
        assert (client.tally.acknowledged, client.tally.late_replies) == (1, 1)

    @pytest.mark.parametrize("delay_time", [False, True])
    def test_a_late_answer_tells_that_the_record_is_kept(self, delay_time: bool) -> None:
        client, session = Client(delay_time=delay_time), Acknowledged()
        old = client.send(report(octets=7, session=session))
        client.send(report(octets=9, session=session))
        assert client.accounting.answered(answer(old), NOW)[0] is Reply.LATE
        assert (session.octets_in, session.octets_out, session.seconds) == (7, 14, 21)
        assert client.tally.octets_in == 7
        assert client.accounting.unanswered == 1

    def test_an_answer_to_what_was_sent_anew_under_another_identifier_is_late(self) -> None:
        client = Client(delay_time=True)
        first = client.send(report())
        at, again = client.next_transmission()
        assert client.accounting.answered(answer(first), at)[0] is Reply.LATE
        assert client.accounting.answered(answer(again), at)[0] is Reply.ANSWER

    def test_answers_to_former_users_of_an_identifier_are_known(self) -> None:
        client = Client()
        sent: list[bytes] = []
        for number in range(OUTSTANDING * FORMER):
            datagram = client.send(report(AcctStatus.START, f"s{number}"))
            client.accounting.answered(answer(datagram), NOW)
            sent.append(datagram)
        assert {client.accounting.answered(answer(each), NOW)[0] for each in sent} == {Reply.LATE}
        assert client.tally.bad_replies == 0

    @pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
    def test_a_forged_reply_is_bad_and_acknowledges_nothing(self, forge: Forge) -> None:
        client, session = Client(), Acknowledged()
        sent = client.send(report(octets=5, session=session))
        for _ in range(2):  # while its request is outstanding, and after
            assert client.accounting.answered(forge(sent), NOW)[0] is Reply.BAD
            assert (session.octets_in, client.tally.acknowledged) == (0, 0)
        client.accounting.answered(answer(sent), NOW)
        assert client.accounting.answered(forge(sent), NOW)[0] is Reply.BAD
        assert client.tally.bad_replies == 3

    def test_octets_after_the_length_are_padding(self) -> None:
        client = Client()
        reply = answer(client.send(report())) + b"padding"
        assert client.accounting.answered(reply, NOW)[0] is Reply.ANSWER

    def test_attributes_of_a_reply_are_signed_too(self) -> None:
        sent = Client().send(report())
        proxied = signed(b"\5" + sent[1:2] + b"\0\x18", sent, b"\x21\4ab")
        assert proxied[0] == Code.ACCOUNTING_RESPONSE
        assert is_answer(sent[:20], proxied, SECRET)
        assert not is_answer(sent[:20], proxied[:-1] + b"c", SECRET)


class World:
    """Sessions, a client, and a server, with a network between that does what it is told."""

    def __init__(self, *, delay_time: bool) -> None:
        self.client = Client(delay_time=delay_time)
        self.now = NOW
        self.sessions = [Acknowledged() for _ in range(3)]
        self.used = [0, 0, 0]
        self.ended: set[int] = set()
        self.requests: list[bytes] = []
        self.replies: list[bytes] = []
        # The model: of each session, the highest counter in a request that the server has
        # received, and in one whose answer has come back.
        self.kept = [0, 0, 0]
        self.told = [0, 0, 0]

    def use(self, session: int, *, stop: bool) -> None:
        """A session uses something, and reports it."""
        if session in self.ended:
            return
        if stop:
            self.ended.add(session)
        self.used[session] += 10 + session
        status = AcctStatus.STOP if stop else AcctStatus.INTERIM
        made = report(
            status,
            f"s{session}",
            self.used[session],
            at=self.now,
            session=self.sessions[session],
        )
        self.requests += self.client.accounting.report(made, self.now)

    def serve(self, index: int, *, remove: bool) -> None:
        """The server receives a request; its answer is on its way."""
        request = self.requests.pop(index) if remove else self.requests[index]
        session, octets = self._said(request)
        self.kept[session] = max(self.kept[session], octets)
        self.replies.append(request)

    def answer(self, index: int, *, remove: bool) -> None:
        """The client receives an answer."""
        request = self.replies.pop(index) if remove else self.replies[index]
        session, octets = self._said(request)
        kind, more = self.client.accounting.answered(answer(request), self.now)
        assert kind in (Reply.ANSWER, Reply.LATE)
        self.told[session] = max(self.told[session], octets)
        self.requests += more

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds
        self.requests += self.client.accounting.due(self.now)

    def check(self) -> None:
        """What is said to be acknowledged is what the answers said."""
        assert [each.octets_in for each in self.sessions] == self.told
        assert all(told <= kept for told, kept in zip(self.told, self.kept, strict=True))
        tally = self.client.tally
        total = sum(self.told)
        assert (tally.octets_in, tally.octets_out, tally.seconds) == (total, 2 * total, 3 * total)
        assert tally.bad_replies == 0

    def _said(self, request: bytes) -> tuple[int, int]:
        found = record_of(request)
        assert found.octets_in is not None
        return int(found.session_id[1:]), found.octets_in


class TestTally:
    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["use", "stop", "lose", "serve", "copy", "answer", "echo", "wait"]),
                st.integers(0, 1000),
            ),
            max_size=80,
        ),
        st.booleans(),
    )
    def test_it_is_exact_whatever_the_network_does(
        self, steps: list[tuple[str, int]], delay_time: bool
    ) -> None:
        world = World(delay_time=delay_time)
        for step, number in steps:
            requests, replies = len(world.requests), len(world.replies)
            match step:
                case "use" | "stop":
                    world.use(number % 3, stop=step == "stop")
                case "lose" if requests:
                    del world.requests[number % requests]
                case "serve" | "copy" if requests:
                    world.serve(number % requests, remove=step == "serve")
                case "answer" | "echo" if replies:
                    world.answer(number % replies, remove=step == "answer")
                case "wait":
                    world.wait(number / 100)
                case _:
                    pass
            world.check()

        # The network mends: everything is answered in the end, and then nothing is missing.
        for session in range(3):
            world.use(session, stop=True)
        while world.client.accounting.unanswered:
            world.wait(20)
            while world.requests:
                world.serve(0, remove=True)
            while world.replies:
                world.answer(0, remove=True)
        world.check()
        assert world.told == world.kept == world.used

    def test_reports_are_counted_by_kind(self) -> None:
        client = Client()
        for status in AcctStatus(7), AcctStatus(1), AcctStatus(3), AcctStatus(3), AcctStatus(2):
            client.send(report(status))
        tally = client.tally
        assert (tally.starts, tally.interims, tally.stops, tally.others) == (1, 2, 1, 1)

    def test_what_belongs_to_no_session_adds_nothing(self) -> None:
        client = Client()
        client.accounting.answered(answer(client.send(report(AcctStatus(7), "", 5))), NOW)
        assert (client.tally.acknowledged, client.tally.octets_in) == (1, 0)
