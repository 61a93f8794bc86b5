"""One simulated NAS: what it reports of its sessions, and how it obeys."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from radius.dynauth import coa_request, disconnect_request
from radius.packet import Code
from radius.profiles import CoaRules
from radius.records import AccountingRecord, AcctStatus
from ratewire.fleet.accounting import Tally
from ratewire.fleet.nas import (
    ADMIN_RESET,
    NAS_REQUEST,
    SESSION_TIMEOUT,
    USER_REQUEST,
    Conduct,
    Nas,
    Obedient,
    Site,
)
from ratewire.fleet.obedience import Told
from ratewire.fleet.subscriber import FIRST_PATIENCE_S, Subscriber
from tests.ratewire.fleet.wire import NOW, SECRET, answer, record_of

INTERIM_S = 10.0
JITTER = 0.1

_RULES = CoaRules(port=3799, message_authenticator=True, event_timestamp=True)

ON, OFF = AcctStatus.ACCOUNTING_ON, AcctStatus.ACCOUNTING_OFF
START, INTERIM, STOP = AcctStatus.START, AcctStatus.INTERIM, AcctStatus.STOP


class World:
    """A NAS whose server answers everything at once, and what it has reported."""

    def __init__(self, users: Sequence[str] = ("alice",), *, megabits: float = 20.0) -> None:
        self.tally, self.obedient = Tally(), Obedient()
        self.subscribers = [
            Subscriber(user, number, megabits, 1) for number, user in enumerate(users)
        ]
        self.nas = Nas(
            Site(3, "sim-3", "127.96.0.3", SECRET, boot=0xABC),
            self.subscribers,
            Conduct(INTERIM_S, JITTER),
            Random(1),
            self.tally,
            self.obedient,
        )
        self.now = NOW
        self.records: list[AccountingRecord] = []

    def take(self, datagrams: Sequence[bytes]) -> list[AccountingRecord]:
        """Answer datagrams; return the records in them."""
        found: list[AccountingRecord] = []
        for datagram in datagrams:
            found.append(record_of(datagram, at=self.now))
            assert self.nas.answered(answer(datagram), self.now) == []
        self.records += found
        return found

    def switch_on(self, *, spread: float = 0.0) -> list[AccountingRecord]:
        """The NAS comes up."""
        return self.take(self.nas.switch_on(self.now, spread))

    def until(self, end: float) -> list[AccountingRecord]:
        """What is reported up to a moment, each at its time."""
        found: list[AccountingRecord] = []
        while (due := self.nas.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            found += self.take(self.nas.due(self.now))
        self.now = max(self.now, end)
        return found

    def up(self) -> str:
        """Bring the first subscriber in; return the session."""
        self.switch_on()
        self.until(NOW)
        [session_id] = self.nas.sessions
        return session_id

    def disconnect(self, *attributes: tuple[int, bytes]) -> tuple[Told, list[AccountingRecord]]:
        """Tell it to end a session."""
        made = disconnect_request(
            attributes, identifier=1, secret=SECRET, rules=_RULES, event_time=int(self.now)
        )
        told, reports = self.nas.told(made, "server", self.now)
        return told, self.take(reports)

    def change(self, *attributes: tuple[int, bytes], user: bytes = b"alice") -> Told:
        """Tell it to change a session."""
        made = coa_request(
            ((1, user),),
            attributes,
            identifier=1,
            secret=SECRET,
            rules=_RULES,
            event_time=int(self.now),
        )
        told, reports = self.nas.told(made, "server", self.now)
        assert reports == []
        assert told.reply is not None
        assert told.reply[0] == Code.COA_ACK
        return told


@pytest.fixture
def world() -> World:
    """A NAS with one subscriber."""
    return World()


def statuses(records: Sequence[AccountingRecord]) -> list[int]:
    return [record.status for record in records]


def of(records: Sequence[AccountingRecord], session_id: str) -> list[AccountingRecord]:
    return [record for record in records if record.session_id == session_id]


class TestReports:
    def test_it_begins_with_accounting_on_that_names_no_session(self, world: World) -> None:
        [on] = world.switch_on()
        assert (on.status, on.session_id, on.user_name) == (ON, "", None)
        assert (on.nas, on.event_time) == ("fleet/sim-3", int(NOW))

    def test_subscribers_come_in_over_the_spread(self) -> None:
        world = World([f"u{number}" for number in range(40)])
        world.switch_on(spread=20.0)
        starts = [each for each in world.until(NOW + 20) if each.status == START]
        assert {each.user_name for each in starts} == {each.name for each in world.subscribers}
        times = [each.event_time - NOW for each in starts]
        assert min(times) < 5
        assert max(times) > 15

    def test_a_start_says_whose_session_it_is_and_has_no_counters(self, world: World) -> None:
        session_id = world.up()
        start = world.records[-1]
        assert (start.status, start.session_id, start.user_name) == (START, session_id, "alice")
        assert (start.octets_in, start.octets_out, start.session_seconds) == (None, None, None)
        assert start.attributes.get(8) == bytes([100, 64, 0, 1])
        assert start.attributes.get(31) == b"02-00-00-00-00-00"
        assert start.attributes.get(4) == bytes([127, 96, 0, 3])

    def test_then_it_reports_in_intervals_the_first_of_which_is_shorter(self, world: World) -> None:
        world.up()
        times = [NOW]
        for _ in range(20):
            due = world.nas.next_due()
            assert due is not None
            assert statuses(world.until(due)) == [INTERIM]
            times.append(due)
        intervals = [after - before for before, after in pairwise(times)]
        least, most = INTERIM_S * (1 - JITTER), INTERIM_S * (1 + JITTER)
        assert 0.3 * least <= intervals[0] <= most
        assert all(least <= each <= most for each in intervals[1:])
        assert len(set(intervals)) > 10

    def test_a_session_ends_when_its_user_has_had_enough_and_another_follows(
        self, world: World
    ) -> None:
        habit = world.subscribers[0].habit
        first = world.up()
        records = world.until(NOW + habit.online + habit.offline)
        stop = next(each for each in records if each.status == STOP)
        assert (stop.session_id, stop.terminate_cause) == (first, USER_REQUEST)
        assert stop.session_seconds == int(habit.online)
        [second] = world.nas.sessions
        assert second != first
        assert statuses(records)[-2:] == [STOP, START]
        assert records[-1].event_time == int(NOW + habit.online + habit.offline)

    def test_counters_are_64_bits_and_never_fall(self) -> None:
        world = World(megabits=8_000)
        session_id = world.up()
        records = [world.records[-1], *of(world.until(NOW + 250), session_id)]
        told = [
            (each.octets_in or 0, each.octets_out or 0, each.session_seconds or 0)
            for each in records
        ]
        for counter in zip(*told, strict=True):
            assert list(counter) == sorted(counter)
        assert told[-1][1] > 2**34
        assert all(each.has_gigawords for each in records[1:])
        assert (world.tally.octets_in, world.tally.octets_out, world.tally.seconds) == told[-1]

    def test_session_time_does_not_fall_with_the_clock(self, world: World) -> None:
        session_id = world.up()
        before = of(world.until(NOW + 100), session_id)[-1]
        world.now = NOW + 30
        [stop] = world.take(world.nas.end_sessions(world.now))
        assert stop.session_seconds is not None
        assert stop.session_seconds >= (before.session_seconds or 0)
        assert (stop.octets_out or 0) >= (before.octets_out or 0)

    def test_session_ids_are_of_this_run_and_nas_and_no_two_the_same(self) -> None:
        world = World([f"u{number}" for number in range(10)])
        world.switch_on()
        world.until(NOW + 8_000)
        ids = [each.session_id for each in world.records if each.status == START]
        assert len(ids) > 15
        assert len(set(ids)) == len(ids)
        assert all(each.startswith("abc-003-") for each in ids)

    def test_what_the_tally_says_is_what_was_reported(self) -> None:
        world = World([f"u{number}" for number in range(5)])
        world.switch_on(spread=10)
        world.until(NOW + 5_000)
        world.take(world.nas.end_sessions(world.now))
        stops = [each for each in world.records if each.status == STOP]
        assert world.tally.octets_in == sum(each.octets_in or 0 for each in stops)
        assert world.tally.octets_out == sum(each.octets_out or 0 for each in stops)
        assert world.tally.seconds == sum(each.session_seconds or 0 for each in stops)
        assert world.tally.stops == len(stops) == world.tally.starts


class TestEnd:
    def test_all_sessions_stop_and_nobody_comes_again(self) -> None:
        world = World(["alice", "bob", "carol"])
        world.switch_on()
        world.until(NOW + 5)
        stops = world.take(world.nas.end_sessions(world.now))
        assert statuses(stops) == [STOP] * 3
        assert {each.terminate_cause for each in stops} == {NAS_REQUEST}
        assert world.nas.sessions == {}
        assert world.until(NOW + 10_000) == []
        [off] = world.take(world.nas.switch_off(world.now))
        assert (off.status, off.session_id) == (OFF, "")
        assert world.nas.unanswered == 0

    def test_what_is_not_answered_is_told(self, world: World) -> None:
        world.nas.switch_on(NOW, 0.0)
        world.nas.due(NOW)
        assert world.nas.unanswered == 2


class TestDisconnect:
    def test_the_session_stops_and_the_subscriber_comes_back_after_a_while(
        self, world: World
    ) -> None:
        session_id = world.up()
        world.until(NOW + 20)
        told, [stop] = world.disconnect((1, b"alice"), (44, session_id.encode()))
        assert told.reply is not None
        assert told.reply[0] == Code.DISCONNECT_ACK
        assert (stop.status, stop.session_id) == (STOP, session_id)
        assert (stop.terminate_cause, stop.session_seconds) == (ADMIN_RESET, 20)
        assert world.nas.sessions == {}
        assert world.until(NOW + 20 + 0.7 * FIRST_PATIENCE_S) == []
        assert statuses(world.until(NOW + 20 + 1.3 * FIRST_PATIENCE_S)) == [START]

    def test_a_copy_of_the_request_ends_nothing_more(self, world: World) -> None:
        session_id = world.up()
        first, _ = world.disconnect((44, session_id.encode()))
        again, reports = world.disconnect((44, session_id.encode()))
        assert (again.reply, reports) == (first.reply, [])
        assert world.obedient == Obedient(
            disconnects=1, disconnects_obeyed=1, disconnects_repeated=1
        )

    def test_a_session_that_is_not_there_is_refused(self, world: World) -> None:
        world.up()
        told, reports = world.disconnect((44, b"gone"))
        assert (told.refused, reports) == (503, [])
        assert world.obedient == Obedient(disconnects=1, disconnects_refused=1)

    def test_what_is_not_genuine_is_not_counted(self, world: World) -> None:
        world.up()
        assert world.nas.told(b"noise", "anybody", NOW) == (Told(None), [])
        assert world.obedient == Obedient()

    def test_its_class_comes_back_in_the_stop(self, world: World) -> None:
        session_id = world.up()
        _, [stop] = world.disconnect((44, session_id.encode()), (25, b"\xff1"), (25, b"2"))
        assert stop.classes == (b"\xff1", b"2")


class TestChange:
    def test_a_speed_counts_from_then_on(self, world: World) -> None:
        session_id = world.up()
        habit = world.subscribers[0].habit
        world.now = NOW + 4
        world.change((11, b"80/8"))
        at_change = world.nas.sessions[session_id].octets_out
        assert 4 * 0.5 * habit.down - 1 <= at_change <= 4 * 1.5 * habit.down
        world.until(NOW + 104)
        slow = world.nas.sessions[session_id]
        since = slow.counted - (NOW + 4)
        assert slow.octets_out - at_change == pytest.approx(since * 10_000, rel=0.5)
        world.change((11, b"9999999"))
        assert (slow.down, slow.up) == (habit.down, habit.up)

    def test_no_speed_is_faster_than_the_line(self, world: World) -> None:
        session_id = world.up()
        world.change((11, b"9999999/1"))
        live = world.nas.sessions[session_id]
        assert (live.down, live.up) == (world.subscribers[0].habit.down, 125)

    def test_a_session_timeout_counts_from_now(self, world: World) -> None:
        session_id = world.up()
        world.until(NOW + 50)
        world.change((27, (7).to_bytes(4)))
        records = world.until(NOW + 57)
        assert (records[-1].status, records[-1].session_id) == (STOP, session_id)
        assert (records[-1].terminate_cause, records[-1].session_seconds) == (SESSION_TIMEOUT, 57)
        assert world.obedient.changes == 1

    def test_a_session_timeout_of_nothing_ends_it_at_once(self, world: World) -> None:
        world.up()
        world.change((27, bytes(4)))
        assert statuses(world.until(NOW)) == [STOP]

    def test_timeouts_that_are_renewed_keep_no_report_from_its_time(self, world: World) -> None:
        world.up()
        found: list[AccountingRecord] = []
        for second in range(1, 61):
            found += world.until(NOW + second)
            world.change((27, (3600 + second).to_bytes(4)))
        assert statuses(found).count(INTERIM) >= 5

    def test_a_class_is_in_all_that_follows(self, world: World) -> None:
        world.up()
        world.change((25, b"gold"))
        records: list[Any] = [*world.until(NOW + 30), *world.take(world.nas.end_sessions(NOW + 31))]
        assert {each.classes for each in records} == {(b"gold",)}
