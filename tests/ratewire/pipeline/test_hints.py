"""Hints: what is kept of a step, what is not, and how many."""

import msgspec

from balances.messages import Account, CutCause, SessionState, Step
from radius.records import AcctStatus
from ratewire.pipeline.hints import Hints
from ratewire.pipeline.progress import new_state
from rating.quantity import Counters
from rating.reservation import Pace
from rating.usage import Meter, Phase
from tests.ratewire.records import METERED, record

ACCOUNT = Account("acme", "EUR", 1000, 300, 0, 0, 7, 1, 1)


def state() -> SessionState:
    meter = Meter(0, Phase.OPEN, 0, 0, 0, Counters(1, 2, 3))
    return new_state(record(AcctStatus.START), METERED, meter, Pace(60))


def step(session: str = "n|1", **changes: object) -> Step:
    fields: dict[str, object] = {
        "session": session,
        "nas": "n",
        "account": "acme",
        "uid": bytes(16),
        "state": b"",
        "open": True,
        "expected_version": 4,
        "expected_rating": 7,
        "expected_boot": 9,
        "charge": 100,
        "want": 200,
        "grant": 150,
        "cut_after_ms": None,
        "cut_cause": CutCause.EXHAUSTED,
        "quiet": 900,
        "entries": (),
    }
    return Step(**(fields | changes))  # pyright: ignore[reportArgumentType] -- fields by name


def note(hints: Hints, made: Step, version: int = 5) -> None:
    hints.committed(made, ACCOUNT, state(), held=300, version=version, seen_ms=60_000)


def test_a_committed_session_is_known_as_it_was_left() -> None:
    hints = Hints()
    note(hints, step())
    hint = hints.find("n|1", "n", "bob")
    assert hint is not None
    assert hint.boot == 9
    session, account = hint.found.session, hint.found.account
    assert session is not None
    assert (session.version, session.held, session.seen_ms, session.quiet) == (5, 150, 60_000, 900)
    assert session.open
    assert account is not None
    assert (account.balance, account.reserved, account.rating_version) == (900, 150, 7)
    assert hint.found.state == state()


def test_a_record_without_a_user_name_is_the_sessions() -> None:
    hints = Hints()
    note(hints, step())
    assert hints.find("n|1", "n", None) is not None
    assert hints.find("n|1", "n", "") is not None
    assert hints.find("n|1", "n", "eve") is None
    assert hints.find("n|2", "n", "bob") is None


def test_what_is_not_open_is_not_kept() -> None:
    for made, version in ((step(open=False), 6), (step(report=False), 6), (step(), 0)):
        hints = Hints()
        note(hints, step())
        note(hints, made, version)
        assert hints.find("n|1", "n", "bob") is None
        assert not len(hints)


def test_a_session_that_is_dropped_is_read() -> None:
    hints = Hints()
    note(hints, step())
    hints.drop("n|1")
    hints.drop("n|1")
    assert hints.find("n|1", "n", "bob") is None


def test_sessions_in_turn_find_most_of_what_fits() -> None:
    """More sessions than are kept, reporting round and round: the first ones stay."""
    hints = Hints(80)
    found = 0
    for _ in range(10):
        for number in range(100):
            found += hints.find(f"n|{number}", "n", "bob") is not None
            note(hints, step(f"n|{number}"))
            assert len(hints) <= 80
    assert found > 10 * 60


def test_those_that_do_not_report_any_more_make_room() -> None:
    hints = Hints(80)
    for number in range(80):
        note(hints, step(f"gone|{number}"))
    for _ in range(40):
        for number in range(80):
            note(hints, step(f"n|{number}"))
    assert sum(hints.find(f"n|{number}", "n", "bob") is not None for number in range(80)) > 70


def test_a_nas_whose_sessions_go_elsewhere_too_is_not_guessed_at() -> None:
    """And is again once the guesses would have been right for a while."""
    hints = Hints()
    note(hints, step())
    hints.judge("n", right=True)
    hints.judge("n", right=False)
    assert hints.find("n|1", "n", "bob") is None
    assert hints.find("n|1", "other", "bob") is not None
    here = hints.find("n|1", "other", "bob")
    assert here is not None
    assert here.found.session is not None
    there = msgspec.structs.replace(here.found.session, version=6)
    hints.compare("n|1", "n", here.found.session)
    assert hints.find("n|1", "n", "bob") is None
    hints.compare("n|1", "n", here.found.session)
    assert hints.find("n|1", "n", "bob") is not None
    hints.compare("n|1", "n", there)
    assert hints.find("n|1", "n", "bob") is None


def test_credit_is_bounded_either_way() -> None:
    hints = Hints()
    note(hints, step())
    for _ in range(1000):
        hints.judge("n", right=False)
    for _ in range(60):
        hints.judge("n", right=True)
    assert hints.find("n|1", "n", "bob") is not None
    for _ in range(1000):
        hints.judge("n", right=True)
    for _ in range(21):
        hints.judge("n", right=False)
    assert hints.find("n|1", "n", "bob") is None


def test_names_that_clients_make_up_do_not_pile_up() -> None:
    hints = Hints()
    for number in range(25_000):
        hints.judge(f"nas{number}", right=False)
    note(hints, step())
    assert hints.find("n|1", "nas1", "bob") is not None
