"""The store stands still for longer than the grace: NASes are answered from the local journal.

In the end each record is charged once: what the NASes were acknowledged, to the octet and the
micro, is what ledger and store have.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.acceptance.books import Epoch, Money
from tests.acceptance.installation import Installation, eventually, frozen
from tests.acceptance.test_kills import PAID_IN, Play, Stage
from tests.support.servers import server_directory


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A system of its own that takes its store for away after a second."""
    with server_directory() as directory:
        installation = Installation(directory)
        with installation.config.open("a") as file:
            file.write("[journal]\ngrace_seconds = 1\n[store]\ntimeout_ms = 300\n")
        stage = Stage(installation)
        try:
            yield stage
            assert stage.serving.stop() == 0, stage.serving.log()
        finally:
            stage.serving.kill_everything()


def _not_ready(stage: Stage) -> dict[str, str]:
    """What /readyz says is wrong."""
    url = stage.installation.url("/readyz")
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            document = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            document = json.load(error)
    checks: dict[str, str] = document["checks"]
    return {name: said for name, said in checks.items() if said != "ok"}


def _report_from_the_journal(play: Play, records: int) -> None:
    """Report until each session has had so many answers more, on the average."""
    enough = play.traffic.acknowledged + records * len(play.traffic.sessions)
    play.traffic.run_until(lambda: play.traffic.acknowledged >= enough, 30)


def _assert_each_session_is_booked_once(stage: Stage, play: Play) -> None:
    """Its counters and its price, in one epoch, whatever the order of its records."""
    with stage.books() as books:
        books.settle()
        for user, account in play.accounts.items():
            sessions = [each for each in play.traffic.sessions if each.login.user == user]
            told = sorted(_total(each.epoch(len(each.told))) for each in sessions)
            assert sorted(map(_total, books.epochs(account))) == told
            balance = PAID_IN - sum(charged for *_, charged in told)
            assert books.balance(account) == Money(balance, 0, balance, 0)


def _total(epoch: Epoch) -> tuple[int, int, int, int]:
    return epoch.seconds, epoch.octets_in, epoch.octets_out, sum(epoch.charges)


def test_records_are_answered_and_charged_in_their_order(stage: Stage) -> None:
    """Each record has its own charge in the ledger: so none was overtaken."""
    with stage.traffic() as play:
        with frozen(stage.installation.servers()["valkey"]):
            _report_from_the_journal(play, 20)
            wrong = _not_ready(stage)
            assert wrong["journal"].startswith("journaling since ")
            assert "store" in wrong
        play.traffic.run_until(lambda: _not_ready(stage) == {})
        play.assert_all_is_booked()
        play.finish()
    log = stage.serving.log()
    assert "journaling: records are kept before they are booked" in log
    assert "the journal is replayed" in log


def test_a_listener_is_killed_while_it_journals(stage: Stage) -> None:
    """Its successor answers as well, without the store, and nothing that either answered is lost.

    A NAS may meet another listener than before, so records may be booked in another order: a record
    that was overtaken is in the charge of the one that overtook it.
    """
    with stage.traffic() as play:
        with frozen(stage.installation.servers()["valkey"]):
            _report_from_the_journal(play, 5)
            killed = stage.serving.role("listener")
            for process in killed:
                process.kill()
            eventually(lambda: not set(killed) & set(stage.serving.role("listener")))
            _report_from_the_journal(play, 10)
        play.traffic.run_until(lambda: _not_ready(stage) == {})
        play.traffic.quieten(stop=True)
        _assert_each_session_is_booked_once(stage, play)
