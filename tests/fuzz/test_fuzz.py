"""A short run of each kind, and that what is broken is found. The long runs are `make fuzz`."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz import access, coverage, engine, listener
from tests.fuzz.mutation import Mutator


def row(seed: int, count: int) -> list[tuple[bytes, str, int]]:
    mutator = Mutator(seed, engine.SOURCES, now=engine.NOW_MS // 1000)
    made = islice(iter(mutator.next, None), count)
    return [(each.octets, each.source.host, each.port) for each in made]


def test_a_seed_is_one_row_of_datagrams() -> None:
    assert row(1, 500) == row(1, 500)
    assert row(1, 500) != row(2, 500)


def test_every_kind_of_outcome_is_reached() -> None:
    bench = engine.Bench()
    bench.round(1, 15_000)
    bench.round(15, 15_000)  # on the authentication port
    assert bench.outcomes.requests > 2_000
    assert bench.outcomes.duplicates > 20
    assert bench.outcomes.by_pyrad > 40
    expected = {
        *("unknown_client", "malformed", "unsupported_code", "bad_authenticator"),
        *("bad_message_authenticator", "duplicate_in_flight"),
        *("ignored_status", "refused_acct_status_type_missing", "refused_acct_session_id_missing"),
        *("refused_acct_input_octets_length", "refused_framed_ipv6_prefix_length"),
    }
    assert not expected - set(bench.reasons)


def _believe(*_arguments: bytes) -> bool:
    return True


def _raise(_value: bytes) -> str:
    raise UnicodeError


def _remember_nothing(*_arguments: object) -> None:
    return None


@pytest.mark.parametrize(
    ("what", "broken", "found"),
    [
        ("radius.packet.verify_accounting", _believe, "expected bad_authenticator"),
        ("radius.decode.text", _raise, "UnicodeError"),
        ("radius.duplicates.ReplyCache.begin", _remember_nothing, "expected duplicate_in_flight"),
        ("radius.packet.verify_message_authenticator", _believe, "expected bad_message_auth"),
        ("radius.engine.PROXY_STATE", 25, "other Proxy-States"),
        ("radius.duplicates.ReplyCache.release", _remember_nothing, "remembered"),
    ],
)
def test_what_is_broken_is_found(
    monkeypatch: pytest.MonkeyPatch, what: str, broken: object, found: str
) -> None:
    monkeypatch.setattr(what, broken)
    with pytest.raises(engine.Failed, match=found):
        engine.Bench().round(1, 3_000)


def test_a_failing_batch_is_written_with_its_seed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("radius.packet.verify_accounting", _believe)
    with pytest.raises(engine.Failed) as caught:
        engine.Bench().round(7, 3_000)
    written = json.loads(caught.value.write(tmp_path).read_text())
    assert written["seed"] == 7
    assert len(written["batch"]) == engine.BATCH
    assert bytes.fromhex(written["batch"][0]["octets"]) == caught.value.batch[0].octets


def test_a_running_system_serves_on_under_hostile_datagrams() -> None:
    stages = (listener.REFUSED, listener.HARMFUL)
    refused, harmful = listener.run(1, 4, 5_000, sessions=10, stages=stages).stages
    assert min(refused.records, harmful.records) > 100
    assert refused.sent.datagrams > 3_000
    assert harmful.sent.records > 300


@pytest.mark.skipif(not coverage.is_available(), reason=coverage.MISSING)
def test_coverage_finds_nothing_either() -> None:
    run = [sys.executable, "-m", "tests.fuzz.coverage", "--seconds", "3"]
    done = subprocess.run(run, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_logins_and_answers_to_us() -> None:
    told = access.run(1, seconds=20, datagrams=20_000)
    assert told.requests > 1_000
    assert told.verdicts > 100
    expected = {"unsigned", "bad_message_authenticator", "malformed", "unsigned_proxy_state"}
    assert not expected - set(told.reasons)


def test_a_login_that_nobody_signed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("radius.packet.verify_message_authenticator", _believe)
    with pytest.raises(AssertionError, match="unsigned login"):
        access.run(1, seconds=20, datagrams=access.ROUND)
